#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Plants mistakes in tasks and checks that the sanitizer of a build names the right line, in TAP.

    run.py BUILD

BUILD is a meson build directory with -Db_sanitize=address, address,undefined or thread. Each program is compiled with the
same compiler and sanitizer twice: as it is, when the report must name its PLANT line in a task, and
with -DFIXED, when there must be no report.
"""
import json
import os
import pathlib
import subprocess
import sys
import tempfile

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent.parent

# program, sanitizer, what the report says, options
PLANTS = [
    ("overflow.c", "address", "stack-buffer-overflow", ""),
    ("scope.c", "address", "stack-use-after-scope", ""),
    ("returned.c", "address", "stack-use-after-return", "detect_stack_use_after_return=1"),
    # with use-after-return, frames of parked tasks lie in memory of ASan's own, where LSan does not look
    ("leak.c", "address", "detected memory leaks", "detect_stack_use_after_return=0"),
    ("race.c", "thread", "data race", ""),
]


def read_build(build):
    """The compiler and the sanitizer of a build directory."""
    info = build / "meson-info"
    options = {o["name"]: o["value"] for o in json.loads((info / "intro-buildoptions.json").read_text())}
    sanitize = options.get("b_sanitize", "none")
    if isinstance(sanitize, list):  # since Meson 1.8
        sanitize = ",".join(sanitize) or "none"
    compilers = info / "intro-compilers.json"
    if compilers.exists():  # since Meson 1.0
        exelist = json.loads(compilers.read_text())["host"]["c"]["exelist"]
    else:
        exelist = ["cc"]
    return exelist, sanitize


def compile_plant(build, compiler, sanitize, source, output, defines):
    command = compiler + ["-std=gnu11", "-D_GNU_SOURCE", "-g", "-O1", "-fno-omit-frame-pointer", f"-fsanitize={sanitize}",
                          *defines, f"-I{ROOT / 'include'}", str(source), str(build / "libawait.a"), "-pthread", "-lm",
                          "-o", str(output)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    return done.stderr if done.returncode else ""


def run_plant(program, sanitizer, options):
    environment = dict(os.environ)
    name = {"address": "ASAN_OPTIONS", "thread": "TSAN_OPTIONS"}[sanitizer]
    environment[name] = ":".join(o for o in (environment.get(name, ""), options) if o)
    done = subprocess.run([str(program)], env=environment, capture_output=True, text=True, timeout=60)
    return done.returncode, done.stderr


def marked_lines(source, mark):
    return [f"{source.name}:{n}" for n, text in enumerate(source.read_text().splitlines(), 1) if f"/* {mark} */" in text]


def judge_report(source, kind, status, report):
    """What is wrong with the report of a planted mistake; "" if nothing is."""
    if status == 0:
        return "the program ended well"
    if kind not in report:
        return f"no report of {kind}"
    for place in marked_lines(source, "PLANT"):
        if place + "\n" not in report and place + " " not in report and place + ":" not in report:
            return f"the report does not name {place}"
    for place in marked_lines(source, "HELD"):
        if place in report:
            return f"the report names {place}, which is in order"
    return ""


def judge_fixed(status, report):
    if status != 0 or "Sanitizer" in report:
        return f"a report, or exit code {status}, without a mistake"
    return ""


def check(build, compiler, sanitize, plant, directory):
    name, sanitizer, kind, options = plant
    source = HERE / name
    for fixed in (False, True):
        program = pathlib.Path(directory) / source.stem
        report = compile_plant(build, compiler, sanitize, source, program, ["-DFIXED"] if fixed else [])
        if report:
            return "it does not compile", report
        status, report = run_plant(program, sanitizer, options)
        problem = judge_fixed(status, report) if fixed else judge_report(source, kind, status, report)
        if problem:
            return problem, report
    return "", ""


def main():
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    build = pathlib.Path(sys.argv[1]).resolve()
    compiler, sanitize = read_build(build)
    plants = [p for p in PLANTS if p[1] in sanitize.split(",")]
    print("TAP version 13")
    if not plants:
        print(f"1..0 # SKIP the build has no sanitizer that plants are for (b_sanitize={sanitize})")
        return 0
    print(f"1..{len(plants)}")
    failed = 0
    with tempfile.TemporaryDirectory() as directory:
        for number, plant in enumerate(plants, 1):
            problem, report = check(build, compiler, sanitize, plant, directory)
            print(f"{'not ok' if problem else 'ok'} {number} - in a task: {plant[2]}, at its line")
            if problem:
                failed = 1
                print(f"# {problem}")
                for line in report.splitlines()[:60]:
                    print(f"# {line}")
    return failed


if __name__ == "__main__":
    sys.exit(main())

#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""Builds the variants of the project and runs every test.

    test.py [--list] [--quick] [--install] [SUITE ...]

Each suite is a row below: what it needs, which variant it stands on, and the programs that it runs. All of them print
TAP. The last line is `N passed, N failed, N skipped`; the exit code is 1 if anything failed. A suite whose tool is
missing, and cannot be installed with --install, counts as one skipped test.
"""

import argparse
import concurrent.futures
import functools
import glob
import os
import re
import shutil
import signal
import subprocess
import sys
import time

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
sys.path.insert(0, os.path.join(ROOT, "test"))

import build  # noqa: E402
import tap  # noqa: E402

JOBS = os.cpu_count() or 2
PYTHON = "/usr/bin/python3" if os.path.exists("/usr/bin/python3") else sys.executable  # Debian's: it has python3-clang
SHOWN_LINES = 40
SUITES = {}

# Programs that start threads: what ThreadSanitizer is for.
THREADED = re.compile(r"pthread_create|threadsafe|to_thread|run_in_executor|executor|job_submit|foreign_threads|resolve")

# Signal dispositions and faults are Valgrind's own there.
NOT_FOR_VALGRIND = ["src/task/process_test.c"]

SANITIZER_ENV = {
    "ASAN_OPTIONS": "detect_stack_use_after_return=1:strict_string_checks=1:check_initialization_order=1",
    "UBSAN_OPTIONS": "print_stacktrace=1:halt_on_error=1",
    "TSAN_OPTIONS": "halt_on_error=1:second_deadlock_stack=1",
}


class Job:
    """One program that prints TAP."""

    def __init__(self, name, command, env=None, limit=120):
        self.name, self.command, self.env, self.limit = name, command, env or {}, limit


class Suite:
    def __init__(self, name, jobs, needs, packages, variant, quick, serial):
        self.name, self.jobs, self.needs, self.packages = name, jobs, needs, packages
        self.variant, self.quick, self.serial = variant, quick, serial


def suite(needs=(), variant="release", quick=False, serial=False):
    """`needs` are NAME[:PACKAGE] as tools/need.sh takes them; the decorated function returns jobs for the variant's
    directory. Without a variant nothing is built.
    """

    def add(jobs):
        name = jobs.__name__.replace("_", "-")
        SUITES[name] = Suite(name, jobs, [n.split(":")[0] for n in needs], needs, variant, quick, serial)
        return jobs

    return add


# ---- programs ----


def sources(pattern):
    return sorted(glob.glob(os.path.join(ROOT, pattern)))


def unit_program(build_dir, source):
    name = os.path.relpath(source, os.path.join(ROOT, "src")).replace("/", "-")
    return os.path.join(build_dir, name[: -len(".c")])


def conformance_program(build_dir, source):
    return os.path.join(build_dir, "conformance-" + os.path.basename(source)[: -len(".c")])


def unit_jobs(build_dir, prefix="", chosen=None, only=None, **options):
    """One job for each `*_test.c` beside the code."""
    arguments = options.pop("arguments", [])
    wrap = options.pop("wrap", [])
    chosen = sources("src/*/*_test.c") if chosen is None else chosen
    found = [s for s in chosen if only is None or only.search(open(s).read())]
    programs = [unit_program(build_dir, s) for s in found]
    return [Job(prefix + os.path.basename(p), [*wrap, p, *arguments], **options) for p in programs]


def conformance_jobs(build_dir, worlds, prefix="", only=None, **options):
    """The same scenarios on each (backend, seed)."""
    arguments = options.pop("arguments", [])
    jobs = []
    for source in sources("test/conformance/*.c"):
        if only is None or only.search(open(source).read()):
            name = prefix + os.path.basename(conformance_program(build_dir, source))
            for backend, seed in worlds:
                command = [conformance_program(build_dir, source), "--backend", backend, "--seed", str(seed), *arguments]
                jobs.append(Job(f"{name} on {backend}, seed {seed}", command, **options))
    return jobs


def script(path, *arguments, limit=300):
    full = os.path.join(ROOT, path)
    runner = ["sh"] if path.endswith(".sh") else [PYTHON]
    return [Job(path, [*runner, full, *arguments], limit=limit)] if os.path.exists(full) else []


# ---- suites, in the order in which they run ----


@suite(quick=True)
def harness(build_dir):
    return script("test/harness.py", build_dir)


@suite(quick=True)
def unit(build_dir):
    return unit_jobs(build_dir)


@suite(quick=True)
def conformance(build_dir):
    return conformance_jobs(build_dir, [("sim", 0), ("sim", 1), ("sim", 2), ("sim", 3), ("linux", 0)])


@suite(quick=True, variant=None)
def layering(build_dir):
    return script("test/layering.py")


@suite(needs=["nm:binutils"], quick=True)
def symbols(build_dir):
    return script("test/symbols.py", build_dir)


@suite(quick=True, variant=None)
def contracts(build_dir):
    return script("test/contracts.py")


@suite(needs=["clang", "/usr/lib/python3/dist-packages/clang:python3-clang"], quick=True, variant=None)
def suspends(build_dir):
    return script("test/suspends.py")


@suite(needs=["g++", "clang", "/usr/include/openssl/ssl.h:libssl-dev"])
def headers(build_dir):
    return script("test/headers.py", build_dir)


@suite(needs=["g++", "clang"], variant=None)
def macros(build_dir):
    return script("test/macros.py")


@suite(quick=True, variant=None)
def docs(build_dir):
    return script("docs/check.py")


@suite(quick=True, serial=True)
def examples(build_dir):
    return script("examples/run.py", build_dir)


@suite(needs=["pkg-config", "g++", "clang"], variant=None)
def install(build_dir):
    return script("test/install.py")


@suite(needs=["clang"], variant="clang")
def clang(build_dir):
    return unit_jobs(build_dir, "clang ") + conformance_jobs(build_dir, [("sim", 0), ("linux", 0)], "clang ")


@suite(variant="asan")
def asan(build_dir):
    options = {"env": SANITIZER_ENV, "arguments": ["--timeout", "60"], "limit": 240}
    worlds = [("sim", 0), ("sim", 4), ("linux", 0)]
    programs = unit_jobs(build_dir, "asan ", **options) + conformance_jobs(build_dir, worlds, "asan ", **options)
    shown = script("examples/run.py", build_dir)
    for job in shown:
        job.name, job.env = "asan " + job.name, SANITIZER_ENV
    return programs + shown + script("test/sanitizer/run.py", build_dir)


@suite(variant="tsan")
def tsan(build_dir):
    options = {"env": SANITIZER_ENV, "arguments": ["--timeout", "60"], "limit": 240, "only": THREADED}
    programs = unit_jobs(build_dir, "tsan ", **options) + conformance_jobs(build_dir, [("linux", 0)], "tsan ", **options)
    return programs + script("test/sanitizer/run.py", build_dir)


@suite(needs=["valgrind"])
def valgrind(build_dir):
    wrap = ["valgrind", "-q", "--error-exitcode=99", f"--suppressions={ROOT}/test/valgrind.supp", "--leak-check=full", "--show-leak-kinds=definite,indirect",
            "--errors-for-leak-kinds=definite,indirect"]
    jobs = []
    for folder in ["base", "loop", "task"]:
        found = [s for s in sources(f"src/{folder}/*_test.c") if os.path.relpath(s, ROOT) not in NOT_FOR_VALGRIND]
        jobs += unit_jobs(build_dir, "valgrind ", found, wrap=wrap, arguments=["--timeout", "100", "--without", "hundred_thousand"], limit=240)
    return jobs


@suite(variant="ucontext")
def ucontext(build_dir):
    return unit_jobs(build_dir, "ucontext ", sources("src/task/*_test.c")) + conformance_jobs(build_dir, [("sim", 0), ("linux", 0)], "ucontext ")


@suite(needs=["aarch64-linux-gnu-gcc:gcc-aarch64-linux-gnu", "/usr/aarch64-linux-gnu/include/stdio.h:libc6-dev-arm64-cross",
              "qemu-aarch64:qemu-user"], variant=None)
def aarch64(build_dir):
    return script("test/aarch64/run.sh")


@suite(serial=True)
def peers(build_dir):
    return script("test/peers/asyncio_echo.py", build_dir)


@suite(serial=True)
def demo(build_dir):
    return script("test/demo.py", build_dir)


# ---- running ----


def run_job(job):
    env = {k: v for k, v in os.environ.items() if not k.startswith("ASYNC_")}
    env.update(job.env)
    try:
        process = subprocess.Popen(job.command, cwd=ROOT, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                                   stdin=subprocess.DEVNULL, text=True, errors="replace", start_new_session=True)
    except OSError as error:
        return [failed_result(f"{job.name} starts", str(error))]
    try:
        text, _ = process.communicate(timeout=job.limit)
        code = process.returncode
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        text, _ = process.communicate()
        text, code = f"{text}\ndid not end within {job.limit} s\n", -9
    return tap.read(text, code, job.name)


def run_jobs(jobs, serial):
    with concurrent.futures.ThreadPoolExecutor(1 if serial else JOBS) as pool:
        return list(zip(jobs, pool.map(run_job, jobs)))


def show_failures(job, results):
    for result in results:
        if result.outcome == "failed":
            print(f"    FAILED {job.name}: {result.name}")
            for line in result.detail[:SHOWN_LINES]:
                print(f"        {line}")


def have(need):
    return os.path.exists(need) if need.startswith("/") else shutil.which(need) is not None


def failed_result(name, text):
    result = tap.Result(name, "failed")
    result.detail = text.splitlines()[-SHOWN_LINES:]
    return result


@functools.cache
def built(variant, options):
    """(directory, None), or (None, what is wrong), which is shown the first time."""
    if variant is None:
        return None, None
    start = time.monotonic()
    try:
        where = build.build(variant, options, quiet=True)
        print(f"    built variant {variant} in {time.monotonic() - start:.1f} s", flush=True)
        return where, None
    except build.BuildError as error:
        lines = str(error).splitlines()
        first = next((i for i, line in enumerate(lines) if "FAILED" in line or "ERROR" in line), 0)
        lines = [line for line in lines[first:] if not re.match(r"^(\[\d+/\d+\]|\S*(cc|gcc|clang) )", line)]
        print(f"    variant {variant} does not build:")
        for line in lines[:SHOWN_LINES]:
            print(f"        {line}")
        return None, str(error)


def run_suite(one, options):
    """[(job, results)] of one suite."""
    missing = [n for n in one.needs if not have(n)]
    if missing:
        print(f"    skipped: {', '.join(missing)} not found")
        return [(Job(one.name, []), [tap.Result(one.name, "skipped")])]
    where, broken = built(one.variant, tuple(options))
    if broken:
        return [(Job(one.name, []), [failed_result(f"build of variant {one.variant}", broken)])]
    jobs = one.jobs(where)
    if not jobs:
        print("    skipped: there is nothing to run")
        return [(Job(one.name, []), [tap.Result(one.name, "skipped")])]
    done = run_jobs(jobs, one.serial)
    for job, results in done:
        show_failures(job, results)
    return done


def tally(done):
    outcomes = [result.outcome for _, results in done for result in results]
    return [outcomes.count(o) for o in ("passed", "failed", "skipped")]


def show_skipped(done):
    for job, results in done:
        for result in results:
            if result.outcome == "skipped" and result.detail:
                print(f"    skipped {job.name}: {result.name}: {' '.join(result.detail)}")


def run_suites(chosen):
    total = [0, 0, 0]
    for one in chosen:
        start = time.monotonic()
        print(f"{one.name} ...", flush=True)
        done = run_suite(one, ["-Dwerror=true"])
        counts = tally(done)
        show_skipped(done)
        print(f"{one.name:18}{counts[0]:6} passed, {counts[1]} failed, {counts[2]} skipped   {time.monotonic() - start:.1f} s", flush=True)
        total = [a + b for a, b in zip(total, counts)]
    return total


def install_needs(chosen):
    wanted = sorted({need for one in chosen for need in one.packages})
    subprocess.run([os.path.join(ROOT, "tools", "need.sh"), "--optional", *wanted], check=False)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--list", action="store_true", help="names the suites")
    parser.add_argument("--quick", action="store_true", help="only what needs no further build and takes seconds")
    parser.add_argument("--install", action="store_true", help="installs missing tools first")
    parser.add_argument("suites", nargs="*", metavar="SUITE")
    args = parser.parse_args()
    unknown = [name for name in args.suites if name not in SUITES]
    if unknown:
        parser.error(f"no suite {', '.join(unknown)}; there are: {', '.join(SUITES)}")
    chosen = [s for s in SUITES.values() if (not args.suites or s.name in args.suites) and (s.quick or not args.quick)]
    if args.list:
        print("\n".join(one.name for one in chosen))
        return 0
    if args.install:
        install_needs(chosen)
    passed, failed, skipped = run_suites(chosen)
    print(f"{passed} passed, {failed} failed, {skipped} skipped")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())

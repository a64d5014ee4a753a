#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""What the macros refuse, and with which words; what they accept without a warning.

Each file of macros/bad must fail in gcc and clang with the fragment in its `expect` lines, and the compiler must point at
a line of that file. Each file of macros/good must compile without a warning.
"""

import concurrent.futures
import glob
import os
import re
import shutil
import subprocess
import sys

from tap import Tap

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(HERE)
WARNINGS = ["-Wall", "-Wextra", "-Wshadow", "-Wpedantic", "-Wvla", "-Wundef"]
# What the documentation recommends: `pkg-config --variable=strict await`.
STRICT = ["-Werror=incompatible-pointer-types", "-Werror=int-conversion", "-Werror=unused-result"]
GOOD = [
    ("gcc", ["-std=c11"], ".c"),
    ("gcc", ["-std=gnu11", "-O2"], ".c"),
    ("clang", ["-std=c11"], ".c"),
    ("clang", ["-std=gnu11", "-O2"], ".c"),
    ("g++", ["-std=c++17"], ".cc"),
    ("g++", ["-std=c++11"], ".cc"),
    ("clang++", ["-std=c++17"], ".cc"),
]


def compile_file(compiler, flags, path):
    command = [compiler, *flags, "-D_GNU_SOURCE", f"-I{ROOT}/include", "-c", "-o", os.devnull, path]
    env = {**os.environ, "LC_ALL": "C"}
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=env)
    return done.returncode, done.stdout


def problem_of_bad(compiler, path):
    fragment = re.search(rf"/\* expect {compiler}: (.*?) ?\*/", open(path).read())[1]
    code, text = compile_file(compiler, ["-std=gnu11", "-Wall", "-Wextra", *STRICT], path)
    errors = [line for line in text.splitlines() if "error:" in line]
    if code == 0:
        return f"accepted\n{text}"
    if not any(fragment in line for line in errors):
        return f"no error says: {fragment}\n{text}"
    if os.path.basename(path) not in text:
        return f"no line of the user's file is named\n{text}"
    return None


def problem_of_good(compiler, flags, path):
    code, text = compile_file(compiler, [*flags, *WARNINGS], path)
    return text or "failed" if code or text else None


def main():
    tap = Tap()
    work = [(f"{c} refuses {os.path.basename(p)[:-2]}", c, problem_of_bad, (c, p))
            for p in sorted(glob.glob(os.path.join(HERE, "macros/bad/*.c"))) for c in ("gcc", "clang")]
    work += [(f"{c} {' '.join(f)} accepts {os.path.basename(p)}", c, problem_of_good, (c, f, p))
             for c, f, kind in GOOD for p in sorted(glob.glob(os.path.join(HERE, "macros/good/*" + kind)))]
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count() or 2) as pool:
        done = list(pool.map(lambda w: w[2](*w[3]) if shutil.which(w[1]) else "", work))
    for (name, compiler, _, _), problem in zip(work, done):
        if shutil.which(compiler):
            tap.check(name, problem is None, problem)
        else:
            tap.skip(name, f"no {compiler}")
    return tap.finish()


if __name__ == "__main__":
    sys.exit(main())

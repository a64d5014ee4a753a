#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""Static checks: format, clang-tidy, layers, contracts, suspension marks. Output is TAP.

    lint.py [FILE ...]      C files for clang-tidy; default: the library's
"""

import concurrent.futures
import os
import subprocess
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
sys.path.insert(0, os.path.join(ROOT, "test"))

import build  # noqa: E402
import sources  # noqa: E402
from tap import Tap  # noqa: E402

SCRIPTS = ["test/layering.py", "test/contracts.py", "test/suspends.py"]
PYTHON = "/usr/bin/python3" if os.path.exists("/usr/bin/python3") else sys.executable


def output_of(command):
    done = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    return done.returncode, done.stdout


def tidy(path, where):
    code, text = output_of(["clang-tidy", "--quiet", "-p", where, path])
    return code, "\n".join(line for line in text.splitlines() if "warnings generated" not in line)


def main():
    tap = Tap()
    where = build.configure("clang", ["-Dwerror=true"], quiet=True)
    code, text = output_of(["tools/format.sh", "--check"])
    tap.check("sources are formatted (make format)", code == 0, text[:4000])
    for script in SCRIPTS:
        code, text = output_of([PYTHON, script])
        tap.check(script, code == 0, "\n".join(line for line in text.splitlines() if not line.startswith("ok")))
    chosen = sys.argv[1:] or sources.find(["src/*/*.c", "!*_test.c"])
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count() or 2) as pool:
        for path, (code, text) in zip(chosen, pool.map(lambda p: tidy(p, where), chosen)):
            tap.check(f"clang-tidy {path}", code == 0, text[:3000])
    return tap.finish()


if __name__ == "__main__":
    sys.exit(main())

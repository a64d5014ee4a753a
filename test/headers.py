#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""Every public header compiles alone, in any order, in C and C++, and beside headers that took similar names before us.

    headers.py BUILD_DIR

And one program holds all of libawait.a and all of libcrypto.a: no symbol is defined in both.
"""

import concurrent.futures
import glob
import os
import shutil
import subprocess
import sys
import tempfile

from tap import Tap

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
WARNINGS = ["-Wall", "-Wextra", "-Wpedantic", "-Wshadow", "-Wundef", "-Wvla", "-Werror"]
C_WARNINGS = ["-Wstrict-prototypes", "-Wmissing-prototypes"]
COMPILERS = [
    ("gcc", ["-x", "c", "-std=c11", *C_WARNINGS]),
    ("gcc", ["-x", "c", "-std=gnu11", *C_WARNINGS]),
    ("gcc", ["-x", "c", "-std=gnu17", *C_WARNINGS]),
    ("clang", ["-x", "c", "-std=c11", *C_WARNINGS]),
    ("clang", ["-x", "c", "-std=gnu11", *C_WARNINGS]),
    ("g++", ["-x", "c++", "-std=c++11"]),
    ("g++", ["-x", "c++", "-std=c++17"]),
    ("g++", ["-x", "c++", "-std=c++20"]),
    ("clang++", ["-x", "c++", "-std=c++17"]),
]
# Their names begin with ASYNC_ too.
STRANGERS = [
    ["openssl/ssl.h"],
    ["openssl/async.h"],
    ["linux/serial.h"],
    ["linux/tty_flags.h"],
    ["openssl/ssl.h", "openssl/async.h", "linux/serial.h", "linux/tty_flags.h", "aio.h"],
]
STATIC_PROGRAM = """
#include <await.h>
#include <openssl/async.h>
async_main(void)
{
    async_task *task = NULL;
    int r = await_task(task, NULL);
    return r == -ENOMEM && ASYNC_is_capable() >= 0 ? 0 : 1;
}
"""


def compile_text(compiler, flags, text):
    command = [compiler, *flags, *WARNINGS, f"-I{ROOT}/include", "-fsyntax-only", "-"]
    done = subprocess.run(command, input=text, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    return done.returncode == 0, f"{' '.join(command)}\n{text}\n{done.stdout[:3000]}"


def include(names):
    return "".join(f"#include <{name}>\n" for name in names)


def orders(headers):
    """Each alone and twice; all of them forward, backward, and from each starting point."""
    for name in headers:
        yield f"{name} alone", include([name, name])
    yield "all, backward", include(reversed(headers))
    for i in range(0, len(headers), 3):
        yield f"all, beginning with {headers[i]}", include(headers[i:] + headers[:i])


def neighbours(headers):
    for strangers in STRANGERS:
        if all(os.path.exists(os.path.join("/usr/include", name)) for name in strangers):
            yield f"after {', '.join(strangers)}", include([*strangers, *headers])
            yield f"before {', '.join(strangers)}", include([*headers, *strangers])


def check_static_link(tap, build_dir):
    """Whole archives, so that a name defined in both cannot stay unnoticed."""
    crypto = glob.glob("/usr/lib/*/libcrypto.a") + glob.glob("/usr/lib/libcrypto.a")
    name = "all of libawait.a and all of libcrypto.a link into one program"
    if not crypto:
        tap.skip(name, "libcrypto.a is missing")
        return
    with tempfile.TemporaryDirectory() as where:
        source, program = os.path.join(where, "a.c"), os.path.join(where, "a")
        with open(source, "w") as file:
            file.write(STATIC_PROGRAM)
        archives = ["-Wl,--whole-archive", os.path.join(build_dir, "libawait.a"), crypto[0], "-Wl,--no-whole-archive"]
        command = ["gcc", f"-I{ROOT}/include", source, "-o", program, *archives, "-ldl", "-pthread"]
        done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        if tap.check(name, done.returncode == 0, done.stdout[:3000]):
            tap.check("and it runs", subprocess.run([program], timeout=20).returncode == 0)


def main():
    tap = Tap()
    headers = ["await.h", *(os.path.relpath(p, os.path.join(ROOT, "include")) for p in sorted(glob.glob(os.path.join(ROOT, "include/await/*.h"))))]
    cases = [*orders(headers), *neighbours(headers)]
    work = [(c, f, name, text) for c, f in COMPILERS if shutil.which(c) for name, text in cases]
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count() or 2) as pool:
        done = list(pool.map(lambda w: compile_text(w[0], w[1], w[3]), work))
    for compiler, flags in COMPILERS:
        title = f"{compiler} {flags[2]}"
        mine = [(w, d) for w, d in zip(work, done) if w[0] == compiler and w[1] == flags]
        bad = [f"{w[2]}\n{d[1]}" for w, d in mine if not d[0]]
        if mine:
            tap.check(f"{title}: {len(mine)} orders of inclusion", not bad, "\n\n".join(bad[:3]))
        else:
            tap.skip(title, "no such compiler")
    check_static_link(tap, sys.argv[1])
    return tap.finish()


if __name__ == "__main__":
    sys.exit(main())

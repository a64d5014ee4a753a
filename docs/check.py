#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""Checks what the documents say. Output is TAP.

    links      every relative link leads to a file
    names      every await_*, async_* and ASYNC_* that a document mentions is in a header, or is an example's own
    programs   README.md prints the programs of examples/readme as they are
    examples   each example has less than 60 lines (the toy loop is a chapter of its own) and a golden output
"""

import glob
import os
import re
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
NAME = re.compile(r"\b(?:await|async|ASYNC)_\w+")
# Names that stand for the reader's own functions, for other libraries', and for what is to come.
FOREIGN = {
    "await_x", "await_ask", "await_fetch", "await_fetch_both", "async_lock", "async_yield", "async_result", "async_init",
    "await_yield", "ASYNC_JOB", "ASYNC_PAUSE",
}


def read(path):
    with open(os.path.join(ROOT, path), encoding="utf-8") as file:
        return file.read()


def find(*patterns):
    return sorted(name for p in patterns for name in glob.glob(p, root_dir=ROOT, recursive=True))


def documents():
    return find("*.md", "docs/**/*.md")


def links():
    for document in documents():
        for target in re.findall(r"\]\(([^)#\s]+)[^)]*\)", read(document)):
            if "://" not in target and not os.path.exists(os.path.join(ROOT, os.path.dirname(document), target)):
                yield f"{document}: {target} does not exist"


def names():
    known = set(FOREIGN)
    # The harness reads its own; the toy loop defines some.
    for path in find("include/**/*.h", "examples/**/*.c", "meson_options.txt"):
        known.update(NAME.findall(read(path)))
    known.update({"ASYNC_BACKEND", "ASYNC_DEBUG"})
    for document in documents():
        for name in sorted(set(NAME.findall(read(document)))):
            if name not in known and not any(k.startswith(name) for k in known if name.endswith("_")):
                yield f"{document}: {name} is in no header"


def programs():
    readme = read("README.md")
    for path in find("examples/readme/*.c"):
        blocks = re.split(r"\n(?=async_def|async_main)", read(path))
        if path.endswith("fetch_both.c"):
            blocks.pop()  # its main is not shown
        for block in (b.strip() for b in blocks if b.startswith("async_")):
            if block not in readme:
                yield f"README.md does not print {path} as it is, from: {block.splitlines()[0]}"


def examples():
    for path in find("examples/*.c", "examples/readme/*.c"):
        name = os.path.splitext(os.path.relpath(path, "examples"))[0]
        count = read(path).count("\n")
        if count >= 60 and name != "toy_loop":
            yield f"{path} has {count} lines"
        if not os.path.exists(os.path.join(ROOT, "examples", "golden", name + ".txt")):
            yield f"{path} has no golden output"


def main():
    checks = [
        (links, "every link in the documents leads to a file"),
        (names, "every name in the documents is in a header"),
        (programs, "README.md prints its programs as they are"),
        (examples, "every example is short and has a golden output"),
    ]
    failed = 0
    print(f"TAP version 13\n1..{len(checks)}")
    for number, (check, sentence) in enumerate(checks, 1):
        complaints = list(check())
        failed += bool(complaints)
        print(f"{'not ok' if complaints else 'ok'} {number} - {sentence}")
        for complaint in complaints:
            print(f"#   {complaint}")
    sys.exit(1 if failed else 0)


main()

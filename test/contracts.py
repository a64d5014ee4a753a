#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""Each public prototype stands under a contract: a comment with the lines suspends, returns, threads and asyncio.

Prototypes that follow one another without an empty line share one. What stands under "for the macros" at the end of a
header is not for users and needs none. The names are held to the law: await_* suspends, async_* never does.
"""

import os
import re
import sys

from tap import Tap

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
sys.path.insert(0, os.path.join(ROOT, "tools"))

import exports  # noqa: E402

REQUIRED = ["suspends", "returns", "threads", "asyncio"]
BEHIND_THE_MACROS = "not for direct use"


def contract_above(lines, number):
    """The comment above the block of prototypes in which line `number` (from 1) stands."""
    at = number - 2
    while at >= 0 and lines[at].strip() and not lines[at].rstrip().endswith("*/"):
        at -= 1
    if at < 0 or not lines[at].rstrip().endswith("*/"):
        return ""
    end = at
    while at >= 0 and "/*" not in lines[at]:
        at -= 1
    return "\n".join(lines[at : end + 1])


def problems_of(name, declaration, contract):
    found = {word: re.search(rf"^[ /]\* {word} +(\S.*)$", contract, re.MULTILINE) for word in REQUIRED}
    problems = [f"the contract has no line `{word}`" for word in REQUIRED if not found[word]]
    suspends = found["suspends"] and found["suspends"][1].startswith("yes")
    marked = "ASYNC_SUSPENDS" in declaration or "ASYNC_AWAIT" in declaration
    if name.startswith("await_") != bool(suspends):
        problems.append("its name and its line `suspends` disagree")
    if marked != bool(suspends):
        problems.append("its mark ASYNC_SUSPENDS and its line `suspends` disagree")
    return problems


def check_header(path):
    text = open(path).read()
    lines = text.splitlines()
    limit = text[: text.find(BEHIND_THE_MACROS)].count("\n") if BEHIND_THE_MACROS in text else len(lines)
    for number, name, declaration in exports.declarations(text):
        if number <= limit and not name.startswith("aw_"):
            yield from (f"{os.path.basename(path)}:{number}: {name}: {p}" for p in problems_of(name, declaration, contract_above(lines, number)))


def main():
    tap = Tap()
    for path in [*exports.public_headers(), os.path.join(ROOT, "include", "await", "testing.h")]:
        problems = list(check_header(path))
        tap.check(f"await/{os.path.basename(path)}: every prototype has its contract", not problems, "\n".join(problems))
    bad = "/* Adds.\n *\n * returns   a sum\n * threads   any\n */\nASYNC_API int async_add(int a);\n"
    (_, name, declaration), = exports.declarations(bad)
    refused = problems_of(name, declaration, contract_above(bad.splitlines(), 6))
    tap.check("a contract without `suspends` is refused", any("suspends" in p for p in refused), refused)
    return tap.finish()


if __name__ == "__main__":
    sys.exit(main())

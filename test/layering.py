#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""Includes go downward only: application > await > sync > task | transport | os > loop > backend > base.

task, transport and os are siblings, unaware of each other. A floor may include its own headers, those of the floors
below, and the public headers of the nouns that it, or a floor below, makes.
"""

import glob
import os
import re
import sys

from tap import Tap

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))

# folder -> folders below
BELOW = {
    "base": [],
    "backend": ["base"],
    "loop": ["base", "backend"],
    "task": ["base", "backend", "loop"],
    "transport": ["base", "backend", "loop"],
    "os": ["base", "backend", "loop"],
    "sync": ["base", "backend", "loop", "task"],
    "await": ["base", "backend", "loop", "task", "transport", "os", "sync"],
    "testing": [],
}

# public header -> the floor that makes its noun. `future` is the task floor's, although the callback half uses it too.
MADE_BY = {
    "base": "base",
    "loop": "loop",
    "embed": "loop",
    "context": "task",
    "defer": "task",
    "future": "task",
    "group": "task",
    "macros": "task",
    "run": "task",
    "scope": "task",
    "task": "task",
    "server": "await",
    "stream": "await",
    "thread": "await",
    "testing": "testing",
}

INCLUDE = re.compile(r'^\s*#\s*include\s+([<"])([^>"]+)[>"]', re.MULTILINE)


def problem_of(folder, is_test, quote, name):
    """Why a file in src/folder may not include this; None if it may."""
    reachable = [folder, *BELOW[folder]]
    if quote == "<" and name == "await.h":
        return None if folder in ("await", "testing") or is_test else "<await.h> holds every floor's nouns"
    if quote == "<" and name.startswith("await/"):
        noun = os.path.basename(name)[: -len(".h")]
        if noun not in MADE_BY:
            return f"{name} is not in MADE_BY in test/layering.py"
        return None if MADE_BY[noun] in reachable or is_test or folder == "testing" else f"{name} belongs to {MADE_BY[noun]}"
    if quote == '"':
        if "/" not in name:
            return f'"{name}" should be "{folder}/{name}"'
        return None if name.split("/")[0] in reachable else f"{name} is not below {folder}"
    return None


def is_test_file(path):
    """Tests, and what several tests of a folder share."""
    return path.endswith(("_test.c", "_test.h")) or os.path.basename(path).startswith("fixture")


def problems_in_sources():
    for path in sorted(glob.glob(os.path.join(ROOT, "src", "*", "*.[chS]"))):
        folder = os.path.basename(os.path.dirname(path))
        for quote, name in INCLUDE.findall(open(path).read()):
            problem = problem_of(folder, is_test_file(path), quote, name)
            if problem:
                yield folder, f"{os.path.relpath(path, ROOT)}: {problem}"


def problems_in_public_headers():
    """They include each other and the system's headers, and never what is in src/."""
    for path in sorted(glob.glob(os.path.join(ROOT, "include", "await", "*.h"))):
        noun = os.path.basename(path)[: -len(".h")]
        if noun not in MADE_BY:
            yield f"{path}: not in MADE_BY in test/layering.py"
            continue
        floor = MADE_BY[noun]
        for quote, name in INCLUDE.findall(open(path).read()):
            if quote == '"':
                yield f"await/{noun}.h includes \"{name}\""
            elif name.startswith("await/") and floor != "testing" and MADE_BY.get(os.path.basename(name)[: -len(".h")]) not in [floor, *BELOW[floor]]:
                yield f"await/{noun}.h includes {name} of a floor above"


def main():
    tap = Tap()
    found = list(problems_in_sources())
    for folder in sorted(os.listdir(os.path.join(ROOT, "src"))):
        if os.path.isdir(os.path.join(ROOT, "src", folder)):
            mine = [text for where, text in found if where == folder]
            tap.check(f"src/{folder} includes downward only", folder in BELOW and not mine, "\n".join(mine) or "an unknown floor")
    upward = list(problems_in_public_headers())
    tap.check("public headers include downward only", not upward, "\n".join(upward))
    tap.check("an upward include is refused", problem_of("loop", False, '"', "task/task.h"))
    tap.check("an include of a sibling is refused", problem_of("transport", False, '"', "task/wait.h"))
    tap.check("a public noun of a floor above is refused", problem_of("loop", False, "<", "await/task.h"))
    return tap.finish()


if __name__ == "__main__":
    sys.exit(main())

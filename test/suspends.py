#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""A function that calls one marked ASYNC_SUSPENDS must be marked itself: checked on clang's AST of every source.

    suspends.py [FILE ...]       default: src/, examples/, demo/, test/conformance/

So the mark, and with it the law of the two prefixes, cannot be lost on the way up. `async_def` brings the mark; a static
helper that waits needs it in its own words. await_defer counts as a call at the end of its block. Calls through pointers
are not seen.
"""

import glob
import os
import re
import sys

from tap import Tap

try:
    from clang.cindex import Config, CursorKind, Index, LibclangError
except ImportError:
    Index = None

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
ARGUMENTS = ["-x", "c", "-std=gnu11", "-D_GNU_SOURCE", f"-I{ROOT}/include", f"-I{ROOT}/src"]
MARK = "async:suspends"
PLACES = ["src/*/*.c", "examples/*.c", "examples/readme/*.c", "demo/*.c", "test/conformance/*.c"]
# What async_def makes beside the function: these are never called by hand.
GENERATED = ("__thunk", "__create_task", "__call")


def is_marked(function):
    """Attributes of an earlier declaration are inherited."""
    seen = [function, function.canonical]
    return any(child.kind == CursorKind.ANNOTATE_ATTR and child.spelling == MARK for f in seen for child in f.get_children())


def line_text(lines, cursor):
    number = cursor.location.line
    return lines[number - 1] if 0 < number <= len(lines) else ""


def suspensions(function, lines):
    """Why this function may suspend: (line, what) for each call of a marked function in it."""
    for cursor in function.walk_preorder():
        if cursor.kind == CursorKind.CALL_EXPR:
            callee = cursor.referenced
            if callee is not None and callee.kind == CursorKind.FUNCTION_DECL and is_marked(callee):
                yield cursor.location.line, callee.spelling
        elif cursor.kind == CursorKind.VAR_DECL and cursor.type.spelling == "struct aw_defer" and "await_defer" in line_text(lines, cursor):
            yield cursor.location.line, "await_defer"


def is_ours(where, path):
    """The source itself, and functions that a header of src/ holds."""
    return where == path or where.startswith(os.path.join(ROOT, "src"))


def check_file(path):
    """The problems of one source; a file that clang cannot read is one."""
    unit = Index.create().parse(path, args=ARGUMENTS)
    errors = [d.spelling for d in unit.diagnostics if d.severity >= 3]
    if errors:
        return [f"{os.path.relpath(path, ROOT)}: clang: {errors[0]}"]
    problems = []
    for function in unit.cursor.get_children():
        where = str(function.location.file)
        if function.kind != CursorKind.FUNCTION_DECL or not function.is_definition() or not is_ours(where, path):
            continue
        if function.spelling.endswith(GENERATED):
            continue
        name, lines = os.path.relpath(where, ROOT), open(where).read().splitlines()
        marked, calls = is_marked(function), list(suspensions(function, lines))
        if calls and not marked:
            problems.append(f"{name}:{calls[0][0]}: {function.spelling} calls {calls[0][1]}, which suspends, and is not marked ASYNC_SUSPENDS")
        if marked and function.spelling.startswith("async_"):
            problems.append(f"{name}:{function.location.line}: {function.spelling} is marked, but async_* never suspends")
        if not marked and function.spelling.startswith("await_"):
            problems.append(f"{name}:{function.location.line}: {function.spelling} is not marked, but await_* suspends")
    return problems


def check_plant(tap):
    """Each function of the planted file whose name begins with bad_ must be refused, the others not."""
    path = os.path.join(ROOT, "test", "suspends", "planted.c")
    problems = check_file(path)
    named = {p.split(": ", 1)[1].split(" ")[0] for p in problems}
    wanted = set(re.findall(r"\b(?:async_)?bad_\w+", open(path).read()))
    tap.check("planted violations are refused, and only these", named == wanted, f"{sorted(named)}\nexpected {sorted(wanted)}\n" + "\n".join(problems))


def main():
    tap = Tap()
    if Index is None:
        tap.skip("functions that suspend are marked", "python3-clang is missing")
        return tap.finish()
    chosen = sys.argv[1:] or sorted(path for place in PLACES for path in glob.glob(os.path.join(ROOT, place)))
    for path in chosen:
        problems = check_file(os.path.abspath(path))
        tap.check(f"{os.path.relpath(path, ROOT)}: what suspends is marked", not problems, "\n".join(problems))
    check_plant(tap)
    return tap.finish()


if __name__ == "__main__":
    sys.exit(main())

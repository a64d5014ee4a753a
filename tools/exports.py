#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""The symbols that the library exports: the ASYNC_API prototypes of the public headers, and nothing else.

    exports.py            prints them as a linker's version script
    exports.py --update   writes src/await.map, after a prototype was added
"""

import glob
import os
import re
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
MAP = os.path.join(ROOT, "src", "await.map")
HEAD = """/* SPDX-License-Identifier: MIT */
/* What libawait.so exports: each ASYNC_API prototype of include/await. Written by tools/exports.py --update. */
"""


def public_headers():
    """Without the harness', which is a library of its own."""
    names = glob.glob(os.path.join(ROOT, "include", "await", "*.h"))
    return sorted(n for n in names if os.path.basename(n) != "testing.h")


def strip_comments(text):
    """Keeps line numbers."""
    return re.sub(r"/\*.*?\*/|//[^\n]*", lambda m: "\n" * m[0].count("\n"), text, flags=re.DOTALL)


def declarations(text):
    """(line number, name, declaration) of each exported function or object in a header's text."""
    code = re.sub(r"^[ \t]*#(?:[^\n]*\\\n)*[^\n]*", lambda m: "\n" * m[0].count("\n"), strip_comments(text), flags=re.MULTILINE)
    for match in re.finditer(r"\b(?:extern )?ASYNC_(?:API|AWAIT)\b[^;{]*;", code):
        declaration = " ".join(match[0].split())
        function = re.search(r"\b(?!__attribute__|ASYNC_)(\w+) ?\(", declaration)
        name = function[1] if function else re.search(r"(\w+);$", declaration)[1]
        yield code.count("\n", 0, match.start()) + 1, name, declaration


def exported():
    return sorted({name for path in public_headers() for _, name, _ in declarations(open(path).read())})


def version_script():
    names = "".join(f"        {name};\n" for name in exported())
    return f"{HEAD}AWAIT_0 {{\n    global:\n{names}    local:\n        *;\n}};\n"


if __name__ == "__main__":
    if sys.argv[1:] == ["--update"]:
        with open(MAP, "w") as file:
            file.write(version_script())
    else:
        sys.stdout.write(version_script())

#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""Lists files for meson, which has no wildcards: a new file needs no entry in a list.

    sources.py PATTERN ... [!PATTERN ...]        paths relative to the source tree, one a line, sorted

Meson looks once, when it configures; tools/build.py configures again when the answer has changed.
"""

import fnmatch
import glob
import os
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))


def find(patterns):
    wanted = [p for p in patterns if not p.startswith("!")]
    refused = [p[1:] for p in patterns if p.startswith("!")]
    found = {name for p in wanted for name in glob.glob(p, root_dir=ROOT, recursive=True)}
    return sorted(n for n in found if not any(fnmatch.fnmatch(n, p) for p in refused))


if __name__ == "__main__":
    print("\n".join(find(sys.argv[1:])))

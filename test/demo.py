#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""The demonstration runs to its end in under a minute and leaves a picture.

    demo.py BUILD_DIR
"""

import os
import subprocess
import sys
import tempfile
import time
import xml.etree.ElementTree

from tap import Tap

LIMIT_SECONDS = 60


def main():
    tap = Tap()
    with tempfile.TemporaryDirectory() as where:
        picture = os.path.join(where, "timeline.svg")
        start = time.monotonic()
        done = subprocess.run([os.path.join(sys.argv[1], "demo", "demo"), picture], stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                              stdin=subprocess.DEVNULL, text=True, timeout=3 * LIMIT_SECONDS)
        took = time.monotonic() - start
        tap.check("the demonstration ends with 0", done.returncode == 0, f"{done.returncode}\n{done.stdout[-3000:]}")
        tap.check("it takes less than a minute", took < LIMIT_SECONDS, f"{took:.1f} s")
        tap.check("it shows pages, tasks and connections", all(word in done.stdout for word in ("pages", "tasks", "connections")), done.stdout)
        root = xml.etree.ElementTree.parse(picture).getroot() if os.path.exists(picture) else None
        tap.check("the timeline is a picture with bars", root is not None and len(list(root.iter("{http://www.w3.org/2000/svg}rect"))) >= 20)
    return tap.finish()


if __name__ == "__main__":
    sys.exit(main())

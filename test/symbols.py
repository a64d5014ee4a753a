#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""What the library's objects define and use, held to test/symbols.toml and to the floors of test/layering.py.

    symbols.py BUILD_DIR

src/await.map must be what the headers promise, and the shared library must export just that.
"""

import glob
import os
import re
import subprocess
import sys
import tempfile

import tomllib

import layering
from tap import Tap

ROOT = layering.ROOT
sys.path.insert(0, os.path.join(ROOT, "tools"))

import exports  # noqa: E402

OURS = re.compile(r"^(aw|async|await)_")
# Data that relocations alone write to is constant.
WRITABLE = re.compile(r"^\.(data|bss)(?!\.rel\.ro|\.rel\.local\.DW\.ref)|^\*COM\*")
THREAD_LOCAL = re.compile(r"^\.(tdata|tbss)")
PLANTED = """
int getrandom(void *, unsigned long, unsigned);
int aw_above(void);
int counter;
static _Thread_local int mine;
int *where(void);
int *where(void) { return &mine; }
static int one(void) { return 1; }
int (*const table[])(void) = { one, aw_above };
int f(void) { return getrandom(&counter, 4, 0) + aw_above() + counter++; }
"""


def output_of(*command):
    return subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, check=True).stdout


def plain(name):
    """glibc's names for fortified and large-file variants."""
    name = name.split("@")[0]
    name = re.sub(r"^__(\w+)_chk$", r"\1", name)
    name = re.sub(r"^__(?=stack_chk_fail|errno_location|cxa_|gcc_personality)", "", name)
    return re.sub(r"^(fcntl|mmap|open|fstat|lseek|pread|pwrite)64$", r"\1", name)


class Object:
    def __init__(self, path, folder, file):
        self.folder, self.file = folder, f"{folder}/{file}"
        self.undefined, self.defined, self.sections = set(), set(), {}
        for line in output_of("nm", path).splitlines():
            kind, name = line[17:].split(" ", 1)
            if kind in "Uwv" and line[:16].strip() == "":
                self.undefined.add(name)
            elif kind.isupper():
                self.defined.add(name)
        for line in output_of("objdump", "-t", path).splitlines():
            parts = re.match(r"^[0-9a-f]{16} (.{7}) (\S+)\t[0-9a-f]+ +(?:\.hidden )?(\S+)$", line)
            if parts and "O" in parts[1] or parts and THREAD_LOCAL.match(parts[2]) and "d" not in parts[1]:
                self.sections[parts[3]] = parts[2]


def read_objects(build_dir):
    folder = [d for d in glob.glob(os.path.join(build_dir, "libawait.so*.p")) if os.path.isdir(d)]
    # src_loop_turn.c.o: meson writes the path with underscores
    names = [(path, re.match(r"src_([a-z]+)_(\w+\.[cS])\.o$", os.path.basename(path))) for path in glob.glob(os.path.join(folder[0], "src_*.o"))]
    return [Object(path, match[1], match[2]) for path, match in sorted(names)]


def foreign_problems(object_, allowed):
    may = {*allowed["everywhere"], *allowed["folders"].get(object_.folder, []), *allowed["files"].get(object_.file, [])}
    for name in sorted(object_.undefined):
        # sanitizers' own calls come with the build's options
        if not OURS.match(name) and plain(name) not in may:
            yield f"src/{object_.file} uses {name}, which test/symbols.toml does not allow in {object_.folder}"


def floor_problems(object_, home):
    reachable = [object_.folder, *layering.BELOW[object_.folder]]
    for name in sorted(n for n in object_.undefined if OURS.match(n)):
        if name not in home:
            yield f"src/{object_.file} uses {name}, which nobody defines"
        elif home[name] not in reachable:
            yield f"src/{object_.file} uses {name} of src/{home[name]}, which is not below"


def state_problems(object_, state):
    for name, section in sorted(object_.sections.items()):
        if THREAD_LOCAL.match(section) and object_.folder not in state["thread_local"]:
            yield f"src/{object_.file}: {name} is thread-local"
        if WRITABLE.match(section) and object_.file not in state["writable"]:
            yield f"src/{object_.file}: {name} is writable and global ({section})"


def check_floors(tap, objects, allowed):
    home = {name: object_.folder for object_ in objects for name in object_.defined}
    for folder in sorted({object_.folder for object_ in objects}):
        mine = [object_ for object_ in objects if object_.folder == folder]
        foreign = [p for o in mine for p in foreign_problems(o, allowed)]
        tap.check(f"src/{folder} takes from outside only what it may", not foreign, "\n".join(foreign))
        upward = [p for o in mine for p in floor_problems(o, home)]
        tap.check(f"src/{folder} calls downward only", not upward, "\n".join(upward))
        state = [p for o in mine for p in state_problems(o, allowed["state"])]
        tap.check(f"src/{folder} keeps no state of its own", not state, "\n".join(state))


def check_plant(tap, allowed):
    """A file that breaks each rule must be refused for each."""
    with tempfile.TemporaryDirectory() as where:
        path = os.path.join(where, "planted.o")
        subprocess.run(["cc", "-c", "-fPIC", "-O2", "-x", "c", "-", "-o", path], input=PLANTED, text=True, check=True)
        planted = Object(path, "loop", "planted.c")
        problems = "\n".join([*foreign_problems(planted, allowed), *floor_problems(planted, {"aw_above": "task"}), *state_problems(planted, allowed["state"])])
    for part in ("getrandom", "aw_above of src/task", "counter is writable", "mine is thread-local"):
        tap.check(f"a planted violation is refused: {part}", part in problems, problems)
    tap.check("a constant table of pointers is not refused", " table " not in problems, problems)


def check_exports(tap, build_dir):
    written = open(exports.MAP).read()
    tap.check("src/await.map lists the headers' prototypes", written == exports.version_script(), "run tools/exports.py --update")
    library = os.path.join(build_dir, "libawait.so")
    lines = output_of("nm", "-D", "--defined-only", library).splitlines()
    names = {line.split()[2].split("@")[0] for line in lines if line.split()[1] != "A"}
    wanted = set(exports.exported())
    tap.check("the library exports what the headers promise", names == wanted,
              f"missing: {sorted(wanted - names)}\nnot promised: {sorted(names - wanted)}")


def main():
    tap = Tap()
    allowed = tomllib.load(open(os.path.join(ROOT, "test", "symbols.toml"), "rb"))
    objects = read_objects(sys.argv[1])
    tap.check("there are objects to look at", len(objects) > 10, len(objects))
    check_floors(tap, objects, allowed)
    check_plant(tap, allowed)
    check_exports(tap, sys.argv[1])
    return tap.finish()


if __name__ == "__main__":
    sys.exit(main())

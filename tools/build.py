#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""Configures and builds one variant of the project.

    build.py [--variant NAME] [--prefix DIR] [-D NAME=VALUE] [TARGET ...]

The variant `release` is in build/, any other in build/variants/NAME. It is configured again when files came or went,
because meson finds sources, by tools/sources.py, only then.
"""

import argparse
import os
import shutil
import subprocess
import sys

import sources

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
WATCHED = ["src/*/*.c", "src/*/*.S", "include/await/*.h", "test/conformance/*.c", "examples/*.c", "demo/*.c", "*/meson.build", "*/*/meson.build"]

# name -> (compiler, meson options)
VARIANTS = {
    "release": (None, []),
    "debug": (None, ["-Dbuildtype=debug"]),
    "clang": ("clang", ["-Dbench=true"]),
    "asan": ("gcc", ["-Dbuildtype=debug", "-Doptimization=1", "-Db_sanitize=address,undefined", "-Db_lundef=false"]),
    "tsan": ("gcc", ["-Dbuildtype=debug", "-Doptimization=1", "-Db_sanitize=thread", "-Db_lundef=false"]),
    "ucontext": ("gcc", ["-Dswitch=ucontext"]),
    "install": (None, ["-Dtests=false", "-Dexamples=false"]),
}


class BuildError(Exception):
    pass


def directory(variant):
    build = os.path.join(ROOT, "build")
    return build if variant == "release" else os.path.join(build, "variants", variant)


def run(command, env=None, quiet=False):
    """Runs a build tool; what it prints is shown only when it fails, if quiet."""
    pipe = subprocess.PIPE if quiet else None
    done = subprocess.run(command, cwd=ROOT, env=env, stdout=pipe, stderr=subprocess.STDOUT if quiet else None, text=True)
    if done.returncode != 0:
        raise BuildError(f"{' '.join(command)} failed\n{(done.stdout or '').strip()}")


def write_compile_commands(build):
    """Editors look for it at the root."""
    link = os.path.join(ROOT, "compile_commands.json")
    if not os.path.lexists(link):
        os.symlink(os.path.relpath(os.path.join(build, "compile_commands.json"), ROOT), link)


def configure(variant, options=(), quiet=False):
    compiler, variant_options = VARIANTS[variant]
    build = directory(variant)
    env = dict(os.environ)
    if compiler:
        env["CC"] = compiler
    stamp = os.path.join(build, "configured-for.txt")
    wish = "\n".join([*variant_options, *options, *sources.find(WATCHED)])
    configured = os.path.exists(os.path.join(build, "build.ninja"))
    if configured and os.path.exists(stamp) and open(stamp).read() == wish:
        return build
    command = ["meson", "setup", build, ROOT, *variant_options, *options]
    if configured:
        command.insert(2, "--reconfigure")
    elif os.path.isdir(os.path.join(build, "meson-private")):
        shutil.rmtree(os.path.join(build, "meson-private"))
    run(command, env, quiet)
    with open(stamp, "w") as file:
        file.write(wish)
    return build


def build(variant, options=(), targets=(), quiet=False):
    where = configure(variant, options, quiet)
    run(["ninja", "-C", where, f"-j{os.cpu_count() or 2}", *targets], None, quiet)
    if variant == "release":
        write_compile_commands(where)
    return where


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--variant", choices=sorted(VARIANTS), default="release")
    parser.add_argument("--prefix")
    parser.add_argument("-D", dest="options", action="append", default=[], metavar="NAME=VALUE")
    parser.add_argument("targets", nargs="*")
    args = parser.parse_args()
    options = [f"-D{o}" for o in args.options]
    if args.prefix:
        options.append(f"--prefix={args.prefix}")
    try:
        build(args.variant, options, args.targets)
    except BuildError as error:
        sys.exit(f"build.py: {error}")


if __name__ == "__main__":
    main()

#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""Builds and runs the benchmarks.

    run.py [--only TEXT] [--quick] [--check] [--publish] [--bin DIR] [--out DIR]

A table goes to stdout; results.json and results.svg go to build/bench (or --out).

  --only TEXT  rows whose name contains TEXT, e.g. "echo", "timers", "1k tasks"
  --quick      a third of the repetitions
  --check      exit code 1 when a row misses its target
  --publish    also writes docs/benchmarks.md, docs/benchmarks.svg and README.md's table from the results; without
               running anything when --only is "none"
  --bin DIR    programs that are built already
"""

import argparse
import json
import os
import resource
import sys

import echo
import machine
import micro
import plot
import report

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(HERE)


def parse():
    parser = argparse.ArgumentParser(description="builds and runs the benchmarks")
    parser.add_argument("--only", default="")
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--check", action="store_true")
    parser.add_argument("--publish", action="store_true")
    parser.add_argument("--bin")
    parser.add_argument("--out", default=os.path.join(ROOT, "build", "bench"))
    return parser.parse_args()


def build_programs():
    sys.path.insert(0, os.path.join(ROOT, "tools"))
    import build

    # A directory of its own: the option must not reconfigure the build that tests and demo use.
    build.VARIANTS.setdefault("bench", (None, ["-Dbench=true", "-Dtests=false", "-Dexamples=false"]))
    build.build("bench", quiet=True)
    return os.path.join(build.directory("bench"), "bench")


def raise_descriptor_limit():
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def measure(args, where):
    results = {"machine": machine.describe(ROOT, where), "micro": [], "echo": [], "failures": []}
    progress = Progress()
    micro.run(where, args.only, args.quick, results, progress)
    echo.run(where, args.only, args.quick, results, progress)
    progress.end()
    return results


class Progress:
    """One line that is written over, on a terminal only."""

    def __call__(self, text):
        if sys.stderr.isatty():
            print(f"\r\x1b[K{text}", end="", file=sys.stderr, flush=True)

    def end(self):
        self("")


def main():
    args = parse()
    path = os.path.join(args.out, "results.json")
    os.makedirs(args.out, exist_ok=True)
    raise_descriptor_limit()
    if args.only == "none":
        with open(path) as file:
            results = json.load(file)
    else:
        results = measure(args, args.bin or build_programs())
        with open(path, "w") as file:
            json.dump(results, file, indent=1)
    with open(os.path.join(args.out, "results.svg"), "w") as file:
        file.write(plot.draw(results))
    print(report.text(results))
    print(f"written: {os.path.relpath(path)} and results.svg beside it")
    if args.publish:
        report.publish(results, os.path.join(ROOT, "docs"))
        report.publish_readme(results, os.path.join(ROOT, "README.md"))
    missed = [row for row in report.judged(results) if row.ok is False]
    return 1 if results["failures"] or (args.check and missed) else 0


if __name__ == "__main__":
    sys.exit(main())

#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""The harness itself: each case of harness/broken.c must end as it says here, and say why.

    harness.py BUILD_DIR
"""

import os
import subprocess
import sys

from tap import Tap, read

# case -> outcome, what its comments must contain
EXPECTED = {
    "check_fails": ("failed", ["1 + 1 == 3", "broken.c:", "written before the failure"]),
    "numbers_differ": ("failed", ["-ECONNRESET", "not 3"]),
    "texts_differ": ("failed", ['"one"', '"two"']),
    "part_is_missing": ("failed", ["haystack", "needle"]),
    "is_skipped": ("skipped", ["no moon here"]),
    "crashes": ("failed", ["SIGKILL"]),
    "exits": ("failed", ["exit code 0"]),
    "hangs_with_a_child": ("failed", ["did not end within"]),
    "leaks_a_descriptor": ("failed", ["/dev/null", "not closed"]),
    "closes_a_descriptor": ("failed", ["descriptor 0", "was closed"]),
    "leaks_memory": ("failed", ["77 bytes"]),
    "frees_foreign_memory": ("failed", ["was not allocated here"]),
    "gets_a_report": ("failed", ["something went wrong", "-EIO"]),
    "looks_at_its_report": ("passed", []),
    "death_is_told": ("passed", []),
    "allocations_fail_when_told": ("passed", []),
    "fails_in_a_task": ("failed", ["in the task"]),
    "leaks_a_task": ("failed", ["sleeper", "broken.c:", "await_sleep"]),
    "ends_with_a_task_that_is_about_to_end": ("passed", []),
    "an_hour_takes_no_time": ("passed", []),
    "settles_when_nothing_else_can_run": ("passed", []),
    "leaves_a_failure_unseen": ("failed", ["did not expect", "failing"]),
    "waits_for_ever": ("failed", ["did not expect", "can ever wake the loop"]),
    "runs_on_linux": ("passed", []),
}


def run(program, *arguments):
    done = subprocess.run([program, *arguments], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=60)
    return done.returncode, done.stdout


def check_cases(tap, program):
    code, text = run(program, "--timeout", "2")
    results = {result.name: result for result in read(text, code, "broken")}
    tap.check("the exit code tells that cases failed", code == 1, code)
    tap.check("every case is told of", sorted(results) == sorted(EXPECTED), set(results) ^ set(EXPECTED))
    for name, (outcome, parts) in EXPECTED.items():
        result = results.get(name)
        detail = "\n".join(result.detail) if result else "not run"
        found = result and result.outcome == outcome and all(part in detail for part in parts)
        tap.check(f"case {name} has {outcome}", found, f"{result and result.outcome}\n{detail}\nexpected: {parts}")


def check_command_line(tap, program):
    code, text = run(program, "--list")
    tap.check("--list names the cases in the order of the source", code == 0 and text.split() == list(EXPECTED), text)
    code, text = run(program, "looks_at", "is_ski")
    tap.check("patterns choose cases", code == 0 and "1..2" in text, text)
    code, text = run(program, "--no-fork", "looks_at")
    tap.check("a case runs without a process of its own", code == 0 and "ok 1 - looks_at" in text, text)
    code, text = run(program, "no such case")
    tap.check("a pattern without a case is a mistake", code == 2, text)
    code, text = run(program, "--backend", "nosuch", "an_hour")
    tap.check("an unknown backend fails the case", code == 1 and "nosuch" in text, text)


def main():
    tap = Tap()
    program = os.path.join(sys.argv[1], "harness-broken")
    check_cases(tap, program)
    check_command_line(tap, program)
    return tap.finish()


if __name__ == "__main__":
    sys.exit(main())

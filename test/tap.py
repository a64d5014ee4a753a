# SPDX-License-Identifier: MIT
"""TAP, written and read. Every test program and script of this project speaks it."""

import re

RESULT = re.compile(r"^(not )?ok\b\s*(\d+)?\s*(?:-\s*)?(.*?)\s*(?:#\s*(SKIP|TODO)\b\s*(.*))?$", re.IGNORECASE)
PLAN = re.compile(r"^1\.\.(\d+)")


class Tap:
    """Writes results as they come and the plan at the end."""

    def __init__(self):
        self.count = self.failed = 0

    def check(self, name, passed, detail=""):
        self.count += 1
        self.failed += not passed
        print(f"{'ok' if passed else 'not ok'} {self.count} - {name}")
        if not passed:
            for line in str(detail).strip().splitlines():
                print(f"# {line}")
        return passed

    def skip(self, name, reason):
        self.count += 1
        print(f"ok {self.count} - {name} # SKIP {reason}")

    def finish(self):
        """Returns the exit code."""
        print(f"1..{self.count}", flush=True)
        return 1 if self.failed else 0


class Result:
    def __init__(self, name, outcome):
        self.name, self.outcome, self.detail = name, outcome, []


def read(text, exit_code, name):
    """The results in one program's output. What a program that broke off did not tell counts as one more failure."""
    results, plan, stray = [], None, []
    for line in text.splitlines():
        match, planned = RESULT.match(line), PLAN.match(line)
        if match:
            skipped = (match[4] or "").upper() == "SKIP"
            results.append(Result(match[3] or f"{name} {len(results) + 1}", "skipped" if skipped else "failed" if match[1] else "passed"))
            if skipped:
                results[-1].detail.append(match[5])
        elif planned:
            plan = int(planned[1])
        elif line.startswith("#") and results:
            results[-1].detail.append(line[1:].strip("\n"))
        elif not line.startswith("TAP version"):
            stray.append(line)
    whole = plan == len(results) and (exit_code == 0 or any(r.outcome == "failed" for r in results))
    if not whole:
        broken = Result(f"{name} runs to its end", "failed")
        broken.detail = [f"exit code {exit_code}, {len(results)} results of {plan}", *stray[-20:]]
        results.append(broken)
    return results

# SPDX-License-Identifier: MIT
"""The micro benchmarks: ours and the peers' programs in turns, samples merged."""

import json
import os
import subprocess

import machine
import samples

TIMERS = ["1000", "100000", "1000000"]
PARKED_BYTES = 6000  # what a parked task takes at most, to stay within the free memory

# Programs that answer the same question run one right after the other.
GROUPS = [
    [["switch"]],
    [["yield"]],
    [["tasks"]],
    [["call_soon"], ["post"], ["loop_libuv"]],
    [["timers", *TIMERS], ["timers_libuv", *TIMERS]],
]

# The design's limits, in the row's unit.
TARGETS = {
    "switch": 2.5,
    "yield/2 tasks": 10,
    "create+yield+join/1k at once": 44,
    "timers add+cancel/100k": 7,
}
RELATIVE_TARGETS = {"cross-thread wake-up": ("libuv", 0.87)}  # depends on how deep the machine sleeps
PARKED_TARGET = 4.3 * 1024


def wanted(program, only):
    """Which rows a program has is known only after it ran: a few words decide."""
    words = {
        "switch": "switch",
        "yield": "yield/2 tasks yield/1k tasks",
        "tasks": "create+run+join create+yield+join/1k at once",
        "call_soon": "call_soon/chain",
        "post": "cross-thread post wake-up",
        "loop_libuv": "call_soon/chain cross-thread wake-up",
        "timers": "timers add+cancel fire random",
        "timers_libuv": "timers add+cancel fire random",
        "parked": "parked tasks",
        "parked_threads": "parked tasks",
    }
    return not only or only in words[program] or words[program] in only


def run_program(where, command, results):
    """The program's rows; none, and a failure noted, when it does not end well."""
    path = os.path.join(where, command[0])
    if not os.path.exists(path):
        return []
    env = dict(os.environ, BENCH_CPU=str(machine.cpus()[1]))
    try:
        done = subprocess.run([path, *command[1:]], capture_output=True, text=True, env=env, timeout=120)
    except subprocess.TimeoutExpired:
        results["failures"].append(f"{' '.join(command)}: no end after 120 s")
        return []
    if done.returncode != 0:
        results["failures"].append(f"{' '.join(command)}: exit code {done.returncode}: {done.stderr.strip()[-300:]}")
    return [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]


def merge(rows, found):
    for line in found:
        row = rows.setdefault(line["row"], {"row": line["row"], "unit": line["unit"], "who": {}})
        row["who"].setdefault(line["who"], []).extend(line["samples"])


def run_group(where, group, rounds, results, progress):
    rows = {}
    for turn in range(rounds):
        for command in group:
            progress(f"{' '.join(command)} ({turn + 1} of {rounds})")
            merge(rows, run_program(where, command, results))
    return rows.values()


def parked_groups():
    most = int(machine.available_memory() * 0.6 / PARKED_BYTES)
    counts = [count for count in (10_000, 100_000, 1_000_000) if count <= most]
    groups = [[["parked", str(count)]] for count in counts]
    if groups:
        groups[0].append(["parked_threads", str(counts[0])])
    return groups


def finish(row):
    who = {name: samples.summary(values) for name, values in row["who"].items()}
    target = TARGETS.get(row["row"])
    peer, part = RELATIVE_TARGETS.get(row["row"], ("", 0))
    if peer in who:
        target = part * who[peer]["median"]
    if row["row"].startswith("parked tasks/") and row["row"].endswith("memory"):
        target = PARKED_TARGET
    return {"row": row["row"], "unit": row["unit"], "target": target, "who": who}


def run(where, only, quick, results, progress):
    rounds = 1 if quick else 2
    for group in GROUPS + parked_groups():
        group = [command for command in group if wanted(command[0], only)]
        results["micro"] += [finish(row) for row in run_group(where, group, rounds, results, progress)]

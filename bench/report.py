# SPDX-License-Identifier: MIT
"""The table, and docs/benchmarks.md."""

import os
from collections import namedtuple

import plot

Judged = namedtuple("Judged", "row value target ok")


def number(value):
    if value >= 10_000:
        return f"{value:,.0f}"
    return f"{value:.3g}" if value < 100 else f"{value:.0f}"


def spread(summary):
    if len(summary["samples"]) < 2:
        return ""
    return f"[{number(summary['q1'])} .. {number(summary['q3'])}]"


def ratio(summary):
    return f"{summary['median']:.2f} [{summary['q1']:.2f} .. {summary['q3']:.2f}]"


def floor_is_good(row):
    """The reference against itself: outside of this, the row's ratios say nothing about a few percent."""
    again = row["servers"].get("raw epoll again")
    return again is not None and 0.98 <= again["cpu_ratio"]["median"] <= 1.03


def judged(results):
    """Every figure of ours that has a target. ok is None where the noise floor forbids a verdict."""
    for row in results["micro"]:
        ours = row["who"].get("libawait")
        if row["target"] is not None and ours is not None:
            yield Judged(row["row"], ours["median"], row["target"], ours["median"] <= row["target"])
    for row in results["echo"]:
        for name, server in row["servers"].items():
            if name.startswith("libawait"):
                value = server["cpu_ratio"]["median"]
                ok = value <= row["target"] if floor_is_good(row) else None
                yield Judged(f"{row['row']}: {name}", value, row["target"], ok)


def verdict(results, name):
    for row in judged(results):
        if row.row == name:
            word = {True: "met", False: "MISSED", None: "noise floor too high to say"}[row.ok]
            return f"{word} (<= {number(row.target)})"
    return ""


def micro_rows(results):
    yield ["", "libawait", "quartiles", "unit", "peer", "target"]
    for row in results["micro"]:
        ours = row["who"].get("libawait")
        peers = [f"{name} {number(s['median'])}" for name, s in row["who"].items() if name != "libawait"]
        yield [row["row"], number(ours["median"]) if ours else "", spread(ours) if ours else "", row["unit"],
               ", ".join(peers), verdict(results, row["row"])]


def echo_rows(results):
    yield ["server CPU a request / raw epoll's", "CPU, median [quartiles]", "req/s ratio", "CPU us", "req/s",
           "p50 / p99 us", "target"]
    for row in results["echo"]:
        first = True
        for name, s in row["servers"].items():
            if first:
                yield [f"{row['row']}: raw epoll", "1", "1", number(s["reference_cpu_ns"]["median"] / 1000),
                       number(s["reference_rate"]["median"]),
                       f"{number(s['reference_p50_us'][0])} / {number(s['reference_p99_us'][0])}", ""]
            first = False
            yield [f"    {name}", ratio(s["cpu_ratio"]), f"{s['rate_ratio']['median']:.2f}",
                   number(s["cpu_ns"]["median"] / 1000), number(s["rate"]["median"]),
                   f"{number(max(s['p50_us']))} / {number(max(s['p99_us']))}",
                   verdict(results, f"{row['row']}: {name}")]


def aligned(rows):
    rows = list(rows)
    if len(rows) < 2:
        return ""
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths)).rstrip() for row in rows]
    return "\n".join([*lines, ""])


def disturbed(results):
    """How quiet the machine was: pairs of slices that were thrown away because other work had a processor."""
    servers = [server for row in results["echo"] for server in row["servers"].values()]
    kept = sum(len(server["cpu_ratio"]["samples"]) for server in servers)
    repeated = sum(server["disturbed"] for server in servers)
    if not servers:
        return ""
    note = "; too many: the machine was busy, do not trust differences below 5 %" if repeated > kept / 2 else ""
    return f"disturbed pairs of slices: {repeated} repeated, {kept} kept{note}\n"


def text(results):
    parts = [aligned(micro_rows(results)), aligned(echo_rows(results)), disturbed(results)]
    parts += [f"failed: {failure}" for failure in results["failures"]]
    return "\n".join(part for part in parts if part)


# ---- docs/benchmarks.md ----

METHOD = """\
Written by `bench/run.py --publish`; do not edit. Run `make bench` for your own machine.

How it is measured:

* Echo: two servers live at the same time on one processor, the generator (`bench/load.c`) on another. The traffic
  alternates between them in slices; the ratio is taken inside of each pair of slices, because the speed of a machine
  drifts by more than what is to be seen. CPU time is the server process's own, in nanoseconds, user and system.
  The reference (`bench/peers/echo_epoll.c`) is level-triggered epoll written by hand with one shared buffer. "raw
  epoll again" is a second process of the reference itself: the noise floor, below which a difference means nothing.
* `stream` reads into an array on the task's stack; `peek` is lent the loop's own buffer.
* The parts: processor time of the process (elapsed time where threads wait for each other). Each program repeats its
  measurement, ours and the peer's run in turns, and the median is shown.
"""


def markdown(rows):
    rows = [[cell.strip() or " " for cell in row] for row in rows]
    if len(rows) < 2:
        return ""
    lines = ["| " + " | ".join(row) + " |" for row in rows]
    lines.insert(1, "|" + "---|" * len(rows[0]))
    return "\n".join(lines) + "\n"


def machine_text(m):
    return (f"{m['date']}, {m['cpu']}, {m['cpus']} processors, {m['memory_gib']} GiB, {m['kernel']}, "
            f"{m['compiler']} ({m['options'].get('buildtype', '')}), glibc {m['glibc']}, libuv {m['libuv']}, "
            f"libawait {m['libawait']}.")


def publish(results, docs):
    os.makedirs(docs, exist_ok=True)
    with open(os.path.join(docs, "benchmarks.svg"), "w") as file:
        file.write(plot.draw(results))
    parts = ["# Benchmarks", machine_text(results["machine"]), METHOD, "![plot](benchmarks.svg)", "## TCP echo",
             markdown(echo_rows(results)),
             disturbed(results), "## The parts", markdown(micro_rows(results))]
    with open(os.path.join(docs, "benchmarks.md"), "w") as file:
        file.write("\n\n".join(part.strip() for part in parts if part.strip()) + "\n")


# ---- the block in README.md ----

README_PARTS = {
    "switch": ("one switch between tasks", "switch.c"),
    "yield/1k tasks": ("`await_sleep(0)` with 1,000 tasks", "yield.c"),
    "create+run+join/1k at once": ("create, run and join a task", "tasks.c"),
    "call_soon/10k at once": ("`async_call_soon`", "call_soon.c"),
    "timers add+cancel/100k": ("a timer added and cancelled beside 100,000", "timers.c"),
    "parked tasks/1M memory": ("a waiting task, one of 1,000,000, guarded", "parked.c"),
}


def readme_rows(results):
    yield ["what", "libawait", "beside", "measured by"]
    for row in results["echo"]:
        servers = row["servers"]
        mine = ", ".join(f"{n.split()[-1]} {ratio(servers[n]['cpu_ratio'])}" for n in servers if n.startswith("libawait"))
        others = ", ".join(f"{n} {ratio(servers[n]['cpu_ratio'])}" for n in servers if not n.startswith("libawait"))
        yield [f"{row['row']}: server CPU a request, raw epoll is 1", mine, others, "[echo.py](bench/echo.py)"]
    rows = {row["row"]: row for row in results["micro"]}
    for name, (words, program) in README_PARTS.items():
        if name in rows and "libawait" in rows[name]["who"]:
            row = rows[name]
            figure = f"{number(row['who']['libawait']['median'])} {row['unit']}"
            others = ", ".join(f"{n} {number(s['median'])}" for n, s in row["who"].items() if n != "libawait")
            yield [words, figure, others, f"[{program}](bench/{program})"]


def publish_readme(results, path):
    with open(path, encoding="utf-8") as f:
        before, rest = f.read().split("<!-- bench: begin", 1)
        comment, rest = rest.split("-->\n", 1)
        after = rest.split("<!-- bench: end -->", 1)[1]
    table = f"{machine_text(results['machine'])}\nMedians with quartiles; all rows, and where we lose: [docs/benchmarks.md](docs/benchmarks.md).\n\n"
    table += markdown(readme_rows(results)).strip()
    with open(path, "w", encoding="utf-8") as f:
        f.write(f"{before}<!-- bench: begin{comment}-->\n{table}\n<!-- bench: end -->{after}")

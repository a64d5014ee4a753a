# SPDX-License-Identifier: MIT
"""TCP echo: each server against the raw epoll one, slice by slice (load.c says how)."""

import contextlib
import json
import os
import signal
import subprocess

import machine
import samples

TARGET = 1.05
REFERENCE = "raw epoll"

# connections, bytes, milliseconds a slice. A slice must be long against one round of all connections.
ROWS = [(1, 1024, 20), (100, 1024, 20), (1000, 1024, 120), (100, 10 * 1024, 20), (100, 100 * 1024, 40)]

# name -> command for a message size. The reference against itself is the noise floor.
SERVERS = {
    "raw epoll again": lambda size: ["echo_epoll"],
    "libuv": lambda size: ["echo_libuv"],
    "libawait stream": lambda size: ["echo_stream", str(size)],
    "libawait peek": lambda size: ["echo_peek"],
}


class Failed(Exception):
    pass


def row_name(connections, size):
    return f"echo {connections} x {size // 1024} KiB"


@contextlib.contextmanager
def server(where, command, cpu):
    """A living server, pinned, and where it listens: "PORT:PID"."""
    process = subprocess.Popen(
        [os.path.join(where, command[0]), *command[1:]],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        preexec_fn=lambda: os.sched_setaffinity(0, {cpu}))
    try:
        line = process.stdout.readline()
        if not line.startswith("PORT "):
            process.kill()
            raise Failed(f"{' '.join(command)} does not serve: {process.stderr.read().strip()[-300:]}")
        yield f"{line.split()[1]}:{process.pid}"
    finally:
        end(process)


def end(process):
    process.send_signal(signal.SIGTERM)
    try:
        process.wait(timeout=3)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    process.stdout.close()
    process.stderr.close()


def compare(where, command, row, pairs):
    """One run of the generator over the reference and one other server."""
    connections, size, slice_ms = row
    generator_cpu, server_cpu = machine.cpus()
    with server(where, ["echo_epoll"], server_cpu) as a, server(where, command, server_cpu) as b:
        done = subprocess.run(
            [os.path.join(where, "load"), "-C", str(generator_cpu), "-c", str(connections), "-s", str(size),
             "-m", str(slice_ms), "-n", str(pairs), a, b],
            capture_output=True, text=True, timeout=120)
    if done.returncode != 0:
        raise Failed(f"{' '.join(command)}, {row_name(connections, size)}: {done.stderr.strip()[-300:]}")
    return json.loads(done.stdout)


def combine(runs):
    """Ratios are taken inside of each pair; fresh processes in each run average over memory layouts."""
    cpu = [b / a for run in runs for a, b in zip(run["a"]["cpu_ns"], run["b"]["cpu_ns"])]
    rate = [b / a for run in runs for a, b in zip(run["a"]["rate"], run["b"]["rate"])]
    return {
        "cpu_ratio": samples.summary(cpu),
        "rate_ratio": samples.summary(rate),
        "cpu_ns": samples.summary([x for run in runs for x in run["b"]["cpu_ns"]]),
        "reference_cpu_ns": samples.summary([x for run in runs for x in run["a"]["cpu_ns"]]),
        "rate": samples.summary([x for run in runs for x in run["b"]["rate"]]),
        "reference_rate": samples.summary([x for run in runs for x in run["a"]["rate"]]),
        "disturbed": sum(run["disturbed"] for run in runs),
        "p50_us": [run["b"]["p50_us"] for run in runs],
        "p99_us": [run["b"]["p99_us"] for run in runs],
        "reference_p50_us": [run["a"]["p50_us"] for run in runs],
        "reference_p99_us": [run["a"]["p99_us"] for run in runs],
    }


def run_row(where, row, quick, results, progress):
    connections, size, slice_ms = row
    pairs, runs = (10, 1) if quick else (12 if slice_ms > 100 else 20, 2)
    servers = {}
    for name, command_for in SERVERS.items():
        command = command_for(size)
        if not os.path.exists(os.path.join(where, command[0])):
            continue
        progress(f"{row_name(connections, size)}: {name}")
        try:
            servers[name] = combine([compare(where, command, row, pairs) for _ in range(runs)])
        except (Failed, subprocess.TimeoutExpired) as failure:
            results["failures"].append(str(failure))
    return {"row": row_name(connections, size), "connections": connections, "size": size, "target": TARGET,
            "servers": servers}


def run(where, only, quick, results, progress):
    for row in ROWS:
        if not only or only in row_name(row[0], row[1]):
            results["echo"].append(run_row(where, row, quick, results, progress))

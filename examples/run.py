#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""Runs every example and compares what it prints with examples/golden/NAME.txt. Output is TAP.

    run.py BUILD_DIR [--update] [NAME ...]

stdout and stderr of a program go to one terminal (a pty), so that lines are shown when they are written and stay in
order. Figures that differ from run to run are masked on both sides: ports, pids, directories. Times are not: examples
run on the simulated backend, where they are exact, unless their script says otherwise.

examples/golden/NAME.script, if there is one, drives the program. One word a line, # begins a comment:

    backend NAME       sim is the default; `linux` also masks times
    args WORD ...      arguments; $PORT is the port that the server below printed
    server NAME ARGS   starts another example first, and ends it with SIGINT afterwards
    port NUMBER        the program needs this port: skipped when it is taken, else waited for until it answers
    lines N            waits until the program has printed N lines
    head N             only its first N lines are compared
    client NAME ARGS   runs another example to its end; what it prints is added to the output
    signal NAME        sends SIGINT, SIGTERM, ...
    exit CODE          expected exit code (default 0), or the name of the signal that ends the program
"""

import os
import re
import select
import shlex
import signal
import socket
import subprocess
import sys
import time
import tty

HERE = os.path.dirname(os.path.abspath(__file__))
GOLDEN = os.path.join(HERE, "golden")
LIMIT = 30.0  # seconds for one program: all of them need less than 2


class Failure(Exception):
    pass


class Skip(Exception):
    pass


class Program:
    """A running example whose output goes to a pty of its own."""

    def __init__(self, build, name, args, backend):
        path = os.path.join(build, "examples", name)
        if not os.path.exists(path):
            raise Failure(f"{path} was not built")
        master, slave = os.openpty()
        # A terminal would turn \n into \r\n and echo; we want the program's own bytes.
        tty.setraw(slave)
        env = {k: v for k, v in os.environ.items() if not k.startswith("ASYNC_")}
        env["ASYNC_BACKEND"] = backend
        self.process = subprocess.Popen(
            [path, *args], stdin=subprocess.DEVNULL, stdout=slave, stderr=slave, env=env, start_new_session=True
        )
        os.close(slave)
        self.name, self.master, self.text, self.ended = name, master, "", False
        self.deadline = time.monotonic() + LIMIT

    def _read(self):
        left = self.deadline - time.monotonic()
        if left <= 0:
            self.kill()
            raise Failure(f"{self.name} did not end within {LIMIT:.0f} s")
        if select.select([self.master], [], [], left)[0]:
            try:
                data = os.read(self.master, 65536)
            except OSError:  # EIO: the last holder of the other side is gone
                data = b""
            self.ended = not data
            self.text += data.decode(errors="replace")

    def lines(self, count):
        while self.text.count("\n") < count and not self.ended:
            self._read()
        if self.text.count("\n") < count:
            raise Failure(f"{self.name} ended before its line {count}")

    def finish(self):
        while not self.ended:
            self._read()
        os.close(self.master)
        return self.process.wait(LIMIT)

    def kill(self):
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()


def mask(text, backend):
    text = re.sub(r"\S*/(\w+\.[ch]:\d+)", r"\1", text)  # ../examples/cancel.c:12
    text = re.sub(r"\bport \d+", "port N", text)
    text = re.sub(r"\b(127\.0\.0\.1|\[::1\]|localhost):\d+", r"\1:N", text)
    text = re.sub(r"\bpid \d+", "pid N", text)
    text = re.sub(r"\b0x[0-9a-f]+", "0xN", text)
    if backend != "sim":
        text = re.sub(r"\b\d+(\.\d+)? (s|ms|us|seconds)\b", r"N \2", text)
    return text


def read_script(name):
    steps = []
    path = os.path.join(GOLDEN, name + ".script")
    if os.path.exists(path):
        with open(path, encoding="utf-8") as file:
            for line in file:
                words = shlex.split(line, comments=True)
                if words:
                    steps.append(words)
    return steps


def setting(steps, word, default):
    found = [step[1:] for step in steps if step[0] == word]
    return found[0] if found else default


def need_port(number):
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", int(number)))
        except OSError as error:
            raise Skip(f"port {number}: {error.strerror}") from error


def wait_for_port(number):
    deadline = time.monotonic() + LIMIT
    while True:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", int(number))) == 0:
                return
        if time.monotonic() > deadline:
            raise Failure(f"nobody listens on port {number}")
        time.sleep(0.01)


def port_of(program):
    program.lines(1)
    found = re.search(r"port (\d+)", program.text)
    if not found:
        raise Failure(f"{program.name} did not say its port: {program.text!r}")
    return found.group(1)


def run(build, name):
    """The output of one example, and None or how its end was wrong."""
    steps = read_script(name)
    backend = setting(steps, "backend", ["sim"])[0]
    head = setting(steps, "head", [None])[0]
    need = setting(steps, "port", [None])[0]
    running = []

    def start(which, words, port):
        args = [word.replace("$PORT", port) for word in words]
        running.append(Program(build, which, args, backend))
        return running[-1]

    try:
        if need:
            need_port(need)
        port, server = need or "", None
        for words in [step[1:] for step in steps if step[0] == "server"]:
            server = start(words[0], words[1:], port)
            port = port_of(server)
        program = start(name, setting(steps, "args", []), port)
        if need:
            wait_for_port(need)
        clients = ""
        for word, *words in steps:
            if word == "lines":
                program.lines(int(words[0]))
            elif word == "signal":
                program.process.send_signal(getattr(signal, words[0]))
            elif word == "client":
                client = start(words[0], words[1:], port or port_of(program))
                code = client.finish()
                clients += "".join(f"client: {line}\n" for line in client.text.splitlines())
                if code != 0:
                    raise Failure(f"the client ended with {code}: {client.text!r}")
        code = program.finish()
        text = program.text
        if head:
            text = "".join(text.splitlines(keepends=True)[: int(head)])
        if server:
            server.process.send_signal(signal.SIGINT)
            if server.finish() != 0:
                raise Failure(f"the server did not end well: {server.text!r}")
        expected = setting(steps, "exit", ["0"])[0]
        wanted = -getattr(signal, expected) if expected.startswith("SIG") else int(expected)
        wrong = None if code == wanted else f"it ended with {code}, not with {wanted}: {text!r}"
        return mask(text + clients, backend), wrong
    finally:
        for program in running:
            program.kill()


def compare(build, name, update):
    path = os.path.join(GOLDEN, name + ".txt")
    text, wrong = run(build, name)
    if wrong:
        raise Failure(wrong)
    if update:
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)
        return
    try:
        with open(path, encoding="utf-8") as file:
            golden = file.read()
    except FileNotFoundError as error:
        raise Failure(f"{path} does not exist: write it, or look at what --update writes") from error
    if text != golden:
        import difflib

        raise Failure("\n".join(difflib.unified_diff(golden.splitlines(), text.splitlines(), "golden", "run", lineterm="")))


def main():
    args = [arg for arg in sys.argv[1:] if arg != "--update"]
    if not args:
        sys.exit(__doc__)
    sources = [os.path.relpath(os.path.join(at, file), HERE) for at, _, files in os.walk(HERE) for file in files]
    names = args[1:] or sorted(file[:-2] for file in sources if file.endswith(".c"))
    failed = 0
    print("TAP version 13")
    print(f"1..{len(names)}", flush=True)
    for number, name in enumerate(names, 1):
        try:
            compare(args[0], name, "--update" in sys.argv)
            print(f"ok {number} - example {name} prints what it should", flush=True)
        except Skip as reason:
            print(f"ok {number} - example {name} # SKIP {reason}", flush=True)
        except Failure as reason:
            failed += 1
            print(f"not ok {number} - example {name} prints what it should")
            for line in str(reason).splitlines():
                print(f"#   {line}", flush=True)
    sys.exit(1 if failed else 0)


main()

#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""`make install`, and what a user then does: programs outside of the tree, with nothing but pkg-config.

The programs are those that README.md shows. They are built with gcc and clang, against the shared and the static library,
and run: say prints in its order, echo answers a client, fetch_both reads from a server.
"""

import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time

from tap import Tap

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(HERE)
PREFIX = "/opt/await"
PROGRAMS = ["say", "echo", "fetch_both"]
REAL = "gcc, shared"
PAGE = b"HTTP/1.0 200 OK\r\n\r\nhello"
WARNINGS = ["-std=gnu11", "-O2", "-Wall", "-Wextra", "-Wshadow", "-Werror"]


def run(command, env=None, cwd=None):
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=env, cwd=cwd, timeout=240)
    return done.returncode, done.stdout


class Outside:
    """A directory outside of the tree with an installed library."""

    def __init__(self, where):
        self.where, self.stage = where, os.path.join(where, "stage")
        self.lib = os.path.join(self.stage + PREFIX, "lib")
        self.env = {
            **os.environ,
            "PKG_CONFIG_PATH": os.path.join(self.lib, "pkgconfig"),
            "PKG_CONFIG_SYSROOT_DIR": self.stage,
            "LC_ALL": "C",
        }
        self.program_env = {**os.environ, "LD_LIBRARY_PATH": self.lib}

    def install(self):
        return run(["make", "-s", "install", f"DESTDIR={self.stage}", f"PREFIX={PREFIX}", "LIBDIR=lib"], cwd=ROOT)

    def flags(self, *words):
        code, text = run(["pkg-config", *words], self.env)
        if code != 0:
            raise RuntimeError(text)
        return text.split()

    def compile(self, compiler, source, program, *more):
        return run([compiler, *more[:-1], source, "-o", program, *more[-1]], self.env, self.where)


def check_files(tap, outside):
    expected = ["include/await.h", "include/await/task.h", "include/await/embed.h", "include/await/testing.h", "lib/libawait.a",
                "lib/libawait.so", "lib/libawait-testing.a", "lib/pkgconfig/await.pc", "lib/pkgconfig/await-testing.pc"]
    missing = [name for name in expected if not os.path.exists(os.path.join(outside.stage + PREFIX, name))]
    tap.check("headers, both libraries and pkg-config files are installed", not missing, missing)
    code, text = run(["objdump", "-p", os.path.join(outside.lib, "libawait.so")])
    soname = re.search(r"SONAME +(\S+)", text)
    tap.check("the shared library has a versioned soname", code == 0 and soname and re.fullmatch(r"libawait\.so\.\d+", soname[1]), text[:500])
    tap.check("and that name exists", soname and os.path.exists(os.path.join(outside.lib, soname[1])))
    stray = [n for n in run(["find", outside.stage, "-type", "f", "-o", "-type", "l"])[1].split() if not n.startswith(outside.stage + PREFIX)]
    tap.check("nothing is installed beside the prefix", not stray, stray)


def build_programs(tap, outside):
    """{title: {name: path}} of what was built."""
    shared = outside.flags("--cflags", "--libs", "await")
    static = outside.flags("--cflags", "await") + [os.path.join(outside.lib, "libawait.a")] + \
        [f for f in outside.flags("--static", "--libs", "await") if f == "-pthread"]
    strict = outside.flags("--variable=strict", "await")
    built = {}
    for compiler in ("gcc", "clang"):
        for kind, libraries in (("shared", shared), ("static", static)):
            title = f"{compiler}, {kind}"
            if not shutil.which(compiler):
                tap.skip(title, f"no {compiler}")
                continue
            for name in PROGRAMS:
                program = os.path.join(outside.where, f"{name}-{compiler}-{kind}")
                code, text = outside.compile(compiler, os.path.join(outside.where, name + ".c"), program, *WARNINGS, *strict, libraries)
                if tap.check(f"{name}.c compiles as printed ({title})", code == 0 and not text, text):
                    built.setdefault(title, {})[name] = program
    return built


def check_plain_command(tap, outside):
    """The command that the documentation gives, word for word."""
    code, text = run(["sh", "-c", "cc say.c $(pkg-config --cflags --libs await) -o plain"], outside.env, outside.where)
    tap.check("cc say.c $(pkg-config --cflags --libs await)", code == 0 and not text, text)


def check_fully_static(tap, outside):
    program = os.path.join(outside.where, "say-all-static")
    code, text = outside.compile("gcc", "say.c", program, "-static", outside.flags("--static", "--cflags", "--libs", "await"))
    if tap.check("say.c links with -static", code == 0, text):
        check_say(tap, "all static", program, outside)


def check_cplusplus(tap, outside):
    for compiler in ("g++", "clang++"):
        if not shutil.which(compiler):
            tap.skip(f"{compiler}: app.cc", f"no {compiler}")
            continue
        program = os.path.join(outside.where, "app-" + compiler)
        code, text = outside.compile(compiler, "app.cc", program, "-std=c++17", "-Wall", "-Wextra", "-Wpedantic", "-Werror",
                                     outside.flags("--cflags", "--libs", "await"))
        if tap.check(f"{compiler}: app.cc compiles", code == 0 and not text, text):
            check_say(tap, compiler, program, outside)


def check_testing(tap, outside):
    code, text = outside.compile("gcc", "app_test.c", "app_test", outside.flags("--cflags", "--libs", "await-testing"))
    if tap.check("a program with tests builds against await-testing", code == 0 and not text, text):
        code, text = run(["./app_test"], outside.program_env, outside.where)
        tap.check("and its tests run", code == 0 and "ok 1 - a_day_takes_no_time" in text, text)


def check_say(tap, title, program, outside):
    # Two seconds once are enough: elsewhere they are simulated.
    env = outside.program_env if title == REAL else {**outside.program_env, "ASYNC_BACKEND": "sim"}
    code, text = run([program], env)
    tap.check(f"say prints the second first ({title})", code == 0 and text == "Second hello!\nFirst hello!\n", f"{code}\n{text}")


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def connect(port, process):
    """A connection to a server that is still starting."""
    deadline = time.monotonic() + 10
    while True:
        try:
            return socket.create_connection(("127.0.0.1", port), timeout=10)
        except ConnectionRefusedError:
            if time.monotonic() > deadline or process.poll() is not None:
                raise


def check_echo(tap, title, program, port, outside):
    process = subprocess.Popen([program], env=outside.program_env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    try:
        with connect(port, process) as client:
            sent, got = os.urandom(100_000), b""
            threading.Thread(target=client.sendall, args=(sent,), daemon=True).start()
            while len(got) < len(sent) and (piece := client.recv(65536)):
                got += piece
            tap.check(f"echo gives back what it got ({title})", got == sent, f"{len(got)} of {len(sent)} bytes")
        process.send_signal(signal.SIGINT)
        text, _ = process.communicate(timeout=20)
        tap.check(f"SIGINT ends echo with 0 ({title})", process.returncode == 0, f"{process.returncode}\n{text}")
    except (OSError, subprocess.TimeoutExpired) as error:
        tap.check(f"echo gives back what it got ({title})", False, error)
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()


def serve_pages(listener):
    while True:
        try:
            connection, _ = listener.accept()
        except OSError:
            return
        with connection:
            connection.recv(4096)
            connection.sendall(PAGE)


def check_fetch(tap, title, program, outside):
    code, text = run([program], outside.program_env)
    wanted = f"{len(PAGE)} + {len(PAGE)} bytes\n"
    tap.check(f"fetch_both reads both pages ({title})", code == 0 and text == wanted, f"{code}\n{text}")


def copy_programs(where, ports):
    """Outside of the tree; only hosts and ports are other than printed."""
    shown = [os.path.join(ROOT, "examples", "readme", name + ".c") for name in PROGRAMS]
    for path in [*shown, *(os.path.join(HERE, "install", name) for name in os.listdir(os.path.join(HERE, "install")))]:
        name, text = os.path.basename(path), open(path).read()
        if name == "echo.c":
            text = text.replace('"8888"', f'"{ports["echo"]}"')
        if name == "fetch_both.c":
            text = text.replace('"80"', f'"{ports["page"]}"').replace('"a.example"', '"127.0.0.1"').replace('"b.example"', '"localhost"')
        with open(os.path.join(where, name), "w") as file:
            file.write(text)


def main():
    tap = Tap()
    listener = socket.create_server(("127.0.0.1", 0))
    ports = {"echo": free_port(), "page": listener.getsockname()[1]}
    threading.Thread(target=serve_pages, args=(listener,), daemon=True).start()
    with tempfile.TemporaryDirectory() as where:
        outside = Outside(where)
        copy_programs(where, ports)
        code, text = outside.install()
        if tap.check("make install DESTDIR=... PREFIX=... works", code == 0, text[-3000:]):
            check_files(tap, outside)
            built = build_programs(tap, outside)
            for title, programs in built.items():
                if "say" in programs:
                    check_say(tap, title, programs["say"], outside)
                if "echo" in programs:
                    check_echo(tap, title, programs["echo"], ports["echo"], outside)
                if "fetch_both" in programs:
                    check_fetch(tap, title, programs["fetch_both"], outside)
            check_plain_command(tap, outside)
            check_fully_static(tap, outside)
            check_cplusplus(tap, outside)
            check_testing(tap, outside)
    return tap.finish()


if __name__ == "__main__":
    sys.exit(main())

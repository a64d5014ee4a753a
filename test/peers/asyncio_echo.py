#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""Python's asyncio as the client of our echo server: 1,000 connections of random sizes up to 1 MiB, some half-closed, some
reset in the middle. Then SIGINT: the server drains and exits with 0.

    asyncio_echo.py BUILD_DIR
"""

import asyncio
import os
import pty
import random
import re
import signal
import socket
import struct
import subprocess
import sys

CONNECTIONS = 1000
AT_A_TIME = 100
LIMIT_SECONDS = 90


def start_server(build_dir):
    """On a pseudo-terminal, so that the line with the port is flushed."""
    ours, theirs = pty.openpty()
    server = subprocess.Popen(
        [os.path.join(build_dir, "examples", "echo_server"), "127.0.0.1", "0"], stdout=theirs, stderr=subprocess.PIPE
    )
    os.close(theirs)
    line = b""
    while b"\n" not in line:
        line += os.read(ours, 4096)
    return server, ours, int(re.search(rb"port (\d+)", line).group(1))


async def send(writer, data, rnd):
    offset = 0
    while offset < len(data):
        size = rnd.randrange(1, 65536)
        writer.write(data[offset : offset + size])
        offset += size
        await writer.drain()


async def echo(port, number):
    rnd = random.Random(number)
    data = rnd.randbytes(rnd.choice([1, 100, 4096, 65536, rnd.randrange(1, 1 << 20)]))
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    sender = asyncio.create_task(send(writer, data, rnd))
    if number % 7 == 0:  # a reset in the middle
        await reader.read(1)
        sender.cancel()
        linger = struct.pack("ii", 1, 0)
        writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        writer.transport.abort()
        return "reset"
    got = await reader.readexactly(len(data))
    await sender
    if got != data:
        return f"connection {number}: {len(data)} bytes came back changed"
    if number % 3 == 0:  # a half-close: the server ends its side, too
        writer.write_eof()
        if await reader.read() != b"":
            return f"connection {number}: more bytes than were sent"
    writer.close()
    return "ok"


async def all_connections(port):
    gate = asyncio.Semaphore(AT_A_TIME)

    async def one(number):
        async with gate:
            return await echo(port, number)

    return await asyncio.gather(*(one(number) for number in range(CONNECTIONS)))


def main():
    server, terminal, port = start_server(sys.argv[1])
    signal.alarm(LIMIT_SECONDS)
    print("1..3")
    try:
        outcomes = asyncio.run(all_connections(port))
        wrong = [o for o in outcomes if o not in ("ok", "reset")]
        print("ok" if not wrong else "not ok", "1 - every byte comes back to an asyncio client")
        for outcome in wrong[:10]:
            print("#", outcome)
    finally:
        server.send_signal(signal.SIGINT)
        errors = server.communicate(timeout=30)[1].decode()
        os.close(terminal)
    print("ok" if server.returncode == 0 else "not ok", "2 - SIGINT drains the server, which exits with 0")
    print("ok" if not errors else "not ok", "3 - resets of peers are not reported one by one")
    for line in errors.splitlines()[:10]:
        print("#", line)


main()

# SPDX-License-Identifier: MIT
"""What the figures were measured on."""

import datetime
import json
import os
import platform
import subprocess


def output(*command):
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return ""


def first_value(path, key):
    with open(path) as file:
        for line in file:
            name, _, value = line.partition(":")
            if name.strip() == key:
                return value.strip()
    return ""


def compiler(build):
    """The first line of what the compiler says of itself: "gcc (Debian 12.2.0-14) 12.2.0"."""
    try:
        with open(os.path.join(build, "compile_commands.json")) as file:
            words = json.load(file)[0]["command"].split()
    except (OSError, ValueError, LookupError):
        return ""
    wrappers = [word for word in words[:2] if os.path.basename(word) == "ccache"]
    return output(words[len(wrappers)], "--version").split("\n")[0]


def optimization(build):
    text = output("meson", "introspect", "--buildoptions", build)
    wanted = {"buildtype", "optimization", "b_sanitize"}
    try:
        return {option["name"]: option["value"] for option in json.loads(text) if option["name"] in wanted}
    except ValueError:
        return {}


def cpus():
    """(generator's, server's): two different ones where there are two."""
    allowed = sorted(os.sched_getaffinity(0))
    return allowed[0], allowed[-1] if len(allowed) < 2 else allowed[1]


def available_memory():
    return int(first_value("/proc/meminfo", "MemAvailable").split()[0]) * 1024


def describe(root, where):
    build = os.path.dirname(os.path.abspath(where))
    return {
        "date": datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%d %H:%M UTC"),
        "cpu": first_value("/proc/cpuinfo", "model name") or platform.machine(),
        "cpus": len(os.sched_getaffinity(0)),
        "memory_gib": round(int(first_value("/proc/meminfo", "MemTotal").split()[0]) / 2**20, 1),
        "kernel": f"{platform.system()} {platform.release()}",
        "load_average": round(os.getloadavg()[0], 2),
        "compiler": compiler(build),
        "options": optimization(build),
        "libawait": output("git", "-C", root, "describe", "--always", "--dirty"),
        "libuv": output("pkg-config", "--modversion", "libuv"),
        "glibc": platform.libc_ver()[1],
    }

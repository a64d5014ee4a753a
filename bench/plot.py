# SPDX-License-Identifier: MIT
"""An SVG of the results: echo ratios as dots with quartiles, the parts as bars on a logarithmic scale."""

import html
import math

WIDTH, LEFT, RIGHT, LINE, HEAD = 900, 280, 140, 16, 44
COLOURS = {"libawait": "#0b6e4f", "libawait peek": "#0b6e4f", "libawait stream": "#6bbf59", "libuv": "#c44536",
           "raw epoll again": "#888888"}
OTHER = "#4a6fa5"


class Canvas:
    def __init__(self):
        self.items = []
        self.y = 0

    def text(self, x, y, text, anchor="start", size=12, colour="#222"):
        self.items.append(f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" font-size="{size}" '
                          f'fill="{colour}">{html.escape(text)}</text>')

    def line(self, x1, y1, x2, y2, colour, width=1.0, dash=""):
        dashes = f' stroke-dasharray="{dash}"' if dash else ""
        self.items.append(f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" stroke="{colour}" '
                          f'stroke-width="{width}"{dashes}/>')

    def box(self, x, y, width, height, colour):
        self.items.append(f'<rect x="{x:.1f}" y="{y:.1f}" width="{max(width, 1):.1f}" height="{height}" '
                          f'fill="{colour}"/>')

    def dot(self, x, y, colour):
        self.items.append(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="4" fill="{colour}"/>')

    def svg(self):
        return (f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{self.y + 20}" '
                f'font-family="sans-serif"><rect width="100%" height="100%" fill="white"/>'
                + "\n".join(self.items) + "</svg>\n")


def colour_of(name):
    return COLOURS.get(name, OTHER)


def axis(canvas, top, bottom, ticks, place, label):
    for tick in ticks:
        x = place(tick)
        canvas.line(x, top, x, bottom, "#ddd")
        canvas.text(x, top - 4, label(tick), "middle", 10, "#666")


def ratio_scale(rows):
    values = [q for row in rows for s in row["servers"].values() for q in (s["cpu_ratio"]["q1"], s["cpu_ratio"]["q3"])]
    low, high = min([0.9, *values]), max([1.2, *values])
    return low, high, lambda v: LEFT + (v - low) / (high - low) * (WIDTH - LEFT - RIGHT)


def draw_echo(canvas, rows):
    low, high, place = ratio_scale(rows)
    step = 0.05 if high - low < 0.6 else 0.2
    ticks = [round(i * step, 2) for i in range(math.ceil(low / step), math.floor(high / step) + 1)]
    height = sum(len(row["servers"]) * LINE + 8 for row in rows)
    top = canvas.y + HEAD
    canvas.text(16, canvas.y + 18, "TCP echo: server CPU a request, relative to raw epoll (less is better)", size=15)
    axis(canvas, top, top + height, ticks, place, lambda v: f"{v:g}")
    canvas.line(place(1), top, place(1), top + height, "#222", 1.5)
    canvas.line(place(1.05), top, place(1.05), top + height, "#c44536", 1, "4 3")
    y = top + LINE
    for row in rows:
        canvas.text(16, y, row["row"].removeprefix("echo "))
        for name, server in row["servers"].items():
            draw_ratio(canvas, y, name, server["cpu_ratio"], place)
            y += LINE
        y += 8
    canvas.y = top + height + 24


def draw_ratio(canvas, y, name, ratio, place):
    colour = colour_of(name)
    canvas.text(LEFT - 10, y, name, "end", 11, colour)
    canvas.line(place(ratio["q1"]), y - 4, place(ratio["q3"]), y - 4, colour, 2)
    canvas.dot(place(ratio["median"]), y - 4, colour)
    canvas.text(WIDTH - RIGHT + 10, y, f"{ratio['median']:.2f}", size=11)


def amount(ns):
    return f"{ns:.3g}" if ns < 100 else f"{ns:,.0f}"


def draw_micro(canvas, rows):
    values = [s["median"] for row in rows for s in row["who"].values() if s["median"] > 0]
    low, high = math.floor(math.log10(min(values))), math.ceil(math.log10(max(values)) + 0.01)
    place = lambda v: LEFT + (math.log10(v) - low) / (high - low) * (WIDTH - LEFT - RIGHT)
    height = sum(len(row["who"]) * LINE + 6 for row in rows)
    top = canvas.y + HEAD
    canvas.text(16, canvas.y + 18, "The parts: nanoseconds an operation, logarithmic (less is better)", size=15)
    axis(canvas, top, top + height, [10.0**e for e in range(low, high + 1)], place, lambda v: f"{v:,.10g} ns")
    y = top + LINE - 2
    for row in rows:
        canvas.text(LEFT - 10, y, row["row"], "end", 11)
        for name, summary in row["who"].items():
            if summary["median"] > 0:
                canvas.box(place(10.0**low), y - 9, place(summary["median"]) - LEFT, 10, colour_of(name))
                text = f"{amount(summary['median'])} {name}"
                canvas.text(place(summary["median"]) + 5, y, text, size=10, colour="#444")
            y += LINE
        y += 6
    canvas.y = top + height + 24


def draw(results):
    canvas = Canvas()
    echo = [row for row in results["echo"] if row["servers"]]
    micro = [row for row in results["micro"] if row["unit"] == "ns"]
    if echo:
        draw_echo(canvas, echo)
    if micro:
        draw_micro(canvas, micro)
    return canvas.svg()

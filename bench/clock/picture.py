#!/usr/bin/env python3
"""Draws what the warps and pipes of one SM do over time, from a timeline of the emulator's clock (docs/clock.md)."""

import argparse
import collections
import json
import sys

import matplotlib

matplotlib.use("svg")
import matplotlib.pyplot as plt  # noqa: E402
from matplotlib.patches import Patch  # noqa: E402

COLOURS = {
    "tensor queue": "#e8a33d",
    "tensor result": "#c8641b",
    "mbarrier": "#4b7bb5",
    "barrier": "#9a5fb0",
    "cluster": "#6a3d7c",
    "operands": "#8c8c8c",
    "fence": "#d9d36a",
    "copies": "#5aa5a0",
    "dependency": "#333333",
}
RUNNING, GROUPS, COPIES = "#dfe9d8", ("#b5443a", "#e07b54", "#f0b27a"), "#4b7bb5"


def arguments():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("timeline", help="the file that FLASH_MLA_EMULATOR_CLOCK_TIMELINE named")
    parser.add_argument("--svg", required=True, help="the picture")
    parser.add_argument("--launch", type=int, default=0, help="which of the launches, from 0")
    parser.add_argument("--begin", type=float, default=0, help="clocks after the launch began")
    parser.add_argument("--clocks", type=float, default=8000, help="how many to draw")
    parser.add_argument("--title", default="One SM, a model's figure")
    return parser.parse_args()


def merged(spans, gap=0):
    """Intervals that overlap or lie no further apart than `gap` become one."""
    result = []
    for begin, end in sorted(spans):
        if result and begin <= result[-1][1] + gap:
            result[-1][1] = max(result[-1][1], end)
        else:
            result.append([begin, end])
    return result


def read(path, launch):
    """The launches that ran together with one of the file's, and which of them it is."""
    with open(path, encoding="utf-8") as file:
        for timeline in map(json.loads, file):
            if launch < len(timeline["launches"]):
                return timeline, launch
            launch -= len(timeline["launches"])
    sys.exit(f"{path} has fewer launches")


def draw(options, timeline, launch):
    origin = timeline["launches"][launch]["begin"] + options.begin
    last = origin + options.clocks

    def visible(rows):
        return [row for row in rows if row[0] == launch and row[-1] > origin and row[-2] < last]

    waits = visible(timeline["waits"])
    tensor = visible(timeline["tensor"])
    copies = visible(timeline["copies"])
    cta = min({row[1] for row in waits + tensor + copies}, default=0)
    warps = sorted({row[2] for row in waits if row[1] == cta})
    pixel = options.clocks / 1000
    names = [f"warp {warp}" for warp in warps] + ["tensor cores", "copies"]
    figure, axes = plt.subplots(figsize=(11, 0.9 + 0.26 * len(names)))
    for row, warp in enumerate(warps):
        axes.broken_barh([(0, options.clocks)], (row - 0.4, 0.8), facecolors=RUNNING)
        spans = collections.defaultdict(list)
        for _, _, _, why, begin, end in (wait for wait in waits if wait[1] == cta and wait[2] == warp):
            spans[why].append((begin - origin, end - origin))
        for why, bars in spans.items():
            bars = [(begin, end - begin) for begin, end in merged(bars, pixel) if end - begin >= pixel]
            axes.broken_barh(bars, (row - 0.4, 0.8), facecolors=COLOURS[why])
    groups = sorted({row[2] for row in tensor})
    for group in groups:
        bars = merged((begin - origin, end - origin) for _, _, who, begin, end in tensor if who == group)
        axes.broken_barh(
            [(begin, end - begin) for begin, end in bars],
            (len(warps) - 0.4, 0.8),
            facecolors=GROUPS[group % len(GROUPS)],
        )
    for _, _, _, begin, end in copies:
        axes.broken_barh([(begin - origin, end - begin)], (len(warps) + 0.6, 0.8), facecolors=COPIES, alpha=0.15)
    axes.set_yticks(range(len(names)), names, fontsize=8)
    axes.set_ylim(len(names) - 0.5, -0.5)
    axes.set_xlim(0, options.clocks)
    axes.set_xlabel(f"clocks, from {options.begin:.0f} after the launch began")
    axes.set_title(options.title, fontsize=10)
    seen = {row[3] for row in waits}
    legend = [Patch(color=RUNNING, label="issues")]
    legend += [Patch(color=colour, label=f"waits: {why}") for why, colour in COLOURS.items() if why in seen]
    legend += [Patch(color=GROUPS[group % len(GROUPS)], label=f"products of warpgroup {group}") for group in groups]
    axes.legend(handles=legend, fontsize=7, ncols=4, loc="upper center", bbox_to_anchor=(0.5, -0.16), frameon=False)
    figure.savefig(options.svg, bbox_inches="tight", metadata={"Date": None})


def main():
    options = arguments()
    draw(options, *read(options.timeline, options.launch))


if __name__ == "__main__":
    main()

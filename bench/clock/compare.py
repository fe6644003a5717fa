#!/usr/bin/env python3
"""Compares figures of the emulator's clock: how many times as long A takes as B, with an interval (docs/clock.md)."""

import argparse
import json
import sys


def launches(path, skipped):
    with open(path, encoding="utf-8") as file:
        rows = [json.loads(line) for line in file]
    kept = [row for row in rows if not any(part in row["kernel"] for part in skipped)]
    if not kept:
        sys.exit(f"{path}: no launches to compare")
    return kept


def seconds(rows):
    """The launches' time by variant and seed."""
    totals = {}
    for row in rows:
        for variant, times in row["variants"].items():
            have = totals.setdefault(variant, [0.0] * len(times))
            for i, time in enumerate(times):
                have[i] += time
    return totals


def ratios(a, b):
    """(centre, least, most) of A / B: both in the same variant, the mean over seeds."""
    common = sorted(set(a) & set(b))
    if "centre" not in common:
        sys.exit("the files have no variant in common")
    mean = {name: (sum(a[name]) / len(a[name])) / (sum(b[name]) / len(b[name])) for name in common}
    return mean["centre"], min(mean.values()), max(mean.values())


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("a")
    parser.add_argument("b")
    parser.add_argument("--skip", action="append", default=["metadata"], help="kernels with this in their name")
    options = parser.parse_args()
    a, b = (seconds(launches(path, options.skip)) for path in (options.a, options.b))
    centre, least, most = ratios(a, b)
    verdict = "" if least > 1.05 or most < 0.95 else "  (not clear of 5 %: no difference)"
    print(f"A / B = {centre:.3f}, {least:.3f} to {most:.3f}, model's figures{verdict}")


if __name__ == "__main__":
    main()

#!/usr/bin/env python3
"""A table of compare.py's ratios: for every NAME.A.json in a folder that has a NAME.B.json (docs/clock.md)."""

import argparse
import json
import pathlib

from compare import launches, ratios, seconds


def mean(values):
    return sum(values) / len(values)


def row(name, a_path, b_path, skipped):
    a, b = (seconds(launches(path, skipped)) for path in (a_path, b_path))
    ratio, least, most = ratios(a, b)
    return {
        "case": name,
        "a_us": round(mean(a["centre"]) * 1e6, 1),
        "b_us": round(mean(b["centre"]) * 1e6, 1),
        "ratio": round(ratio, 3),
        "least": round(least, 3),
        "most": round(most, 3),
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=pathlib.Path)
    parser.add_argument("a", help="whose files end with .A.json")
    parser.add_argument("b")
    parser.add_argument("--skip", action="append", default=["metadata"], help="kernels with this in their name")
    parser.add_argument("--json", type=pathlib.Path)
    options = parser.parse_args()
    rows = []
    for path in sorted(options.folder.glob(f"*.{options.a}.json")):
        name = path.name.removesuffix(f".{options.a}.json")
        other = options.folder / f"{name}.{options.b}.json"
        if other.exists() and other.stat().st_size > 0 and path.stat().st_size > 0:
            rows.append(row(name, path, other, options.skip))
    print(f"{'case':24} {options.a + ' us':>12} {options.b + ' us':>12}  {options.a} / {options.b}, model's figures")
    for one in rows:
        print(
            f"{one['case']:24} {one['a_us']:12.1f} {one['b_us']:12.1f}"
            f"  {one['ratio']:.2f} ({one['least']:.2f} to {one['most']:.2f})"
        )
    if options.json:
        options.json.write_text(json.dumps({"a": options.a, "b": options.b, "rows": rows}, indent=1) + "\n")


if __name__ == "__main__":
    main()

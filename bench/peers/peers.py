"""Times implementations of MLA decode on a CPU: identical data, the same threads, one run."""

import argparse
import json
import multiprocessing
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool

os.environ["OPENBLAS_NUM_THREADS"] = "1"  # its idle threads would spin on the cores too

import numpy as np

from case import Case, Shape
from peer_flash_mla import FlashMla

DEFAULT_SHAPES = ["1x1024x16", "1x4096x16", "1x16384x16", "1x1024x128", "1x4096x128", "32x1024x16", "32x1024x128"]
COSINE_BAR = 1e-4  # bfloat16 or float16 all the way; a dropped key or head is far beyond


PEERS = {
    "flash_mla": lambda build: FlashMla(build),
    "flash_mla, AVX2 forced": lambda build: FlashMla(build, "avx2"),
    "ik_llama.cpp": lambda build: __import__("peer_ik_llama").IkLlama(),
    "vLLM": lambda build: __import__("peer_vllm").Vllm(),
    "torch": lambda build: __import__("peer_torch").Torch(),
}


def measure_roofline(build, threads):
    with tempfile.NamedTemporaryFile(suffix=".json") as file:
        subprocess.run(
            [f"{build}/flash_mla", "bench", "--threads", str(threads), "--batch", "1", "--s-k", "1024", "--h-q", "16"]
            + ["--s-q", "1", "--lengths", "uniform", "--repetitions", "5", "--json", file.name],
            check=True,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        report = json.load(open(file.name))
    return report["roofline"], report["machine"]


def cosine_distance(a, b):
    a, b = a.astype(np.float64).reshape(-1, a.shape[-1]), b.reshape(-1, b.shape[-1])
    norms = np.linalg.norm(a, axis=1) * np.linalg.norm(b, axis=1)
    return float(np.max(1 - np.sum(a * b, axis=1) / norms))


def time_peer(name, shape, options):
    """One row of the table; or why there is none, as text."""
    try:
        peer = PEERS[name](options.build)
        case = Case(shape)
        peer.prepare(case, options.threads)
    except Exception as reason:  # whatever keeps a foreign package from loading
        return f"{name}: {reason}"
    peer.run(0)
    error = cosine_distance(peer.result(), case.reference(0))
    if not error < COSINE_BAR:
        return f"{name}: wrong at {shape}: cosine distance {error:.1e}"
    times, end = [], time.perf_counter() + options.seconds
    while len(times) < options.repetitions and (time.perf_counter() < end or len(times) < 5):
        begin = time.perf_counter()
        peer.run((len(times) + 1) % case.copies)
        times.append(time.perf_counter() - begin)
    quartiles = statistics.quantiles(times, n=4)
    return {
        "peer": peer.name,
        "version": peer.version,
        "b": shape.batch,
        "s_k": shape.s_k,
        "h_q": shape.heads,
        "threads": options.threads,
        "repetitions": len(times),
        "median_us": statistics.median(times) * 1e6,
        "quartiles_us": [quartiles[0] * 1e6, quartiles[2] * 1e6],
        "gflops": shape.flop / statistics.median(times) * 1e-9,
        "cosine_distance": error,
    }


def time_alone(name, shape, options):
    """In a process of its own: idle threads of another OpenMP runtime would spin on the cores."""
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as process:
        try:
            return process.submit(time_peer, name, shape, options).result()
        except BrokenProcessPool:
            return f"{name}: ended the process at {shape}"


def print_rows(rows):
    best = min(row["median_us"] for row in rows)
    for row in rows:
        print(
            f"{row['b']:>3} {row['s_k']:>6} {row['h_q']:>4}  {row['peer']:<30} {row['median_us']:>10.1f} "
            f"{row['gflops']:>8.1f} {row['share'] * 100:>7.1f} {row['median_us'] / best:>8.2f}",
            flush=True,
        )


def say_progress(text):
    if sys.stderr.isatty():
        print(f"\r\033[K{text}", end="", file=sys.stderr, flush=True)


def plot(path, rows, title):
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    names = list(dict.fromkeys(row["peer"] for row in rows))
    shapes = list(dict.fromkeys((row["b"], row["s_k"], row["h_q"]) for row in rows))
    height = 0.8 / len(names)
    figure, axes = plt.subplots(figsize=(9, 0.8 + 0.9 * len(shapes)))
    for n, name in enumerate(names):
        share = {(r["b"], r["s_k"], r["h_q"]): r["share"] * 100 for r in rows if r["peer"] == name}
        at = [i + n * height for i, shape in enumerate(shapes) if shape in share]
        bars = axes.barh(at, [share[s] for s in shapes if s in share], height, label=name)
        axes.bar_label(bars, fmt="%.0f", padding=2, fontsize=7)
    axes.set_yticks([i + 0.4 - height / 2 for i in range(len(shapes))])
    axes.set_yticklabels([f"{b} x {s_k}\n{heads} heads" for b, s_k, heads in shapes])
    axes.invert_yaxis()
    axes.set_xlim(0, 100)
    axes.set_xlabel("% of the BF16 dot-product peak, measured in the same run")
    axes.set_title(title, fontsize=10)
    axes.legend(loc="lower right", fontsize=8)
    axes.grid(axis="x", alpha=0.3)
    figure.tight_layout()
    figure.savefig(path)


def parse_shape(text):
    try:
        return Shape(*(int(part) for part in text.split("x")))
    except (TypeError, ValueError):
        raise argparse.ArgumentTypeError(f"{text}: expected sequences x tokens x heads, as in 1x4096x128")


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--build", required=True, help="build folder with libflash_mla.so and the command")
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--shapes", type=parse_shape, nargs="+", default=[parse_shape(s) for s in DEFAULT_SHAPES])
    parser.add_argument("--repetitions", type=int, default=31)
    parser.add_argument("--seconds", type=float, default=3, help="of timing for each peer and shape")
    parser.add_argument("--json", help="also write the results to this file")
    parser.add_argument("--plot", help="also draw them to this file (.svg or .png)")
    options = parser.parse_args()

    roofline, machine = measure_roofline(options.build, options.threads)
    peak = roofline["peak_gflops"]
    print(f"{machine.get('cpu', platform.processor())}, {options.threads} threads, peak {peak:.0f} GFLOP/s")
    print(f"{'b':>3} {'s_k':>6} {'h_q':>4}  {'':<30} {'median us':>10} {'GFLOP/s':>8} {'share %':>7} {'x time':>8}")
    rows, missing = [], {}
    for number, shape in enumerate(options.shapes):
        new = []
        for name in PEERS:
            say_progress(f"{number + 1} of {len(options.shapes)}: {shape}: {name}")
            row = time_alone(name, shape, options)
            if isinstance(row, str):
                missing[row] = None
                continue
            new.append(row | {"share": row["gflops"] / peak})
        say_progress("")
        if new:
            print_rows(new)
        rows += new
    for name, version in dict.fromkeys((row["peer"], row["version"]) for row in rows):
        print(f"  {name}: {version}")
    for reason in missing:
        print(f"  not timed: {reason}")
    if options.json:
        with open(options.json, "w") as file:
            json.dump({"machine": machine, "roofline": roofline, "rows": rows}, file, indent=2)
    if options.plot:
        plot(options.plot, rows, f"{machine.get('cpu', '')}, {options.threads} threads: MLA decode 576/512, cold cache")


if __name__ == "__main__":
    main()

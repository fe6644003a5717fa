"""Times implementations of MLA decode on a CPU: identical data, the same threads, in turns in one run."""

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time

import numpy as np

from case import Case, Shape
from peer_flash_mla import FlashMla

DEFAULT_SHAPES = ["1x1024x16", "1x4096x16", "1x16384x16", "1x1024x128", "1x4096x128", "32x1024x16", "32x1024x128"]
COSINE_BAR = 1e-4  # bfloat16 or float16 all the way; a dropped key or head is far beyond


def load_peers(build):
    """Peers that work here, and why the others do not."""
    peers, missing = [FlashMla(build)], []
    if "avx512_bf16" in open("/proc/cpuinfo").read():
        peers.append(FlashMla(build, "avx2"))

    def add(module, name):
        try:
            peers.append(getattr(__import__(module), name)())
        except Exception as error:  # whatever keeps a foreign package from loading
            missing.append(f"{module}: {error}")

    add("peer_ik_llama", "IkLlama")
    add("peer_vllm", "Vllm")
    add("peer_torch", "Torch")
    return peers, missing


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


def time_case(case, peers, threads, repetitions, seconds):
    """A row for each peer that takes the case: medians over repetitions in turns."""
    reference = case.reference(0)
    ready, rows = [], []
    for peer in peers:
        try:
            peer.prepare(case, threads)
        except NotImplementedError:
            continue
        peer.run(0)
        error = cosine_distance(peer.result(), reference)
        if not error < COSINE_BAR:
            raise SystemExit(f"{peer.name} is wrong at {case.shape}: cosine distance {error:.1e}")
        ready.append((peer, error, []))
    turn, end = 1, time.perf_counter() + seconds * len(ready)
    while len(ready[0][2]) < repetitions and (time.perf_counter() < end or len(ready[0][2]) < 5):
        for peer, _, times in ready:
            begin = time.perf_counter()
            peer.run(turn % case.copies)
            times.append(time.perf_counter() - begin)
        turn += 1
    for peer, error, times in ready:
        quartiles = statistics.quantiles(times, n=4)
        rows.append(
            {
                "peer": peer.name,
                "version": peer.version,
                "b": case.shape.batch,
                "s_k": case.shape.s_k,
                "h_q": case.shape.heads,
                "threads": threads,
                "repetitions": len(times),
                "median_us": statistics.median(times) * 1e6,
                "quartiles_us": [quartiles[0] * 1e6, quartiles[2] * 1e6],
                "gflops": case.shape.flop / statistics.median(times) * 1e-9,
                "cosine_distance": error,
            }
        )
        peer.release()
    return rows


def print_rows(rows):
    best = rows[0]["median_us"]
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
    parser.add_argument("--seconds", type=float, default=2, help="for each peer and shape")
    parser.add_argument("--json", help="also write the results to this file")
    parser.add_argument("--plot", help="also draw them to this file (.svg or .png)")
    options = parser.parse_args()

    peers, missing = load_peers(options.build)
    roofline, machine = measure_roofline(options.build, options.threads)
    peak = roofline["peak_gflops"]
    print(f"{machine.get('cpu', platform.processor())}, {options.threads} threads, peak {peak:.0f} GFLOP/s")
    for peer in peers:
        print(f"  {peer.name}: {peer.version}")
    for reason in missing:
        print(f"  not here: {reason}")
    print(f"{'b':>3} {'s_k':>6} {'h_q':>4}  {'':<30} {'median us':>10} {'GFLOP/s':>8} {'share %':>7} {'x time':>8}")
    rows = []
    for number, shape in enumerate(options.shapes):
        say_progress(f"{number + 1} of {len(options.shapes)}: {shape}")
        new = time_case(Case(shape), peers, options.threads, options.repetitions, options.seconds)
        say_progress("")
        for row in new:
            row["share"] = row["gflops"] / peak
        print_rows(new)
        rows += new
    if options.json:
        with open(options.json, "w") as file:
            json.dump({"machine": machine, "roofline": roofline, "rows": rows}, file, indent=2)
    if options.plot:
        plot(options.plot, rows, f"{machine.get('cpu', '')}, {options.threads} threads: MLA decode 576/512, cold cache")


if __name__ == "__main__":
    main()

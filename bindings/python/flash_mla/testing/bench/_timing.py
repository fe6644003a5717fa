"""One implementation on one shape: checked, then timed."""

from __future__ import annotations

import multiprocessing
import statistics
import time
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from typing import Any

from flash_mla.testing.bench._case import Case, Shape
from flash_mla.testing.bench._peers import PEERS

CLOCKS = {"wall": time.perf_counter, "cpu": time.process_time}
COSINE_BAR = 5e-6  # FlashMLA's own, for each row; bfloat16 outputs alone take 2e-6


@dataclass(frozen=True)
class Effort:
    threads: int
    repetitions: int
    seconds: float
    clock: str = "wall"


def time_peer(name: str, shape: Shape, effort: Effort) -> dict[str, Any] | str:
    """A row of the table; or why there is none."""
    try:
        peer = PEERS[name]()
        case = Case(shape)
        peer.prepare(case, effort.threads)
    except Exception as reason:  # whatever keeps a foreign package from loading
        return f"{name}: {reason}"
    started = time.perf_counter()
    peer.run(0)
    first = time.perf_counter() - started
    distance = case.cosine_distance(peer.result(), 0)
    if not distance < COSINE_BAR:
        return f"{name}: wrong at {shape}: cosine distance {distance:.1e}"
    times: list[float] = []
    least = 5 if first < effort.seconds else 2
    clock = CLOCKS[effort.clock]
    wall, cpu = time.perf_counter(), time.process_time()
    while len(times) < effort.repetitions and (time.perf_counter() - wall < effort.seconds or len(times) < least):
        started = clock()
        peer.run((len(times) + 1) % case.copies)
        times.append(clock() - started)
    cores = (time.process_time() - cpu) / (time.perf_counter() - wall)
    median, quartiles = statistics.median(times), statistics.quantiles(times, n=4)
    return {
        "peer": peer.name,
        "version": peer.version,
        "b": shape.batch,
        "s_q": shape.s_q,
        "s_k": shape.s_k,
        "mean_s_k": float(shape.lengths.mean()),
        "h_q": shape.heads,
        "lengths": "ragged" if shape.varlen else "uniform",
        "causal": shape.causal,
        "page": shape.page_size,
        "threads": effort.threads,
        "clock": effort.clock,
        "cores": cores,
        "repetitions": len(times),
        "median_us": median * 1e6,
        "quartiles_us": [quartiles[0] * 1e6, quartiles[2] * 1e6],
        "gflops": shape.flop / median * 1e-9,
        "gbps": shape.bytes / median * 1e-9,
        "cosine_distance": distance,
    }


def time_alone(name: str, shape: Shape, effort: Effort) -> dict[str, Any] | str:
    """In a process of its own: idle threads of another OpenMP runtime would spin on the cores."""
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as process:
        try:
            return process.submit(time_peer, name, shape, effort).result()
        except BrokenProcessPool:
            return f"{name}: ended the process at {shape}"

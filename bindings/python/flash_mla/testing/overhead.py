"""What a call from Python costs beside its work: ``python -m flash_mla.testing.overhead [--json FILE]``.

The calls have one query row and no keys, so nearly all of their time is the way in and out. A figure is the least CPU
time of this thread over many rounds: other load on the machine disturbs it little.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import sys
import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

import flash_mla
from flash_mla import _native

CALLS = 500  # a round
ROUNDS = 40


def microseconds(call: Callable[[], Any]) -> float:
    """The least time of a call, in microseconds of CPU time."""
    best = float("inf")
    for _ in range(ROUNDS):
        started = time.thread_time()
        for _ in range(CALLS):
            call()
        best = min(best, time.thread_time() - started)
    return best / CALLS * 1e6


def _arrays(kind: str) -> tuple[Any, Any, Any, Any]:
    q = np.zeros((1, 1, 1, 576), np.float32)
    k_cache = np.zeros((1, 64, 1, 576), np.float32)
    arrays = q, k_cache, np.zeros((1, 1), np.int32), np.zeros(1, np.int32)
    if kind == "numpy":
        return arrays
    torch = importlib.import_module(kind)
    q, k_cache, table, lengths = (torch.from_numpy(array) for array in arrays)
    return q, k_cache, table, lengths


def measure(kind: str) -> dict[str, float]:
    """Microseconds a call by form of call, for arrays of `kind`: "numpy" or "torch"."""
    q, k_cache, table, lengths = _arrays(kind)
    plan = flash_mla.plan(lengths, h_q=1, dtype="float32", num_workers=1)
    out, lse = flash_mla.decode(plan, q, k_cache, table, lengths)
    workspace = flash_mla.empty_workspace(plan)
    schedule, _ = flash_mla.get_mla_metadata()
    arrays = flash_mla.get_mla_metadata(lengths, 1, 1)
    forms: dict[str, Callable[[], Any]] = {
        "extension module alone": lambda: _native.decode(
            plan, q, k_cache, table, lengths, None, None, out, lse, None, workspace, False, None
        ),
        "decode, out=, lse=, workspace=": lambda: flash_mla.decode(
            plan, q, k_cache, table, lengths, out=out, lse=lse, workspace=workspace
        ),
        "decode": lambda: flash_mla.decode(plan, q, k_cache, table, lengths),
        "flash_mla_with_kvcache, FlashMLASchedMeta": lambda: flash_mla.flash_mla_with_kvcache(
            q, k_cache, table, lengths, 512, schedule
        ),
        "flash_mla_with_kvcache, two arrays": lambda: flash_mla.flash_mla_with_kvcache(
            q, k_cache, table, lengths, 512, *arrays
        ),
        "plan": lambda: flash_mla.plan(lengths, h_q=1, dtype="float32", num_workers=1),
        "Plan.remake": lambda: plan.remake(lengths),
    }
    return {name: microseconds(call) for name, call in forms.items()}


def measure_all() -> dict[str, dict[str, float]]:
    """`measure` for NumPy, and for torch where it is installed."""
    kinds = ["numpy"]
    if importlib.util.find_spec("torch") is not None:
        kinds.append("torch")
    return {kind: measure(kind) for kind in kinds}


def print_table(figures: dict[str, dict[str, float]]) -> None:
    print(f"{'microseconds a call':<44}" + "".join(f"{kind:>8}" for kind in figures))
    for form in figures["numpy"]:
        print(f"{form:<44}" + "".join(f"{figures[kind][form]:>8.1f}" for kind in figures))


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m flash_mla.testing.overhead", description=__doc__)
    parser.add_argument("--json", metavar="FILE", help="write the figures to FILE")
    options = parser.parse_args(arguments)

    figures = measure_all()
    print_table(figures)
    if options.json is not None:
        with open(options.json, "w", encoding="utf-8") as file:
            json.dump({"version": flash_mla.__version__, "microseconds": figures}, file, indent=2)
    return 0


if __name__ == "__main__":
    sys.exit(main())

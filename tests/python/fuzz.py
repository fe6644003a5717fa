"""Wrong arguments for every public function: ``python fuzz.py --calls 100000 [--json FILE]``.

First every argument is wrong in turn, with every value of a list; then up to four at once, with values that hypothesis
draws. A call may succeed (not every odd value is wrong), or raise one of the package's exceptions with a message that names
an argument of the function. Anything else ends the program, as a crash would.
"""

from __future__ import annotations

import argparse
import json
import resource
import sys
import time
from collections import Counter
from collections.abc import Callable
from typing import Any

import numpy as np
from fuzz_targets import Target, targets
from fuzz_values import ODD_VALUES, OwnError, odd_values
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

import flash_mla

REFUSALS = (ValueError, TypeError, NotImplementedError, LookupError, OSError, flash_mla.OutOfPages)
NAMELESS = (MemoryError, OwnError)
MEMORY = 8 << 30  # bytes: sizes that no machine has end in MemoryError


class Outcomes:
    def __init__(self) -> None:
        self.calls: Counter[str] = Counter()
        self.refused: dict[str, Counter[str]] = {}

    def count(self, target: Target, error: BaseException | None) -> None:
        self.calls[target.name] += 1
        kind = "no refusal" if error is None else type(error).__name__
        self.refused.setdefault(target.name, Counter())[kind] += 1

    def total(self) -> int:
        return sum(self.calls.values())


def attempt(target: Target, changed: dict[str, Any], outcomes: Outcomes) -> None:
    arguments = {**target.good(), **changed}
    untouched = [(arguments[name], arguments[name].copy()) for name in target.written if name not in changed]
    error: BaseException | None = None
    try:
        target.function(**arguments)
    except (*REFUSALS, *NAMELESS) as refusal:
        error = refusal
        message = str(refusal)
        if not isinstance(refusal, NAMELESS):
            names = [*target.names, *target.also_named]
            assert any(name in message for name in names), f"{target.name}: no argument named in '{message}'"
        for now, before in untouched:
            assert (now == before).all(), f"{target.name} wrote before it refused: {message}"
    outcomes.count(target, error)


def every_argument_in_turn(outcomes: Outcomes) -> None:
    failures = []
    for target in targets():
        for name in target.names:
            for value in ODD_VALUES:
                try:
                    attempt(target, {name: value}, outcomes)
                except Exception as failure:  # noqa: BLE001: all are shown
                    failures.append(f"{target.name}, {name} a {type(value).__name__}: {type(failure).__name__}: {failure}")
    if failures:
        sys.exit("\n".join(failures))


def drawn(calls: int, seed_by_name: bool, outcomes: Outcomes) -> None:
    all_targets = targets()

    @settings(
        max_examples=calls,
        deadline=None,
        database=None,
        derandomize=seed_by_name,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(data=st.data())
    def run(data: st.DataObject) -> None:
        target = data.draw(st.sampled_from(all_targets))
        names = data.draw(st.lists(st.sampled_from(target.names), min_size=1, max_size=4, unique=True))
        attempt(target, {name: data.draw(odd_values()) for name in names}, outcomes)

    run()


def report(outcomes: Outcomes, seconds: float) -> dict[str, Any]:
    print(f"{'function':<40}{'calls':>8}  outcomes")
    for name in sorted(outcomes.calls):
        kinds = ", ".join(f"{kind} {count}" for kind, count in outcomes.refused[name].most_common())
        print(f"{name:<40}{outcomes.calls[name]:>8}  {kinds}")
    print(f"{'all':<40}{outcomes.total():>8}  in {seconds:.0f} s, no crash, no other exception, an argument named each time")
    rows = {name: {"calls": outcomes.calls[name], **outcomes.refused[name]} for name in sorted(outcomes.calls)}
    return {"version": flash_mla.__version__, "calls": outcomes.total(), "functions": rows}


def main(arguments: list[str] | None = None, clock: Callable[[], float] = time.monotonic) -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--calls", type=int, default=100000, help="at least so many")
    parser.add_argument("--same", action="store_true", help="draw the same values each time")
    parser.add_argument("--json", metavar="FILE", help="write the counts to FILE")
    options = parser.parse_args(arguments)

    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, resource.getrlimit(resource.RLIMIT_AS)[1]))
    started, outcomes = clock(), Outcomes()
    every_argument_in_turn(outcomes)
    while outcomes.total() < options.calls:
        drawn(options.calls - outcomes.total(), options.same, outcomes)
    described = report(outcomes, clock() - started)
    if options.json is not None:
        with open(options.json, "w", encoding="utf-8") as file:
            json.dump(described, file, indent=2)
            file.write("\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())

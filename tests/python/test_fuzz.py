"""Wrong arguments by the thousand; a process of its own, so that a crash is one failed test."""

from __future__ import annotations

import inspect
import os
import pathlib
import subprocess
import sys

import numpy as np
import pytest
from fuzz import Outcomes, attempt
from fuzz_targets import Target, targets

import flash_mla

CALLS = os.environ.get("FLASH_MLA_PYTHON_FUZZ_CALLS", "16000")


def test_wrong_arguments() -> None:
    program = pathlib.Path(__file__).with_name("fuzz.py")
    same = [] if os.environ.get("FLASH_MLA_PYTHON_FULL") == "1" else ["--same"]
    subprocess.run([sys.executable, str(program), "--calls", CALLS, *same], check=True)


def test_every_public_function_is_a_target() -> None:
    """But for those that raise whatever they are given, or take no argument."""
    public = {name for name in flash_mla.__all__ if inspect.isfunction(getattr(flash_mla, name))}
    without = {"info", "kv_cost_models"}
    not_built = {name for name in public if "Not built" in (getattr(flash_mla, name).__doc__ or "")}
    assert public - without - not_built <= {target.name for target in targets()}


def test_every_target_s_good_call_succeeds() -> None:
    for target in targets():
        target.function(**target.good())


def unnamed(given, written):
    raise ValueError("no")


def another_exception(given, written):
    return {}[given]


def written_first(given, written):
    written[:] = 1
    raise ValueError("given is 3; expected another")


@pytest.mark.parametrize("defect", [unnamed, another_exception, written_first])
def test_defects_are_caught(defect) -> None:
    target = Target("planted", defect, lambda: {"given": 0, "written": np.zeros(3)}, ["given"], ("written",))
    with pytest.raises((AssertionError, KeyError)):
        attempt(target, {"given": 3}, Outcomes())

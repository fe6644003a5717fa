"""Where torch is missing its own tests are not collected; all others run without it."""

from __future__ import annotations

import importlib.util
import os
from typing import Any

import pytest
from hypothesis import settings

HAS_TORCH = importlib.util.find_spec("torch") is not None
FULL = os.environ.get("FLASH_MLA_PYTHON_FULL") == "1"

# tools/test draws the same cases each time, tools/test --full others each time; nothing is written to the tree.
settings.register_profile("repository", database=None, derandomize=not FULL, print_blob=True)
settings.load_profile("repository")

NEED_TORCH = ["bench", "couplets", "torch", "transformers", "transformers_planted"]
collect_ignore = [] if HAS_TORCH else [f"test_{name}.py" for name in NEED_TORCH]
if "FLASH_MLA_CUDA_DRIVER" not in os.environ:
    collect_ignore.append("test_cuda.py")


@pytest.fixture(params=["numpy", "torch"] if HAS_TORCH else ["numpy"])
def arrays(request: pytest.FixtureRequest) -> Any:
    """Turns NumPy arrays into the kind of array under test."""
    if request.param == "numpy":
        return lambda array: array
    from support import to_torch

    return to_torch

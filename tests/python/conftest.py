"""Where torch is missing its own tests are not collected; all others run without it."""

from __future__ import annotations

import importlib.util
import os
from typing import Any

import pytest

HAS_TORCH = importlib.util.find_spec("torch") is not None
FULL = os.environ.get("FLASH_MLA_PYTHON_FULL") == "1"

collect_ignore = [] if HAS_TORCH else ["test_torch.py"]


@pytest.fixture(params=["numpy", "torch"] if HAS_TORCH else ["numpy"])
def arrays(request: pytest.FixtureRequest) -> Any:
    """Turns NumPy arrays into the kind of array under test."""
    if request.param == "numpy":
        return lambda array: array
    from support import to_torch

    return to_torch

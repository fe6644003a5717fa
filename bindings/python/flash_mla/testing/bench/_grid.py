"""What is timed: FlashMLA's benchmark grids, and shapes of one to 32 sequences for processors."""

from __future__ import annotations

import itertools

from flash_mla.testing.bench._case import Shape


def flashmla(batch: int) -> list[Shape]:
    """tests/test_flash_mla_dense_decoding.py since 2026. Its 16 cases are 12: a mask says nothing for one query."""
    lengths = (4096, 8192, 16384, 32768)
    cases = itertools.product(lengths, ((1, False), (2, False), (2, True)))
    return [Shape(batch, s_k, 128, s_q, True, causal) for s_k, (s_q, causal) in cases]


def flashmla_2025(batch: int) -> list[Shape]:
    """tests/test_flash_mla.py of April 2025: 8 to 1 GPUs' share of 128 heads, 48 cases."""
    cases = itertools.product((4096, 8192, 16384), (16, 32, 64, 128), (1, 2), (False, True))
    return [Shape(batch, s_k, heads, s_q, varlen, s_q > 1) for s_k, heads, s_q, varlen in cases]


def cpu(_: int) -> list[Shape]:
    sizes = [(1, 1024), (1, 4096), (1, 16384), (32, 1024)]
    return [Shape(batch, s_k, heads) for (batch, s_k), heads in itertools.product(sizes, (16, 128))]


def quick(_: int) -> list[Shape]:
    """For tests."""
    return [Shape(1, 256, 16), Shape(3, 200, 16, s_q=2, varlen=True, causal=True)]


GRIDS = {"flashmla": flashmla, "flashmla-2025": flashmla_2025, "cpu": cpu, "quick": quick}

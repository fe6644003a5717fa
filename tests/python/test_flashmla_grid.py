"""FlashMLA's own dense decoding tests: its grid, data, poisoning and bars."""

from __future__ import annotations

import itertools

import pytest
from conftest import FULL
from support import draw, judge_flashmla

import flash_mla

HEADS = [(h_q, h_kv) for h_q in (1, 3, 9, 63, 64, 126, 128) for h_kv in (1, 2, 3, 8) if h_q % h_kv == 0]
GRID = [
    (b, s_q, s_k, h_q, h_kv, varlen, causal, False)
    for b, s_q, s_k, (h_q, h_kv), varlen, causal in itertools.product(
        (1, 2, 6, 64), (1, 2, 4), (20, 140, 4096), HEADS, (False, True), (False, True)
    )
]
CORNERS = [(128, 2, 4096, h_q, h_kv, True, causal, True) for h_q, h_kv in HEADS for causal in (False, True)]
KEYS = 60_000  # x heads x query tokens: what a case of the short run may cost


def cost(case: tuple) -> int:
    b, s_q, s_k, h_q, *_ = case
    return b * s_q * s_k * h_q


CASES = GRID + CORNERS if FULL else [case for case in GRID if cost(case) < KEYS * 32][::11]


def test_the_grid_is_theirs() -> None:
    assert (len(GRID), len(CORNERS)) == (2304, 32)


@pytest.mark.parametrize("case", CASES, ids=str)
def test_case(case: tuple) -> None:
    b, s_q, s_k, h_q, h_kv, varlen, causal, zero_lengths = case
    batch = draw(
        hash(case) % 2**32, b=b, s_q=s_q, s_k=s_k, h_q=h_q, h_kv=h_kv, varlen=varlen, zero_lengths=zero_lengths
    )
    schedule, num_splits = flash_mla.get_mla_metadata()
    for _ in range(2):  # fills the schedule, then reuses it
        out, lse = flash_mla.flash_mla_with_kvcache(
            batch.q, batch.k_cache, batch.page_table, batch.seqlens, 512, schedule, num_splits, causal=causal
        )
        judge_flashmla(batch, causal, out, lse)

"""The judge of the other tests catches what it is there for."""

from __future__ import annotations

import numpy as np
import pytest
from support import draw, expected, judge_flashmla

import flash_mla


def results(batch, **changed):
    arrays = {"q": batch.q, "k_cache": batch.k_cache, "table": batch.page_table, "lengths": batch.seqlens, **changed}
    schedule, _ = flash_mla.get_mla_metadata()
    return flash_mla.flash_mla_with_kvcache(
        arrays["q"],
        arrays["k_cache"],
        arrays["table"],
        arrays["lengths"],
        512,
        schedule,
        softmax_scale=arrays.get("scale"),
        causal=arrays.get("causal", True),
    )


@pytest.fixture
def batch():
    return draw(7, b=3, s_q=2, s_k=200, h_q=16)


def test_nothing_planted(batch) -> None:
    judge_flashmla(batch, True, *results(batch))


def dropped_token(batch):
    return results(batch, lengths=batch.seqlens - 1)


def wrong_page(batch):
    table = batch.page_table.copy()
    table[1, 0] = table[1, 1]
    return results(batch, table=table)


def wrong_scale(batch):
    return results(batch, scale=0.05)


def no_mask(batch):
    return results(batch, causal=False)


def zero_output(batch):
    out, lse = results(batch)
    return np.zeros_like(out), lse


def swapped_sequences(batch):
    out, lse = results(batch)
    return out[[1, 0, 2]], lse


def half_a_row(batch):
    out, lse = results(batch)
    out[2, 1, 3, 256:] = 0
    return out, lse


def base_two_lse(batch):
    out, lse = results(batch)
    return out, lse / np.float32(np.log(2))


def nan_in_out(batch):
    out, lse = results(batch)
    out[0, 0, 0, 0] = np.nan
    return out, lse


@pytest.mark.parametrize(
    "defect",
    [
        dropped_token,
        wrong_page,
        wrong_scale,
        no_mask,
        zero_output,
        swapped_sequences,
        half_a_row,
        base_two_lse,
        nan_in_out,
    ],
)
def test_is_caught(batch, defect) -> None:
    with pytest.raises(AssertionError):
        judge_flashmla(batch, True, *defect(batch))


def test_minus_inf_of_empty_rows_is_caught() -> None:
    batch = draw(8, b=4, s_k=100, h_q=4, zero_lengths=True)
    assert (batch.seqlens == 0).any() and np.isposinf(expected(batch, False)[1]).any()
    out, lse = results(batch, causal=False)
    judge_flashmla(batch, False, out, lse)
    with pytest.raises(AssertionError):
        judge_flashmla(batch, False, out, np.where(np.isposinf(lse), -np.inf, lse))

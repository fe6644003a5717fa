"""Batches as FlashMLA's own tests draw them, and its bars."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import ml_dtypes
import numpy as np

ABSURD_PAGE = 2147480000  # in page-table entries that nothing may read
DTYPES = {"bfloat16": ml_dtypes.bfloat16, "float16": np.float16, "float32": np.float32}


@dataclass
class Batch:
    q: Any
    k_cache: Any
    page_table: Any
    seqlens: Any
    d_v: int
    keys: list[Any]  # [s_k, h_kv, d] of each sequence, float32


def spread(array: np.ndarray, slack: int = 3) -> np.ndarray:
    """The same values with gaps on every axis but the last."""
    shape = tuple(extent + slack for extent in array.shape[:-1]) + (array.shape[-1] + 8,)
    larger = np.zeros(shape, array.dtype)
    view = larger[tuple(slice(0, extent) for extent in array.shape)]
    view[...] = array
    return view


def draw(
    seed: int,
    *,
    b: int,
    s_q: int = 1,
    s_k: int,
    h_q: int,
    h_kv: int = 1,
    d: int = 576,
    d_v: int = 512,
    page: int = 64,
    dtype: str = "bfloat16",
    varlen: bool = False,
    zero_lengths: bool = False,
    gaps: bool = True,
) -> Batch:
    """Random rows in shuffled pages. Memory that is not live holds NaN, page-table entries that are not live an absurd
    page."""
    rng = np.random.default_rng(seed)
    lengths = np.full(b, s_k)
    if varlen:
        lengths = np.maximum(rng.normal(s_k, s_k / 2, b).astype(int), s_q)
    if zero_lengths:
        lengths[rng.random(b) < 0.5] = 0
    pages = -(-lengths // page)
    num_pages = int(pages.sum()) + 3
    element = DTYPES[dtype]

    def normal(*shape: int) -> np.ndarray:
        return np.clip(rng.standard_normal(shape, np.float32) / 10, -1, 1).astype(element)

    k_cache = np.full((num_pages, page, h_kv, d), np.nan, element)
    page_table = np.full((b, max(1, int(pages.max(initial=0)) + 2)), ABSURD_PAGE, np.int32)
    free = rng.permutation(num_pages)
    keys, used = [], 0
    for i in range(b):
        own = free[used : used + pages[i]]
        used += pages[i]
        page_table[i, : pages[i]] = own
        rows = normal(int(lengths[i]), h_kv, d)
        for j, index in enumerate(own):
            piece = rows[j * page : (j + 1) * page]
            k_cache[index, : len(piece)] = piece
        keys.append(rows.astype(np.float32))
    q = normal(b, s_q, h_q, d)
    if gaps:
        q, k_cache = spread(q), spread(k_cache, 1)
    return Batch(q, k_cache, page_table, lengths.astype(np.int32), d_v, keys)


def expected(batch: Batch, causal: bool, scale: float | None = None) -> tuple[np.ndarray, np.ndarray]:
    """FlashMLA's reference: float32, sequence by sequence; out rounded to q's type, empty rows (0, +inf)."""
    b, s_q, h_q, d = batch.q.shape
    scale = d**-0.5 if scale is None else scale
    out = np.zeros((b, s_q, h_q, batch.d_v), np.float32)
    lse = np.full((b, h_q, s_q), np.inf, np.float32)
    q = batch.q.astype(np.float32)
    for i, keys in enumerate(batch.keys):
        s_k, h_kv, _ = keys.shape
        group = h_q // h_kv
        for head in range(h_kv if s_k else 0):
            rows = q[i, :, head * group : (head + 1) * group]  # [s_q, group, d]
            scores = (rows.reshape(-1, d) @ keys[:, head].T * scale).reshape(s_q, group, s_k)
            if causal and s_q > 1:
                last = s_k - (s_q - 1 - np.arange(s_q))
                hidden = np.arange(s_k)[None, None, :] >= last[:, None, None]
                scores = np.where(hidden, -np.inf, scores)
            top = scores.max(-1, keepdims=True)
            safe = np.where(np.isfinite(top), top, 0)
            weights = np.exp(scores - safe)
            total = weights.sum(-1, keepdims=True)
            seen = total[..., 0] > 0
            values = keys[:, head, : batch.d_v]
            rows_out = (weights.reshape(-1, s_k) @ values).reshape(s_q, group, -1) / np.where(total > 0, total, 1)
            out[i, :, head * group : (head + 1) * group] = rows_out
            rows_lse = np.where(seen, np.log(np.where(seen, total[..., 0], 1)) + safe[..., 0], np.inf)
            lse[i, head * group : (head + 1) * group] = rows_lse.T
    return out.astype(batch.q.dtype).astype(np.float32), lse


def as_float32(array: Any) -> np.ndarray:
    if hasattr(array, "new_empty"):
        array = array.float().numpy()
    return np.asarray(array).astype(np.float32)


def judge(name: str, have: Any, want: np.ndarray, absolute: float, relative: float, cosine: float) -> None:
    """FlashMLA's check: anomalies in the same places, each element within one bar, and the direction of each row."""
    have = as_float32(have)
    assert have.shape == want.shape, f"{name}: shape {have.shape}, expected {want.shape}"
    for kind in (np.isnan, np.isposinf, np.isneginf):
        assert (kind(have) == kind(want)).all(), f"{name}: {kind.__name__} in other places"
    finite = np.isfinite(want)
    have, want = np.where(finite, have, 0).astype(np.float64), np.where(finite, want, 0).astype(np.float64)
    error = np.abs(have - want)
    bad = (error > absolute) & (error / (np.abs(want) + 1e-6) > relative)
    assert not bad.any(), f"{name}: {bad.sum()} elements off, worst by {error[bad].max()}"
    squares = (want * want).sum(-1)
    distance = np.where(
        squares < 1e-12, 0, 1 - 2 * (have * want).sum(-1) / np.maximum((have**2 + want**2).sum(-1), 1e-300)
    )
    assert distance.max(initial=0) < cosine, f"{name}: cosine distance {distance.max()}"


def judge_flashmla(batch: Batch, causal: bool, out: Any, lse: Any) -> None:
    want_out, want_lse = expected(batch, causal)
    judge("out", out, want_out, 8e-4, 2.01 / 128, 5e-6)
    judge("lse", lse, want_lse, 1e-6, 8.01 / 65536, 1e-7)


def to_torch(array: np.ndarray) -> Any:
    """The same memory as a torch tensor."""
    import torch

    if array.dtype == ml_dtypes.bfloat16:
        return torch.from_numpy(array.view(np.uint16)).view(torch.bfloat16)
    return torch.from_numpy(array)

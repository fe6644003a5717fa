"""A decode problem: one KV head, a paged latent cache, and what the right answer is."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import Any

import numpy as np

Array = np.ndarray[Any, np.dtype[Any]]

D, D_V = 576, 512
UNCACHED_BYTES = 256 << 20
CHECKED_SCORES = 1 << 24  # of a case, in float64: seconds
CHECKED_ROWS = 4  # of each sequence, at least


@dataclass(frozen=True)
class Shape:
    batch: int
    s_k: int  # mean length where they vary
    heads: int
    s_q: int = 1
    varlen: bool = False
    causal: bool = False
    page_size: int = 64

    @functools.cached_property
    def lengths(self) -> Array:
        """[b] int32; drawn as FlashMLA's benchmark draws them, in the same proportions for every s_k."""
        if not self.varlen:
            return np.full(self.batch, self.s_k, np.int32)
        drawn = self.s_k * np.random.default_rng(0).normal(1, 0.5, self.batch)
        return np.maximum(drawn, self.s_q).astype(np.int32)

    @property
    def flop(self) -> int:
        """As FlashMLA counts it: a causal mask takes nothing off."""
        return 2 * self.heads * self.s_q * int(self.lengths.sum()) * (D + D_V)

    @property
    def kv_bytes(self) -> int:
        return int(self.lengths.sum()) * D * 2

    @property
    def bytes(self) -> int:
        return self.kv_bytes + self.batch * self.s_q * self.heads * (D + D_V) * 2

    def __str__(self) -> str:
        lengths = f"~{self.lengths.mean():.0f}" if self.varlen else f"{self.s_k}"
        queries = "" if self.s_q == 1 else f", {self.s_q} queries{', causal' if self.causal else ''}"
        return f"{self.batch} x {lengths}, {self.heads} heads{queries}"


def to_bfloat16(x: Array) -> Array:
    """float32 to the bits of bfloat16, rounded to nearest even."""
    bits = np.ascontiguousarray(x, np.float32).view(np.uint32)
    return ((bits + 0x7FFF + ((bits >> 16) & 1)) >> 16).astype(np.uint16)


def from_bfloat16(bits: Array) -> Array:
    return (bits.astype(np.uint32) << 16).view(np.float32)


class Case:
    """`copies` KV caches that take turns, so that each is in no cache when its turn comes."""

    scale = D**-0.5

    def __init__(self, shape: Shape, seed: int = 1) -> None:
        self.shape = shape
        self.copies = -(-UNCACHED_BYTES // shape.kv_bytes)
        self._random = np.random.default_rng(seed)
        pages = -(-shape.lengths // shape.page_size)
        total = self.copies * int(pages.sum())
        # One block of deviates, repeated with a shift: drawing them all would take longer than the timing.
        block = to_bfloat16(self._random.standard_normal(1 << 22, np.float32))
        self.kv: Array = np.resize(block[: (1 << 22) - 7], (total, shape.page_size, D))
        q = self._random.standard_normal((shape.batch, shape.s_q, shape.heads, D), np.float32)
        self.q = to_bfloat16(q)
        self.page_tables: Array = np.full((self.copies, shape.batch, int(pages.max())), -1, np.int32)
        live = np.arange(int(pages.max())) < pages[:, None]
        self.page_tables[:, live] = self._random.permutation(total).reshape(self.copies, -1)

    def rows(self, copy: int, sequence: int) -> Array:
        """[s_k, D] bits of one sequence's keys, in order."""
        length = int(self.shape.lengths[sequence])
        table = self.page_tables[copy, sequence, : -(-length // self.shape.page_size)]
        return self.kv[table].reshape(-1, D)[:length]

    def visible(self, sequence: int, query: Array) -> Array:
        """How many keys the queries (numbers from 0 to s_q - 1) of a sequence see."""
        length = int(self.shape.lengths[sequence])
        return length - (self.shape.s_q - 1 - query) if self.shape.causal else np.full(len(query), length)

    def cosine_distance(self, out: Array, copy: int) -> float:
        """The worst of rows of `out` [b, s_q, heads, D_V] from every sequence, against float64; all of them if few."""
        shape, worst = self.shape, 0.0
        num_rows = shape.s_q * shape.heads
        checked = min(num_rows, max(CHECKED_ROWS, CHECKED_SCORES // int(shape.lengths.sum())))
        for i in range(shape.batch):
            rows = np.sort(self._random.choice(num_rows, checked, replace=False))
            have = out[i].reshape(num_rows, D_V)[rows].astype(np.float64)
            want = self._expected(i, rows, copy)
            norms = np.linalg.norm(have, axis=1) * np.linalg.norm(want, axis=1)
            with np.errstate(invalid="ignore"):  # zeros, NaN: as far away as can be
                distances = 1 - np.sum(have * want, axis=1) / norms
            worst = max(worst, float(np.max(np.where(np.isfinite(distances), distances, np.inf))))
        return worst

    def _expected(self, sequence: int, rows: Array, copy: int) -> Array:
        keys = from_bfloat16(self.rows(copy, sequence)).astype(np.float64)
        queries = from_bfloat16(self.q[sequence]).astype(np.float64).reshape(-1, D)[rows]
        scores = queries @ keys.T * self.scale
        hidden = np.arange(len(keys)) >= self.visible(sequence, rows // self.shape.heads)[:, None]
        scores[hidden] = -np.inf
        weights = np.exp(scores - scores.max(axis=1, keepdims=True))
        expected: Array = weights @ keys[:, :D_V] / weights.sum(axis=1, keepdims=True)
        return expected

"""A decode problem: one KV head, a paged latent cache, and what the right answer is."""

import dataclasses

import numpy as np

D, D_V, PAGE = 576, 512, 16  # vLLM's CPU kernel knows no other page size
UNCACHED_BYTES = 256 << 20


@dataclasses.dataclass(frozen=True)
class Shape:
    batch: int
    s_k: int
    heads: int

    @property
    def flop(self):
        return 2 * self.batch * self.heads * self.s_k * (D + D_V)

    @property
    def kv_bytes(self):
        return self.batch * self.s_k * D * 2

    def __str__(self):
        return f"{self.batch} x {self.s_k}, {self.heads} heads"


def to_bfloat16(x):
    """float32 to the bits of bfloat16, rounded to nearest even."""
    bits = np.ascontiguousarray(x, np.float32).view(np.uint32)
    return ((bits + 0x7FFF + ((bits >> 16) & 1)) >> 16).astype(np.uint16)


def from_bfloat16(bits):
    return (bits.astype(np.uint32) << 16).view(np.float32)


class Case:
    """`copies` KV caches that take turns, so that each is in no cache when its turn comes."""

    scale = D**-0.5

    def __init__(self, shape, seed=1):
        self.shape = shape
        self.copies = max(2, -(-UNCACHED_BYTES // shape.kv_bytes))
        random = np.random.default_rng(seed)
        pages = self.copies * shape.batch * shape.s_k // PAGE
        # One block of deviates, repeated with a shift: drawing them all would take longer than the timing.
        block = to_bfloat16(random.standard_normal(1 << 22, np.float32))
        self.kv = np.resize(block[: (1 << 22) - 7], (pages, PAGE, D))
        self.q = to_bfloat16(random.standard_normal((shape.batch, shape.heads, D), np.float32))
        order = random.permutation(pages).astype(np.int32)
        self.page_tables = order.reshape(self.copies, shape.batch, shape.s_k // PAGE)

    def rows(self, copy, sequence):
        """[s_k, D] bits of one sequence's keys, in order."""
        return self.kv[self.page_tables[copy, sequence]].reshape(self.shape.s_k, D)

    def reference(self, copy):
        """[b, h, D_V] float64."""
        out = np.empty((self.shape.batch, self.shape.heads, D_V))
        for i in range(self.shape.batch):
            keys = from_bfloat16(self.rows(copy, i)).astype(np.float64)
            scores = from_bfloat16(self.q[i]).astype(np.float64) @ keys.T * self.scale
            weights = np.exp(scores - scores.max(axis=1, keepdims=True))
            out[i] = weights @ keys[:, :D_V] / weights.sum(axis=1, keepdims=True)
        return out

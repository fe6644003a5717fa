"""torch's scaled_dot_product_attention. It knows no pages, so it gets keys that lie in order."""

from __future__ import annotations

import numpy as np
import torch

from flash_mla.testing.bench._case import D, D_V, Array, Case


def tensor(bits: Array) -> torch.Tensor:
    return torch.from_numpy(bits.view(np.int16)).view(torch.bfloat16)


class Torch:
    name = "torch SDPA"
    version = str(torch.__version__)

    def prepare(self, case: Case, threads: int) -> None:
        torch.set_num_threads(threads)
        shape = case.shape
        self.scale = case.scale
        self.shape = (shape.batch, shape.s_q, shape.heads, D_V)
        # The query heads of the one KV head are its query tokens: no head is repeated.
        q = tensor(case.q).reshape(shape.batch, 1, -1, D)
        sequences = range(shape.batch)
        # Sequences of one length in one call, others in a call each: padding would cost more.
        self.calls = [[i] for i in sequences] if shape.varlen else [list(sequences)]
        self.q = [q[call] for call in self.calls]
        self.kv = [
            [tensor(np.stack([case.rows(copy, i) for i in call]))[:, None] for call in self.calls]
            for copy in range(case.copies)
        ]
        self.masks: list[torch.Tensor | None] = [None] * len(self.calls)
        if shape.causal:
            query = np.arange(shape.s_q * shape.heads) // shape.heads
            self.masks = [
                torch.from_numpy(np.arange(int(shape.lengths[call[0]])) < case.visible(call[0], query)[:, None])
                for call in self.calls
            ]

    def run(self, copy: int) -> None:
        attention = torch.nn.functional.scaled_dot_product_attention
        self.out = [
            attention(q, kv, kv[..., :D_V], attn_mask=mask, scale=self.scale)
            for q, kv, mask in zip(self.q, self.kv[copy], self.masks, strict=True)
        ]

    def result(self) -> Array:
        out: Array = torch.cat(self.out).float().reshape(self.shape).numpy()
        return out

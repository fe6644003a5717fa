"""This library, through its Python package."""

from __future__ import annotations

import ml_dtypes
import numpy as np

import flash_mla
from flash_mla.testing.bench._case import D_V, Array, Case


class FlashMla:
    version = flash_mla.__version__

    def __init__(self, backend: str | None = None) -> None:
        self.backend = backend
        self.name = f"flash_mla ({backend})" if backend else "flash_mla"

    def prepare(self, case: Case, threads: int) -> None:
        shape = case.shape
        self.seqlens, self.tables = shape.lengths, case.page_tables
        self.q = case.q.view(ml_dtypes.bfloat16)
        self.kv = case.kv.view(ml_dtypes.bfloat16)[:, :, None]
        self.plan = flash_mla.plan(
            self.seqlens,
            h_q=shape.heads,
            s_q=shape.s_q,
            page_size=shape.page_size,
            causal=shape.causal,
            num_workers=threads,
            backend=self.backend,
        )
        self.workspace = flash_mla.empty_workspace(self.plan)
        self.out = np.zeros((*case.q.shape[:-1], D_V), ml_dtypes.bfloat16)

    def run(self, copy: int) -> None:
        flash_mla.decode(
            self.plan,
            self.q,
            self.kv,
            self.tables[copy],
            self.seqlens,
            out=self.out,
            return_lse=False,
            workspace=self.workspace,
        )

    def result(self) -> Array:
        return self.out.astype(np.float32)

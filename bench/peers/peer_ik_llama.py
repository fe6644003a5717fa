"""ik_llama.cpp's flash attention over an f16 cache, through the libggml of its Python wheel (compiled for AVX2)."""

import ctypes
import importlib.metadata
import importlib.util
import pathlib

import numpy as np

from case import D, D_V, from_bfloat16

F32, F16 = 0, 1


class InitParams(ctypes.Structure):
    _fields_ = [("mem_size", ctypes.c_size_t), ("mem_buffer", ctypes.c_void_p), ("no_alloc", ctypes.c_bool)]


class IkLlama:
    name = "ik_llama.cpp f16 (AVX2 wheel)"

    def __init__(self):
        package = importlib.util.find_spec("ik_llama_cpp") or importlib.util.find_spec("llama_cpp")
        folder = pathlib.Path(package.submodule_search_locations[0])
        self.ggml = ctypes.CDLL(str(next(folder.rglob("libggml.so*"))))
        self.version = importlib.metadata.version("ik-llama-cpp-python")
        pointer, int64 = ctypes.c_void_p, ctypes.c_int64
        for name, arguments in {
            "ggml_init": [InitParams],
            "ggml_new_tensor_4d": [pointer, ctypes.c_int, int64, int64, int64, int64],
            "ggml_view_4d": [pointer, pointer, int64, int64, int64, int64] + [ctypes.c_size_t] * 4,
            "ggml_flash_attn_ext": [pointer] * 5 + [ctypes.c_float] * 3,
            "ggml_new_graph": [pointer],
            "ggml_get_data": [pointer],
        }.items():
            function = getattr(self.ggml, name)
            function.argtypes, function.restype = arguments, pointer
        self.ggml.ggml_build_forward_expand.argtypes = [pointer, pointer]
        self.ggml.ggml_graph_compute_with_ctx.argtypes = [pointer, pointer, ctypes.c_int]
        self.ggml.ggml_free.argtypes = [pointer]

    def prepare(self, case, threads):
        shape, ggml = case.shape, self.ggml
        if shape.batch != 1:
            raise NotImplementedError("one sequence a call")
        self.threads, self.heads = threads, shape.heads
        room = (case.copies * shape.s_k * D * 2) + case.copies * shape.heads * (D + 4 * D_V) * 4 + (256 << 20)
        self.context = ggml.ggml_init(InitParams(room, None, False))
        self.graphs, self.outputs = [], []
        q = ggml.ggml_new_tensor_4d(self.context, F32, D, 1, shape.heads, 1)
        self.fill(q, from_bfloat16(case.q[0]))
        mask = ggml.ggml_new_tensor_4d(self.context, F16, shape.s_k, 32, 1, 1)
        self.fill(mask, np.zeros((32, shape.s_k), np.float16))
        for copy in range(case.copies):
            k = ggml.ggml_new_tensor_4d(self.context, F16, D, shape.s_k, 1, 1)
            self.fill(k, from_bfloat16(case.rows(copy, 0)).astype(np.float16))
            row, whole = 2 * D, 2 * D * shape.s_k
            v = ggml.ggml_view_4d(self.context, k, D_V, shape.s_k, 1, 1, row, whole, whole, 0)
            out = ggml.ggml_flash_attn_ext(self.context, q, k, v, mask, case.scale, 0.0, 0.0)
            graph = ggml.ggml_new_graph(self.context)
            ggml.ggml_build_forward_expand(graph, out)
            self.graphs.append(graph)
            self.outputs.append(out)

    def fill(self, tensor, array):
        array = np.ascontiguousarray(array)
        ctypes.memmove(self.ggml.ggml_get_data(tensor), array.ctypes.data, array.nbytes)

    def run(self, copy):
        self.last = copy
        self.ggml.ggml_graph_compute_with_ctx(self.context, self.graphs[copy], self.threads)

    def result(self):
        data = ctypes.cast(self.ggml.ggml_get_data(self.outputs[self.last]), ctypes.POINTER(ctypes.c_float))
        return np.ctypeslib.as_array(data, (1, self.heads, D_V)).copy()

    def release(self):
        self.ggml.ggml_free(self.context)

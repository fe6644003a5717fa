"""This library, through its C API."""

import ctypes

import numpy as np

from case import D, D_V, PAGE

BFLOAT16, INT32 = 1, 3


class Tensor(ctypes.Structure):
    _fields_ = [
        ("data", ctypes.c_void_p),
        ("dtype", ctypes.c_int32),
        ("rank", ctypes.c_int32),
        ("shape", ctypes.c_int64 * 4),
        ("strides", ctypes.c_int64 * 4),
    ]

    @classmethod
    def of(cls, array, dtype, shape):
        strides = [int(np.prod(shape[i + 1 :])) for i in range(len(shape))]
        pad = [0] * (4 - len(shape))
        int64s = ctypes.c_int64 * 4
        return cls(array.ctypes.data, dtype, len(shape), int64s(*shape, *pad), int64s(*strides, *pad))


class Mask(ctypes.Structure):
    _fields_ = [("causal", ctypes.c_int32), ("window", ctypes.c_int64), ("sinks", ctypes.c_int64)]


class PlanSpec(ctypes.Structure):
    _fields_ = [
        ("dtype", ctypes.c_int32),
        ("out_dtype", ctypes.c_int32),
        ("batch", ctypes.c_int64),
        ("s_q", ctypes.c_int64),
        ("h_q", ctypes.c_int64),
        ("h_kv", ctypes.c_int64),
        ("d", ctypes.c_int64),
        ("d_v", ctypes.c_int64),
        ("page_size", ctypes.c_int64),
        ("separate_v", ctypes.c_int32),
        ("mode", ctypes.c_int32),
        ("seqlens", ctypes.c_void_p),
        ("cu_seqlens_q", ctypes.c_void_p),
        ("mask", Mask),
        ("num_workers", ctypes.c_int32),
        ("backend", ctypes.c_char_p),
    ]


class DecodeArgs(ctypes.Structure):
    _fields_ = [
        ("q", Tensor),
        ("k_cache", Tensor),
        ("v_cache", Tensor),
        ("page_table", Tensor),
        ("seqlens", Tensor),
        ("cu_seqlens_q", Tensor),
        ("out", Tensor),
        ("lse", Tensor),
        ("scale", ctypes.c_void_p),
        ("workspace", ctypes.c_void_p),
        ("workspace_size", ctypes.c_size_t),
        ("executor", ctypes.c_void_p),
    ]


class FlashMla:
    def __init__(self, build, backend=None):
        self.library = ctypes.CDLL(f"{build}/src/libflash_mla.so")
        self.library.flash_mla_last_error.restype = ctypes.c_char_p
        self.library.flash_mla_version.restype = ctypes.c_char_p
        self.library.flash_mla_plan_backend.restype = ctypes.c_char_p
        self.library.flash_mla_plan_workspace_size.restype = ctypes.c_size_t
        self.backend = backend
        self.name = f"flash_mla ({backend})" if backend else "flash_mla"
        self.version = self.library.flash_mla_version().decode()

    def check(self, status):
        if status != 0:
            raise RuntimeError(self.library.flash_mla_last_error().decode())

    def prepare(self, case, threads):
        shape = case.shape
        self.case = case
        self.seqlens = np.full(shape.batch, shape.s_k, np.int32)
        spec = PlanSpec()
        self.library.flash_mla_plan_spec_init(ctypes.byref(spec))
        spec.batch, spec.h_q, spec.page_size, spec.num_workers = shape.batch, shape.heads, PAGE, threads
        spec.seqlens = self.seqlens.ctypes.data
        spec.backend = self.backend.encode() if self.backend else None
        self.plan = ctypes.c_void_p()
        self.check(self.library.flash_mla_plan_create(ctypes.byref(spec), ctypes.byref(self.plan)))
        size = self.library.flash_mla_plan_workspace_size(self.plan)
        self.memory = np.empty(size + 64, np.uint8)
        self.out = np.zeros((shape.batch, shape.heads, D_V), np.uint16)
        args = self.args = DecodeArgs()
        args.q = Tensor.of(case.q, BFLOAT16, (shape.batch, 1, shape.heads, D))
        args.k_cache = Tensor.of(case.kv, BFLOAT16, (len(case.kv), PAGE, 1, D))
        args.seqlens = Tensor.of(self.seqlens, INT32, (shape.batch,))
        args.out = Tensor.of(self.out, BFLOAT16, (shape.batch, 1, shape.heads, D_V))
        args.workspace = -(-self.memory.ctypes.data // 64) * 64
        args.workspace_size = size
        self.tables = [Tensor.of(table, INT32, table.shape) for table in case.page_tables]

    def run(self, copy):
        self.args.page_table = self.tables[copy]
        self.check(self.library.flash_mla_decode(self.plan, ctypes.byref(self.args)))

    def result(self):
        return (self.out.astype(np.uint32) << 16).view(np.float32)

    def release(self):
        self.library.flash_mla_plan_destroy(self.plan)

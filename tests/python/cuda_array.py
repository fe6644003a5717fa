"""Arrays in a CUDA device's memory, for tests: neither torch nor the CUDA runtime, only the driver and DLPack."""

from __future__ import annotations

import ctypes
import math
import os
from types import SimpleNamespace
from typing import Any

import ml_dtypes
import numpy as np

driver = ctypes.CDLL(os.environ["FLASH_MLA_CUDA_DRIVER"])
CODES = {"float16": (2, 16), "float32": (2, 32), "bfloat16": (4, 16), "int32": (0, 32), "int64": (0, 64), "uint8": (1, 8)}


def call(name: str, *arguments: Any) -> None:
    status = getattr(driver, name)(*arguments)
    assert status == 0, f"{name}: {status}"


def use_device() -> None:
    """Makes device 0 the thread's current one."""
    context, device = ctypes.c_void_p(), ctypes.c_int()
    call("cuInit", 0)
    call("cuDeviceGet", ctypes.byref(device), 0)
    call("cuDevicePrimaryCtxRetain", ctypes.byref(context), device)
    call("cuCtxSetCurrent", context)


def new_stream() -> int:
    stream = ctypes.c_void_p()
    call("cuStreamCreate", ctypes.byref(stream), 0)
    assert stream.value is not None
    return stream.value


class _Tensor(ctypes.Structure):
    _fields_ = [
        ("data", ctypes.c_uint64),
        ("device_type", ctypes.c_int32),
        ("device_index", ctypes.c_int32),
        ("ndim", ctypes.c_int32),
        ("code", ctypes.c_uint8),
        ("bits", ctypes.c_uint8),
        ("lanes", ctypes.c_uint16),
        ("shape", ctypes.POINTER(ctypes.c_int64)),
        ("strides", ctypes.POINTER(ctypes.c_int64)),
        ("byte_offset", ctypes.c_uint64),
        ("context", ctypes.c_void_p),
        ("deleter", ctypes.c_void_p),
    ]


_new_capsule = ctypes.pythonapi.PyCapsule_New
_new_capsule.restype = ctypes.py_object
_new_capsule.argtypes = [ctypes.c_void_p, ctypes.c_char_p, ctypes.c_void_p]


class CudaArray:
    """Row-major, on device 0 (or one that it only claims to be on). Not freed."""

    def __init__(self, shape: tuple[int, ...], dtype: str, device: int = 0) -> None:
        self.shape, self.dtype, self.device, self.address = shape, dtype, device, ctypes.c_uint64()
        self.streams: list[int] = []  # those that readers asked for
        self._bytes = max(1, math.prod(shape) * CODES[dtype][1] // 8)
        call("cuMemAlloc_v2", ctypes.byref(self.address), ctypes.c_size_t(self._bytes))
        self._extents = (ctypes.c_int64 * len(shape))(*shape)
        code, bits = CODES[dtype]
        self._tensor = _Tensor(self.address.value, 2, device, len(shape), code, bits, 1, self._extents, None, 0, None, None)

    def write(self, array: np.ndarray) -> CudaArray:
        dense = np.ascontiguousarray(array)
        assert dense.shape == self.shape and dense.dtype.name == self.dtype
        if dense.size:
            call("cuMemcpyHtoD_v2", self.address, ctypes.c_void_p(dense.ctypes.data), ctypes.c_size_t(dense.nbytes))
        return self

    def numpy(self) -> np.ndarray:
        array = np.empty(self.shape, ml_dtypes.bfloat16 if self.dtype == "bfloat16" else self.dtype)
        if array.size:
            call("cuMemcpyDtoH_v2", ctypes.c_void_p(array.ctypes.data), self.address, ctypes.c_size_t(array.nbytes))
        return array

    def __dlpack_device__(self) -> tuple[int, int]:
        return 2, self.device

    def __dlpack__(self, *, stream: int, max_version: tuple[int, int]) -> Any:
        self.streams.append(stream)
        return _new_capsule(ctypes.byref(self._tensor), b"dltensor", None)

    def __array_namespace__(self) -> Any:
        return SimpleNamespace(empty=CudaArray, **{name: name for name in CODES})


def on_device(array: np.ndarray) -> CudaArray:
    return CudaArray(array.shape, array.dtype.name).write(array)

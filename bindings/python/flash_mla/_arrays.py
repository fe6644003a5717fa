"""New arrays of the same kind as the caller's."""

from __future__ import annotations

from typing import Any

import numpy as np


def is_torch(array: Any) -> bool:
    """Whether `array` is a torch tensor; torch is not imported to find out."""
    return hasattr(array, "new_empty")


def is_on_cuda(array: Any) -> bool:
    """Whether `array` lies on a CUDA device."""
    if isinstance(array, np.ndarray):
        return False
    if is_torch(array):
        return bool(array.is_cuda)
    device = None if isinstance(array, type) else getattr(array, "__dlpack_device__", None)
    return device is not None and device()[0] == 2


_names: dict[Any, str] = {}  # asking NumPy for a dtype's name takes microseconds


def dtype_name(dtype: Any) -> str:
    """'bfloat16' of torch.bfloat16, ml_dtypes.bfloat16, numpy.dtype or a str."""
    if isinstance(dtype, str):
        return dtype
    try:
        name = _names.get(dtype)
    except TypeError:  # nothing that can be a key is a dtype
        return str(dtype)
    if name is None:
        name = (dtype.__name__ if isinstance(dtype, type) else str(dtype)).removeprefix("torch.")
        if len(_names) < 64:
            _names[dtype] = name
    return name


def dtype_of(array: Any, name: str) -> str:
    """The name of an array's element type. TypeError if it has none."""
    dtype = getattr(array, "dtype", None)
    if dtype is None or not hasattr(array, "shape"):
        raise TypeError(f"{name} is a {type(array).__name__}; expected an array")
    try:
        return dtype_name(dtype)
    except TypeError:  # no dtype that can be a key
        return str(dtype)


def new_empty(like: Any, shape: tuple[int, ...], dtype: str) -> Any:
    """An uninitialised array of `like`'s kind and device: torch's for a torch tensor, on a CUDA device one of the
    array's own library (by the array API standard), else NumPy's."""
    if is_torch(like):
        import torch

        return torch.empty(shape, dtype=getattr(torch, dtype), device=like.device)
    if is_on_cuda(like):
        if not hasattr(like, "__array_namespace__"):
            kind = type(like).__name__
            raise ValueError(f"q is a {kind} without __array_namespace__: new arrays cannot be made; give out= and lse=")
        library = like.__array_namespace__()
        element = like.dtype if dtype_of(like, "q") == dtype else getattr(library, dtype)
        return library.empty(shape, dtype=element, device=like.device)
    if dtype == "bfloat16":
        import ml_dtypes

        return np.empty(shape, ml_dtypes.bfloat16)
    return np.empty(shape, dtype)


def int32_array(lengths: Any, name: str) -> Any:
    """Lists and tuples of lengths as int32 arrays; arrays as they are."""
    if isinstance(lengths, (list, tuple)):
        try:
            return np.asarray(lengths, np.int32)
        except (OverflowError, TypeError, ValueError) as error:
            raise ValueError(f"{name} holds something else than 32-bit integers: {error}") from None
    return lengths

"""Values that are odd as arguments, for fuzz.py."""

from __future__ import annotations

import pathlib
from typing import Any

import numpy as np
from hypothesis import strategies as st


class OnCuda:
    """An array on a CUDA device, as DLPack tells it."""

    dtype, shape, device = "float32", (1,), (2, 0)

    def __dlpack_device__(self) -> Any:
        return self.device

    def __dlpack__(self, **_: Any) -> Any:
        raise RuntimeError("not for the CPU")


class OnRocm(OnCuda):
    device = (10, 0)


class Nowhere(OnCuda):
    device = "cpu"


class Broken(OnCuda):
    device = (1, 0)


class Pretender(Broken):
    def __dlpack__(self, **_: Any) -> Any:
        return "capsule"


class OwnError(Exception):
    """Of an argument's own methods: it may pass through."""


class Hostile:
    """Whatever is asked of it fails."""

    def __getattr__(self, name: str) -> Any:
        raise OwnError(name)

    def __index__(self) -> int:
        raise OwnError("index")

    def __len__(self) -> int:
        raise OwnError("len")


def arrays() -> list[np.ndarray]:
    several = np.arange(48, dtype=np.float32).reshape(2, 1, 1, 24)
    read_only = several.copy()
    read_only.flags.writeable = False
    return [
        several,
        read_only,
        several[..., ::-1],
        several[..., ::2],
        several.astype(np.float16),
        several.astype(">f4"),
        several.astype(np.float64),
        np.asfortranarray(several),
        np.zeros(0, np.float32),
        np.zeros((2, 0, 4, 24), np.float32),
        np.full((2, 1, 4, 24), np.nan, np.float32),
        np.float32(3),
        np.zeros((), np.int32),
        np.array([20, 20], np.int32),
        np.array([20, 20], np.int64),
        np.array([-1, 2**31 - 1], np.int32),
        np.array([2**62, -(2**62)], np.int64),
        np.zeros((1,) * 6, np.float32),
        np.broadcast_to(np.int32(1), (2**40,)),
        np.broadcast_to(np.int64(0), (2**40,)),
        np.broadcast_to(np.float32(0), (2**20, 2**20, 4, 24)),
        np.zeros((2, 5), np.int32),
        np.full((2, 5), 2147480000, np.int32),
        np.array([object(), None]),
        np.array(["a", "b"]),
        np.zeros(3, [("x", "f4")]),
        np.ma.masked_array([1, 2], dtype=np.int32),
    ]


ODD_VALUES: list[Any] = [
    None, True, False, 0, 1, -1, 3, 7, 64, 1025, 2**31 - 1, 2**31, 2**40, 2**63 - 1, 2**63, -(2**63), 2**70, 0.0, 0.5, -1.0,
    float("inf"), float("nan"), 1e300, 1e-46, 3j, "", "q", "bfloat16", "int8", "sm90", "scalar", "gpt2", "a/b.json",
    "\udcff", "a\0b", b"", b"q" * 96, bytearray(96), memoryview(b"q" * 96), (), [], {}, set(), [1, 2], [20, 20], (20.5, "x"),
    [2**40], [[1, 2], [3, 4]], [(1, 2), (3, 4)], {"a": 1}, {1: {2: 3}}, {"num_hidden_layers": -1}, object(), object, print,
    np, np.ndarray, np.float32, np.dtype("f4"), pathlib.Path("nowhere"), range(3), iter([1]), slice(1, 2), Ellipsis,
    NotImplemented, OnCuda(), OnRocm(), Nowhere(), Broken(), Pretender(), OnCuda, Hostile(), *arrays(),
]  # fmt: skip


def odd_values() -> st.SearchStrategy[Any]:
    dtypes = ["f4", "f2", "f8", "i4", "i8", "u1", "?", "c8", "U3", "O", ">f4", ">i4"]
    drawn_arrays = st.builds(
        lambda shape, dtype, order: np.zeros(shape, dtype, order),
        st.lists(st.integers(0, 4), max_size=6).map(tuple),
        st.sampled_from(dtypes),
        st.sampled_from("CF"),
    )
    int_arrays = st.lists(st.integers(-(2**31), 2**31 - 1), max_size=5).map(lambda values: np.array(values, np.int32))
    views = st.builds(
        lambda shape, strides: np.lib.stride_tricks.as_strided(np.zeros(4096, np.float32), shape, strides, writeable=False),
        st.lists(st.integers(0, 4), min_size=4, max_size=4),
        st.lists(st.sampled_from([0, 4, 8, 96, 6, 200]), min_size=4, max_size=4),
    )
    numbers = st.one_of(st.integers(-(2**70), 2**70), st.integers(-3, 40), st.floats())
    return st.one_of(
        st.sampled_from(ODD_VALUES),
        numbers,
        st.text(max_size=4),
        st.lists(numbers, max_size=4),
        st.dictionaries(st.text(max_size=3), numbers, max_size=3),
        drawn_arrays,
        int_arrays,
        views,
    )

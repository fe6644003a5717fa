"""Wrong arguments: an exception that names the argument, never a crash, nothing written."""

from __future__ import annotations

import numpy as np
import pytest
from fuzz_values import Broken, OnCuda, OnRocm, Pretender
from support import draw

import flash_mla

GOOD = {"h_q": 4, "h_kv": 1, "d": 24, "d_v": 16, "s_q": 1, "page_size": 8, "dtype": "float32"}


def small_batch():
    return draw(0, b=2, s_k=20, h_q=4, d=24, d_v=16, page=8, dtype="float32", gaps=False)


def decode_call():
    batch = small_batch()
    plan = flash_mla.plan(batch.seqlens, **GOOD)
    return {
        "plan": plan,
        "q": batch.q,
        "k_cache": batch.k_cache,
        "page_table": batch.page_table,
        "seqlens": batch.seqlens,
        "out": np.full((2, 1, 4, 16), 7, np.float32),
        "lse": np.full((2, 4, 1), 7, np.float32),
        "workspace": flash_mla.empty_workspace(plan),
    }


def read_only(array):
    array = array.copy()
    array.flags.writeable = False
    return array


DECODE = decode_call()


@pytest.mark.parametrize(
    ("name", "value", "error", "message"),
    [
        ("plan", None, TypeError, "plan is a NoneType; expected what flash_mla.plan"),
        ("q", "q", TypeError, "q is a str; expected an array"),
        ("q", b"q" * 96, TypeError, "q is a bytes; expected an array"),
        ("q", None, ValueError, "q is absent"),
        ("q", OnCuda(), ValueError, "q is on CUDA device 0; expected in the CPU's memory: the plan is for"),
        ("q", OnRocm(), NotImplementedError, "q is on a device of DLPack type 10; expected the CPU or CUDA"),
        ("q", Broken(), ValueError, "q cannot be read through DLPack: not for the CPU"),
        ("q", Pretender(), TypeError, "q is a Pretender; expected an array"),
        ("q", DECODE["q"].astype(np.float64), ValueError, "q has dtype float64; expected float32, bfloat16"),
        ("q", DECODE["q"].astype(">f4"), ValueError, "q has dtype >f4; expected float32"),
        ("q", DECODE["q"][0], ValueError, "q has rank 3; expected"),
        ("q", DECODE["q"][None], ValueError, "q has rank 5; expected at most 4"),
        ("q", DECODE["q"][..., ::-1], ValueError, "q has (last )?stride -1"),
        ("q", np.zeros((2, 1, 4, 48), np.float32)[..., ::2], ValueError, "q has last stride 2; expected 1"),
        ("k_cache", DECODE["k_cache"].astype(np.float16), ValueError, "k_cache has dtype float16; expected float32"),
        ("page_table", DECODE["page_table"].astype(np.int64), ValueError, "page_table has dtype int64; expected int32"),
        ("page_table", DECODE["page_table"][:, :1], ValueError, "page_table|seqlens"),
        ("page_table", np.full((2, 5), -1, np.int32), ValueError, r"page_table\[0, 0\] = -1"),
        ("seqlens", DECODE["seqlens"][:1], ValueError, "seqlens has shape"),
        ("seqlens", DECODE["seqlens"] - 1, flash_mla.PlanMismatch, r"seqlens\[0\] = 20, this call has 19"),
        ("v_cache", DECODE["k_cache"], ValueError, "v_cache|plan was made"),
        ("cu_seqlens_q", DECODE["seqlens"], ValueError, "cu_seqlens_q|q has rank"),
        ("scale", "1", TypeError, "scale is a str; expected a float"),
        ("scale", float("inf"), ValueError, "scale = inf"),
        ("scale", 10**400, ValueError, "scale is too large"),
        ("out", read_only(DECODE["out"]), ValueError, "out is read-only"),
        ("out", DECODE["out"].astype(np.float16), ValueError, "out"),
        ("out", np.broadcast_to(np.float32(0), (2, 1, 4, 16)), ValueError, "out is read-only"),
        ("out", np.zeros((2, 1, 4, 15), np.float32), ValueError, "out has shape"),
        ("lse", np.zeros((2, 1, 4), np.float32), ValueError, "lse has shape"),
        ("workspace", np.zeros(3, np.uint8), ValueError, "workspace"),
        ("workspace", DECODE["workspace"][::2], ValueError, "workspace is not contiguous"),
        ("workspace", read_only(DECODE["workspace"]), ValueError, "workspace is read-only"),
        ("workspace", "w", TypeError, "workspace is a str; expected an array bytes"),
    ],
)
def test_decode(name, value, error, message) -> None:
    call = {**decode_call(), name: value}
    with pytest.raises(error, match=message):
        flash_mla.decode(**call)
    for output in ("out", "lse"):
        if name != output:
            assert (call[output] == 7).all(), f"{output} was written"


@pytest.mark.parametrize(
    ("changed", "error", "message"),
    [
        ({"seqlens": None}, TypeError, "seqlens is None; expected an array"),
        ({"seqlens": [1, "x"]}, ValueError, "seqlens holds something else"),
        ({"seqlens": [2**40]}, ValueError, "seqlens holds something else"),
        ({"seqlens": np.zeros(2)}, ValueError, "seqlens has dtype float64; expected"),
        ({"seqlens": np.zeros((2, 2), np.int32)}, ValueError, "seqlens has rank 2"),
        ({"cu_seqlens_q": [0, 1]}, ValueError, r"cu_seqlens_q has shape \[2\]; expected \[b \+ 1\] = \[3\]"),
        ({"cu_seqlens_q": [0, 2, 1]}, ValueError, "cu_seqlens_q"),
        ({"h_q": 0}, ValueError, "h_q = 0"),
        ({"h_q": 4.0}, TypeError, "h_q is a float; expected an int"),
        ({"h_q": True}, TypeError, "h_q is a bool; expected an int"),
        ({"h_q": 2**70}, ValueError, "h_q = 1180591620717411303424; expected an int of 64 bits"),
        ({"h_kv": 3}, ValueError, "h_kv"),
        ({"d": 1025}, ValueError, "d = 1025"),
        ({"d_v": 30}, ValueError, "d_v = 30"),
        ({"page_size": 0}, ValueError, "page_size = 0"),
        ({"dtype": "int8"}, ValueError, "dtype = 'int8'; expected bfloat16, float16 or float32"),
        ({"out_dtype": "float16"}, ValueError, "out_dtype"),
        ({"causal": 1}, TypeError, "causal is a int; expected a bool"),
        ({"window": -1}, ValueError, "window = -1"),
        ({"sinks": -1}, ValueError, "sinks = -1"),
        ({"num_workers": 5000}, ValueError, "num_workers = 5000"),
        ({"num_workers": 2**40}, ValueError, "num_workers = 1099511627776"),
        ({"backend": "tpu"}, ValueError, "tpu"),
        ({"backend": 3}, TypeError, "backend is a int; expected a str"),
    ],
)
def test_plan(changed, error, message) -> None:
    with pytest.raises(error, match=message):
        flash_mla.plan(**{"seqlens": [20, 20], **GOOD, **changed})


def test_merge_states() -> None:
    part = np.zeros((1, 1, 2, 4), np.float32), np.zeros((1, 2, 1), np.float32)
    for parts, error, message in (
        (None, TypeError, "parts is a NoneType"),
        ([], ValueError, "parts is empty"),
        ([3], TypeError, r"parts\[0\] is a int; expected a pair"),
        ([part, part[0]], TypeError, r"parts\[1\] is a ndarray; expected a pair"),
        ([part, (part[0], "lse")], TypeError, r"parts\[1\].lse is a str"),
        ([part, (part[0][..., :3], part[1])], ValueError, r"parts\[1\]"),
    ):
        with pytest.raises(error, match=message):
            flash_mla.merge_states(parts)


def test_append() -> None:
    k_cache, slots, rows = np.zeros((2, 4, 1, 8), np.float32), np.array([0, 1]), np.zeros((2, 1, 8), np.float32)
    for changed, error, message in (
        ({"k_cache": None}, ValueError, "k_cache is absent"),
        ({"k_cache": read_only(k_cache)}, ValueError, "k_cache is read-only"),
        ({"slot_mapping": slots.astype(np.int32)}, ValueError, "slot_mapping has dtype int32; expected int64"),
        ({"slot_mapping": np.array([0, 8])}, ValueError, r"slot_mapping\[1\] = 8"),
        ({"rows": rows[0]}, ValueError, "rows has rank 2"),
        ({"rope": rows}, ValueError, "rope|rows"),
        ({"v_rows": rows}, ValueError, "v_rows|v_cache"),
    ):
        with pytest.raises(error, match=message):
            flash_mla.append(**{"k_cache": k_cache, "slot_mapping": slots, "rows": rows, **changed})

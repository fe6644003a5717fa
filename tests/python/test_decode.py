"""The library's own surface against its float64 reference."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support import DTYPES, draw, judge, spread

import flash_mla


def judge_own(out, lse, want_out, want_lse, dtype: str) -> None:
    # One bfloat16 rounded the other way, 2^-8 of itself, turns a row of a few values by more than the bar for 512.
    cosine = 3e-5 if dtype == "bfloat16" and want_out.shape[-1] < 64 else 5e-6
    judge("out", out, want_out.astype(DTYPES[dtype]).astype(np.float32), 8e-4, 2.01 / 128, cosine)
    judge("lse", lse, want_lse, 2e-5, 8.01 / 65536, 1e-7)


@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_any_shape(data) -> None:
    number = lambda low, high: data.draw(st.integers(low, high))  # noqa: E731
    h_kv = number(1, 3)
    d = number(1, 80)
    shape = {
        "b": number(1, 4),
        "s_q": number(1, 4),
        "s_k": number(0, 90),
        "h_q": h_kv * number(1, 9),
        "h_kv": h_kv,
        "d": d,
        "d_v": number(1, d),
        "page": number(1, 70),
        "dtype": data.draw(st.sampled_from(sorted(DTYPES))),
        "varlen": data.draw(st.booleans()),
        "zero_lengths": data.draw(st.booleans()),
        "gaps": data.draw(st.booleans()),
    }
    masks = {"causal": data.draw(st.booleans()), "window": data.draw(st.sampled_from([0, 1, 7, 40]))}
    masks["sinks"] = data.draw(st.sampled_from([0, 3])) if masks["window"] else 0
    scale = data.draw(st.sampled_from([None, 0.5, -0.25]))
    batch = draw(number(0, 1000), **shape)
    plan = flash_mla.plan(
        batch.seqlens,
        h_q=shape["h_q"],
        h_kv=h_kv,
        d=d,
        d_v=shape["d_v"],
        s_q=shape["s_q"],
        page_size=shape["page"],
        dtype=shape["dtype"],
        batch_invariant=data.draw(st.booleans()),
        **masks,
    )
    out, lse = flash_mla.decode(plan, batch.q, batch.k_cache, batch.page_table, batch.seqlens, scale=scale)
    assert out.dtype == batch.q.dtype and lse.dtype == np.float32
    want = flash_mla.reference(
        batch.q, batch.k_cache, batch.page_table, batch.seqlens, d_v=shape["d_v"], scale=scale, **masks
    )
    judge_own(out, lse, *want, shape["dtype"])


@pytest.fixture
def batch():
    return draw(5, b=3, s_q=2, s_k=100, h_q=16, varlen=True)


def plan_for(batch, **options):
    return flash_mla.plan(batch.seqlens, h_q=16, s_q=2, **options)


def test_outputs_of_the_caller(batch, arrays) -> None:
    plan = plan_for(batch)
    call = [arrays(a) for a in (batch.q, batch.k_cache, batch.page_table, batch.seqlens)]
    out, lse = flash_mla.decode(plan, *call)
    own_out = arrays(spread(np.zeros((3, 2, 16, 512), DTYPES["bfloat16"])))
    own_lse = arrays(np.zeros((3, 2, 16), np.float32).swapaxes(1, 2))
    workspace = arrays(flash_mla.empty_workspace(plan))
    given_back = flash_mla.decode(plan, *call, out=own_out, lse=own_lse, workspace=workspace)
    assert given_back[0] is own_out and given_back[1] is own_lse
    assert (np.asarray(own_out == out)).all() and (np.asarray(own_lse == lse)).all()
    again, nothing = flash_mla.decode(plan, *call, return_lse=False)
    assert nothing is None and (np.asarray(again == out)).all()


def test_float32_out(batch, arrays) -> None:
    plan = plan_for(batch, out_dtype="float32")
    out, _ = flash_mla.decode(
        plan, arrays(batch.q), arrays(batch.k_cache), arrays(batch.page_table), arrays(batch.seqlens)
    )
    want, _ = flash_mla.reference(batch.q, batch.k_cache, batch.page_table, batch.seqlens)
    assert str(out.dtype).removeprefix("torch.") == "float32"
    judge("out", out, want, 2e-4, 1e-3, 5e-6)


def test_ragged_queries_and_separate_values() -> None:
    rng = np.random.default_rng(0)
    cu = np.array([0, 3, 3, 4], np.int32)
    q = rng.standard_normal((4, 8, 64), np.float32)
    k_cache, v_cache = (rng.standard_normal((9, 16, 2, 64), np.float32) for _ in range(2))
    table = rng.permutation(9).astype(np.int32).reshape(3, 3)
    lengths = np.array([40, 17, 5], np.int32)
    plan = flash_mla.plan(
        lengths, h_q=8, h_kv=2, d=64, d_v=64, page_size=16, dtype="float32", separate_v=True, cu_seqlens_q=cu,
        causal=True,
    )  # fmt: skip
    more = {"v_cache": v_cache, "cu_seqlens_q": cu}
    out, lse = flash_mla.decode(plan, q, k_cache, table, lengths, **more)
    want = flash_mla.reference(q, k_cache, table, lengths, d_v=64, causal=True, **more)
    assert out.shape == (4, 8, 64) and lse.shape == (8, 4)
    judge_own(out, lse, *want, "float32")


def test_empty_rows_are_minus_inf(arrays) -> None:
    batch = draw(6, b=2, s_k=10, h_q=2)
    batch.seqlens[0] = 0
    plan = flash_mla.plan(batch.seqlens, h_q=2)
    out, lse = flash_mla.decode(
        plan, arrays(batch.q), arrays(batch.k_cache), arrays(batch.page_table), arrays(batch.seqlens)
    )
    assert np.isneginf(np.asarray(lse[0])).all() and not np.asarray(out[0] != 0).any()


def test_remake(batch) -> None:
    plan = plan_for(batch)
    other = draw(6, b=5, s_q=2, s_k=300, h_q=16)
    call = other.q, other.k_cache, other.page_table, other.seqlens
    with pytest.raises(flash_mla.PlanMismatch, match="plan was made for b = 3, this call has 5; plan again"):
        flash_mla.decode(plan, *call)
    plan.remake(other.seqlens)
    assert plan.batch == 5
    judge_own(*flash_mla.decode(plan, *call), *flash_mla.reference(*call), "bfloat16")
    with pytest.raises(ValueError, match=r"seqlens\[1\] = -5"):
        plan.remake(np.array([1, -5], np.int32))
    assert plan.batch == 5
    flash_mla.decode(plan, *call)


def test_merging_parts_is_the_whole(arrays) -> None:
    batch = draw(7, b=2, s_k=128, h_q=4)
    parts = []
    for column in (0, 1):
        lengths = np.full(2, 64, np.int32)
        plan = flash_mla.plan(lengths, h_q=4, out_dtype="float32")
        part = flash_mla.decode(
            plan, arrays(batch.q), arrays(batch.k_cache), arrays(batch.page_table[:, column:]), arrays(lengths)
        )
        parts.append(part)
    out, lse = flash_mla.merge_states(parts)
    want = flash_mla.reference(batch.q, batch.k_cache, batch.page_table, batch.seqlens)
    judge("out", out, want[0], 2e-4, 1e-3, 5e-6)
    judge("lse", lse, want[1], 2e-5, 8.01 / 65536, 1e-7)
    assert flash_mla.merge_states(parts, out=parts[0][0], lse=parts[0][1])[0] is parts[0][0]
    assert np.asarray(parts[0][0] == out).all()


def test_append(arrays) -> None:
    rng = np.random.default_rng(1)
    rows = rng.standard_normal((3, 1, 576), np.float32).astype(DTYPES["bfloat16"])
    k_cache = np.zeros((2, 4, 1, 576), DTYPES["bfloat16"])
    slots = np.array([6, -1, 0])
    flash_mla.append(arrays(k_cache), arrays(slots), arrays(rows[..., :512]), rope=arrays(rows[..., 512:]))
    want = np.zeros_like(k_cache)
    want[1, 2], want[0, 0] = rows[0], rows[2]
    assert (k_cache == want).all()
    with pytest.raises(ValueError, match="slot_mapping"):
        flash_mla.append(arrays(k_cache), arrays(np.array([0, 0, 1])), arrays(rows))
    assert (k_cache == want).all()


def test_every_backend() -> None:
    batch = draw(8, b=2, s_k=70, h_q=16)
    want = flash_mla.reference(batch.q, batch.k_cache, batch.page_table, batch.seqlens)
    for backend in flash_mla.info()["backends"]:
        if not backend["usable"]:
            with pytest.raises(NotImplementedError, match=backend["name"]):
                flash_mla.plan(batch.seqlens, h_q=16, backend=backend["name"])
            continue
        plan = flash_mla.plan(batch.seqlens, h_q=16, backend=backend["name"])
        assert plan.backend == backend["name"]
        out, lse = flash_mla.decode(plan, batch.q, batch.k_cache, batch.page_table, batch.seqlens)
        judge_own(out, lse, *want, "bfloat16")

"""What FlashMLA's callers may rely on."""

from __future__ import annotations

import inspect

import numpy as np
import pytest
from support import draw, judge_flashmla

import flash_mla
from flash_mla import flash_mla_interface


@pytest.fixture
def batch():
    return draw(1, b=3, s_q=2, s_k=150, h_q=16, varlen=True)


def call(batch, arrays, schedule, num_splits=None, **options):
    return flash_mla.flash_mla_with_kvcache(
        arrays(batch.q),
        arrays(batch.k_cache),
        arrays(batch.page_table),
        arrays(batch.seqlens),
        512,
        schedule,
        num_splits,
        **options,
    )


@pytest.mark.parametrize("generation", ["2025-02", "2025-09", "2025-09 names", "2026-01", "2026-10"])
def test_generations(batch, arrays, generation) -> None:
    lengths = arrays(batch.seqlens)
    metadata, num_splits = {
        "2025-02": lambda: flash_mla.get_mla_metadata(lengths, 2 * 16, 1),
        "2025-09": lambda: flash_mla.get_mla_metadata(lengths, 2 * 16, 1, 16, False, None),
        "2025-09 names": lambda: flash_mla.get_mla_metadata(
            cache_seqlens=lengths, num_q_tokens_per_head_k=32, num_heads_k=1, num_heads_q=16, is_fp8_kvcache=False
        ),
        "2026-01": flash_mla.get_mla_metadata,
        "2026-10": lambda: flash_mla.get_mla_decoding_metadata(lengths, 32, 1, h_q=16, use_legacy=True),
    }[generation]()
    assert (num_splits is None) == (generation == "2026-01")
    for _ in range(2):
        out, lse = call(batch, arrays, metadata, num_splits, causal=True)
        assert type(out) is type(lengths) and str(out.dtype).removeprefix("torch.") == "bfloat16"
        judge_flashmla(batch, True, out, lse)


def test_arrays_are_shaped_as_theirs(batch, arrays) -> None:
    metadata, num_splits = flash_mla.get_mla_metadata(arrays(batch.seqlens), 32, 1)
    assert metadata.shape[1] == 8 and tuple(num_splits.shape) == (4,)
    assert "int32" in str(metadata.dtype) and "int32" in str(num_splits.dtype)


def test_schedule_object_is_filled_by_the_first_call(batch, arrays) -> None:
    metadata, _ = flash_mla.get_mla_metadata()
    assert isinstance(metadata, flash_mla.FlashMLASchedMeta) and not metadata.have_initialized
    call(batch, arrays, metadata, causal=True)
    assert metadata.have_initialized
    config = metadata.config
    assert (config.b, config.s_q, config.h_q, config.page_block_size, config.h_k) == (3, 2, 16, 64, 1)
    assert config.causal and not config.is_fp8_kvcache and config.topk is None
    assert metadata.tile_scheduler_metadata.shape[1] == 8 and metadata.num_splits.shape[0] == 4


def strides_of(array):
    return array.stride() if hasattr(array, "new_empty") else tuple(s // array.itemsize for s in array.strides)


def test_lse_has_their_strides(arrays) -> None:
    for h_kv, wanted in ((1, (2 * 16, 1, 16)), (2, (2 * 16, 2, 1))):
        batch = draw(2, b=3, s_q=2, s_k=30, h_q=16, h_kv=h_kv)
        out, lse = call(batch, arrays, flash_mla.get_mla_metadata()[0])
        assert tuple(lse.shape) == (3, 16, 2) and strides_of(lse) == wanted
        assert strides_of(out) == (2 * 16 * 512, 16 * 512, 512, 1)


def test_empty_rows(arrays) -> None:
    batch = draw(3, b=4, s_q=4, s_k=2, h_q=2)  # causal: the first two queries see nothing
    batch.seqlens[0] = 0
    batch.keys[0] = batch.keys[0][:0]
    out, lse = call(batch, arrays, flash_mla.get_mla_metadata()[0], causal=True)
    judge_flashmla(batch, True, out, lse)
    lse = np.asarray(lse)
    assert np.isposinf(lse[0]).all() and np.isposinf(lse[1, :, :2]).all() and np.isfinite(lse[1, :, 2:]).all()


@pytest.mark.parametrize("form", ["object", "arrays"])
def test_stale_schedules_are_noticed(batch, arrays, form) -> None:
    made = flash_mla.get_mla_metadata(*(() if form == "object" else (arrays(batch.seqlens), 32, 1)))
    call(batch, arrays, *made, causal=True)
    batch.seqlens[1] -= 1
    with pytest.raises(flash_mla.PlanMismatch, match="made for .*cache_seqlens.*call get_mla_metadata again"):
        call(batch, arrays, *made, causal=True)
    batch.seqlens[1] += 1
    judge_flashmla(batch, True, *call(batch, arrays, *made, causal=True))


def test_schedule_object_of_other_options_or_shapes(batch, arrays) -> None:
    metadata, _ = flash_mla.get_mla_metadata()
    call(batch, arrays, metadata, causal=True)
    with pytest.raises(flash_mla.PlanMismatch, match="made for causal = True, this call has False"):
        call(batch, arrays, metadata, causal=False)
    with pytest.raises(flash_mla.PlanMismatch, match="made for enable_batch_invariant = False, this call has True"):
        call(batch, arrays, metadata, causal=True, enable_batch_invariant=True)
    other = draw(1, b=3, s_q=2, s_k=150, h_q=8, varlen=True)
    with pytest.raises(flash_mla.PlanMismatch, match="tile_scheduler_metadata was made for h_q = 16, this call has 8"):
        call(other, arrays, metadata, causal=True)


def test_arrays_serve_growing_batches(arrays) -> None:
    """Engines decode step after step with new schedules: the thread's plans are made anew for each."""
    for step in range(5):
        batch = draw(step, b=2 + step % 2, s_k=60 + step, h_q=4)
        made = flash_mla.get_mla_metadata(arrays(batch.seqlens), 4, 1)
        judge_flashmla(batch, False, *call(batch, arrays, *made))


def test_batch_invariant(arrays) -> None:
    """A sequence's bits are the same alone and among others."""
    batch = draw(4, b=5, s_k=2000, h_q=16, varlen=True, gaps=False)
    out, lse = call(batch, arrays, flash_mla.get_mla_metadata()[0], enable_batch_invariant=True)
    for i in range(5):
        alone = flash_mla.flash_mla_with_kvcache(
            arrays(batch.q[i : i + 1]),
            arrays(batch.k_cache),
            arrays(batch.page_table[i : i + 1]),
            arrays(batch.seqlens[i : i + 1]),
            512,
            flash_mla.get_mla_metadata()[0],
            enable_batch_invariant=True,
        )
        assert (np.asarray(alone[1][0]) == np.asarray(lse[i])).all()
        assert (np.asarray(alone[0][0] == out[i])).all()


@pytest.mark.parametrize(
    "name", [
        "indices", "attn_sink", "extra_k_cache", "extra_indices_in_kvcache", "topk_length", "extra_topk_length",
        "kv_format", "descale_q", "descale_k",
    ],
)  # fmt: skip
def test_what_is_not_built_says_so(batch, arrays, name) -> None:
    with pytest.raises(NotImplementedError, match=f"^{name} = .*supported: None"):
        call(batch, arrays, flash_mla.get_mla_metadata()[0], **{name: np.zeros(1, np.int32)})


def test_fp8_is_not_built(batch, arrays) -> None:
    for refused in (
        lambda: call(batch, arrays, flash_mla.get_mla_metadata()[0], is_fp8_kvcache=True),
        lambda: flash_mla.get_mla_metadata(arrays(batch.seqlens), 32, 1, 16, True),
    ):
        with pytest.raises(NotImplementedError, match="^is_fp8_kvcache = True; supported: False"):
            refused()
    with pytest.raises(NotImplementedError, match="^topk = 2048; supported: None"):
        flash_mla.get_mla_metadata(arrays(batch.seqlens), 32, 1, topk=2048)


def test_prefill_is_not_built() -> None:
    for name in (
        "flash_mla_sparse_fwd",
        "flash_attn_varlen_func",
        "flash_attn_varlen_qkvpacked_func",
        "flash_attn_varlen_kvpacked_func",
    ):
        with pytest.raises(NotImplementedError, match=f"^{name} is not built; supported: dense decode"):
            getattr(flash_mla, name)(1, causal=True)


def test_names_and_order_of_arguments() -> None:
    names = list(inspect.signature(flash_mla.flash_mla_with_kvcache).parameters)
    assert names == (
        "q k_cache block_table cache_seqlens head_dim_v tile_scheduler_metadata num_splits softmax_scale causal "
        "is_fp8_kvcache indices attn_sink extra_k_cache extra_indices_in_kvcache topk_length extra_topk_length "
        "enable_batch_invariant use_legacy kv_format descale_q descale_k"
    ).split()
    assert flash_mla_interface.flash_mla_with_kvcache is flash_mla.flash_mla_with_kvcache


@pytest.mark.parametrize(
    ("changed", "error", "message"),
    [
        ({"q": None}, TypeError, "q is a NoneType; expected an array"),
        ({"q": np.zeros((3, 16, 576), np.float32)}, ValueError, "q has rank 3; expected .* rank 4"),
        ({"q": np.zeros((3, 2, 16, 576), np.float64)}, ValueError, "= 'float64'|dtype float64"),
        ({"k_cache": "cache"}, TypeError, "k_cache is a str; expected an array"),
        ({"k_cache": np.zeros((3, 64, 1, 576), np.float32)}, ValueError, "k_cache has dtype float32; expected bfloat16"),
        ({"block_table": np.zeros((3, 9), np.int64)}, ValueError, "block_table has dtype int64; expected int32"),
        ({"block_table": None}, ValueError, "block_table is absent"),
        ({"block_table": np.full((3, 9), 10**9, np.int32)}, ValueError, "block_table"),
        ({"cache_seqlens": None}, TypeError, "cache_seqlens is None; expected an array"),
        ({"cache_seqlens": np.full(3, 10**6, np.int32)}, ValueError, "cache_seqlens"),
        ({"cache_seqlens": np.full(3, -1, np.int32)}, ValueError, r"cache_seqlens\[0\] = -1"),
        ({"cache_seqlens": np.zeros((3, 1), np.int32)}, ValueError, "cache_seqlens has rank 2"),
        ({"head_dim_v": 512.0}, TypeError, "head_dim_v is a float; expected an int"),
        ({"head_dim_v": 0}, ValueError, "head_dim_v = 0; expected 1 to 1024"),
        ({"head_dim_v": 600}, ValueError, "head_dim_v"),
        ({"tile_scheduler_metadata": None}, TypeError, "tile_scheduler_metadata is None"),
        ({"tile_scheduler_metadata": np.zeros((2, 8), np.int32)}, TypeError, "num_splits is None"),
        ({"num_splits": np.zeros(4, np.int32)}, ValueError, "num_splits is given beside a FlashMLASchedMeta"),
        ({"softmax_scale": "1"}, TypeError, "softmax_scale is a str; expected a float"),
        ({"softmax_scale": float("nan")}, ValueError, "softmax_scale"),
        ({"causal": 1}, TypeError, "causal is a int; expected a bool"),
        ({"enable_batch_invariant": "no"}, TypeError, "enable_batch_invariant is a str; expected a bool"),
    ],
)
def test_wrong_arguments_are_named(batch, changed, error, message) -> None:
    arguments = {
        "q": batch.q,
        "k_cache": batch.k_cache,
        "block_table": batch.page_table,
        "cache_seqlens": batch.seqlens,
        "head_dim_v": 512,
        "tile_scheduler_metadata": flash_mla.get_mla_metadata()[0],
        **changed,
    }
    with pytest.raises(error, match=message):
        flash_mla.flash_mla_with_kvcache(**arguments)


def test_foreign_schedule_arrays() -> None:
    batch = draw(1, b=3, s_k=20, h_q=2)
    splits = np.arange(4, dtype=np.int32)
    for metadata, num_splits, message in (
        (np.zeros((2, 8), np.int32), splits, "not what get_mla_metadata"),
        (np.zeros((2, 7), np.int32), splits, r"shape \[2, 7\]; expected \[1 or more, 8\]"),
        (np.zeros(8, np.int32), splits, "rank 1"),
        (np.zeros((2, 8), np.float32), splits, "dtype float32"),
        (flash_mla.get_mla_metadata(batch.seqlens, 2, 1)[0], splits[:3], r"num_splits has shape \[3\]"),
    ):
        with pytest.raises(ValueError, match=message):
            call(batch, lambda array: array, metadata, num_splits)

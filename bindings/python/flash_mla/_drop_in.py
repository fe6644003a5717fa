"""FlashMLA's functions, in all generations of their signatures."""

from __future__ import annotations

import re
import sys
from typing import Any, NoReturn

import numpy as np

from flash_mla import _native
from flash_mla._arrays import dtype_of, is_on_cuda, is_torch, new_empty
from flash_mla._native import Plan, PlanMismatch
from flash_mla._schedule import (
    Config,
    FlashMLASchedMeta,
    filling,
    plan_cache,
    carried_fingerprint,
    schedule_arrays,
)

torch_ops: Any = None  # the module of that name, once it is loaded

_NAMES = (  # of this library, and of FlashMLA
    (re.compile(r"\bpage_table\b"), "block_table"),
    (re.compile(r"\bseqlens\b"), "cache_seqlens"),
    (re.compile(r"(?<!\.)\bscale\b"), "softmax_scale"),
    (re.compile(r"\bd_v\b"), "head_dim_v"),
    (re.compile(r"^plan\b"), "tile_scheduler_metadata"),
    (re.compile(r"\bplan again$"), "call get_mla_metadata again"),
)


def _in_their_words(error: Exception) -> Exception:
    message = str(error)
    for ours, theirs in _NAMES:
        message = ours.sub(theirs, message)
    return type(error)(message)


def get_mla_decoding_metadata(
    seqlens_k: Any,
    num_q_tokens_per_head_k: int = 1,
    h_k: int = 1,
    h_q: int | None = None,
    is_fp8_kvcache: bool = False,
    topk: int | None = None,
    use_legacy: bool = False,
) -> tuple[Any, Any]:
    """The schedule of one step as two arrays, to be passed to `flash_mla_with_kvcache`.

    Args:
        seqlens_k: [b] int32, the `cache_seqlens` of the calls to come.
        num_q_tokens_per_head_k: accepted, as shapes are taken from the calls themselves.
        h_k: accepted.
        h_q: accepted.
        is_fp8_kvcache: only False.
        topk: only None.
        use_legacy: accepted.

    Returns:
        (tile_scheduler_metadata [workers, 8] int32, num_splits [b + 1] int32), opaque, of the kind of `seqlens_k`.

    Raises:
        NotImplementedError: FP8 and sparse caches.

    Examples:
        >>> import flash_mla, numpy as np
        >>> [array.shape[-1] for array in flash_mla.get_mla_decoding_metadata(np.array([7, 9], np.int32), 16, 1)]
        [8, 3]
    """
    _refuse_fp8(is_fp8_kvcache)
    if topk is not None:
        _not_built("topk", topk, None)
    if torch_ops is not None and torch_ops.is_compiling():
        traced: tuple[Any, Any] = torch_ops.schedule(seqlens_k)
        return traced
    return schedule_arrays(seqlens_k, "seqlens_k")


_METADATA_ARGUMENTS = {  # names over the generations
    "cache_seqlens": "seqlens_k",
    "num_heads_per_head_k": "num_q_tokens_per_head_k",
    "num_heads_k": "h_k",
    "num_heads_q": "h_q",
}


def get_mla_metadata(*args: Any, **kwargs: Any) -> tuple[Any, Any]:
    """The schedule of one step, in the form that the caller's generation of FlashMLA expects.

    - `get_mla_metadata()` (since 2026-01): (`FlashMLASchedMeta`, None); the first call that uses it fills it.
    - `get_mla_metadata(cache_seqlens, num_q_tokens_per_head_k, num_heads_k[, num_heads_q, is_fp8_kvcache, topk])`
      (2025): the two arrays of `get_mla_decoding_metadata`.

    Both forms hold for one set of `cache_seqlens`: a call with other lengths is refused (`PlanMismatch`).

    Examples:
        >>> import flash_mla
        >>> flash_mla.get_mla_metadata()[1] is None
        True
    """
    if not args and not kwargs:
        return FlashMLASchedMeta(), None
    return get_mla_decoding_metadata(*args, **{_METADATA_ARGUMENTS.get(key, key): kwargs[key] for key in kwargs})


def _not_built(name: str, value: Any, supported: Any) -> NoReturn:
    shown = value if isinstance(value, (bool, int, float, str)) else f"a {type(value).__name__}"
    raise NotImplementedError(
        f"{name} = {shown}; supported: {supported} (dense decode of bfloat16, float16 and float32 caches)"
    )


def _refuse_fp8(is_fp8_kvcache: Any) -> None:
    if is_fp8_kvcache is False or is_fp8_kvcache is None:
        return
    if is_fp8_kvcache is True:
        _not_built("is_fp8_kvcache", True, False)
    raise TypeError(f"is_fp8_kvcache is a {type(is_fp8_kvcache).__name__}; expected a bool")


def _make_plan(q: Any, k_cache: Any, cache_seqlens: Any, d_v: Any, causal: bool, batch_invariant: bool) -> Plan:
    dtype = dtype_of(q, "q")
    if dtype not in ("bfloat16", "float16", "float32"):
        raise ValueError(f"q has dtype {dtype}; expected bfloat16, float16 or float32")
    return _native.make_plan(
        cache_seqlens,
        None,
        q.shape[1],
        q.shape[2],
        k_cache.shape[2],
        q.shape[3],
        d_v,
        k_cache.shape[1],
        dtype,
        None,
        False,
        causal,
        0,
        0,
        batch_invariant,
        0,
        None,
        None,
    )


def new_results(q: Any, q_shape: tuple[int, ...], h_kv: int, d_v: int) -> tuple[Any, Any]:
    """out [b, s_q, h_q, d_v], and lse [b, h_q, s_q] with FlashMLA's strides: heads innermost where h_k = 1."""
    b, s_q, h_q, _ = q_shape
    if is_torch(q):
        import torch

        strides = (s_q * h_q, 1, h_q) if h_kv == 1 else (s_q * h_q, s_q, 1)
        lse = q.new_empty_strided((b, h_q, s_q), strides, dtype=torch.float32)
        return q.new_empty((b, s_q, h_q, d_v)), lse
    out = new_empty(q, (b, s_q, h_q, d_v), dtype_of(q, "q"))
    if not isinstance(out, np.ndarray):
        return out, new_empty(q, (b, h_q, s_q), "float32")
    if h_kv == 1:
        return out, np.empty((b, s_q, h_q), np.float32).swapaxes(1, 2)
    return out, np.empty((b, h_q, s_q), np.float32)


def _shape_of(array: Any, name: str, expected: str) -> tuple[int, ...]:
    shape = getattr(array, "shape", None)
    if not isinstance(shape, tuple):
        raise TypeError(f"{name} is a {type(array).__name__}; expected an array {expected}")
    if len(shape) != 4:
        raise ValueError(f"{name} has rank {len(shape)}; expected {expected} with rank 4")
    return shape


def _check_head_dim_v(head_dim_v: Any) -> None:
    if not isinstance(head_dim_v, int) or isinstance(head_dim_v, bool):
        raise TypeError(f"head_dim_v is a {type(head_dim_v).__name__}; expected an int")
    if not 1 <= head_dim_v <= 1024:
        raise ValueError(f"head_dim_v = {head_dim_v}; expected 1 to 1024")


def _plan_of_object(
    meta: FlashMLASchedMeta, q: Any, k_cache: Any, cache_seqlens: Any, d_v: int, causal: bool, batch_invariant: bool
) -> Plan:
    plan = meta.plan
    if plan is None:
        with filling:
            plan = meta.plan
            if plan is None:
                plan = _make_plan(q, k_cache, cache_seqlens, d_v, causal, batch_invariant)
                meta.tile_scheduler_metadata, meta.num_splits = schedule_arrays(cache_seqlens, "cache_seqlens")
                b, s_q, h_q, _ = q.shape
                meta.config = Config(b, s_q, h_q, k_cache.shape[1], k_cache.shape[2], causal)
                meta.batch_invariant = batch_invariant
                meta.plan = plan
                meta.have_initialized = True
    assert meta.config is not None
    if meta.config.causal != causal:
        _refuse_option("causal", meta.config.causal, causal)
    if meta.batch_invariant != batch_invariant:
        _refuse_option("enable_batch_invariant", meta.batch_invariant, batch_invariant)
    return plan


def _refuse_option(name: str, filled: bool, called: bool) -> NoReturn:
    raise PlanMismatch(
        f"tile_scheduler_metadata was made for {name} = {filled}, this call has {called}; call get_mla_metadata again"
    )


def decode_with_cached_plan(
    q: Any,
    k_cache: Any,
    block_table: Any,
    cache_seqlens: Any,
    d_v: int,
    softmax_scale: float | None,
    causal: bool,
    batch_invariant: bool,
    schedule: tuple[int, int, int, int] | None = None,
) -> tuple[Any, Any]:
    """One call that plans for the lengths it finds, at most once a step and thread.

    `schedule`: the fingerprint of lengths on a CUDA device, if one is known; else the device is asked for them.
    """
    threads = _native.default_num_workers()  # a plan holds for as many as were wanted when it was made
    q_shape, k_shape = tuple(q.shape), tuple(k_cache.shape)
    key = (q_shape, q.dtype, k_shape, d_v, causal, batch_invariant, threads)
    plan = plan_cache.plans.get(key)
    if plan is None:
        plan = _make_plan(q, k_cache, cache_seqlens, d_v, causal, batch_invariant)
        plan_cache.keep(key, plan)
    if plan.device >= 0:
        _renew(plan, cache_seqlens, schedule)
    out, lse = new_results(q, q_shape, k_shape[2], d_v)
    call = (q, k_cache, block_table, cache_seqlens, None, None, out, lse, softmax_scale, None, True)
    try:
        _native.decode(plan, *call)
    except PlanMismatch:
        plan.remake(cache_seqlens)
        _native.decode(plan, *call)
    return out, lse


def _renew(plan: Plan, cache_seqlens: Any, schedule: tuple[int, int, int, int] | None) -> None:
    """Sees to it that a CUDA plan is for the lengths of `schedule`. Only where it is not, the device is waited for."""
    wanted = schedule or _native.fingerprint(cache_seqlens, "cache_seqlens")
    if _native.plan_fingerprint(plan) == wanted:
        return
    plan.remake(cache_seqlens)
    if _native.plan_fingerprint(plan) != wanted:
        raise PlanMismatch(
            "tile_scheduler_metadata was made for other values of cache_seqlens than this call has; call "
            "get_mla_metadata again"
        )


def flash_mla_with_kvcache(
    q: Any,
    k_cache: Any,
    block_table: Any,
    cache_seqlens: Any,
    head_dim_v: int,
    tile_scheduler_metadata: Any,
    num_splits: Any = None,
    softmax_scale: float | None = None,
    causal: bool = False,
    is_fp8_kvcache: bool | None = None,
    indices: Any = None,
    attn_sink: Any = None,
    extra_k_cache: Any = None,
    extra_indices_in_kvcache: Any = None,
    topk_length: Any = None,
    extra_topk_length: Any = None,
    enable_batch_invariant: bool = False,
    use_legacy: bool = False,
    kv_format: Any = None,
    descale_q: Any = None,
    descale_k: Any = None,
) -> tuple[Any, Any]:
    """FlashMLA's dense decode over a paged KV cache.

    Args:
        q: [b, s_q, h_q, d] bfloat16, float16 or float32; last stride 1.
        k_cache: [num_blocks, page_block_size, h_k, d], type of q; any page_block_size; last stride 1.
        block_table: [b, max_blocks] int32; entries past a sequence's last page may hold anything.
        cache_seqlens: [b] int32, new tokens included; 0 is legal.
        head_dim_v: width of V, the first columns of K: 512 for MLA, 1 to d here.
        tile_scheduler_metadata: what `get_mla_metadata` returned for these lengths.
        num_splits: the second part of that.
        softmax_scale: None: d ** -0.5.
        causal: bottom-right aligned, for s_q > 1.
        is_fp8_kvcache: only False or None, as FP8 caches are not built.
        indices: only None, as sparse caches are not built.
        attn_sink: only None.
        extra_k_cache: only None.
        extra_indices_in_kvcache: only None.
        topk_length: only None.
        extra_topk_length: only None.
        enable_batch_invariant: no bit of a sequence's result depends on the rest of the batch.
        use_legacy: accepted, without effect.
        kv_format: only None.
        descale_q: only None.
        descale_k: only None.

    Returns:
        (out [b, s_q, h_q, head_dim_v] in q's type, softmax_lse [b, h_q, s_q] float32, natural logarithm). A row that
        sees no key has out = 0 and, as in FlashMLA, softmax_lse = +inf (`decode` reports -inf, which merges).

    Raises:
        PlanMismatch: the schedule was made for other lengths, shapes or options (a ValueError).
        ValueError: names the argument, also one that lies elsewhere than the others.
        TypeError: an argument is of another kind.
        NotImplementedError: names what is not built.
        RuntimeError: CUDA's driver reports an error.

    Tensors on a CUDA device (Hopper, a build with its kernels) run there, in torch's current stream. The lengths are
    copied to the CPU once a schedule, which waits for the stream; later calls with that schedule do not look at
    `cache_seqlens`: changed ones go unnoticed and the schedule's count. Lengths in the CPU's memory are always compared.

    Examples:
        >>> import flash_mla, numpy as np
        >>> q, k_cache = np.ones((1, 1, 16, 576), np.float32), np.ones((2, 64, 1, 576), np.float32)
        >>> table, lengths = np.array([[1, 0]], np.int32), np.array([100], np.int32)
        >>> schedule, num_splits = flash_mla.get_mla_metadata(lengths, 16, 1)
        >>> out, lse = flash_mla.flash_mla_with_kvcache(q, k_cache, table, lengths, 512, schedule, num_splits)
        >>> out.shape, lse.shape
        ((1, 1, 16, 512), (1, 16, 1))
    """
    _refuse_fp8(is_fp8_kvcache)
    if not (
        indices is None
        and attn_sink is None
        and extra_k_cache is None
        and extra_indices_in_kvcache is None
        and topk_length is None
        and extra_topk_length is None
        and kv_format is None
        and descale_q is None
        and descale_k is None
    ):
        for name, value in (
            ("indices", indices),
            ("attn_sink", attn_sink),
            ("extra_k_cache", extra_k_cache),
            ("extra_indices_in_kvcache", extra_indices_in_kvcache),
            ("topk_length", topk_length),
            ("extra_topk_length", extra_topk_length),
            ("kv_format", kv_format),
            ("descale_q", descale_q),
            ("descale_k", descale_k),
        ):
            if value is not None:
                _not_built(name, value, None)
    for name, flag in (("causal", causal), ("enable_batch_invariant", enable_batch_invariant)):
        if flag is not True and flag is not False:
            raise TypeError(f"{name} is a {type(flag).__name__}; expected a bool")
    q_shape = _shape_of(q, "q", "[b, s_q, h_q, d]")
    k_shape = _shape_of(k_cache, "k_cache", "[num_pages, page_size, h_kv, d]")
    _check_head_dim_v(head_dim_v)
    causal = causal and q_shape[1] > 1
    if torch_ops is not None and torch_ops.is_compiling():
        traced: tuple[Any, Any] = torch_ops.with_kvcache(
            q, k_cache, block_table, cache_seqlens, head_dim_v, softmax_scale, causal, enable_batch_invariant
        )
        return traced
    try:
        if isinstance(tile_scheduler_metadata, FlashMLASchedMeta):
            if num_splits is not None:
                raise ValueError("num_splits is given beside a FlashMLASchedMeta; expected None")
            plan = _plan_of_object(
                tile_scheduler_metadata, q, k_cache, cache_seqlens, head_dim_v, causal, enable_batch_invariant
            )
            out, lse = new_results(q, q_shape, k_shape[2], head_dim_v)
            _native.decode(
                plan, q, k_cache, block_table, cache_seqlens, None, None, out, lse, softmax_scale, None, True
            )
            return out, lse
        if is_on_cuda(cache_seqlens):
            return decode_with_cached_plan(
                q,
                k_cache,
                block_table,
                cache_seqlens,
                head_dim_v,
                softmax_scale,
                causal,
                enable_batch_invariant,
                carried_fingerprint(tile_scheduler_metadata, num_splits, q_shape[0]),
            )
        _native.check_schedule(tile_scheduler_metadata, num_splits, cache_seqlens)
        return decode_with_cached_plan(
            q, k_cache, block_table, cache_seqlens, head_dim_v, softmax_scale, causal, enable_batch_invariant
        )
    except (ValueError, TypeError, NotImplementedError) as error:
        raise _in_their_words(error) from None


def _only_dense_decode(name: str) -> NoReturn:
    raise NotImplementedError(f"{name} is not built; supported: dense decode (flash_mla_with_kvcache, decode)")


def flash_mla_sparse_fwd(*_args: Any, **_kwargs: Any) -> NoReturn:
    """FlashMLA's sparse prefill. Not built: NotImplementedError."""
    _only_dense_decode("flash_mla_sparse_fwd")


def flash_attn_varlen_func(*_args: Any, **_kwargs: Any) -> NoReturn:
    """FlashMLA's dense prefill. Not built: NotImplementedError."""
    _only_dense_decode("flash_attn_varlen_func")


def flash_attn_varlen_qkvpacked_func(*_args: Any, **_kwargs: Any) -> NoReturn:
    """FlashMLA's dense prefill. Not built: NotImplementedError."""
    _only_dense_decode("flash_attn_varlen_qkvpacked_func")


def flash_attn_varlen_kvpacked_func(*_args: Any, **_kwargs: Any) -> NoReturn:
    """FlashMLA's dense prefill. Not built: NotImplementedError."""
    _only_dense_decode("flash_attn_varlen_kvpacked_func")

"""The library's own surface: plan, decode, merge_states, append, reference."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from flash_mla import _native
from flash_mla._arrays import dtype_name, dtype_of, int32_array, is_torch, new_empty
from flash_mla._native import Plan


def plan(
    seqlens: Any,
    *,
    h_q: int,
    h_kv: int = 1,
    d: int = 576,
    d_v: int = 512,
    s_q: int = 1,
    page_size: int = 64,
    dtype: Any = "bfloat16",
    out_dtype: Any = None,
    separate_v: bool = False,
    cu_seqlens_q: Any = None,
    causal: bool = False,
    window: int = 0,
    sinks: int = 0,
    batch_invariant: bool = False,
    num_workers: int = 0,
    backend: str | None = None,
    stream: Any = None,
) -> Plan:
    """Splits one batch's work over workers. Cheap; once a step, for all its layers.

    Args:
        seqlens: [b] int32, or a list: cached tokens of each sequence, its new ones included. 0 is legal. An array on a
            CUDA device is copied to the CPU, which waits for `stream`, and the plan is for the backend `sm90`.
        h_q: query heads.
        h_kv: KV heads; h_kv divides h_q.
        d: width of keys, 1 to 1024. MLA: 576 (512 latent + 64 rope).
        d_v: width of values, 1 to 1024. MLA: 512.
        s_q: query tokens a sequence; not used with `cu_seqlens_q`.
        page_size: tokens a page of the cache, any from 1.
        dtype: of q and the caches: bfloat16, float16 or float32 (a name, a torch dtype or a NumPy dtype).
        out_dtype: of `out`: `dtype` (the default) or float32.
        separate_v: False: V is the first `d_v` columns of K (MLA). True: V has a cache of its own.
        cu_seqlens_q: [b + 1] int32 for ragged queries: sequence i owns query rows cu[i] to cu[i + 1].
        causal: query j of a sequence with s_q queries and s_k tokens sees keys k < s_k - (s_q - 1 - j).
        window: tokens; 0 is no window. w > 0: of those keys only the last w, and those among the first `sinks`.
        batch_invariant: no bit of a sequence's result depends on the rest of the batch.
        num_workers: threads to balance for, 1 to 1024; 0: OpenMP's maximum, as `torch.set_num_threads` and
            `OMP_NUM_THREADS` set it, within CPU affinity and cgroup quota; on CUDA the device's multiprocessors.
        backend: a name of `info()["backends"]`; None: $FLASH_MLA_BACKEND, or the best usable one. `sm90` plans for the
            CUDA device that is current, also from lengths in the CPU's memory: that waits for nothing.
        stream: for `seqlens` on a CUDA device: as for `decode`.

    Raises:
        ValueError: names the argument, its value and what is allowed.
        TypeError: an argument is of another kind.
        NotImplementedError: the backend is not usable here.

    Examples:
        >>> import flash_mla
        >>> plan = flash_mla.plan([150, 70], h_q=16, dtype="float32")
        >>> plan.batch, plan.d_v
        (2, 512)
    """
    return _native.make_plan(
        int32_array(seqlens, "seqlens"),
        int32_array(cu_seqlens_q, "cu_seqlens_q"),
        s_q,
        h_q,
        h_kv,
        d,
        d_v,
        page_size,
        dtype_name(dtype),
        None if out_dtype is None else dtype_name(out_dtype),
        separate_v,
        causal,
        window,
        sinks,
        batch_invariant,
        num_workers,
        backend,
        stream,
    )


def decode(
    plan: Plan,
    q: Any,
    k_cache: Any,
    page_table: Any,
    seqlens: Any,
    *,
    v_cache: Any = None,
    cu_seqlens_q: Any = None,
    scale: float | None = None,
    out: Any = None,
    lse: Any = None,
    return_lse: bool = True,
    workspace: Any = None,
    stream: Any = None,
) -> tuple[Any, Any]:
    """Attention of a batch's query rows over their paged KV cache: softmax(scale * q k^T) v.

    Args:
        plan: made by `plan()` for these shapes and lengths; masks come from it.
        q: [b, s_q, h_q, d], or ragged [total_q, h_q, d] with `cu_seqlens_q`. Last stride 1, the others free.
        k_cache: [num_pages, page_size, h_kv, d], type of q. Last stride 1, the others free.
        page_table: [b, max_pages] int32. Entries past a sequence's last page may hold anything.
        seqlens: [b] int32.
        v_cache: [num_pages, page_size, h_kv, d_v], with a plan for `separate_v`.
        cu_seqlens_q: [b + 1] int32, for ragged q.
        scale: softmax scale; None: d ** -0.5.
        out: [b, s_q, h_q, d_v] or [total_q, h_q, d_v] to write to, of the plan's `out_dtype`; None: a new array.
        lse: [b, h_q, s_q] or [h_q, total_q] float32 to write to; None: a new array.
        return_lse: False: `lse` is neither computed nor returned (None).
        workspace: `plan.workspace_size` bytes at a multiple of 64 bytes (`empty_workspace`), not shared by calls that
            run at the same time; None: memory that this thread keeps from call to call.
        stream: on CUDA: an int (CUstream), torch's Stream, or an object with `__cuda_stream__`; None: torch's current
            stream for torch tensors, else the default stream.

    With a plan for a CUDA device all arrays lie there and the call returns when its kernels are launched. `seqlens` are
    not looked at again: the plan's count. Without `workspace` the plan keeps one for each stream; to another the plan is
    uploaded with every call.

    Returns:
        (out, lse); lse is the natural logarithm of the sum of exp of the scaled scores. A row that sees no key has
        out = 0 and lse = -inf.

    Raises:
        PlanMismatch: the plan is of other shapes or lengths (a ValueError). Nothing is written, here and below.
        ValueError: another argument breaks the contract, or lies elsewhere than the plan's backend computes.
        TypeError: an argument is of another kind.
        RuntimeError: CUDA's driver reports an error.

    The GIL is released while it computes. The algorithm: Flash-Decoding's splits (Dao et al., 2023) with the running
    softmax of Milakov & Gimelshein (2018), on MLA's absorbed form (DeepSeek-V2, arXiv 2405.04434, section 2.1).

    Examples:
        >>> import flash_mla, numpy as np
        >>> seqlens = np.array([150, 70], np.int32)
        >>> table = np.array([[3, 1, 4], [0, 2, -1]], np.int32)  # the second sequence has two pages
        >>> q = np.full((2, 1, 16, 576), 0.1, np.float32)
        >>> k_cache = np.full((5, 64, 1, 576), 0.2, np.float32)
        >>> plan = flash_mla.plan(seqlens, h_q=16, dtype="float32")
        >>> out, lse = flash_mla.decode(plan, q, k_cache, table, seqlens)
        >>> out.shape, f"{out[0, 0, 0, 0]:.3f} {lse[0, 0, 0]:.3f}"
        ((2, 1, 16, 512), '0.200 5.491')
    """
    if not isinstance(plan, Plan):
        raise TypeError(f"plan is a {type(plan).__name__}; expected what flash_mla.plan() returns")
    if return_lse is not True and return_lse is not False:
        raise TypeError(f"return_lse is a {type(return_lse).__name__}; expected a bool")
    if out is None or (lse is None and return_lse):
        dtype_of(q, "q")
        shape = tuple(q.shape)
        if len(shape) not in (3, 4):
            raise ValueError(f"q has rank {len(shape)}; expected [b, s_q, h_q, d] or ragged [total_q, h_q, d]")
        if out is None:
            out = new_empty(q, (*shape[:-1], plan.d_v), plan.out_dtype)
        if lse is None and return_lse:
            lse_shape = (shape[0], shape[2], shape[1]) if len(shape) == 4 else (shape[1], shape[0])
            lse = new_empty(q, lse_shape, "float32")
    if not return_lse:
        lse = None
    _native.decode(
        plan, q, k_cache, page_table, seqlens, v_cache, cu_seqlens_q, out, lse, scale, workspace, False, stream
    )
    return out, lse


def empty_workspace(plan: Plan) -> np.ndarray[Any, np.dtype[np.uint8]]:
    """Memory for `decode(..., workspace=)` on the CPU: plan.workspace_size bytes at a multiple of 64 bytes."""
    if not isinstance(plan, Plan):
        raise TypeError(f"plan is a {type(plan).__name__}; expected what flash_mla.plan() returns")
    if plan.device >= 0:
        raise ValueError(f"plan is for CUDA device {plan.device}; expected one for the CPU: there decode has its own memory")
    alignment = _native.WORKSPACE_ALIGNMENT
    size = plan.workspace_size
    memory = np.empty(size + alignment, np.uint8)
    start = -memory.ctypes.data % alignment
    return memory[start : start + size]


def merge_states(parts: Sequence[tuple[Any, Any]], *, out: Any = None, lse: Any = None) -> tuple[Any, Any]:
    """Merges attention over disjoint sets of keys (split KV, shared prefixes, context parallelism).

    Args:
        parts: pairs (out, lse) as `decode` returns them, all of one shape.
        out: array to write to, of the parts' type or float32, may be that of a part; None: a new one.
        lse: the same, float32.

    Returns:
        (out, lse) = (sum_i exp(lse_i - lse) out_i, log sum_i exp(lse_i)). A part with lse = -inf adds nothing; if all
        are empty the row is (0, -inf).

    Raises:
        ValueError: names the argument, its value and what is allowed. Nothing is written then.
        TypeError: an argument is of another kind.

    Examples:
        >>> import flash_mla, numpy as np
        >>> one = (np.ones((1, 1, 2, 4), np.float32), np.zeros((1, 2, 1), np.float32))
        >>> two = (3 * one[0], one[1])
        >>> out, lse = flash_mla.merge_states([one, two])
        >>> f"{out[0, 0, 0, 0]:.3f} {lse[0, 0, 0]:.3f}"
        '2.000 0.693'
    """
    if not isinstance(parts, (list, tuple)):
        raise TypeError(f"parts is a {type(parts).__name__}; expected a list of pairs (out, lse)")
    if out is None or lse is None:
        if not parts:
            raise ValueError("parts is empty; expected one pair (out, lse) or more")
        if not isinstance(parts[0], (list, tuple)) or len(parts[0]) != 2:
            raise TypeError(f"parts[0] is a {type(parts[0]).__name__}; expected a pair (out, lse)")
        first_out, first_lse = parts[0]
        out_dtype = dtype_of(first_out, "parts[0].out")
        dtype_of(first_lse, "parts[0].lse")
        if out is None:
            out = new_empty(first_out, tuple(first_out.shape), out_dtype)
        if lse is None:
            lse = new_empty(first_lse, tuple(first_lse.shape), "float32")
    _native.merge(parts, out, lse)
    return out, lse


def append(
    k_cache: Any, slot_mapping: Any, rows: Any, *, rope: Any = None, v_cache: Any = None, v_rows: Any = None
) -> None:
    """Writes new rows into the pages of a KV cache.

    Args:
        k_cache: [num_pages, page_size, h_kv, d], written in place.
        slot_mapping: [tokens] int64: page * page_size + offset of each row; -1 skips it. No slot twice.
        rows: [tokens, h_kv, d] of the cache's type; with `rope` its first columns: [tokens, h_kv, d - d_rope].
        rope: [tokens, h_kv, d_rope]: the last columns of a row.
        v_cache: [num_pages, page_size, h_kv, d_v], where V is apart.
        v_rows: [tokens, h_kv, d_v], where V is apart.

    Raises:
        ValueError: names the argument, its value and what is allowed. Nothing is written then.
        TypeError: an argument is of another kind.
        NotImplementedError: an array is on a CUDA device.

    Examples:
        >>> import flash_mla, numpy as np
        >>> k_cache = np.zeros((2, 64, 1, 576), np.float32)
        >>> flash_mla.append(k_cache, np.array([65, -1]), np.ones((2, 1, 576), np.float32))
        >>> k_cache[1, 1].sum(), k_cache.sum()
        (np.float32(576.0), np.float32(576.0))
    """
    _native.append(k_cache, slot_mapping, rows, rope, v_cache, v_rows)


def reference(
    q: Any,
    k_cache: Any,
    page_table: Any,
    seqlens: Any,
    *,
    d_v: int = 512,
    v_cache: Any = None,
    cu_seqlens_q: Any = None,
    causal: bool = False,
    window: int = 0,
    sinks: int = 0,
    scale: float | None = None,
) -> tuple[Any, Any]:
    """The specification of `decode` in plain float64: slow, obvious, no plan.

    Args:
        q: as for `decode`, like all arrays here; all in the CPU's memory.
        k_cache: as for `decode`.
        page_table: as for `decode`.
        seqlens: as for `decode`.
        d_v: as for `plan`, like the masks.
        v_cache: as for `decode`.
        cu_seqlens_q: as for `decode`.
        causal: as for `plan`.
        window: as for `plan`.
        sinks: as for `plan`.
        scale: as for `decode`.

    Raises:
        ValueError: names the argument, its value and what is allowed.
        TypeError: an argument is of another kind.
        NotImplementedError: an array is on a CUDA device.

    Returns:
        (out, lse) in float64, of q's kind: [b, s_q, h_q, d_v] and [b, h_q, s_q], or ragged [total_q, h_q, d_v] and
        [h_q, total_q].
    """
    out_bytes, lse_bytes = _native.reference(
        q, k_cache, page_table, seqlens, v_cache, cu_seqlens_q, d_v, causal, window, sinks, scale
    )
    shape = tuple(q.shape)
    lse_shape = (shape[0], shape[2], shape[1]) if len(shape) == 4 else (shape[1], shape[0])
    out = np.frombuffer(out_bytes, np.float64).reshape(*shape[:-1], d_v)
    lse = np.frombuffer(lse_bytes, np.float64).reshape(lse_shape)
    if is_torch(q):
        import torch

        return torch.from_numpy(out), torch.from_numpy(lse)
    return out, lse

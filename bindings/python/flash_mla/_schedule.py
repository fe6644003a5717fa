"""FlashMLA's schedules: what its callers get from `get_mla_metadata` and pass on.

Here a schedule is a plan for certain lengths. It comes in two forms, as FlashMLA's did over time: an object that holds
the plan, or two int32 arrays that hold a fingerprint of the lengths, with the plan in a cache of this thread.
"""

from __future__ import annotations

import hashlib
import threading
from dataclasses import dataclass
from typing import Any

import numpy as np

from flash_mla import _native
from flash_mla._arrays import dtype_of, is_torch
from flash_mla._native import Plan, PlanMismatch

_COLUMNS = 8  # of tile_scheduler_metadata, as in FlashMLA
_MARK = 0x4D4C41  # "MLA"


@dataclass
class Config:
    """The call a `FlashMLASchedMeta` was filled by."""

    b: int
    s_q: int
    h_q: int
    page_block_size: int
    h_k: int
    causal: bool
    is_fp8_kvcache: bool = False
    topk: int | None = None
    extra_page_block_size: int | None = None
    extra_topk: int | None = None


class FlashMLASchedMeta:
    """A schedule that the first `flash_mla_with_kvcache` call fills and later calls of the same step reuse.

    Later calls must have the same shapes, options and `cache_seqlens` values; others are refused (`PlanMismatch`).
    """

    have_initialized: bool
    config: Config | None
    tile_scheduler_metadata: Any
    num_splits: Any

    def __init__(self) -> None:
        self.have_initialized = False
        self.config = None
        self.tile_scheduler_metadata = None
        self.num_splits = None
        self.plan: Plan | None = None
        self.batch_invariant = False
        self.lock = threading.Lock()


def lengths_on_host(lengths: Any, name: str) -> np.ndarray[Any, Any]:
    """`lengths` [b] int32 as a NumPy array, without a copy where they are in CPU memory."""
    dtype = dtype_of(lengths, name)
    if is_torch(lengths):
        if lengths.device.type != "cpu":
            raise NotImplementedError(
                f"{name} is on {lengths.device}; this build has CPU backends only (flash_mla.info() lists them)"
            )
        lengths = lengths.numpy()
    else:
        lengths = np.asarray(lengths)
    if dtype != "int32":
        raise ValueError(f"{name} has dtype {dtype}; expected int32")
    if lengths.ndim != 1:
        raise ValueError(f"{name} has rank {lengths.ndim}; expected [b] with rank 1")
    if lengths.size and lengths.min() < 0:
        raise ValueError(f"{name}[{lengths.argmin()}] = {lengths.min()}; expected 0 or more")
    return lengths


def _fingerprint(lengths: np.ndarray[Any, Any]) -> list[int]:
    digest = hashlib.blake2b(lengths.tobytes(), digest_size=8).digest()
    return np.frombuffer(digest, np.int32).tolist()


def schedule_arrays(cache_seqlens: Any, name: str) -> tuple[Any, Any]:
    """(tile_scheduler_metadata [workers, 8] int32, num_splits [b + 1] int32) of the kind of `cache_seqlens`."""
    lengths = lengths_on_host(cache_seqlens, name)
    row = [_MARK, len(lengths), *_fingerprint(lengths)]
    metadata = np.zeros((_native.default_num_workers(), _COLUMNS), np.int32)
    metadata[:, : len(row)] = row
    num_splits = np.arange(len(lengths) + 1, dtype=np.int32)
    if is_torch(cache_seqlens):
        import torch

        return torch.from_numpy(metadata), torch.from_numpy(num_splits)
    return metadata, num_splits


def check_schedule_arrays(metadata: Any, num_splits: Any, cache_seqlens: Any) -> None:
    """Raises if the arrays are none that `schedule_arrays` made, or were made for other lengths."""
    for name, array, rank in (("tile_scheduler_metadata", metadata, 2), ("num_splits", num_splits, 1)):
        if array is None:
            raise TypeError(f"{name} is None; expected what get_mla_metadata() returned")
        dtype = dtype_of(array, name)
        if dtype != "int32" or len(array.shape) != rank:
            raise ValueError(f"{name} has dtype {dtype} and rank {len(array.shape)}; expected int32 and rank {rank}")
    if metadata.shape[0] < 1 or metadata.shape[1] != _COLUMNS:
        raise ValueError(f"tile_scheduler_metadata has shape {list(metadata.shape)}; expected [1 or more, {_COLUMNS}]")
    mark, batch, *fingerprint = metadata[0].tolist()[:4]
    if mark != _MARK:
        raise ValueError("tile_scheduler_metadata is not what get_mla_metadata() of this package returned")
    lengths = lengths_on_host(cache_seqlens, "cache_seqlens")
    if num_splits.shape[0] != len(lengths) + 1:
        raise ValueError(f"num_splits has shape {list(num_splits.shape)}; expected [b + 1] = [{len(lengths) + 1}]")
    if batch != len(lengths) or fingerprint != _fingerprint(lengths):
        raise PlanMismatch(
            "tile_scheduler_metadata was made for other values of cache_seqlens than this call has; "
            "call get_mla_metadata again"
        )


class _PlanCache(threading.local):
    """This thread's plans by shape. A step's layers have one shape, so few suffice."""

    LIMIT = 16

    def __init__(self) -> None:
        self.plans: dict[tuple[Any, ...], Plan] = {}

    def keep(self, key: tuple[Any, ...], plan: Plan) -> None:
        if len(self.plans) >= self.LIMIT:
            del self.plans[next(iter(self.plans))]
        self.plans[key] = plan


plan_cache = _PlanCache()

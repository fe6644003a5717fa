"""FlashMLA's schedules: what its callers get from `get_mla_metadata` and pass on.

Here a schedule is a plan for certain lengths. It comes in two forms, as FlashMLA's did over time: an object that holds
the plan, or two int32 arrays that hold a fingerprint of the lengths, with the plan in a cache of this thread.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import Any

import numpy as np

from flash_mla import _native
from flash_mla._arrays import is_torch
from flash_mla._native import Plan


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


filling = threading.Lock()  # held by the one call that fills an object; torch.compile can trace no lock inside it


class FlashMLASchedMeta:
    """A schedule that the first `flash_mla_with_kvcache` call fills and later calls of the same step reuse.

    Later calls must have the same shapes, options and `cache_seqlens` values; others are refused (`PlanMismatch`), but
    for values on a CUDA device, which are not looked at again.
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


def schedule_arrays(cache_seqlens: Any, name: str) -> tuple[Any, Any]:
    """(tile_scheduler_metadata [workers, 8] int32, num_splits [b + 1] int32) of the kind of `cache_seqlens`."""
    fingerprint = _native.fingerprint(cache_seqlens, name)  # from a CUDA device: waits for it
    metadata = np.zeros((_native.default_num_workers(), _native.SCHEDULE_COLUMNS), np.int32)
    metadata[:, : len(fingerprint)] = fingerprint
    num_splits = np.arange(cache_seqlens.shape[0] + 1, dtype=np.int32)
    if is_torch(cache_seqlens):
        import torch

        place = cache_seqlens.device
        on_device = torch.from_numpy(metadata).to(place)
        if place.type == "cuda":
            setattr(on_device, _FINGERPRINT, fingerprint)
        return on_device, torch.from_numpy(num_splits).to(place)
    return metadata, num_splits


_FINGERPRINT = "_flash_mla_fingerprint"  # beside a tensor on a device, so that nobody waits for its elements


def carried_fingerprint(metadata: Any, num_splits: Any, batch: int) -> tuple[int, int, int, int]:
    """The fingerprint in a schedule's arrays. A copy of one that lies on a CUDA device is read from there."""
    noted: tuple[int, int, int, int] | None = getattr(metadata, _FINGERPRINT, None)
    return noted or _native.schedule_fingerprint(metadata, num_splits, batch)


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

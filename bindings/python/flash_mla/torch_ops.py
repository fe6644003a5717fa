"""`torch.ops.flash_mla`: operators that torch.compile and torch.export can keep in a graph.

Importing flash_mla after torch, or this module, registers them. While they are traced, `flash_mla_with_kvcache` and
`get_mla_metadata` become these operators; `with_kvcache` plans for the lengths it finds, so no schedule is stale there.
"""

import sys
from typing import Optional

import torch

from flash_mla import _drop_in, _native
from flash_mla._schedule import schedule_arrays

is_compiling = torch.compiler.is_compiling


@torch.library.custom_op("flash_mla::with_kvcache", mutates_args=())
def with_kvcache(
    q: torch.Tensor,
    k_cache: torch.Tensor,
    block_table: torch.Tensor,
    cache_seqlens: torch.Tensor,
    head_dim_v: int,
    softmax_scale: Optional[float] = None,
    causal: bool = False,
    enable_batch_invariant: bool = False,
) -> tuple[torch.Tensor, torch.Tensor]:
    """`flash_mla_with_kvcache` without a schedule. Returns (out, softmax_lse)."""
    return _drop_in.decode_with_cached_plan(
        q, k_cache, block_table, cache_seqlens, head_dim_v, softmax_scale, causal, enable_batch_invariant
    )


@with_kvcache.register_fake
def _shapes(
    q: torch.Tensor,
    k_cache: torch.Tensor,
    block_table: torch.Tensor,
    cache_seqlens: torch.Tensor,
    head_dim_v: int,
    softmax_scale: Optional[float] = None,
    causal: bool = False,
    enable_batch_invariant: bool = False,
) -> tuple[torch.Tensor, torch.Tensor]:
    return _drop_in.new_results(q, q.shape, k_cache.shape[2], head_dim_v)


@torch.library.custom_op("flash_mla::schedule", mutates_args=())
def schedule(cache_seqlens: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """`get_mla_decoding_metadata`: (tile_scheduler_metadata, num_splits)."""
    metadata, num_splits = schedule_arrays(cache_seqlens, "cache_seqlens")
    return metadata, num_splits


@schedule.register_fake
def _schedule_shapes(cache_seqlens: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    rows = (_native.default_num_workers(), _native.SCHEDULE_COLUMNS)
    return (
        cache_seqlens.new_empty(rows, dtype=torch.int32),
        cache_seqlens.new_empty((cache_seqlens.shape[0] + 1,), dtype=torch.int32),
    )


_drop_in.torch_ops = sys.modules[__name__]

"""Multi-head latent attention (MLA) decoding over a paged KV cache.

Two faces of one library:

- code written for DeepSeek's FlashMLA: ``get_mla_metadata``, ``flash_mla_with_kvcache`` and what goes with them;
- the library's own: ``plan``, ``decode``, ``merge_states``, ``append``, ``KvCache``, ``reference``, ``info``,
  ``kv_cost``.

Arrays are torch tensors, NumPy arrays (``ml_dtypes.bfloat16`` included) or anything that speaks DLPack, in the CPU's
memory or, for decode, on a CUDA device (Hopper, where this build has its kernels). Neither torch nor a GPU is needed.
Errors are exceptions that name the argument, its value and what is allowed.
"""

import sys as _sys

from flash_mla._conflict import check_for_other_package as _check_for_other_package

_check_for_other_package(__path__)

from flash_mla._native import KvCache, OutOfPages, Plan, PlanMismatch  # noqa: E402
from flash_mla._attention import append, decode, empty_workspace, merge_states, plan, reference  # noqa: E402
from flash_mla._drop_in import (  # noqa: E402
    flash_attn_varlen_func,
    flash_attn_varlen_kvpacked_func,
    flash_attn_varlen_qkvpacked_func,
    flash_mla_sparse_fwd,
    flash_mla_with_kvcache,
    get_mla_decoding_metadata,
    get_mla_metadata,
)
from flash_mla._schedule import FlashMLASchedMeta  # noqa: E402
from flash_mla._info import __version__, info  # noqa: E402
from flash_mla._kv_cost import kv_cost, kv_cost_models  # noqa: E402

if "torch" in _sys.modules:
    from flash_mla import torch_ops  # noqa: F401

__all__ = [
    "FlashMLASchedMeta",
    "KvCache",
    "OutOfPages",
    "Plan",
    "PlanMismatch",
    "__version__",
    "append",
    "decode",
    "empty_workspace",
    "flash_attn_varlen_func",
    "flash_attn_varlen_kvpacked_func",
    "flash_attn_varlen_qkvpacked_func",
    "flash_mla_sparse_fwd",
    "flash_mla_with_kvcache",
    "get_mla_decoding_metadata",
    "get_mla_metadata",
    "info",
    "kv_cost",
    "kv_cost_models",
    "merge_states",
    "plan",
    "reference",
]

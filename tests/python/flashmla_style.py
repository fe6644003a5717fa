"""A decode step as code for DeepSeek's FlashMLA writes it, on torch's tensors in the CPU's memory if torch is here."""

from __future__ import annotations

import numpy as np

from flash_mla import flash_mla_with_kvcache, get_mla_metadata

try:
    import torch
except ImportError:
    torch = None

b, s_q, h_q, h_kv, d, dv, block_size, num_layers = 2, 1, 16, 1, 576, 512, 64, 2
rng = np.random.default_rng(0)
cache_seqlens = np.array([200, 90], np.int32)
block_table = np.arange(8, dtype=np.int32).reshape(b, 4)
q = rng.standard_normal((b, s_q, h_q, d), np.float32)
k_cache = rng.standard_normal((8, block_size, h_kv, d), np.float32)
if torch is not None:
    q, k_cache = (torch.from_numpy(array).bfloat16() for array in (q, k_cache))
    cache_seqlens, block_table = torch.from_numpy(cache_seqlens), torch.from_numpy(block_table)

tile_scheduler_metadata, num_splits = get_mla_metadata(cache_seqlens, s_q * h_q // h_kv, h_kv)
for _ in range(num_layers):
    out, lse = flash_mla_with_kvcache(
        q, k_cache, block_table, cache_seqlens, dv, tile_scheduler_metadata, num_splits, causal=True
    )

rows, keys = np.asarray(q[0, 0].tolist()), np.asarray(k_cache[:4, :, 0].tolist()).reshape(-1, d)[:200]
scores = rows @ keys.T * d**-0.5
weights = np.exp(scores - scores.max(-1, keepdims=True))
expected = weights / weights.sum(-1, keepdims=True) @ keys[:, :dv]
worst = np.abs(np.asarray(out[0, 0].tolist()) - expected).max()
assert worst < (2e-5 if torch is None else 1e-2), worst
kind = type(out).__module__ + "." + type(out).__name__
print(f"{kind} {tuple(out.shape)} {out.dtype}, lse {tuple(lse.shape)}: off a float64 softmax by {worst:.1e} at most")

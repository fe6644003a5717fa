"""MLA's attention in its absorbed form (DeepSeek-V2, arXiv 2405.04434, section 2.1): queries meet the latent itself.

With k_nope = W_UK c and v = W_UV c for a cached latent c, q . k_nope = (W_UK^T q) . c, and the weighted sum of values
is W_UV times the weighted sum of latents. So a step reads the cache once for all heads and expands nothing.
"""

from __future__ import annotations

import sys
from typing import Any

import torch

from flash_mla.integrations.transformers._cache import PagedLatentCache, PagedLatentLayer


def forward(
    self: Any,
    hidden_states: torch.Tensor,
    position_embeddings: Any = None,
    attention_mask: Any = None,
    cache: Any = None,
    **kwargs: Any,
) -> tuple[torch.Tensor, torch.Tensor | None]:
    """Stands in for the `forward` of an attention module. A prompt, and any other cache, are left to that."""
    if isinstance(cache, PagedLatentCache):
        if torch.is_grad_enabled() and hidden_states.requires_grad:
            raise RuntimeError("no gradients go through a PagedLatentCache; call the model under torch.no_grad()")
        layer = cache.pages_by_layer[self.layer_idx]
        if layer.columns > 0:
            return _absorbed(self, hidden_states, position_embeddings, layer), None
    result: tuple[torch.Tensor, torch.Tensor | None] = type(self).forward(
        self,
        hidden_states=hidden_states,
        position_embeddings=position_embeddings,
        attention_mask=attention_mask,
        cache=cache,
        **kwargs,
    )
    return result


def _absorbed(module: Any, x: torch.Tensor, positions: Any, layer: PagedLatentLayer) -> torch.Tensor:
    batch, columns, _ = x.shape
    rank, rope, nope = module.kv_lora_rank, module.qk_rope_head_dim, module.qk_nope_head_dim
    if module.q_lora_rank is None:
        q = module.q_proj(x)
    else:
        q = module.q_b_proj(module.q_a_layernorm(module.q_a_proj(x)))
    q_nope, q_rope = q.view(batch, columns, module.num_heads, nope + rope).split([nope, rope], dim=-1)
    latent, k_rope = module.kv_a_proj_with_mqa(x).split([rank, rope], dim=-1)
    q_rope, k_rope = _rotated(module, q_rope.transpose(1, 2), k_rope[:, None], positions)
    layer.append(module.kv_a_layernorm(latent), k_rope[:, 0])

    up = module.kv_b_proj.weight.view(module.num_heads, nope + module.v_head_dim, rank)
    up_k, up_v = up.split([nope, module.v_head_dim], dim=1)
    q_latent = torch.einsum("bshn,hnr->bshr", q_nope, up_k)
    out = layer.decode(torch.cat([q_latent, q_rope.transpose(1, 2)], dim=-1), d_v=rank, scale=module.scaling)
    values = torch.einsum("bshr,hvr->bshv", out, up_v)
    projected: torch.Tensor = module.o_proj(values.reshape(batch, columns, -1))
    return projected


def _rotated(module: Any, q: torch.Tensor, k: torch.Tensor, positions: Any) -> tuple[torch.Tensor, torch.Tensor]:
    """q [b, heads, columns, rope] and k [b, 1, columns, rope], rotated by the model's own function."""
    modeling = sys.modules[type(module).__module__]
    rotated: tuple[torch.Tensor, torch.Tensor]
    if isinstance(positions, torch.Tensor):  # DeepSeek-V2: complex numbers
        rotated = modeling.apply_rotary_emb(q, k, positions)
    elif module.config.rope_interleave:
        rotated = modeling.apply_rotary_pos_emb_interleave(q, k, *positions)
    else:
        rotated = modeling.apply_rotary_pos_emb(q, k, *positions)
    return rotated

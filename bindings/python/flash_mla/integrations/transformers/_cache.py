"""transformers' cache interface over pages of latents."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from transformers.cache_utils import Cache, CacheLayerMixin

import flash_mla
from flash_mla.integrations.transformers._sequences import Sequences, Step


class PagedLatentLayer(CacheLayerMixin):  # type: ignore[no-untyped-call, unused-ignore]
    """One layer's pages [num_pages, page_size, 1, latent + rope]."""

    is_croppable = True
    supports_early_init = False  # its storage grows with what is cached

    def __init__(self, sequences: Sequences) -> None:
        super().__init__()  # type: ignore[no-untyped-call, unused-ignore]
        self._sequences = sequences
        self.pages: torch.Tensor | None = None
        self.columns = 0

    def lazy_initialization(self, key_states: torch.Tensor, value_states: torch.Tensor) -> None:
        self._make_room(key_states, key_states.shape[-1] + value_states.shape[-1], 1)

    def _step(self) -> Step:
        step = self._sequences.step
        if step is None:
            raise ValueError("cache is a PagedLatentCache, which only a patched model can use; call patch(model)")
        return step

    def _make_room(self, like: torch.Tensor, width: int, num_pages: int) -> torch.Tensor:
        old = 0 if self.pages is None else len(self.pages)
        if self.pages is None or num_pages > old:
            with torch.inference_mode(False):  # a later pass may be in another mode
                shape = (max(num_pages, old + old // 8), self._sequences.page_size, 1, width)
                pages = torch.empty(shape, dtype=like.dtype, device=like.device)
                if self.pages is not None:
                    pages[:old] = self.pages
            self.pages = pages
            self.is_initialized = True
        return self.pages

    def append(self, latent: torch.Tensor, rope: torch.Tensor) -> None:
        """Caches the step's new tokens: [b, columns, latent] and [b, columns, rope], rotated."""
        step = self._step()
        pages = self._make_room(latent, latent.shape[-1] + rope.shape[-1], step.num_pages)
        for old, new, tokens in step.copies:
            pages[new, :tokens] = pages[old, :tokens]
        if step.is_padded:
            present = torch.from_numpy(step.present)
            latent, rope = latent[present], rope[present]
        rows = latent.reshape(-1, 1, latent.shape[-1])
        flash_mla.append(pages, step.slots, rows, rope=rope.reshape(-1, 1, rope.shape[-1]))
        self.columns = step.columns

    def decode(self, q: torch.Tensor, d_v: int, scale: float) -> torch.Tensor:
        """Attention of q [b, columns, heads, latent + rope] over all that is cached: [b, columns, heads, d_v]."""
        step = self._step()
        ragged = step.cu_seqlens_q
        if step.plan is None:
            step.plan = flash_mla.plan(
                step.seqlens,
                h_q=q.shape[2],
                d=q.shape[3],
                d_v=d_v,
                s_q=q.shape[1],
                page_size=self._sequences.page_size,
                dtype=q.dtype,
                cu_seqlens_q=ragged,
                causal=True,
            )
        call = (self.pages, step.page_table, step.seqlens)
        if ragged is None:
            dense: torch.Tensor = flash_mla.decode(step.plan, q, *call, scale=scale, return_lse=False)[0]
            return dense
        present = torch.from_numpy(step.present)
        out = q.new_zeros((*q.shape[:-1], d_v))
        out[present] = flash_mla.decode(
            step.plan, q[present], *call, cu_seqlens_q=ragged, scale=scale, return_lse=False
        )[0]
        return out

    def update(
        self, key_states: torch.Tensor, value_states: torch.Tensor, *args: Any, **kwargs: Any
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Caches a prompt, latent [b, 1, columns, latent] and rope apart, and returns it: stock attention reads it."""
        if self.columns > 0:
            raise ValueError("cache is a PagedLatentCache with tokens in it, which only a patched model can continue")
        self.append(key_states[:, 0], value_states[:, 0])
        return key_states, value_states

    def get_seq_length(self) -> int:
        return self.columns

    def get_mask_sizes(self, query_length: int) -> tuple[int, int]:
        return self.columns + query_length, 0

    def get_max_length(self) -> int:
        return self._sequences.max_tokens


class PagedLatentCache(Cache):
    """The KV cache of a patched model: latents in pages, nothing for padding.

    `generate` and a forward pass of a patched model make one where none is given. Beams share pages.

    Args:
        config: the model's.
        page_size: tokens a page.
        max_tokens: of a row, padding not counted; None: the model's `max_position_embeddings`. Sets no memory aside.
    """

    def __init__(self, config: Any, page_size: int = 64, max_tokens: int | None = None) -> None:
        self.sequences = Sequences(page_size, config.max_position_embeddings if max_tokens is None else max_tokens)
        self.pages_by_layer = [PagedLatentLayer(self.sequences) for _ in range(config.num_hidden_layers)]
        super().__init__(layers=list(self.pages_by_layer))

    @property
    def nbytes(self) -> int:
        """Memory of the pages of all layers, those that wait for use included."""
        return sum(layer.pages.nbytes for layer in self.pages_by_layer if layer.pages is not None)

    @property
    def used_nbytes(self) -> int:
        """Memory of the pages that hold tokens."""
        pages = self.sequences.num_used_pages
        return sum(pages * layer.pages[0].nbytes for layer in self.pages_by_layer if layer.pages is not None)

    def begin(self, attention_mask: Any, batch: int, new_columns: int) -> None:
        """Makes room for one forward pass; a patched model calls it. attention_mask: [b, columns] or None."""
        if attention_mask is not None:
            if not isinstance(attention_mask, torch.Tensor) or attention_mask.dim() != 2:
                shown = list(attention_mask.shape) if hasattr(attention_mask, "shape") else type(attention_mask)
                raise ValueError(f"attention_mask is {shown}; expected a tensor [batch, columns] of 0 and 1, or None")
            attention_mask = attention_mask.numpy()
        self.sequences.begin(attention_mask, batch, new_columns)

    def reset(self) -> None:
        self.sequences.clear()
        for layer in self.pages_by_layer:
            layer.columns = 0

    def reorder_cache(self, beam_idx: torch.Tensor) -> None:
        self.sequences.reorder(beam_idx.numpy())

    def batch_select_indices(self, indices: torch.Tensor) -> None:
        self.sequences.reorder(np.arange(self.batch_size)[indices.numpy()])

    def batch_repeat_interleave(self, repeats: int) -> None:
        raise NotImplementedError("batch_repeat_interleave of a PagedLatentCache; supported: reorder_cache")

    def crop(self, tokens_to_remove: int) -> None:
        if tokens_to_remove > 0:
            raise ValueError(f"tokens_to_remove = {tokens_to_remove}; expected 0 or less: how many columns to remove")
        self.sequences.crop(-tokens_to_remove)
        for layer in self.pages_by_layer:
            layer.columns += tokens_to_remove

    @property
    def batch_size(self) -> int:
        return self.sequences.batch

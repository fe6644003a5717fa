"""Which models can be patched, and what a patch changes on them."""

from __future__ import annotations

import inspect
from types import MethodType
from typing import Any, TypeVar

import torch
import transformers

from flash_mla.integrations.transformers import _attention
from flash_mla.integrations.transformers._cache import PagedLatentCache

Model = TypeVar("Model")

SUPPORTED = {  # attention class: module of transformers
    "DeepseekV2Attention": "transformers.models.deepseek_v2.modeling_deepseek_v2",
    "DeepseekV3Attention": "transformers.models.deepseek_v3.modeling_deepseek_v3",
    "Glm4MoeLiteAttention": "transformers.models.glm4_moe_lite.modeling_glm4_moe_lite",
}
DTYPES = (torch.float32, torch.bfloat16, torch.float16)
MAX_WIDTH = 1024  # of a row of the cache


def patch(model: Model, page_size: int = 64) -> Model:
    """Makes a model decode through a paged latent cache, in the absorbed form. Returns the model, changed in place.

    `generate` and forward passes without a cache of their own get a `PagedLatentCache`; weights, prompts and passes
    with another cache, in training or with gradients, are as before. Patching again changes the page size.

    Args:
        model: a DeepSeek-V2, DeepSeek-V3 (R1) or GLM-4.7-Flash model of transformers, or its base model, on a
            CPU, in float32, bfloat16 or float16.
        page_size: tokens a page of the caches that the model makes.

    Raises:
        NotImplementedError: names what is not supported about the model. TypeError: no model of transformers.
        ValueError: page_size.
    """
    if not isinstance(model, transformers.PreTrainedModel):
        raise TypeError(f"model is a {type(model).__name__}; expected a transformers.PreTrainedModel")
    unpatch(model)
    base: Any = model.base_model
    attentions = _attentions(base)
    for attention in attentions:
        _check(attention)
    PagedLatentCache(model.config, page_size)  # refuses what is no page size
    for attention in attentions:
        attention.forward = MethodType(_attention.forward, attention)
    base._flash_mla_page_size = page_size
    base._flash_mla_hook = base.register_forward_pre_hook(_begin_step, with_kwargs=True)
    if hasattr(model, "_prepare_cache_for_generation"):
        model.__dict__["_prepare_cache_for_generation"] = MethodType(_prepare_cache, model)
    return model


def unpatch(model: Model) -> Model:
    """Undoes `patch`. Returns the model, changed in place; one that is not patched stays as it is."""
    base: Any = getattr(model, "base_model", model)
    hook = base.__dict__.pop("_flash_mla_hook", None)
    if hook is None:
        return model
    hook.remove()
    del base._flash_mla_page_size
    for attention in _attentions(base):
        del attention.forward
    model.__dict__.pop("_prepare_cache_for_generation", None)
    return model


def _attentions(base: Any) -> list[Any]:
    attentions = [getattr(layer, "self_attn", None) for layer in getattr(base, "layers", [])]
    for attention in attentions or [base]:
        kind = type(attention)
        if SUPPORTED.get(kind.__name__) != kind.__module__:
            raise NotImplementedError(
                f"model is a {type(base).__name__} with {kind.__module__}.{kind.__name__}; "
                f"supported: transformers' {', '.join(SUPPORTED)}"
            )
    return attentions


def _check(attention: Any) -> None:
    where = f"layer {attention.layer_idx}"
    if not hasattr(attention, "expand_kv") or "cache" not in inspect.signature(type(attention).forward).parameters:
        raise NotImplementedError(f"transformers is {transformers.__version__}; supported: 5.24 and what goes by it")
    if "forward" in attention.__dict__:
        raise NotImplementedError(f"{where}: forward of its attention has been replaced by {attention.forward}")
    projection = attention.kv_b_proj
    if type(projection) is not torch.nn.Linear or projection.bias is not None:
        raise NotImplementedError(f"{where}: kv_b_proj is a {projection}; supported: torch.nn.Linear without bias")
    weight = projection.weight
    if weight.device.type != "cpu":
        raise NotImplementedError(f"{where}: its weights are on {weight.device}; supported: cpu")
    if weight.dtype not in DTYPES:
        raise NotImplementedError(f"{where}: its weights are {weight.dtype}; supported: {', '.join(map(str, DTYPES))}")
    width = attention.kv_lora_rank + attention.qk_rope_head_dim
    if width > MAX_WIDTH:
        raise NotImplementedError(f"{where}: kv_lora_rank + qk_rope_head_dim = {width}; supported: up to {MAX_WIDTH}")


def _begin_step(base: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[tuple[()], dict[str, Any]]:
    """Before a forward pass of the base model: a cache where none is given, and room in it."""
    if "past_key_values" in kwargs:  # the name before 5.24
        kwargs["cache"] = kwargs.pop("past_key_values")
    call = inspect.signature(base.forward).bind_partial(*args, **kwargs).arguments
    call.update(call.pop("kwargs", {}))
    use_cache = call.get("use_cache")
    use_cache = base.config.use_cache if use_cache is None else use_cache
    if use_cache and call.get("cache") is None and not base.training and not torch.is_grad_enabled():
        call["cache"] = PagedLatentCache(base.config, base._flash_mla_page_size)
    cache = call.get("cache")
    if isinstance(cache, PagedLatentCache):
        tokens = call.get("input_ids")
        tokens = call.get("inputs_embeds") if tokens is None else tokens
        if tokens is not None:  # else the model itself complains
            cache.begin(call.get("attention_mask"), *tokens.shape[:2])
    return (), call


def _prepare_cache(
    self: Any, generation_config: Any, model_kwargs: dict[str, Any], mode: Any, batch: int, max_length: int
) -> Any:
    """Stands in for `_prepare_cache_for_generation` of a model that generates."""
    page_size = getattr(self.base_model, "_flash_mla_page_size", None)
    if (
        page_size is not None
        and model_kwargs.get("cache") is None
        and generation_config.use_cache is not False
        and generation_config.cache_implementation in (None, "dynamic")
    ):
        max_tokens = max(max_length, self.config.max_position_embeddings)
        model_kwargs["cache"] = PagedLatentCache(self.config, page_size, max_tokens)
        return None
    return type(self)._prepare_cache_for_generation(self, generation_config, model_kwargs, mode, batch, max_length)

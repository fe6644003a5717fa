"""What a KV cache costs."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from typing import Any

from flash_mla import _native


def kv_cost(
    model: str | os.PathLike[str] | Mapping[str, Any] | Any,
    *,
    batch: int = 1,
    length: int = 4096,
    page_size: int = 64,
    bits: int = 16,
    scale_group: int = 128,
    scale_bytes: int = 4,
    quantise_rope: bool = False,
    budget: int | None = None,
) -> dict[str, Any]:
    """What the KV cache of a model costs, and what a budget pays for: `flash_mla kv-cost` as a function.

    Args:
        model: a known model's name (`kv_cost_models()`); a Hugging Face config as a dict or an object with `to_dict()`;
            or the path of a config.json (a str that ends in .json or holds a "/", or a path object).
        batch: sequences, 1 to 2^40.
        length: tokens of each sequence, 1 to 2^40.
        page_size: tokens a page, 1 to 2^20; 1: lengths are not rounded up.
        bits: of a cached element: 16, 8 or 4.
        scale_group: with 8 or 4 bits: elements that share a scale, up to 2^20; 0: no scales in the cache.
        scale_bytes: bytes of a scale, 1 to 8.
        quantise_rope: with 8 or 4 bits: MLA's rope columns too, which stay at 16 bits otherwise.
        budget: bytes; None: no budget.

    Returns:
        The object of the command's JSON for one model: `batch`, `length`, `page_size`, `precision`, `model`, `attention`,
        `bytes_per_token`, `bytes_per_token_past_windows` (once windows are full), `bytes` (of all sequences),
        `expanded_bytes_per_token` (MLA models: with every head's key and value cached at 16 bits; else None), `layers`;
        and with a budget `budget`: {`bytes`, `longest_length` of `batch` sequences (None: any), `largest_batch` of
        sequences of `length`}. Bytes count all layers.

    Raises:
        ValueError: names the argument or the config's key, its value and what is allowed.
        OSError: the file cannot be read.
        TypeError: an argument is of another kind.

    Examples:
        >>> import flash_mla
        >>> cost = flash_mla.kv_cost("deepseek-v3", budget=80 << 30)
        >>> cost["bytes_per_token"], cost["expanded_bytes_per_token"], cost["budget"]["longest_length"]
        (70272, 4997120, 1222336)
        >>> flash_mla.kv_cost({"num_hidden_layers": 32, "num_attention_heads": 32, "head_dim": 128})["attention"]
        'MHA'
    """
    kind, text, name = _model_of(model)
    answer: dict[str, Any] = json.loads(
        _native.kv_cost(
            kind, text, name, batch, length, page_size, bits, scale_group, scale_bytes, quantise_rope, budget
        )
    )
    return answer


def kv_cost_models() -> list[str]:
    """The names that `kv_cost` knows.

    Examples:
        >>> import flash_mla
        >>> "deepseek-v3" in flash_mla.kv_cost_models()
        True
    """
    return _native.kv_cost_models()


def _model_of(model: Any) -> tuple[str, str, str]:
    """What `model` is, its text, and what answers call it."""
    if isinstance(model, os.PathLike):
        model = os.fspath(model)
        if isinstance(model, str):
            return "file", _utf8(model), ""
    if isinstance(model, str):
        is_path = model.endswith(".json") or "/" in model
        return "file" if is_path else "name", _utf8(model), ""
    config = model.to_dict() if hasattr(model, "to_dict") and not isinstance(model, type) else model
    if not isinstance(config, Mapping):
        raise TypeError(f"model is a {type(model).__name__}; expected a name, a config or the path of a config.json")
    try:
        text = json.dumps(dict(config), allow_nan=False, default=str)
    except (TypeError, ValueError, RecursionError) as error:
        raise ValueError(f"model cannot be written as JSON: {error}") from None
    return "text", text, str(config.get("_name_or_path") or "config")


def _utf8(path: str) -> str:
    try:
        path.encode()
    except UnicodeEncodeError:
        raise ValueError("model is not text that UTF-8 can carry") from None
    return path

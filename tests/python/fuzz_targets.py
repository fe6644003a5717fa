"""The public functions with good arguments, for fuzz.py."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from support import draw

import flash_mla

SHAPE = {"h_q": 4, "d": 24, "d_v": 16, "page_size": 8, "dtype": "float32"}

SIZES = ("page_size", "h_q", "h_kv", "s_q", "batch", "d = ", "d_v = ")  # of the contract, which arrays' shapes give


@dataclass
class Target:
    name: str
    function: Callable[..., Any]
    good: Callable[[], dict[str, Any]]  # arguments for a call that succeeds; others are left at their defaults
    names: list[str]
    written: tuple[str, ...] = ()  # arrays of which nothing may change if the call is refused
    also_named: tuple[str, ...] = ()


def target(
    function: Callable[..., Any],
    good: Callable[[], dict[str, Any]],
    written: tuple[str, ...] = (),
    also_named: tuple[str, ...] = (),
) -> Target:
    names = [name for name in inspect.signature(function).parameters if name not in ("self", "_args", "_kwargs")]
    return Target(function.__name__, function, good, names, written, also_named)


def targets() -> list[Target]:
    batch = draw(0, b=2, s_k=20, h_q=4, d=24, d_v=16, page=8, dtype="float32", gaps=False)
    arrays = {"q": batch.q, "k_cache": batch.k_cache, "page_table": batch.page_table, "seqlens": batch.seqlens}
    plan = flash_mla.plan(batch.seqlens, **SHAPE)
    out, lse = np.full((2, 1, 4, 16), 7, np.float32), np.full((2, 4, 1), 7, np.float32)
    schedule = flash_mla.get_mla_metadata(batch.seqlens, 4, 1)

    def drop_in() -> dict[str, Any]:
        return {
            "q": batch.q,
            "k_cache": batch.k_cache,
            "block_table": batch.page_table,
            "cache_seqlens": batch.seqlens,
            "head_dim_v": 16,
            "tile_scheduler_metadata": schedule[0],
            "num_splits": schedule[1],
        }

    def drop_in_object() -> dict[str, Any]:
        return {**drop_in(), "tile_scheduler_metadata": flash_mla.get_mla_metadata()[0], "num_splits": None}

    generations = ("seqlens_k", "cache_seqlens")
    made = [
        target(flash_mla.plan, lambda: {"seqlens": batch.seqlens, **SHAPE}, also_named=("batch",)),
        target(lambda_of("Plan.remake", plan, ["seqlens", "cu_seqlens_q", "stream"]), lambda: {"seqlens": batch.seqlens}),
        target(flash_mla.decode, lambda: {"plan": plan, **arrays, "out": out.copy(), "lse": lse.copy()}, ("out", "lse"), SIZES),
        target(flash_mla.empty_workspace, lambda: {"plan": plan}),
        target(flash_mla.reference, lambda: {**arrays, "d_v": 16}, also_named=SIZES),
        target(
            flash_mla.append,
            lambda: {"k_cache": batch.k_cache.copy(), "slot_mapping": np.array([0]), "rows": batch.q[0, :, :1]},
        ),
        target(
            flash_mla.merge_states,
            lambda: {"parts": [(out, lse)] * 2, "out": out.copy(), "lse": lse.copy()},
            ("out", "lse"),
        ),
        target(flash_mla.kv_cost, lambda: {"model": "gpt2"}, also_named=("config",)),
        target(flash_mla.get_mla_decoding_metadata, lambda: {"seqlens_k": batch.seqlens}),
        Target(
            "get_mla_metadata",
            flash_mla.get_mla_metadata,
            lambda: {"cache_seqlens": batch.seqlens, "num_heads_per_head_k": 4, "num_heads_k": 1},
            ["cache_seqlens", "num_heads_per_head_k", "num_heads_k", "num_heads_q", "is_fp8_kvcache", "topk"],
            also_named=generations,
        ),
        target(flash_mla.flash_mla_with_kvcache, drop_in, also_named=SIZES),
        target(flash_mla.flash_mla_with_kvcache, drop_in_object, also_named=SIZES),
    ]
    return [*made, *manager_targets()]


def lambda_of(name: str, thing: Any, parameters: list[str]) -> Callable[..., Any]:
    """A method of the extension module as a function with a signature."""
    method = getattr(thing, name.split(".")[-1])

    def call(**arguments: Any) -> Any:
        return method(**arguments)

    call.__name__ = name
    kinds = [inspect.Parameter(parameter, inspect.Parameter.KEYWORD_ONLY) for parameter in parameters]
    call.__signature__ = inspect.Signature(kinds)  # type: ignore[attr-defined]
    return call


def manager_targets() -> list[Target]:
    """`KvCache` and its methods."""
    geometry = {"num_pages": 20, "max_sequences": 4, "max_tokens": 64, "page_size": 8, "prefix_caching": True}
    options = [*geometry, "window", "sinks"]

    def make(**arguments: Any) -> Any:
        return flash_mla.KvCache(**arguments)

    constructor = Target("KvCache", make, lambda: geometry, options, also_named=("pages", "tokens"))
    methods = {
        "add_sequence": (["prompt", "salt", "priority", "reserve_tokens"], {}),
        "grow": (["sequence", "tokens"], {"tokens": 3}),
        "mark_computed": (["sequence", "num_tokens"], {"num_tokens": 1}),
        "rewind": (["sequence", "num_tokens"], {"num_tokens": 2}),
        "reserve": (["sequence", "num_tokens"], {"num_tokens": 9}),
        "fork": (["sequence"], {}),
        "freeze": (["sequence"], {}),
        "remove_sequence": (["sequence"], {}),
        "row_of": (["sequence"], {}),
        "length": (["sequence"], {}),
    }

    def method(name: str, names: list[str], given: dict[str, Any]) -> Target:
        def call(**arguments: Any) -> Any:
            cache = flash_mla.KvCache(**geometry)
            sequence, _ = cache.add_sequence([1, 2, 3])
            cache.grow(sequence, [1, 2, 3])
            if "sequence" in names and "sequence" not in arguments:
                arguments["sequence"] = sequence
            try:
                return getattr(cache, name)(**arguments)
            finally:
                cache.verify()

        return Target(f"KvCache.{name}", call, lambda: given, names, also_named=("page", "token", "id"))

    return [constructor, *(method(name, *parts) for name, parts in methods.items())]

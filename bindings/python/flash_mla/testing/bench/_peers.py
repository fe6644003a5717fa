"""The implementations by name. Each is loaded when it is timed, in a process of its own."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Any, Protocol

from flash_mla.testing.bench._case import Array, Case


class Peer(Protocol):
    name: str
    version: str

    def prepare(self, case: Case, threads: int) -> None:
        """NotImplementedError: says what it does not do."""

    def run(self, copy: int) -> None: ...

    def result(self) -> Array:
        """[b, s_q, heads, D_V] float32 of the last run."""


def _from(module: str, name: str, *arguments: str) -> Callable[[], Peer]:
    def load() -> Peer:
        peer: Any = getattr(importlib.import_module(f"flash_mla.testing.bench.{module}"), name)(*arguments)
        loaded: Peer = peer
        return loaded

    return load


PEERS: dict[str, Callable[[], Peer]] = {
    "flash_mla": _from("_peer_flash_mla", "FlashMla"),
    "flash_mla-avx2": _from("_peer_flash_mla", "FlashMla", "avx2"),
    "ik_llama.cpp": _from("_peer_ik_llama", "IkLlama"),
    "vllm": _from("_peer_vllm", "Vllm"),
    "torch": _from("_peer_torch", "Torch"),
}
DEFAULT = ["flash_mla", "ik_llama.cpp", "vllm", "torch"]

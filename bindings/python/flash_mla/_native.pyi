from typing import Any

version: str
WORKSPACE_ALIGNMENT: int
SCHEDULE_COLUMNS: int

class PlanMismatch(ValueError): ...

class Plan:
    def remake(self, seqlens: Any, cu_seqlens_q: Any = None) -> None: ...
    @property
    def workspace_size(self) -> int: ...
    @property
    def backend(self) -> str: ...
    @property
    def num_workers(self) -> int: ...
    @property
    def num_units(self) -> int: ...
    @property
    def num_split_units(self) -> int: ...
    @property
    def batch(self) -> int: ...
    @property
    def d_v(self) -> int: ...
    @property
    def out_dtype(self) -> str: ...

def make_plan(
    seqlens: Any,
    cu_seqlens_q: Any,
    s_q: int,
    h_q: int,
    h_kv: int,
    d: int,
    d_v: int,
    page_size: int,
    dtype: str,
    out_dtype: str | None,
    separate_v: bool,
    causal: bool,
    window: int,
    sinks: int,
    batch_invariant: bool,
    num_workers: int,
    backend: str | None,
    /,
) -> Plan: ...
def decode(
    plan: Plan,
    q: Any,
    k_cache: Any,
    page_table: Any,
    seqlens: Any,
    v_cache: Any,
    cu_seqlens_q: Any,
    out: Any,
    lse: Any,
    scale: float | None,
    workspace: Any,
    empty_is_plus_inf: bool,
) -> None: ...
def reference(
    q: Any,
    k_cache: Any,
    page_table: Any,
    seqlens: Any,
    v_cache: Any,
    cu_seqlens_q: Any,
    d_v: int,
    causal: bool,
    window: int,
    sinks: int,
    scale: float | None,
) -> tuple[bytearray, bytearray]: ...
def merge(parts: Any, out: Any, lse: Any) -> None: ...
def append(k_cache: Any, slot_mapping: Any, rows: Any, rope: Any, v_cache: Any, v_rows: Any) -> None: ...
def fingerprint(lengths: Any, name: str) -> tuple[int, int, int, int]: ...
def check_schedule(metadata: Any, num_splits: Any, cache_seqlens: Any) -> None: ...
def backends() -> list[dict[str, Any]]: ...
def default_backend() -> str: ...
def default_num_workers() -> int: ...

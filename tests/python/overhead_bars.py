"""What a call from Python may cost."""

from __future__ import annotations

from flash_mla.testing import overhead


def assert_little_overhead(arrays: str) -> None:
    """Bars for a machine at rest. Other load is stood up to by several tries, each the least CPU time of many rounds."""
    bars = {
        "decode, out=, lse=, workspace=": 10,
        "flash_mla_with_kvcache, FlashMLASchedMeta": 15,
        "flash_mla_with_kvcache, two arrays": 15,
    }
    best = dict.fromkeys(bars, float("inf"))
    for _ in range(6):
        figures = overhead.measure(arrays)
        best = {form: min(best[form], figures[form]) for form in bars}
        if all(best[form] <= bars[form] for form in bars):
            return
    raise AssertionError(f"microseconds a call: {best}, bars {bars}")

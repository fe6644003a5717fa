"""The rows of a run as bars."""

from __future__ import annotations

from typing import Any


def plot(path: str, rows: list[dict[str, Any]], peak_gflops: float | None, title: str) -> None:
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    names = list(dict.fromkeys(row["peer"] for row in rows))
    cases = list(dict.fromkeys(row["case"] for row in rows))
    height = 0.8 / len(names)
    size = (9, 1.6 + (0.3 + 0.16 * len(names)) * len(cases))
    figure, axes = pyplot.subplots(figsize=size, layout="constrained")
    for n, name in enumerate(names):
        speed = {row["case"]: row["gflops"] for row in rows if row["peer"] == name}
        at = [i + n * height for i, case in enumerate(cases) if case in speed]
        bars = axes.barh(at, [speed[case] for case in cases if case in speed], height, label=name)
        axes.bar_label(bars, fmt="%.0f", padding=2, fontsize=7)
    if peak_gflops is not None:
        axes.axvline(peak_gflops, color="grey", linestyle="--", label="BF16 dot-product peak, measured in this run")
    axes.set_yticks([i + 0.4 - height / 2 for i in range(len(cases))], cases, fontsize=8)
    axes.invert_yaxis()
    axes.margins(x=0.1)
    axes.set_xlabel("GFLOP/s")
    axes.set_title(title, fontsize=10)
    axes.grid(axis="x", alpha=0.3)
    figure.legend(loc="outside lower center", ncols=2, fontsize=8, frameon=False)
    figure.savefig(path)
    pyplot.close(figure)

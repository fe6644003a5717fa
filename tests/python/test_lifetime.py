"""References, memory, threads and forks."""

from __future__ import annotations

import contextlib
import gc
import os
import resource
import signal
import sys
import threading
import time
import weakref

import numpy as np
import pytest
from support import draw

import flash_mla


@pytest.fixture
def call():
    batch = draw(9, b=2, s_k=300, h_q=16)
    plan = flash_mla.plan(batch.seqlens, h_q=16)
    return plan, batch.q, batch.k_cache, batch.page_table, batch.seqlens


def test_no_reference_is_kept(call) -> None:
    flash_mla.decode(*call)
    before = [sys.getrefcount(item) for item in call]
    out, lse = flash_mla.decode(*call)
    for _ in range(50):
        flash_mla.decode(*call, out=out, lse=lse)
        with pytest.raises(ValueError):
            flash_mla.decode(*call, out=out[:1])
        with pytest.raises(TypeError):
            flash_mla.decode(*call, out=out, lse="lse")
    assert [sys.getrefcount(item) for item in call] == before
    assert sys.getrefcount(out) == 2 and sys.getrefcount(lse) == 2


def test_buffers_are_given_back(call) -> None:
    """An array that a call still held could not be resized."""
    seqlens = np.array([300, 300], np.int32)
    flash_mla.decode(*call[:4], seqlens)
    seqlens.resize(3, refcheck=False)


def test_no_leak(call) -> None:
    def many() -> int:
        for _ in range(300):
            flash_mla.plan(call[4], h_q=16)
            metadata = flash_mla.get_mla_metadata(call[4], 16, 1)
            flash_mla.flash_mla_with_kvcache(*call[1:], 512, *metadata)
            with pytest.raises(ValueError):
                flash_mla.decode(call[0], *call[1:4], call[4] + 1)
        gc.collect()
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss

    first = many()
    assert many() - first < 2048, "KiB grew"  # 300 outputs alone are 9600 KiB


def test_eight_threads(call) -> None:
    want = flash_mla.decode(*call)
    wrong, done = [], []

    def work() -> None:
        for _ in range(20):
            out, lse = flash_mla.decode(*call)
            if not ((out == want[0]).all() and (lse == want[1]).all()):
                wrong.append(threading.get_ident())
        done.append(1)

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong and len(done) == 8


def test_eight_threads_fill_one_schedule(call) -> None:
    metadata, _ = flash_mla.get_mla_metadata()
    results, barrier = [], threading.Barrier(8)

    def work() -> None:
        barrier.wait()
        results.append(flash_mla.flash_mla_with_kvcache(*call[1:], 512, metadata)[0])

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(results) == 8 and all((out == results[0]).all() for out in results)


def test_planning_anew_beside_decoding(call) -> None:
    """Each call sees one plan or the other, never half of one."""
    plan, *arrays = call
    shorter = arrays[3] - 100
    stop = threading.Event()

    def replan() -> None:
        while not stop.is_set():
            plan.remake(shorter)
            plan.remake(arrays[3])

    thread = threading.Thread(target=replan)
    thread.start()
    try:
        for _ in range(200):
            try:
                flash_mla.decode(plan, *arrays)
            except flash_mla.PlanMismatch as mismatch:
                assert "= 200, this call has 300" in str(mismatch)
            assert plan.batch == 2 and plan.workspace_size > 0
    finally:
        stop.set()
        thread.join()


class Remembered(np.ndarray):
    """An array whose end can be seen."""


def test_arrays_that_others_let_go_of_live_until_the_call_ends() -> None:
    """Every reference but the call's own is dropped while it computes."""
    batch = draw(10, b=4, s_k=2000, h_q=64)
    plan = flash_mla.plan(batch.seqlens, h_q=64, num_workers=1, backend="scalar")
    want = flash_mla.decode(plan, batch.q, batch.k_cache, batch.page_table, batch.seqlens)
    box = [array.copy().view(Remembered) for array in (batch.page_table, batch.seqlens)]
    gone = [weakref.ref(array) for array in box]
    started, results = threading.Event(), []

    def work() -> None:
        call = iter([plan, batch.q, batch.k_cache, *box])
        started.set()
        results.append(flash_mla.decode(*call))

    thread = threading.Thread(target=work)
    thread.start()
    started.wait()
    time.sleep(0.05)  # it computes
    assert thread.is_alive(), "the call is over: this test tests nothing"
    box.clear()
    gc.collect()
    while thread.is_alive():
        assert all(array() is not None for array in gone) or not thread.is_alive()
        time.sleep(0.001)
    thread.join()
    assert (results[0][0] == want[0]).all() and (results[0][1] == want[1]).all()
    assert all(array() is None for array in gone)


def test_arrays_change_shape_beside_calls(call) -> None:
    """A call sees an array as it was at one moment, and either is right or says which argument does not fit."""
    plan, q, k_cache, table, lengths = call
    q, lengths, table = q.copy(), lengths.copy(), table.copy()
    want, stop = flash_mla.decode(*call)[0], threading.Event()
    shapes = [q.shape, (1, *q.shape[1:2], -1, q.shape[-1]), (-1, q.shape[-1])]

    def change() -> None:
        while not stop.is_set():
            for shape in shapes:  # the first is the right one
                q.shape = shape
                with contextlib.suppress(ValueError):
                    lengths.resize(5 - lengths.size)  # to 3 and back; NumPy refuses while a call holds it
                time.sleep(0.0005)
        q.shape = shapes[0]

    thread = threading.Thread(target=change)
    thread.start()
    refused = right = 0
    end = time.monotonic() + 2
    try:
        while time.monotonic() < end:
            try:
                out, _ = flash_mla.decode(plan, q, k_cache, table, lengths)
            except (ValueError, TypeError) as refusal:
                assert any(name in str(refusal) for name in ("q", "out", "page_table", "seqlens", "plan")), refusal
                refused += 1
            else:
                assert (out == want).all()
                right += 1
    finally:
        stop.set()
        thread.join()
    assert right > 0 and refused > 0


def test_the_gil_is_released() -> None:
    batch = draw(10, b=4, s_k=4000, h_q=128)
    plan = flash_mla.plan(batch.seqlens, h_q=128, num_workers=1, backend="scalar")
    call = plan, batch.q, batch.k_cache, batch.page_table, batch.seqlens
    finished = threading.Event()

    def work() -> None:
        flash_mla.decode(*call)
        finished.set()

    thread = threading.Thread(target=work)
    thread.start()
    ticks = 0
    while not finished.is_set():
        time.sleep(0.001)
        ticks += 1
    thread.join()
    assert ticks > 10, "nothing else ran during the call"


@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")
def test_fork() -> None:
    """A child of a process whose OpenMP threads have run computes the same, and does not hang."""
    batch = draw(11, b=4, s_k=500, h_q=16)
    plan = flash_mla.plan(batch.seqlens, h_q=16, num_workers=2)
    call = plan, batch.q, batch.k_cache, batch.page_table, batch.seqlens
    want = flash_mla.decode(*call)
    assert len(os.listdir("/proc/self/task")) > 1, "OpenMP has made no thread: this test tests nothing"
    child = os.fork()
    if child == 0:
        signal.alarm(30)
        out, lse = flash_mla.decode(*call)
        os._exit(0 if (out == want[0]).all() and (lse == want[1]).all() else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert (flash_mla.decode(*call)[0] == want[0]).all()

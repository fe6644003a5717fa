"""Arrays on a CUDA device, with the emulator in the driver's place: no torch, no GPU."""

from __future__ import annotations

import sys
import threading
from types import SimpleNamespace

import numpy as np
import pytest
from cuda_array import CudaArray, call, driver, new_stream, on_device, use_device
from support import as_float32, draw, judge_flashmla

import flash_mla

use_device()
SM90 = next(backend for backend in flash_mla.info()["backends"] if backend["name"] == "sm90")


def small(**changed):
    return draw(3, **{"b": 3, "s_k": 40, "h_q": 16, "d": 288, "d_v": 256, "page": 8, "gaps": False, **changed})


def placed(batch):
    return tuple(on_device(array) for array in (batch.q, batch.k_cache, batch.page_table, batch.seqlens))


def judge(batch, causal, out, lse):
    call("cuCtxSynchronize")
    judge_flashmla(batch, causal, out.numpy(), lse.numpy())


def own_call(batch, **options):
    """A plan and arguments of decode(), outputs included."""
    b, s_q, h_q, d = batch.q.shape
    q, k_cache, table, lengths = placed(batch)
    plan = flash_mla.plan(lengths, h_q=h_q, d=d, d_v=batch.d_v, s_q=s_q, page_size=batch.k_cache.shape[1], **options)
    out, lse = CudaArray((b, s_q, h_q, batch.d_v), "bfloat16"), CudaArray((b, h_q, s_q), "float32")
    return {"plan": plan, "q": q, "k_cache": k_cache, "page_table": table, "seqlens": lengths, "out": out, "lse": lse}


def filled(arguments) -> None:
    for name in ("out", "lse"):
        array = arguments[name]
        array.write(np.full(array.shape, 7, array.numpy().dtype))


def test_the_kernels_are_here() -> None:
    assert SM90["usable"], SM90["reason"]
    assert "torch" not in sys.modules


@pytest.mark.parametrize(
    "changed",
    [
        {},
        {"d": 576, "d_v": 512, "page": 64, "s_k": 150},
        {"dtype": "float16", "s_q": 2, "varlen": True},
        {"zero_lengths": True, "b": 6, "s_q": 3, "s_k": 2},
        {"zero_lengths": True, "b": 6, "h_kv": 2, "s_q": 3, "s_k": 2},
    ],
)
@pytest.mark.parametrize("form", ["object", "arrays"])
def test_flashmla_code(changed, form) -> None:
    batch = small(**changed)
    q, k_cache, table, lengths = placed(batch)
    schedule = flash_mla.get_mla_metadata(*(() if form == "object" else (lengths, 16, 1)))
    for _ in range(2):  # layers
        out, lse = flash_mla.flash_mla_with_kvcache(q, k_cache, table, lengths, batch.d_v, *schedule, causal=True)
        assert type(out) is type(lse) is CudaArray
        judge(batch, True, out, lse)


def test_own_surface_against_the_cpu() -> None:
    batch = small(s_q=2)
    arguments = own_call(batch, causal=True)
    assert (arguments["plan"].backend, arguments["plan"].device, arguments["plan"].num_workers) == ("sm90", 0, 132)
    out, lse = flash_mla.decode(**arguments)
    assert out is arguments["out"] and lse is arguments["lse"]
    call("cuCtxSynchronize")
    plan = flash_mla.plan(batch.seqlens, h_q=16, d=288, d_v=256, s_q=2, page_size=8, causal=True)
    cpu_out, cpu_lse = flash_mla.decode(plan, batch.q, batch.k_cache, batch.page_table, batch.seqlens)
    assert np.abs(as_float32(out.numpy()) - as_float32(cpu_out)).max() < 4e-3
    assert np.abs(lse.numpy() - cpu_lse).max() < 1e-5


def test_lengths_of_the_host_and_the_next_step() -> None:
    batch = small()
    arguments = own_call(batch)
    plan = flash_mla.plan(batch.seqlens - 9, h_q=16, d=288, d_v=256, page_size=8, backend="sm90")
    arguments["plan"] = plan
    flash_mla.decode(**arguments)
    shorter = draw(3, b=3, s_k=40, h_q=16, d=288, d_v=256, page=8, gaps=False)
    shorter.keys = [keys[:-9] for keys in shorter.keys]
    judge(shorter, False, arguments["out"], arguments["lse"])
    plan.remake(arguments["seqlens"])  # read from the device
    flash_mla.decode(**arguments)
    judge(batch, False, arguments["out"], arguments["lse"])


def test_workspace_of_the_caller() -> None:
    batch = small(s_k=600, b=1)
    arguments = own_call(batch)
    assert arguments["plan"].num_split_units > 0
    workspace = CudaArray((arguments["plan"].workspace_size,), "uint8")
    flash_mla.decode(**arguments, workspace=workspace)
    judge(batch, False, arguments["out"], arguments["lse"])
    with pytest.raises(ValueError, match="workspace"):
        flash_mla.decode(**arguments, workspace=CudaArray((3,), "uint8"))
    with pytest.raises(ValueError, match="workspace is in the CPU's memory; expected on CUDA device 0"):
        flash_mla.decode(**arguments, workspace=np.empty(arguments["plan"].workspace_size, np.uint8))


@pytest.mark.parametrize(
    "wrapped", [int, lambda at: SimpleNamespace(cuda_stream=at), lambda at: SimpleNamespace(__cuda_stream__=lambda: (0, at))]
)
def test_stream_of_the_caller(wrapped) -> None:
    batch = small()
    arguments = own_call(batch)
    assert set(arguments["seqlens"].streams) == {1}  # the default stream's number in DLPack
    stream = new_stream()
    flash_mla.decode(**arguments, stream=wrapped(stream))
    for name in ("q", "k_cache", "page_table", "out", "lse"):
        assert arguments[name].streams == [stream], name
    judge(batch, False, arguments["out"], arguments["lse"])


def test_work_goes_to_the_stream() -> None:
    """The driver refuses what is no stream of its own, so it was asked to use that one."""
    arguments = own_call(small())
    with pytest.raises(RuntimeError, match="cu[A-Z][A-Za-z]+"):
        flash_mla.decode(**arguments, stream=0xBAD0)
    flash_mla.decode(**arguments)
    for wrong, error in (("s", TypeError), (-1, ValueError), (1.5, TypeError), (True, TypeError)):
        with pytest.raises(error, match="stream"):
            flash_mla.decode(**arguments, stream=wrong)


def test_current_stream_of_torch(monkeypatch) -> None:
    class Tensor(CudaArray):
        is_cuda = True
        new_empty = None

    batch, stream, asked = small(), new_stream(), []
    arguments = own_call(batch)
    arguments["q"] = Tensor(batch.q.shape, "bfloat16").write(batch.q)

    def current_stream(device):
        asked.append(device)
        return SimpleNamespace(cuda_stream=stream)

    monkeypatch.setitem(sys.modules, "torch", SimpleNamespace(cuda=SimpleNamespace(current_stream=current_stream)))
    flash_mla.decode(**arguments)
    assert asked == [0] and arguments["out"].streams == [stream]
    judge(batch, False, arguments["out"], arguments["lse"])


@pytest.mark.parametrize("name", ["q", "k_cache", "page_table", "seqlens", "out", "lse"])
def test_one_array_elsewhere(name) -> None:
    arguments = own_call(small())
    filled(arguments)
    on_cpu = {**arguments, name: arguments[name].numpy()}
    with pytest.raises(ValueError, match=f"^{name} is in the CPU's memory; expected on CUDA device 0: the plan is for"):
        flash_mla.decode(**on_cpu)
    claimed = CudaArray(arguments[name].shape, arguments[name].dtype, device=1)
    with pytest.raises(ValueError, match=f"^{name} is on CUDA device 1; expected on CUDA device 0"):
        flash_mla.decode(**{**arguments, name: claimed})
    for output in {"out", "lse"} - {name}:
        assert (arguments[output].numpy() == 7).all()


@pytest.mark.parametrize(
    ("at", "name"), [(0, "q"), (1, "k_cache"), (2, "block_table"), (3, "cache_seqlens|tile_scheduler_metadata|q")]
)
@pytest.mark.parametrize("form", ["object", "arrays"])
def test_flashmla_code_with_one_array_elsewhere(at, name, form) -> None:
    arrays = list(placed(small()))
    schedule = flash_mla.get_mla_metadata(*(() if form == "object" else (arrays[3], 16, 1)))
    arrays[at] = arrays[at].numpy()
    with pytest.raises(ValueError, match=f"^({name}) is (in the CPU's memory|on CUDA device 0); expected"):
        flash_mla.flash_mla_with_kvcache(*arrays, 256, *schedule)


def test_a_plan_for_the_cpu() -> None:
    batch = small()
    arguments = own_call(batch)
    arguments["plan"] = flash_mla.plan(batch.seqlens, h_q=16, d=288, d_v=256, page_size=8)
    with pytest.raises(ValueError, match="^q is on CUDA device 0; expected in the CPU's memory: the plan is for"):
        flash_mla.decode(**arguments)
    with pytest.raises(ValueError, match="stream is given beside a plan for the CPU"):
        flash_mla.decode(arguments["plan"], batch.q, batch.k_cache, batch.page_table, batch.seqlens, stream=0)
    lengths = CudaArray((3,), "int32", device=1)
    with pytest.raises(ValueError, match="seqlens is on CUDA device 1; the thread's current device is 0"):
        flash_mla.plan(lengths, h_q=16)


def test_what_has_no_form_for_cuda() -> None:
    arguments = own_call(small())
    arrays = [arguments[name] for name in ("q", "k_cache", "page_table", "seqlens")]
    part = arguments["out"], arguments["lse"]
    for function, name in (
        (lambda: flash_mla.reference(*arrays, d_v=256), "q"),
        (lambda: flash_mla.append(arrays[1], np.zeros(1, np.int64), arrays[0]), "k_cache"),
        (lambda: flash_mla.merge_states([part, part]), r"parts\[0\].out"),
    ):
        with pytest.raises(NotImplementedError, match=f"^{name} is on CUDA device 0; expected in the CPU's memory"):
            function()


def test_new_arrays_need_a_library() -> None:
    class Bare:
        def __init__(self, array):
            self.shape, self.dtype, self.array = array.shape, array.dtype, array
            self.__dlpack__ = array.__dlpack__

        def __dlpack_device__(self):
            return 2, 0

    arguments = own_call(small())
    bare = Bare(arguments["q"])
    with pytest.raises(ValueError, match="q is a Bare without __array_namespace__: .* give out= and lse="):
        flash_mla.decode(arguments["plan"], bare, *(arguments[name] for name in ("k_cache", "page_table", "seqlens")))


def test_changed_lengths_go_unnoticed_until_the_next_schedule() -> None:
    """The documented rule. The step after, with a schedule of its own, is right."""
    batch = small()
    q, k_cache, table, lengths = placed(batch)
    shorter = small()
    shorter.keys = [keys[:-5] for keys in batch.keys]
    for arguments in ((), (lengths, 16, 1)):
        lengths.write(batch.seqlens)
        schedule = flash_mla.get_mla_metadata(*arguments)
        run = lambda held: flash_mla.flash_mla_with_kvcache(q, k_cache, table, lengths, 256, *held)  # noqa: E731
        judge(batch, False, *run(schedule))
        lengths.write(batch.seqlens - 5)
        judge(batch, False, *run(schedule))
        judge(shorter, False, *run(flash_mla.get_mla_metadata(*arguments)))
    with pytest.raises(flash_mla.PlanMismatch, match="call get_mla_metadata again"):
        run(schedule)  # the plan of this shape is for the shorter ones by now: the device is asked, and it shows


def test_a_thread_without_a_context() -> None:
    batch = small()
    arguments = own_call(batch)
    failures: list[BaseException] = []

    def work() -> None:
        try:
            flash_mla.decode(**arguments)
            plan = flash_mla.plan(batch.seqlens, h_q=16, d=288, d_v=256, page_size=8, backend="sm90")
            flash_mla.decode(**{**arguments, "plan": plan})
            del plan
        except BaseException as error:  # noqa: BLE001: shown by the test
            failures.append(error)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert not failures
    judge(batch, False, arguments["out"], arguments["lse"])


def test_a_plan_s_own_workspace_is_freed() -> None:
    import ctypes

    def free() -> int:
        left, total = ctypes.c_size_t(), ctypes.c_size_t()
        call("cuMemGetInfo_v2", ctypes.byref(left), ctypes.byref(total))
        return left.value

    arguments = own_call(small(s_k=300))
    flash_mla.decode(**arguments)
    before = free()
    for _ in range(5):
        arguments["plan"] = flash_mla.plan(arguments["seqlens"], h_q=16, d=288, d_v=256, page_size=8)
        flash_mla.decode(**arguments)
    assert free() == before and driver is not None

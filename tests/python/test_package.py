"""The package as installed."""

from __future__ import annotations

import ast
import doctest
import importlib
import json
import pathlib
import re
import shutil
import signal
import subprocess
import sys

import pytest
from overhead_bars import assert_little_overhead

import flash_mla
from flash_mla import _native

FOLDER = pathlib.Path(flash_mla.__file__).parent
ROOT = pathlib.Path(__file__).parents[2]


def test_import_needs_no_torch() -> None:
    code = "import sys, flash_mla; assert 'torch' not in sys.modules and 'ml_dtypes' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_every_name_is_documented() -> None:
    for name in flash_mla.__all__:
        thing = getattr(flash_mla, name)
        assert name == "__version__" or thing.__doc__, name


@pytest.mark.parametrize("module", ["_attention", "_drop_in", "_info", "_kv_cost"])
def test_documented_examples_run(module) -> None:
    result = doctest.testmod(importlib.import_module(f"flash_mla.{module}"))
    assert result.attempted > 0 and result.failed == 0


@pytest.mark.parametrize("page", ["README.md", "bindings/python/README.md", "docs/python.md"])
def test_examples_of_the_pages_run(page) -> None:
    examples = re.findall(r"```python\n(.*?)```", (ROOT / page).read_text(), re.DOTALL)
    assert examples
    for example in examples:
        exec(compile(example, page, "exec"), {})


def test_types() -> None:
    from mypy import api as mypy
    files = [str(path) for path in FOLDER.rglob("*.py") if path.name != "torch_ops.py"]
    without_torch = ["--follow-imports=silent", "--ignore-missing-imports", "--allow-subclassing-any"]
    report, errors, status = mypy.run(["--strict", *without_torch, *files])
    assert status == 0, report + errors


@pytest.mark.parametrize("start", [[sys.executable, "-m", "flash_mla"], [str(FOLDER.parent / "bin" / "flash_mla")]])
def test_command(tmp_path, start) -> None:
    file = tmp_path / "info.json"
    printed = subprocess.run([*start, "info", "--json", str(file)], check=True, capture_output=True, text=True).stdout
    described, own = json.loads(file.read_text()), flash_mla.info()
    assert described["version"] == flash_mla.__version__ in printed
    assert [row["name"] for row in described["backends"]] == [row["name"] for row in own["backends"]]
    refused = subprocess.run([*start, "info", "--json", "/nowhere/info.json"], capture_output=True, text=True)
    assert refused.returncode == 2 and "/nowhere/info.json" in refused.stderr


def test_command_ends_when_told(tmp_path) -> None:
    """Ctrl-C ends it as it would a program of its own, and so does a reader that goes away."""
    start = [sys.executable, "-m", "flash_mla"]
    with subprocess.Popen([*start, "check"], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE) as running:
        assert running.stderr.read(6) == b"check:"  # its progress: it is at work
        running.send_signal(signal.SIGINT)
        running.wait(timeout=20)  # all of it takes many minutes
    with subprocess.Popen([*start, "kv-cost"], stdout=subprocess.PIPE, stderr=subprocess.PIPE) as running:
        running.stdout.close()
        assert running.wait(timeout=20) == -signal.SIGPIPE


def test_version_is_the_library_s() -> None:
    header = (ROOT / "include/flash_mla/version.h").read_text()
    numbers = re.findall(r"VERSION_(?:MAJOR|MINOR|PATCH) (\d+)", header)
    assert flash_mla.__version__ == ".".join(numbers)


def test_another_package_in_the_same_place(tmp_path) -> None:
    shutil.copytree(FOLDER, tmp_path / "flash_mla")
    (tmp_path / "flash_mla" / "cuda.cpython-311-x86_64-linux-gnu.so").touch()
    failed = subprocess.run(
        [sys.executable, "-c", "import flash_mla"], env={"PYTHONPATH": str(tmp_path)}, capture_output=True, text=True
    )
    assert failed.returncode != 0 and "another package that is also imported as flash_mla (cuda.cpython" in failed.stderr


def test_size() -> None:
    has_kernels = any(backend["on_cuda"] and backend["built"] for backend in flash_mla.info()["backends"])
    assert sum(file.stat().st_size for file in FOLDER.rglob("*.so")) < (15 if has_kernels else 5) << 20


def test_overhead() -> None:
    assert_little_overhead("numpy")


def test_stub_names_what_the_extension_holds() -> None:
    def names(body) -> set[str]:
        functions_and_classes = {node.name for node in body if isinstance(node, (ast.FunctionDef, ast.ClassDef))}
        return functions_and_classes | {node.target.id for node in body if isinstance(node, ast.AnnAssign)}

    stub = ast.parse((FOLDER / "_native.pyi").read_text()).body
    assert names(stub) == {name for name in dir(_native) if not name.startswith("__")}
    for node in stub:
        if isinstance(node, ast.ClassDef) and node.name in ("KvCache", "Plan"):
            held = {name for name in dir(getattr(_native, node.name)) if not name.startswith("_")}
            assert names(node.body) - {"__init__"} == held, node.name


def test_stub_gives_arguments_as_the_extension_does() -> None:
    """mypy's stubtest takes nanobind's functions for none, so that their own account of themselves is compared here."""

    def account(function: ast.FunctionDef) -> list[tuple[str, bool]]:
        arguments = [*function.args.posonlyargs, *function.args.args]
        required = len(arguments) - len(function.args.defaults)
        return [(argument.arg, place >= required) for place, argument in enumerate(arguments)]

    def check(scope, body) -> int:
        functions = 0
        for node in body:
            if isinstance(node, ast.ClassDef):
                functions += check(getattr(scope, node.name), node.body)
            elif isinstance(node, ast.FunctionDef) and not node.decorator_list:
                text = re.sub(r"\\\d+", "None", getattr(scope, node.name).__nb_signature__[0][0])
                (signature,) = ast.parse(text + ": ...").body
                stub, extension = account(node), account(signature)
                named = [name for name, _ in extension if not re.fullmatch(r"arg\d*", name)]
                assert len(stub) == len(extension), node.name
                assert named in ([], ["self"]) or stub == extension, node.name
                functions += 1
        return functions

    assert check(_native, ast.parse((FOLDER / "_native.pyi").read_text()).body) > 25

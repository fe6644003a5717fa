"""The package as installed."""

from __future__ import annotations

import ast
import doctest
import importlib
import json
import pathlib
import re
import shutil
import subprocess
import sys

import pytest
from overhead_bars import assert_little_overhead

import flash_mla
from flash_mla import __main__ as command
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


@pytest.mark.parametrize("module", ["_attention", "_drop_in", "_info"])
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


def test_info(tmp_path, capsys) -> None:
    file = tmp_path / "info.json"
    assert command.main(["info", "--json", str(file)]) == 0
    printed = capsys.readouterr().out
    described = json.loads(file.read_text())
    assert described["command"] == "info" and described["version"] == flash_mla.__version__ in printed
    assert {"name", "built", "usable", "reason"} <= described["backends"][0].keys()
    assert described["default_backend"] in printed and "taken unless told otherwise" in printed
    assert command.main(["info", "--json", "/nowhere/info.json"]) == 2


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
    assert sum(file.stat().st_size for file in FOLDER.rglob("*.so")) < 5 << 20


def test_overhead() -> None:
    assert_little_overhead("numpy")


def test_stub_names_what_the_extension_holds() -> None:
    def names(body) -> set[str]:
        functions_and_classes = {node.name for node in body if isinstance(node, (ast.FunctionDef, ast.ClassDef))}
        return functions_and_classes | {node.target.id for node in body if isinstance(node, ast.AnnAssign)}

    stub = ast.parse((FOLDER / "_native.pyi").read_text()).body
    assert names(stub) == {name for name in dir(_native) if not name.startswith("__")}
    (plan,) = (node for node in stub if isinstance(node, ast.ClassDef) and node.name == "Plan")
    assert names(plan.body) == {name for name in dir(_native.Plan) if not name.startswith("_")}

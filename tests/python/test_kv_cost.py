"""kv_cost says what the command's verb says."""

from __future__ import annotations

import json
import pathlib
import subprocess
import sys

import pytest

import flash_mla

MLA = {
    "num_hidden_layers": 61,
    "num_attention_heads": 128,
    "kv_lora_rank": 512,
    "qk_rope_head_dim": 64,
    "qk_nope_head_dim": 128,
    "v_head_dim": 128,
}


@pytest.fixture
def config(tmp_path) -> pathlib.Path:
    (tmp_path / "small").mkdir()
    file = tmp_path / "small" / "config.json"
    file.write_text(json.dumps(MLA))
    return file


def command(tmp_path, *options: str) -> list[dict]:
    file = tmp_path / "cost.json"
    run = [sys.executable, "-m", "flash_mla", "kv-cost", *options, "--json", str(file)]
    subprocess.run(run, check=True, capture_output=True)
    report = json.loads(file.read_text())
    question = {key: report[key] for key in ("batch", "length", "page_size", "precision")}
    return [{**question, **model} for model in report["models"]]


def test_every_known_model(tmp_path) -> None:
    assert command(tmp_path) == [flash_mla.kv_cost(name) for name in flash_mla.kv_cost_models()]


@pytest.mark.parametrize(
    "options",
    [
        {"batch": 8, "length": 32768, "page_size": 16, "budget": 80 << 30},
        {"bits": 8},
        {"bits": 4, "scale_group": 64, "scale_bytes": 2, "quantise_rope": True},
    ],
)
def test_every_option(tmp_path, config, options) -> None:
    words = []
    for name, value in options.items():
        words += ["--" + name.replace("_", "-")] + ([] if value is True else [str(value)])
    models = command(tmp_path, "--model", "gemma-3-27b", "--config", str(config), *words)
    assert models == [flash_mla.kv_cost(config, **options), flash_mla.kv_cost("gemma-3-27b", **options)]


def test_one_model_in_every_form(config) -> None:
    class Config:
        def to_dict(self):
            return {**MLA, "_name_or_path": "small"}

    published = flash_mla.kv_cost("deepseek-v3")
    assert (published["bytes_per_token"], published["bytes"]) == (70272, 70272 * 4096)
    for model in (config, str(config), MLA, Config()):
        answer = flash_mla.kv_cost(model)
        assert answer.pop("model") == ("config" if model is MLA else "small")
        assert answer == {key: value for key, value in published.items() if key != "model"}


@pytest.mark.parametrize(
    ("changed", "error", "message"),
    [
        ({"model": "gpt"}, ValueError, "model is 'gpt': must be one of deepseek-v2-lite, "),
        ({"model": 3}, TypeError, "model is a int; expected a name, a config or the path"),
        ({"model": None}, TypeError, "model is a NoneType"),
        ({"model": "nowhere/config.json"}, OSError, "config 'nowhere/config.json' cannot be read: No such file"),
        ({"model": pathlib.Path("/")}, OSError, "config '/' cannot be read: it is a folder"),
        ({"model": "\udcff"}, ValueError, "model is not text"),
        ({"model": {}}, ValueError, "model: the key num_hidden_layers"),
        ({"model": {**MLA, "kv_lora_rank": -1}}, ValueError, "model: kv_lora_rank is -1: must be"),
        ({"model": {"a": float("nan")}}, ValueError, "model cannot be written as JSON"),
        ({"batch": 0}, ValueError, "batch = 0; expected 1 to 1099511627776"),
        ({"batch": 1 << 40, "length": 1 << 40}, ValueError, "2\\^63 - 1: give a smaller batch or length"),
        ({"length": 1.5}, TypeError, "length is a float; expected an int"),
        ({"page_size": 1 << 21}, ValueError, "page_size = 2097152; expected 1 to 1048576"),
        ({"bits": 5}, ValueError, "bits = 5; expected 16, 8 or 4"),
        ({"scale_group": -1}, ValueError, "scale_group = -1"),
        ({"scale_bytes": 9}, ValueError, "scale_bytes = 9; expected 1 to 8"),
        ({"quantise_rope": 1}, TypeError, "quantise_rope is a int; expected a bool"),
        ({"budget": 0}, ValueError, "budget = 0; expected 1 to"),
    ],
)
def test_refusals(changed, error, message) -> None:
    with pytest.raises(error, match=message):
        flash_mla.kv_cost(**{"model": "gpt2", **changed})

"""What the loader reads, and what it refuses: by file and key."""

import json
import shutil
import struct

import pytest
import torch
from safetensors.torch import load_file, save_file

import models
from support import ask, refusal
from test_equality import LOGITS_BAR, draw_tokens, reference_logits, worst


@pytest.fixture
def folder(model_of, tmp_path):
    """A copy to break."""
    copy = tmp_path / "model"
    shutil.copytree(model_of("deepseek_v3")[1], copy)
    return copy


def question(folder):
    return {"model": str(folder), "logits": [draw_tokens(1, 9)]}


def test_shards_give_what_one_file_gives(model_of, tmp_path):
    sharded = tmp_path / "sharded"
    model = models.write("deepseek_v3", sharded, shard_size="100KB")
    assert len(list(sharded.glob("*.safetensors"))) > 2
    assert worst(ask(tmp_path, question(sharded)), reference_logits(model, draw_tokens(1, 9))) < LOGITS_BAR


def test_float16(tmp_path):
    half = models.write("llama", tmp_path / "half", torch.float16)
    full = type(half).from_pretrained(tmp_path / "half", dtype=torch.float32).eval()
    assert worst(ask(tmp_path, question(tmp_path / "half")), reference_logits(full, draw_tokens(1, 9))) < LOGITS_BAR


def test_older_configs(folder, model_of, tmp_path):
    """rope_theta and rope_scaling where newer files have rope_parameters; torch_dtype."""
    config = json.loads((folder / "config.json").read_text())
    rope = config.pop("rope_parameters")
    config["rope_theta"] = rope.pop("rope_theta")
    rope["type"] = rope.pop("rope_type")
    config["rope_scaling"] = rope
    config["torch_dtype"] = config.pop("dtype")
    (folder / "config.json").write_text(json.dumps(config))
    expected = reference_logits(model_of("deepseek_v3")[0], draw_tokens(1, 9))
    assert worst(ask(tmp_path, question(folder)), expected) < LOGITS_BAR


@pytest.mark.parametrize("key, value, message", [
    ("model_type", "mamba", 'model_type is "mamba": must be one of deepseek_v2, deepseek_v3, llama'),
    ("quantization_config", {"quant_method": "fp8"}, "quantization_config: quantised weights"),
    ("hidden_size", "64", 'hidden_size is "64": must be an integer of 1 to'),
    ("hidden_size", 0, "hidden_size is 0"),
    ("hidden_size", 2 ** 62, "hidden_size is 4611686018427387904"),
    ("hidden_size", 1e300, "hidden_size is 1e+300"),
    ("num_hidden_layers", None, "num_hidden_layers is missing"),
    ("kv_lora_rank", 2000, "kv_lora_rank is 2000: must be an integer of 1 to 1024"),
    ("qk_rope_head_dim", 7, "qk_rope_head_dim is odd"),
    ("num_experts_per_tok", 9, "num_experts_per_tok is 9: must be an integer of 1 to 8"),
    ("n_group", 3, "n_group is 3"),
    ("hidden_act", "relu", "hidden_act: only silu"),
    ("rope_parameters", {"rope_type": "longrope"}, 'rope_parameters: rope_type is "longrope"'),
    ("rope_parameters", [1], "rope_parameters is [1]: must be an object"),
    ("norm_topk_prob", 1, "norm_topk_prob is 1: must be true or false"),
    ("eos_token_id", [-1], "eos_token_id is [-1]: must be token ids"),
    ("q_lora_rank", 25, "must be [25,64], as config.json has it"),
    ("num_hidden_layers", 4, "lacks the weight 'model.layers.3."),
])
def test_configs(folder, tmp_path, key, value, message):
    config = json.loads((folder / "config.json").read_text())
    config[key] = value
    (folder / "config.json").write_text(json.dumps(config))
    assert message in refusal(tmp_path, question(folder), names=folder)


def test_not_a_config(folder, tmp_path):
    (folder / "config.json").write_text("[")
    assert "config.json: is not a JSON object" in refusal(tmp_path, question(folder), names=folder)
    (folder / "config.json").unlink()
    assert "config.json: cannot be read: No such file" in refusal(tmp_path, question(folder), names=folder)


def test_missing_weights(folder, tmp_path):
    (folder / "model.safetensors").unlink()
    assert "has neither model.safetensors nor" in refusal(tmp_path, question(folder), names=folder)


def test_missing_shard(tmp_path):
    sharded = tmp_path / "sharded"
    models.write("deepseek_v3", sharded, shard_size="100KB")
    shard = sorted(sharded.glob("*.safetensors"))[1]
    shard.unlink()
    assert "cannot be read: No such file" in refusal(tmp_path, question(sharded), names=shard)
    index = sharded / "model.safetensors.index.json"
    index.write_text(json.dumps({"weight_map": {"a": "../outside.safetensors"}}))
    assert "must be the name of a file in the same folder" in refusal(tmp_path, question(sharded), names=index)
    index.write_text("{}")
    assert "weight_map is missing" in refusal(tmp_path, question(sharded), names=index)


def test_other_types_of_weights(folder, tmp_path):
    weights = load_file(folder / "model.safetensors")
    weights["model.norm.weight"] = weights["model.norm.weight"].to(torch.float64)
    save_file(weights, folder / "model.safetensors")
    assert "weight 'model.norm.weight' is stored as F64" in refusal(tmp_path, question(folder), names="model.norm.weight")


@pytest.mark.parametrize("size", [0, 7, 8, 100, -1])
def test_truncated_weights(folder, tmp_path, size):
    path = folder / "model.safetensors"
    whole = path.read_bytes()
    path.write_bytes(whole[:size])
    refusal(tmp_path, question(folder), names=path)


def entry(**changes):
    return {"a": {"dtype": "F32", "shape": [2], "data_offsets": [0, 8], **changes}}


@pytest.mark.parametrize("header, message", [
    ("[]", "its header is not a JSON object"),
    ("{", "its header is not a JSON object"),
    (entry(dtype="F33"), "tensor 'a': dtype is \"F33\""),
    (entry(shape=[-2]), "tensor 'a': shape is [-2]"),
    (entry(shape=[2 ** 62, 8]), "tensor 'a': shape is"),
    (entry(shape=[3]), "takes 12 bytes, but data_offsets are 0 to 8"),
    (entry(data_offsets=[0, 9]), "the file holds bytes 0 to 8"),
    (entry(data_offsets=[8, 0]), "data_offsets are 8 to 0"),
    (entry(data_offsets=[0]), "data_offsets is [0]"),
    (entry(data_offsets=[0, -1]), "data_offsets is [0,-1]"),
    (entry(shape=[1], data_offsets=[4, 8]), "begins at 4: must begin where the one before it ends, at 0"),
    (entry(shape=[1], data_offsets=[0, 4]), "its tensors end at 4: must end with the file, at 8"),
    ({"a": 1}, "tensor 'a': is not a JSON object"),
    ({**entry(), "b": {"dtype": "F32", "shape": [1], "data_offsets": [4, 8]}}, "tensor 'b': begins at 4"),
])
def test_headers(folder, tmp_path, header, message):
    text = (header if isinstance(header, str) else json.dumps(header)).encode()
    path = folder / "model.safetensors"
    path.write_bytes(struct.pack("<Q", len(text)) + text + bytes(8))
    assert message in refusal(tmp_path, question(folder), names=path)


@pytest.mark.parametrize("length", [2 ** 64 - 1, 2 ** 63, 1000])
def test_header_length(folder, tmp_path, length):
    path = folder / "model.safetensors"
    path.write_bytes(struct.pack("<Q", length) + b"{}" + bytes(100))
    assert "at most 102 are possible" in refusal(tmp_path, question(folder), names=path)


@pytest.mark.parametrize("request_, engine, message", [
    ({"prompt": [], "max_tokens": 1}, {}, "the prompt has no tokens"),
    ({"prompt": [300], "max_tokens": 1}, {}, "the prompt has token 300: must be 0 to 299"),
    ({"prompt": [-1], "max_tokens": 1}, {}, "the prompt has token -1"),
    ({"prompt": [1], "max_tokens": 0}, {}, "max_tokens is 0"),
    ({"prompt": [1] * 500, "max_tokens": 14}, {}, "the model has positions for 512"),
    ({"prompt": [1] * 60, "max_tokens": 6}, {"cache_tokens": 64}, "the KV cache has room for 64"),
    ({"prompt": [1], "max_tokens": 1}, {"page_size": 0}, "page_size 0"),
])
def test_requests(folder, tmp_path, request_, engine, message):
    asked = {"model": str(folder), "generate": [request_], "engine": engine}
    assert message in refusal(tmp_path, asked, names="")

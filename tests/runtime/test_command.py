"""The command: what it prints, and how it refuses."""

import json

import pytest
import tokenizers
import torch
from tokenizers import decoders, pre_tokenizers, trainers

import models
from support import COMMAND, run


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A model with a tokenizer, and what they are."""
    path = tmp_path_factory.mktemp("model")
    model = models.write("deepseek_v3", path)
    tokenizer = tokenizers.Tokenizer(tokenizers.models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.train_from_iterator(["one two three four five six seven " * 9], trainers.BpeTrainer(
        vocab_size=300, show_progress=False, initial_alphabet=pre_tokenizers.ByteLevel.alphabet()))
    tokenizer.save(str(path / "tokenizer.json"))
    return path, model, tokenizer


def generate(folder, *arguments):
    result = run(COMMAND, "generate", "--model", folder, *arguments)
    assert result.returncode == 0, result.stderr.decode()
    return result.stdout.decode()


def expected(folder, prompt, count):
    _, model, tokenizer = folder
    ids = tokenizer.encode(prompt).ids
    with torch.no_grad():
        row = model.generate(torch.tensor([ids]), max_new_tokens=count, do_sample=False)[0].tolist()[len(ids):]
    return row, tokenizer.decode(row, skip_special_tokens=False)


def test_text_is_what_transformers_says(folder):
    _, text = expected(folder, "one two", 40)
    for flags in [], ["--no-cache"], ["--chunk", "1"], ["--page-size", "4"], ["--prompt-attention", "expanded"]:
        assert generate(folder[0], "one two", "--max-tokens", "40", "--quiet", *flags) == text + "\n"


def test_statistics_and_json(folder, tmp_path):
    out = generate(folder[0], "one two", "--max-tokens", "40", "--page-size", "8", "--json", tmp_path / "out.json")
    ids = folder[2].encode("one two").ids
    row, text = expected(folder, "one two", 40)
    found = json.loads((tmp_path / "out.json").read_text())
    assert found["command"] == "generate" and found["version"] and found["machine"]["cpu"]
    answer = found["answers"][0]
    assert answer["tokens"] == row and answer["text"] == text and answer["prompt_tokens"] == ids
    assert answer["finish"] == "length"
    length = len(ids) + 39  # the last token is drawn, not run
    assert [time["length"] for time in answer["times"]] == list(range(len(ids), length + 1))
    assert [time["queries"] for time in answer["times"]] == [len(ids)] + [1] * 39
    assert len(answer["pages"]) == -(-(length - 1) // 8)
    figures = found["statistics"]
    assert figures["bytes_per_token"] == 3 * 40 * 4
    assert figures["cached_tokens"] == length and figures["formula_bytes"] == length * 480
    assert figures["pages"] == -(-length // 8) and figures["cache_bytes"] == figures["pages"] * 8 * 480
    assert str(figures["formula_bytes"]) in out and f"{figures['pages']} of" in out


def test_without_cache_every_token_runs_all(folder, tmp_path):
    generate(folder[0], "one two", "--max-tokens", "9", "--no-cache", "--json", tmp_path / "out.json")
    found = json.loads((tmp_path / "out.json").read_text())
    assert all(time["queries"] == time["length"] for time in found["answers"][0]["times"])
    assert found["statistics"]["prefill_tokens"] == sum(time["length"] for time in found["answers"][0]["times"])


def test_batch(folder, tmp_path):
    prompts = ["one two", "three", "one two three four"]
    (tmp_path / "prompts").write_text("".join(prompt + "\r\n\n" for prompt in prompts[1:]))
    out = generate(folder[0], prompts[0], "--batch", tmp_path / "prompts", "--max-tokens", "20", "--quiet")
    texts = [expected(folder, prompt, 20)[1] for prompt in prompts]
    assert out == "".join(f"[{i + 1}] {prompt} -> {text}\n" for i, (prompt, text) in enumerate(zip(prompts, texts)))


def test_stop_strings(folder):
    _, text = expected(folder, "one two", 40)
    stop = text[12:14]
    assert generate(folder[0], "one two", "--max-tokens", "40", "--quiet", "--stop", stop) == text[:text.index(stop)] + "\n"
    never = generate(folder[0], "one two", "--max-tokens", "40", "--quiet", "--stop", text[-1] + "never")
    assert never == text + "\n"


def test_broken_text_is_repaired(folder):
    result = run(COMMAND, "generate", "--model", folder[0], b"one \xff two", "--max-tokens", "20", "--quiet")
    assert result.returncode == 0
    assert result.stdout.decode() == expected(folder, "one \ufffd two", 20)[1] + "\n"


def test_plot_and_explanation(folder, tmp_path):
    generate(folder[0], "one <two>", "--max-tokens", "12", "--page-size", "4", "--plot", tmp_path / "plot.svg", "--explain",
             tmp_path / "page.html")
    assert "<svg" in (tmp_path / "plot.svg").read_text()
    page = (tmp_path / "page.html").read_text()
    assert "one &lt;two&gt;" in page and "<two>" not in page
    assert "http" not in page  # nothing is fetched
    assert "40 &times; 3 layers &times; 4 bytes = 480" in page  # MLA: 32 + 8 numbers
    assert "192 &times; 3 layers &times; 4 bytes = 2304" in page  # MHA: 4 heads x (24 + 24)


@pytest.mark.parametrize("arguments, message", [
    (["x", "--model", "/nowhere"], "/nowhere/config.json: cannot be read"),
    (["--max-tokens", "3"], "no prompt"),
    (["x", "--max-tokens", "0"], "--max-tokens"),
    (["x", "--max-tokens", "600"], "prompt 1: the prompt has 1 tokens, and 600 more are wanted: the model has positions for 512"),
    (["one " * 600], "the model has positions for 512"),
    (["x", "--max-tokens", "50", "--cache-tokens", "32", "--page-size", "16"], "the KV cache has room for 32"),
    ([""], "the prompt has no tokens"),
    (["x", "--batch", "/nowhere"], "--batch '/nowhere' cannot be read"),
    (["x", "--backend", "abacus"], "abacus"),
    (["x", "--plot", "plot.pdf"], "plot.pdf"),
    (["x", "--json", "/nowhere/out.json"], "/nowhere/out.json"),
    (["x", "--precision", "int4"], "--precision"),
    (["x", "--temperature", "-1"], "--temperature"),
])
def test_refusals(folder, arguments, message):
    model = [] if "--model" in arguments else ["--model", folder[0]]
    result = run(COMMAND, "generate", *model, *arguments)
    assert result.returncode == 2
    assert result.stdout == b""
    error = result.stderr.decode()
    assert error.startswith("flash_mla: error: ") and message in error


def test_missing_tokenizer(folder, tmp_path):
    models.write("llama", tmp_path)
    result = run(COMMAND, "generate", "x", "--model", tmp_path)
    assert result.returncode == 2 and f"{tmp_path}/tokenizer.json: cannot be read" in result.stderr.decode()

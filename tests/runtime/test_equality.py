"""The runtime against transformers in float32: logits within 1e-4, greedy tokens the same however they are computed."""

import json
import shutil

import pytest
import torch

import models
from support import ask

LATENT = [name for name in models.MODELS if "deepseek" in name]
LOGITS_BAR = 1e-4
TOKENS = 200


def draw_tokens(seed, count):
    return torch.randint(0, 300, (count,), generator=torch.Generator().manual_seed(seed)).tolist()


def reference_logits(model, tokens):
    with torch.no_grad():
        return model(torch.tensor([tokens])).logits[0].float()


def worst(answer, expected):
    return (torch.tensor(answer["logits"][0]) - expected).abs().max().item()


FORMS = [(name, form) for name in models.MODELS for form in (["absorbed", "expanded"] if name in LATENT else ["absorbed"])]


@pytest.mark.parametrize("name, form", FORMS)
@pytest.mark.parametrize("chunk", [37, 512])
def test_logits(model_of, tmp_path, name, form, chunk):
    model, folder = model_of(name)
    tokens = draw_tokens(1, 130)  # past YaRN's and Llama 3's original lengths, and the windows
    engine = {"chunk": chunk, "page_size": 16, "prompt_form": form}
    answer = ask(tmp_path, {"model": str(folder), "logits": [tokens], "engine": engine})
    expected = reference_logits(model, tokens)
    assert expected.abs().max() > 3
    assert worst(answer, expected) < LOGITS_BAR


@pytest.mark.parametrize("name", ["deepseek_v3", "llama"])
@pytest.mark.parametrize("backend", ["scalar", "avx2", "avx512"])
def test_logits_of_other_backends(model_of, tmp_path, name, backend):
    model, folder = model_of(name)
    tokens = draw_tokens(2, 40)
    answer = ask(tmp_path, {"model": str(folder), "logits": [tokens], "backend": backend, "engine": {"chunk": 30}})
    assert worst(answer, reference_logits(model, tokens)) < LOGITS_BAR


@pytest.mark.parametrize("name", ["deepseek_v3", "qwen2_window"])
def test_logits_after_snapshot_and_restore(model_of, tmp_path, name):
    model, folder = model_of(name)
    tokens = draw_tokens(3, 70)
    question = {"model": str(folder), "logits": [tokens], "engine": {"chunk": 30, "page_size": 16},
                "snapshot": str(tmp_path / "cache")}
    assert worst(ask(tmp_path, question), reference_logits(model, tokens)) < LOGITS_BAR
    assert (tmp_path / "cache").stat().st_size > 0


# What would be wrong if the runtime did not heed a key: each change of a config has to show in the logits, else the
# comparison above could not notice.
CHANGES = [
    ("deepseek_v3", "rope_parameters.mscale_all_dim", 0), ("deepseek_v3", "rope_parameters.mscale", 0),
    ("deepseek_v3", "rope_parameters.factor", 2.0), ("deepseek_v3", "rope_parameters.beta_fast", 0.5),
    ("deepseek_v3", "rope_interleave", False), ("deepseek_v3", "norm_topk_prob", False),
    ("deepseek_v3", "routed_scaling_factor", 1.0), ("deepseek_v3", "topk_group", 4),
    ("deepseek_v3", "num_experts_per_tok", 2), ("deepseek_v2_groups", "topk_group", 4),
    ("deepseek_v2_groups", "topk_method", "greedy"), ("deepseek_v3_no_q_lora", "attention_bias", False),
    ("llama", "rope_parameters.low_freq_factor", 2.0), ("llama_bias", "rope_parameters.factor", 1.0),
    ("llama_bias", "mlp_bias", False), ("llama", "rms_norm_eps", 0.1), ("qwen2_window", "sliding_window", 25),
    ("qwen2_window", "use_sliding_window", False), ("gpt2", "layer_norm_epsilon", 0.1),
]


@pytest.mark.parametrize("name, key, value", CHANGES)
def test_every_key_counts(model_of, tmp_path, name, key, value):
    model, folder = model_of(name)
    changed = tmp_path / "changed"
    shutil.copytree(folder, changed)
    config = json.loads((changed / "config.json").read_text())
    part = config
    *parents, last = key.split(".")
    for parent in parents:
        part = part[parent]
    assert part[last] != value
    part[last] = value
    if name == "qwen2_window":
        config.pop("layer_types")
    (changed / "config.json").write_text(json.dumps(config))
    tokens = draw_tokens(1, 130)
    answer = ask(tmp_path, {"model": str(changed), "logits": [tokens]})
    assert worst(answer, reference_logits(model, tokens)) > 10 * LOGITS_BAR


@pytest.fixture(scope="module")
def greedy(model_of):
    """greedy(name): prompts, two of which begin alike, and what transformers continues them with."""
    known = {}

    def make(name):
        if name not in known:
            model, _ = model_of(name)
            shared = draw_tokens(4, 50)
            prompts = [draw_tokens(5, 3), draw_tokens(6, 90), shared + [5], shared + [7, 8]]
            rows = []
            for prompt in prompts:
                with torch.no_grad():
                    row = model.generate(torch.tensor([prompt]), max_new_tokens=TOKENS, do_sample=False)
                rows.append(row[0].tolist()[len(prompt):])
            known[name] = (prompts, rows)
        return known[name]

    return make


def requests(prompts, **settings):
    return [{"prompt": prompt, "max_tokens": TOKENS, **settings} for prompt in prompts]


@pytest.mark.parametrize("name", models.MODELS)
def test_greedy_tokens(model_of, greedy, tmp_path, name):
    _, folder = model_of(name)
    prompts, expected = greedy(name)
    # A model that repeats itself, or whose prompt does not matter, would prove little.
    assert all(len(set(row)) >= 50 for row in expected)
    assert expected[2] != expected[3]

    def run(engine, chosen=prompts):
        answer = ask(tmp_path, {"model": str(folder), "generate": requests(chosen), "engine": {"page_size": 16, **engine}})
        assert answer["tokens"] == expected[:len(chosen)], engine
        assert answer["statistics"]["verified"] and answer["statistics"]["sequences"] == 0
        return answer["statistics"]

    one = run({"max_sequences": 1})
    if "all_windows" not in name:
        assert one["hit_tokens"] == 48  # three pages of the prompt that two begin with
    together = run({})
    assert together["steps"] < one["steps"] / 2
    chunks = run({"chunk": 16, "prefix_caching": False})
    assert chunks["hit_tokens"] == 0
    if "all_windows" not in name:
        assert run({"cache_tokens": 480})["preemptions"] > 0
    off = run({"keep_cache": False}, prompts[:1])
    assert off["prompt_tokens"] >= TOKENS * (TOKENS - 1) / 2
    assert off["used_pages"] == 0


def test_windows_free_pages(model_of, greedy, tmp_path):
    _, folder = model_of("qwen2_all_windows")
    prompts, expected = greedy("qwen2_all_windows")
    answer = ask(tmp_path, {"model": str(folder), "generate": requests(prompts[:1]), "engine": {"page_size": 16}})
    assert answer["tokens"] == expected[:1]
    assert answer["statistics"]["most_pages"] <= 3  # of 13: a window of 24 tokens touches three at most


def test_end_tokens_and_cancelling(model_of, greedy, tmp_path):
    _, folder = model_of("deepseek_v3")
    prompts, expected = greedy("deepseek_v3")
    end = expected[0][20]
    first = expected[0].index(end)
    answer = ask(tmp_path, {"model": str(folder), "generate": requests(prompts[:1], end_tokens=[end])})
    assert answer["tokens"][0] == expected[0][:first + 1]
    answer = ask(tmp_path, {"model": str(folder), "generate": requests(prompts), "cancel_after": 7})
    assert answer["tokens"] == [row[:7] for row in expected]
    assert answer["statistics"]["used_pages"] == 0 and answer["statistics"]["verified"]


def test_sampling(model_of, greedy, tmp_path):
    model, folder = model_of("deepseek_v3")
    prompts, expected = greedy("deepseek_v3")

    def run(**settings):
        return ask(tmp_path, {"model": str(folder), "generate": requests(prompts[:2], **settings)})["tokens"]

    one = run(temperature=1.0, seed=1)
    assert one == run(temperature=1.0, seed=1) and one != run(temperature=1.0, seed=2)
    assert run(temperature=1.0, top_k=1) == expected[:2]
    assert run(temperature=1.0, top_p=1e-9) == expected[:2]
    assert run(temperature=1e-5) == expected[:2]
    # The first token over many seeds follows softmax(logits / T), cut to the ten likeliest.
    draws = [{"prompt": prompts[0], "max_tokens": 1, "temperature": 2.0, "top_k": 10, "seed": seed} for seed in range(4000)]
    tokens = [row[0] for row in ask(tmp_path, {"model": str(folder), "generate": draws})["tokens"]]
    values, indices = reference_logits(model, prompts[0])[-1].topk(10)
    shares = torch.softmax(values / 2, -1)
    counts = torch.tensor([tokens.count(index) for index in indices.tolist()], dtype=torch.float)
    assert counts.sum() == len(tokens)
    chi_square = ((counts - shares * len(tokens)) ** 2 / (shares * len(tokens))).sum().item()
    assert chi_square < 27.9  # 9 degrees of freedom, 1 in 1000


@pytest.mark.parametrize("name", ["deepseek_v3_all_experts", "deepseek_v2", "llama", "qwen3", "gpt2"])
@pytest.mark.parametrize("chunk", [64, 7, 1])  # 12 rows and fewer have a kernel of their own
def test_bfloat16(tmp_path, name, chunk):
    """Teacher-forced: the likeliest token is the same wherever float32 prefers it by more than four times the error that
    transformers makes in bfloat16 itself."""
    folder = tmp_path / "model"
    half = models.write(name, folder, torch.bfloat16)
    full = type(half).from_pretrained(folder, dtype=torch.float32).eval()
    tokens = draw_tokens(8, 200)
    exact, rounded = reference_logits(full, tokens), reference_logits(half, tokens)
    answer = ask(tmp_path, {"model": str(folder), "precision": "bfloat16", "logits": [tokens],
                            "engine": {"chunk": chunk, "page_size": 16}})
    found = torch.tensor(answer["logits"][0])
    cosine = torch.nn.functional.cosine_similarity(found, exact, dim=-1)
    best = exact.topk(2, -1).values
    sure = best[:, 0] - best[:, 1] > 4 * (rounded - exact).abs().amax(-1)
    agree = found.argmax(-1) == exact.argmax(-1)
    assert cosine.median() >= 0.999
    assert sure.sum() >= 10 and agree[sure].all()
    # No worse than transformers in the same precision.
    theirs = torch.nn.functional.cosine_similarity(rounded, exact, dim=-1)
    assert (1 - cosine).mean() <= 1.5 * (1 - theirs).mean()
    # float32 reads the same file to the bit.
    answer = ask(tmp_path, {"model": str(folder), "logits": [tokens]})
    assert worst(answer, exact) < LOGITS_BAR


def test_bfloat16_where_rounding_tips_the_choice_of_experts(tmp_path):
    """Another expert is another function, so no bound holds token by token: no more of them than in transformers."""
    folder = tmp_path / "model"
    half = models.write("deepseek_v3", folder, torch.bfloat16)
    full = type(half).from_pretrained(folder, dtype=torch.float32).eval()
    ours = theirs = 0
    for seed in range(8, 12):
        tokens = draw_tokens(seed, 200)
        best = reference_logits(full, tokens).argmax(-1)
        answer = ask(tmp_path, {"model": str(folder), "precision": "bfloat16", "logits": [tokens]})
        ours += (torch.tensor(answer["logits"][0]).argmax(-1) != best).sum().item()
        theirs += (reference_logits(half, tokens).argmax(-1) != best).sum().item()
    assert ours <= theirs
    assert ours < 0.1 * 4 * 200

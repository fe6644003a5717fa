"""A patched model of transformers says what the unpatched one says."""

from __future__ import annotations

import copy
import re
import sys
from pathlib import Path

import pytest
import torch
import transformers
from transformers import DynamicCache

from flash_mla.integrations.transformers import PagedLatentCache, patch, unpatch

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "runtime"))

import models  # noqa: E402

V3 = {**models.LATENT, **models.GROUPS, "rope_parameters": models.YARN}
MODELS = {
    "deepseek_v3": models.MODELS["deepseek_v3"],
    "deepseek_v3_no_q_lora": models.MODELS["deepseek_v3_no_q_lora"],
    "deepseek_v3_halves": ("DeepseekV3", "ForCausalLM", {**V3, "rope_interleave": False}),
    "deepseek_v2": models.MODELS["deepseek_v2"],
    "deepseek_v2_groups": models.MODELS["deepseek_v2_groups"],
    "glm4_moe_lite": ("Glm4MoeLite", "ForCausalLM", {**models.LATENT, **models.GROUPS}),
}
LENGTHS = (90, 3, 41)  # of the prompts of a batch
TOKENS = 200
LOGITS_BAR = 1e-4  # float32


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    """The models are small: threads that wait for each other on a busy machine would take a hundred times as long."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def made():
    """made(name): a model in float32, not patched. Made once."""
    known = {}

    def make(name):
        if name not in known:
            known[name] = models.build(*MODELS[name], seed=sum(name.encode()))
        return copy.deepcopy(known[name])

    return make


def draw_batch(lengths=LENGTHS, seed=1):
    """Prompts padded on the left, with a token that is no padding."""
    generator = torch.Generator().manual_seed(seed)
    ids = torch.randint(0, 300, (len(lengths), max(lengths)), generator=generator)
    columns = torch.arange(max(lengths))
    mask = (columns >= max(lengths) - torch.tensor(lengths)[:, None]).long()
    return {"input_ids": ids, "attention_mask": mask}


def generate(model, batch, tokens=TOKENS, **options):
    settings = {"do_sample": False, "max_new_tokens": tokens, "min_new_tokens": tokens, "pad_token_id": 0}
    return model.generate(**batch, **settings, return_dict_in_generate=True, **options)


@pytest.mark.parametrize("name", MODELS)
def test_greedy_tokens_are_the_same(made, name) -> None:
    batch = draw_batch()
    plain = generate(made(name), batch)
    patched = generate(patch(made(name)), batch)
    assert isinstance(plain.cache, DynamicCache) and isinstance(patched.cache, PagedLatentCache)
    assert torch.equal(patched.sequences, plain.sequences)
    new = plain.sequences[:, max(LENGTHS) :]
    assert all(len(set(row)) >= 50 for row in new.tolist())  # one that repeats itself would prove little


def cached_bytes(cache):
    return sum(layer.keys.nbytes + layer.values.nbytes for layer in cache.layers)


@pytest.mark.parametrize("page_size", [1, 16, 64])
def test_memory_is_that_of_the_tokens(made, page_size) -> None:
    batch = draw_batch()
    stock = cached_bytes(generate(made("deepseek_v3"), batch).cache)
    cache = generate(patch(made("deepseek_v3"), page_size), batch).cache
    columns = max(LENGTHS) + TOKENS - 1  # the last token is not run
    row = (32 + 8) * 4 * 3  # latent and rope, float32, 3 layers
    assert stock == len(LENGTHS) * columns * row
    pages = sum(-(-(length + TOKENS - 1) // page_size) for length in LENGTHS)
    assert cache.used_nbytes == pages * page_size * row
    assert cache.used_nbytes <= cache.nbytes <= cache.used_nbytes * 9 / 8 + page_size * row
    assert cache.nbytes < stock


def forced_logits(model, batch, answer, chunk=1):
    """Logits at the columns of `answer`, which is run after a prompt, `chunk` columns a pass."""
    with torch.no_grad():
        mask = batch["attention_mask"]
        at = (mask.cumsum(1) - 1).clamp(min=0)
        result = model(**batch, position_ids=at, use_cache=True)
        logits = [result.logits[:, -1:]]
        for column in range(0, answer.shape[1], chunk):
            ids = answer[:, column : column + chunk]
            mask = torch.cat([mask, torch.ones_like(ids)], 1)
            at = mask.sum(1, keepdim=True) - ids.shape[1] + torch.arange(ids.shape[1])
            result = model(ids, attention_mask=mask, position_ids=at, cache=result.cache)
            logits.append(result.logits)
    return torch.cat(logits, 1).float()


@pytest.mark.parametrize("name", ["deepseek_v3", "deepseek_v2"])
def test_bfloat16_agrees(made, name) -> None:
    half = made(name).bfloat16()
    whole = copy.deepcopy(half).float()  # the same weights
    batch = draw_batch()
    answer = generate(whole, batch).sequences[:, max(LENGTHS) :]
    exact = forced_logits(whole, batch, answer)
    plain = forced_logits(half, batch, answer)
    paged = forced_logits(patch(half), batch, answer)
    error = (plain - exact).abs()
    best = exact.topk(2).values
    sure = best[..., 0] - best[..., 1] > 4 * error.amax(-1)
    assert sure.float().mean() > 0.2, sure.float().mean()
    assert torch.equal(paged.argmax(-1)[sure], exact.argmax(-1)[sure])
    ratio = (paged - exact).abs().mean() / error.mean()
    assert ratio < 1.2, ratio


def test_many_columns_a_pass(made) -> None:
    """Prompts in chunks, the first of which is padding alone for one row; and tokens checked several at once."""
    batch = draw_batch((90, 3, 41))
    model = made("deepseek_v3")
    plain = generate(model, batch).sequences
    assert torch.equal(generate(patch(model, 16), batch, prefill_chunk_size=37).sequences, plain)
    unpatch(model)
    answer = plain[:, max(LENGTHS) :][:, :60]
    expected = forced_logits(model, batch, answer)
    assert (forced_logits(patch(model), batch, answer, chunk=7) - expected).abs().max() < LOGITS_BAR
    one = draw_batch((40,))
    looked_up = generate(model, one, prompt_lookup_num_tokens=4).sequences  # guesses, and forgets what was wrong
    assert torch.equal(looked_up, generate(unpatch(model), one).sequences)


def test_masks_with_holes(made) -> None:
    """Columns without a token anywhere in the prompt, not just on its left."""
    model = made("deepseek_v2")
    batch = draw_batch((60, 60))
    generator = torch.Generator().manual_seed(2)
    batch["attention_mask"][:, :-1] = torch.rand((2, 59), generator=generator) > 0.4
    answer = torch.randint(0, 300, (2, 30), generator=generator)
    expected = forced_logits(model, batch, answer)
    cache_sizes = []
    for page_size in (1, 64):
        patch(model, page_size)
        assert (forced_logits(model, batch, answer) - expected).abs().max() < LOGITS_BAR
        with torch.no_grad():
            cache_sizes.append(model(**batch).cache.used_nbytes)
    assert cache_sizes == [int(batch["attention_mask"].sum()) * 480, 2 * 64 * 480]


def test_beams_share_pages(made) -> None:
    batch = draw_batch()
    model = made("deepseek_v2")
    plain = generate(model, batch, 60, num_beams=3)
    patched = generate(patch(model, 16), batch, 60, num_beams=3)
    assert torch.equal(patched.sequences, plain.sequences)
    apart = sum(-(-(length + 59) // 16) for length in LENGTHS) * 3
    assert patched.cache.sequences.num_used_pages < 0.8 * apart


def test_unpatched_is_as_before(made) -> None:
    model = made("deepseek_v3")
    before = {id(module): dict(module.__dict__) for module in model.modules()}
    batch = draw_batch()
    assert unpatch(model) is model  # never patched
    patch(patch(model), 32)
    cache = generate(model, batch, 3).cache
    assert isinstance(cache, PagedLatentCache) and cache.layers[2].pages.shape[1:] == (32, 1, 40)
    twin = copy.deepcopy(model)
    unpatch(model)
    assert isinstance(generate(model, batch, 3).cache, DynamicCache)
    assert all(set(module.__dict__) == set(before[id(module)]) for module in model.modules())
    assert not model.model._forward_pre_hooks
    with torch.no_grad():  # a copy has weights of its own
        for module in model.model.layers:
            module.self_attn.o_proj.weight.zero_()
    assert torch.equal(generate(twin, batch).sequences, generate(made("deepseek_v3"), batch).sequences)


def test_other_caches_and_gradients_are_left_alone(made) -> None:
    model, batch = patch(made("deepseek_v3")), draw_batch()
    with torch.no_grad():
        own = DynamicCache(config=model.config)
        assert model(**batch, cache=own).cache is own and own.get_seq_length() == max(LENGTHS)
        assert model(**batch, use_cache=False).cache is None
        assert isinstance(model.model(batch["input_ids"], batch["attention_mask"]).cache, PagedLatentCache)
    assert isinstance(generate(model, batch, 3, cache_implementation="static").cache, transformers.StaticCache)
    assert generate(model, batch, 3, use_cache=False).cache is None
    loss = model(**batch, labels=batch["input_ids"]).loss
    loss.backward()
    assert model.model.layers[0].self_attn.kv_b_proj.weight.grad.abs().sum() > 0
    with pytest.raises(RuntimeError, match="no gradients go through a PagedLatentCache; call the model under"):
        model(**batch, cache=PagedLatentCache(model.config))


def test_a_cache_goes_on(made) -> None:
    """A second call with the cache of the first; from inference mode to none."""
    model, batch = made("deepseek_v3"), draw_batch((30, 9))
    expected = generate(model, batch, 60).sequences
    patch(model, 16)
    with torch.inference_mode():
        first = generate(model, batch, 20)
    mask = torch.cat([batch["attention_mask"], torch.ones(2, 20, dtype=torch.long)], 1)
    more = generate(model, {"input_ids": first.sequences, "attention_mask": mask}, 40, cache=first.cache)
    assert torch.equal(more.sequences, expected)
    first.cache.reset()
    assert first.cache.get_seq_length() == 0 and first.cache.used_nbytes == 0
    assert torch.equal(generate(model, batch, 60, cache=first.cache).sequences, expected)


def test_masks_that_do_not_fit_the_cache(made) -> None:
    model, batch = patch(made("deepseek_v3")), draw_batch((30, 9))
    mask = batch["attention_mask"]
    one = torch.zeros(2, 1, dtype=torch.long)
    with torch.no_grad():
        cache = model(**batch).cache
        for wrong, message in (
            (mask, r"attention_mask has shape \[2, 30\]; expected \[2, 31\]: 30 cached columns and 1 new ones"),
            (torch.ones(2, 31), "attention_mask shows other cached tokens than"),
            (None, "attention_mask shows other cached tokens than"),
            (torch.ones(2, 1, 1, 31), r"attention_mask is \[2, 1, 1, 31\]; expected a tensor \[batch, columns\]"),
        ):
            with pytest.raises(ValueError, match=message):
                model(one, attention_mask=wrong, cache=cache)
        with pytest.raises(ValueError, match="the batch has 1 rows; expected the 2 that the cache holds"):
            model(one[:1], cache=cache)
        with pytest.raises(ValueError, match="a row would have 21 tokens; expected up to max_tokens = 20"):
            model(torch.zeros(1, 21, dtype=torch.long), cache=PagedLatentCache(model.config, max_tokens=20))
        unpatch(model)
        with pytest.raises(ValueError, match="cache is a PagedLatentCache with tokens in it, which only a patched"):
            model(one, cache=cache)
        with pytest.raises(ValueError, match="cache is a PagedLatentCache, which only a patched model can use"):
            model(one, cache=PagedLatentCache(model.config))


def other(made, change):
    model = made("deepseek_v3")
    return change(model) or model


def quantised(model):
    model.model.layers[1].self_attn.kv_b_proj = torch.nn.Linear(32, 160, bias=True)


def already_replaced(model):
    model.model.layers[2].self_attn.forward = lambda **arguments: None


def wide(_):
    settings = {**V3, "num_hidden_layers": 1, "kv_lora_rank": 1020}
    return models.build("DeepseekV3", "ForCausalLM", settings, 1)


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        (lambda _: torch.nn.Linear(2, 2), TypeError, "model is a Linear; expected a transformers.PreTrainedModel"),
        (
            lambda _: models.build(*models.MODELS["llama"], 1),
            NotImplementedError,
            "model is a LlamaModel with .*LlamaAttention; supported: transformers' DeepseekV2Attention, DeepseekV3Att",
        ),
        (lambda _: models.build(*models.MODELS["gpt2"], 1), NotImplementedError, "model is a GPT2Model"),
        (lambda model: model.double(), NotImplementedError, "layer 0: its weights are torch.float64; supported: torch.fl"),
        (lambda model: model.to("meta"), NotImplementedError, "layer 0: its weights are on meta; supported: cpu"),
        (quantised, NotImplementedError, r"layer 1: kv_b_proj is a Linear\(.*bias=True\); supported"),
        (already_replaced, NotImplementedError, "layer 2: forward of its attention has been replaced by <function"),
        (wide, NotImplementedError, "layer 0: kv_lora_rank . qk_rope_head_dim = 1028; supported: up to 1024"),
    ],
)
def test_other_models_are_refused(made, change, error, message) -> None:
    model = other(made, change)
    with pytest.raises(error, match=message):
        patch(model)
    assert not hasattr(model, "_flash_mla_hook")


@pytest.mark.parametrize("page_size", [0, -1])
def test_page_sizes_are_checked(made, page_size) -> None:
    model = made("deepseek_v3")
    with pytest.raises(ValueError, match="page_size"):
        patch(model, page_size)
    assert isinstance(generate(model, draw_batch(), 3).cache, DynamicCache)


def test_example_of_the_page_runs(capsys) -> None:
    page = (Path(__file__).resolve().parents[2] / "docs/python.md").read_text()
    (example,) = re.findall(r"```py\n(.*?)```", page, re.DOTALL)
    exec(compile(example, "docs/python.md", "exec"), {})
    assert capsys.readouterr().out == "['万径人踪灭', '疑是银河落九天']\n"

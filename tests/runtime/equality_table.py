"""Prints docs/generation.md's table: how near the runtime is to transformers, by architecture. Started by run.sh's variables:

    FLASH_MLA_PROBES=build/release/tests/runtime FLASH_MLA_COMMAND=build/release/flash_mla python tests/runtime/equality_table.py
"""

import pathlib
import tempfile

import torch

import models
from support import ask
from test_equality import LATENT, draw_tokens, reference_logits, worst

PROMPTS, NEW = 10, 50


def greedy(model, prompt, count):
    out = model.generate(torch.tensor([prompt]), max_new_tokens=count, do_sample=False)
    return out[0, len(prompt):].tolist()


def gap_where_they_part(model, prompt, answer, found):
    """Between the two likeliest logits, where two answers first differ."""
    first = next(i for i, (one, other) in enumerate(zip(answer, found)) if one != other)
    best = reference_logits(model, prompt + answer[:first])[-1].topk(2).values
    return (best[0] - best[1]).item()


def float32_row(name, folder):
    """The largest difference of a logit over all forms, and how many greedy answers of 200 tokens are the same."""
    model = models.write(name, folder)
    tokens = draw_tokens(1, 130)
    forms = ["absorbed", "expanded"] if name in LATENT else ["absorbed"]
    questions = [{"model": str(folder), "logits": [tokens], "engine": {"prompt_form": form}} for form in forms]
    difference = max(worst(ask(folder, question), reference_logits(model, tokens)) for question in questions)
    prompts = [draw_tokens(20 + i, 5 + 7 * i) for i in range(PROMPTS)]
    wanted = [{"prompt": prompt, "max_tokens": 200} for prompt in prompts]
    found = ask(folder, {"model": str(folder), "generate": wanted})["tokens"]
    answers = [greedy(model, prompt, 200) for prompt in prompts]
    gaps = [gap_where_they_part(model, *one) for one in zip(prompts, answers, found) if one[1] != one[2]]
    tie = f" (two logits {max(gaps):.0e} apart where they part)" if gaps else ""
    return f"{difference:.1e} | {PROMPTS - len(gaps)} of {PROMPTS}{tie}"


def bfloat16_row(name, folder):
    half = models.write(name, folder, torch.bfloat16)
    full = type(half).from_pretrained(folder, dtype=torch.float32).eval()
    tokens = draw_tokens(8, 200)
    exact = reference_logits(full, tokens)
    theirs = reference_logits(half, tokens)
    question = {"model": str(folder), "precision": "bfloat16", "logits": [tokens]}
    found = torch.tensor(ask(folder, question)["logits"][0])
    parts = []
    for logits in (found, theirs):
        cosine = torch.nn.functional.cosine_similarity(logits, exact, dim=-1).median().item()
        same = (logits.argmax(-1) == exact.argmax(-1)).float().mean().item()
        parts.append(f"{cosine:.5f}, {100 * same:.1f} %")
    prompts = [draw_tokens(20 + i, 5 + 7 * i) for i in range(PROMPTS)]
    wanted = [{"prompt": prompt, "max_tokens": NEW} for prompt in prompts]
    answers = ask(folder, {"model": str(folder), "precision": "bfloat16", "generate": wanted})["tokens"]
    expected = [greedy(full, prompt, NEW) for prompt in prompts]
    ours = sum(row == want for row, want in zip(answers, expected))
    peers = sum(greedy(half, prompt, NEW) == want for prompt, want in zip(prompts, expected))
    return " | ".join([*parts, f"{ours}, {peers} of {PROMPTS}"])


def main():
    print("| model | float32: largest difference of a logit | 200 greedy tokens the same | bfloat16: cosine, likeliest token "
          "the same | transformers in bfloat16 | 50 greedy tokens as in float32: here, transformers |")
    print("| --- | --- | --- | --- | --- | --- |")
    for name in models.MODELS:
        with tempfile.TemporaryDirectory() as folder:
            full, half = pathlib.Path(folder, "full"), pathlib.Path(folder, "half")
            print(f"| {name} | {float32_row(name, full)} | {bfloat16_row(name, half)} |", flush=True)


main()

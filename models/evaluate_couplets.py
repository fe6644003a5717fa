"""How well the couplets' model answers: python models/evaluate_couplets.py [FOLDER]

Needs torch and transformers. Prints the figures that models/couplets/README.md states.
"""

from __future__ import annotations

import math
import random
import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer, PreTrainedModel, PreTrainedTokenizerBase

from couplets_text import FOLDER, prompt_of, read_couplets

Pairs = Sequence[tuple[str, str]]


@dataclass
class Figures:
    """Shares are of the lines asked, 0 to 1; perplexities are a token of the true second line and its end."""

    trained_right: float  # trained first lines that get their second line
    one_wrong_character_right: float  # the same, with one character of the first line replaced by a random one
    held_out_right: float
    held_out_same_length: float  # answers as long as the question, as a couplet's are
    held_out_from_training: float  # answers that are a whole trained second line
    held_out_perplexity: float
    frequency_perplexity: float  # of a model that knows how often tokens occur and nothing else


def answers(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, firsts: Sequence[str]) -> list[str]:
    """Greedy answers. Prompts of one length in tokens go together, so that none is padded."""
    prompts = [tokenizer(prompt_of(first))["input_ids"] for first in firsts]
    found = [""] * len(firsts)
    for length in sorted({len(prompt) for prompt in prompts}):
        rows = [i for i, prompt in enumerate(prompts) if len(prompt) == length]
        tokens = torch.tensor([prompts[i] for i in rows])
        with torch.inference_mode():
            out = model.generate(
                tokens, attention_mask=torch.ones_like(tokens), do_sample=False, max_new_tokens=16
            )
        for row, text in zip(rows, tokenizer.batch_decode(out[:, length:], skip_special_tokens=True), strict=True):
            found[row] = text
    return found


def share_right(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, pairs: Pairs) -> float:
    found = answers(model, tokenizer, [first for first, _ in pairs])
    return sum(answer == second for answer, (_, second) in zip(found, pairs, strict=True)) / len(pairs)


def with_wrong_characters(pairs: Pairs, seed: int = 0) -> list[tuple[str, str]]:
    """The pairs with one character of each first line replaced by one that occurs elsewhere."""
    chance = random.Random(seed)
    characters = sorted({character for pair in pairs for line in pair for character in line})
    changed = []
    for first, second in pairs:
        place = chance.randrange(len(first))
        other = chance.choice([character for character in characters if character != first[place]])
        changed.append((first[:place] + other + first[place + 1 :], second))
    return changed


def perplexity(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, pairs: Pairs) -> float:
    total, count = 0.0, 0
    for first, second in pairs:
        prompt = tokenizer(prompt_of(first))["input_ids"]
        answer = [*tokenizer(second)["input_ids"], tokenizer.eos_token_id]
        with torch.inference_mode():
            logits = model(torch.tensor([prompt + answer])).logits[0, len(prompt) - 1 : -1].float()
        total += torch.nn.functional.cross_entropy(logits, torch.tensor(answer), reduction="sum").item()
        count += len(answer)
    return math.exp(total / count)


def frequency_perplexity(tokenizer: PreTrainedTokenizerBase, trained: Pairs, held_out: Pairs) -> float:
    """Tokens of the trained second lines counted, each with one added."""

    def tokens(pairs: Pairs) -> list[int]:
        return [token for _, second in pairs for token in [*tokenizer(second)["input_ids"], tokenizer.eos_token_id]]

    counts = Counter(tokens(trained))
    total = sum(counts.values()) + len(tokenizer)
    wanted = tokens(held_out)
    return math.exp(sum(-math.log((counts[token] + 1) / total) for token in wanted) / len(wanted))


def evaluate(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase) -> Figures:
    trained, held_out = read_couplets("couplets.txt"), read_couplets("couplets_held_out.txt")
    found = answers(model, tokenizer, [first for first, _ in held_out])
    seconds = {second for _, second in trained}
    return Figures(
        trained_right=share_right(model, tokenizer, trained),
        one_wrong_character_right=share_right(model, tokenizer, with_wrong_characters(trained)),
        held_out_right=share_right(model, tokenizer, held_out),
        held_out_same_length=sum(len(a) == len(s) for a, (_, s) in zip(found, held_out, strict=True)) / len(found),
        held_out_from_training=sum(answer in seconds for answer in found) / len(found),
        held_out_perplexity=perplexity(model, tokenizer, held_out),
        frequency_perplexity=frequency_perplexity(tokenizer, trained, held_out),
    )


def report(folder: Path) -> None:
    tokenizer = AutoTokenizer.from_pretrained(folder)
    for name, dtype in {"float32": torch.float32, "bfloat16": torch.bfloat16}.items():
        model = AutoModelForCausalLM.from_pretrained(folder, dtype=dtype).eval()
        for key, value in asdict(evaluate(model, tokenizer)).items():
            print(f"{name:9} {key:26} {value:8.3f}")
    for first, second in read_couplets("couplets_held_out.txt")[:6]:
        print(f"{first}: {answers(model, tokenizer, [first])[0]} (in the poem: {second})")


if __name__ == "__main__":
    torch.set_num_threads(1)
    report(Path(sys.argv[1]) if len(sys.argv) > 1 else FOLDER / "couplets")

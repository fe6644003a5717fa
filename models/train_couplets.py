"""Trains the model in models/couplets: python models/train_couplets.py [--epochs N] [--out FOLDER]

A DeepSeek-V3 in small (latent attention, shared and routed experts) that completes classical couplets. Needs torch and
transformers; one thread, some minutes, always the same seed.
"""

from __future__ import annotations

import argparse
import random
from pathlib import Path

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from tqdm import tqdm
from transformers import DeepseekV3Config, DeepseekV3ForCausalLM, PreTrainedTokenizerFast

from couplets_text import FOLDER, prompt_of, read_couplets
from evaluate_couplets import report

SEED = 20
BATCH = 70
LEARNING_RATE = 3e-3
SMOOTHING = 0.05  # of the labels
UNKNOWN_SHARE = 0.15  # of the lines drawn
IGNORED = -100  # a label that is not trained on
BIAS_STEP = 1e-3  # of the router's bias, DeepSeek-V3's way to balance experts without a loss (arXiv 2412.19437, 2.1.2)


def make_tokenizer(text: str) -> PreTrainedTokenizerFast:
    """Byte-level BPE whose merges never join characters: a character of the text is one token, any other its bytes."""
    bpe = Tokenizer(models.BPE())
    bpe.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    bpe.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=4096,  # more than the text has
        min_frequency=1,
        special_tokens=["<|endoftext|>", "<|pad|>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    bpe.train_from_iterator(list(text), trainer)
    return PreTrainedTokenizerFast(tokenizer_object=bpe, eos_token="<|endoftext|>", pad_token="<|pad|>")


def make_model(tokenizer: PreTrainedTokenizerFast) -> DeepseekV3ForCausalLM:
    config = DeepseekV3Config(
        vocab_size=len(tokenizer),
        hidden_size=128,
        num_hidden_layers=3,
        first_k_dense_replace=1,
        intermediate_size=256,
        moe_intermediate_size=64,
        n_routed_experts=4,
        num_experts_per_tok=2,
        n_shared_experts=1,
        n_group=1,
        topk_group=1,
        norm_topk_prob=True,
        routed_scaling_factor=1.0,
        num_attention_heads=4,
        num_key_value_heads=4,
        q_lora_rank=64,
        kv_lora_rank=64,
        qk_nope_head_dim=32,
        qk_rope_head_dim=16,
        v_head_dim=32,
        max_position_embeddings=4096,
        num_mtp_layers=0,
        bos_token_id=None,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    config._experts_implementation = "eager"
    return DeepseekV3ForCausalLM(config)


class Examples:
    """Tokens of the couplets.

    A draw replaces some characters of first lines, so that the rest must do, and asks for a second line of the right
    length, no matter which, where all characters of the first are replaced.
    """

    def __init__(self, tokenizer: PreTrainedTokenizerFast, pairs: list[tuple[str, str]]) -> None:
        self.pad = tokenizer.pad_token_id
        self.prompts = [tokenizer(prompt_of(first))["input_ids"] for first, _ in pairs]
        self.seconds = [[*tokenizer(second)["input_ids"], tokenizer.eos_token_id] for _, second in pairs]
        self.first_lengths = [len(first) for first, _ in pairs]  # a character is a token
        self.characters = sorted({token for second in self.seconds for token in second[:-1]})

    def draw(self, rows: list[int], chance: random.Random) -> tuple[torch.Tensor, torch.Tensor]:
        """(tokens, labels) [rows, longest] int64: labels only where the second line and its end are to be told."""
        tokens, labels = [], []
        for row in rows:
            prompt, length = list(self.prompts[row]), self.first_lengths[row]
            unknown = chance.random() < UNKNOWN_SHARE
            wrong = range(length) if unknown else chance.sample(range(length), chance.choice([0, 0, 1, 1, 2]))
            for place in wrong:
                prompt[place] = chance.choice(self.characters)
            second = chance.choice([s for s in self.seconds if len(s) == length + 1]) if unknown else self.seconds[row]
            tokens.append(prompt + second)
            labels.append([IGNORED] * len(prompt) + second)
        longest = max(map(len, tokens))
        return (
            torch.tensor([line + [self.pad] * (longest - len(line)) for line in tokens]),
            torch.tensor([line + [IGNORED] * (longest - len(line)) for line in labels]),
        )


def balance_experts(model: DeepseekV3ForCausalLM) -> None:
    """From now on each training step moves the routers' biases against the experts' load."""

    def move_bias(router: torch.nn.Module, _: object, output: tuple[torch.Tensor, ...]) -> None:
        if router.training:
            load = torch.bincount(output[2].flatten(), minlength=router.num_experts).float()
            router.e_score_correction_bias += BIAS_STEP * torch.sign(load.mean() - load)

    for layer in model.model.layers:
        if hasattr(layer.mlp, "gate"):
            layer.mlp.gate.register_forward_hook(move_bias)


def train(model: DeepseekV3ForCausalLM, examples: Examples, epochs: int) -> None:
    chance = random.Random(SEED)
    rows = list(range(len(examples.prompts)))
    steps = epochs * -(-len(rows) // BATCH)
    optimizer = torch.optim.AdamW(model.parameters(), lr=LEARNING_RATE, betas=(0.9, 0.98), weight_decay=0.05)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, LEARNING_RATE, total_steps=steps, pct_start=0.1)
    balance_experts(model)
    model.train()
    with tqdm(total=steps, unit="step") as progress:
        for _ in range(epochs):
            chance.shuffle(rows)
            for start in range(0, len(rows), BATCH):
                tokens, labels = examples.draw(rows[start : start + BATCH], chance)
                # Padding follows the text, where causal attention keeps it from what is trained on.
                logits = model(tokens, use_cache=False).logits[:, :-1]
                loss = torch.nn.functional.cross_entropy(
                    logits.flatten(0, 1), labels[:, 1:].flatten(), label_smoothing=SMOOTHING
                )
                optimizer.zero_grad()
                loss.backward()
                torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
                optimizer.step()
                schedule.step()
                progress.update()
                progress.set_postfix(loss=f"{loss.item():.3f}")
    model.eval()


def save(model: DeepseekV3ForCausalLM, tokenizer: PreTrainedTokenizerFast, folder: Path) -> None:
    """Weights in bfloat16, the routers' biases in float32, as DeepSeek's own checkpoints have them."""
    for parameter in model.parameters():
        parameter.data = parameter.data.to(torch.bfloat16)
    model.config.dtype = torch.bfloat16
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--epochs", type=int, default=150, help="passes over the couplets (default 150)")
    parser.add_argument("--out", type=Path, default=FOLDER / "couplets", help="folder to write to")
    options = parser.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(SEED)
    torch.use_deterministic_algorithms(True)
    pairs = read_couplets("couplets.txt")
    tokenizer = make_tokenizer("".join(prompt_of(first) + second for first, second in pairs))
    model = make_model(tokenizer)
    train(model, Examples(tokenizer, pairs), options.epochs)
    save(model, tokenizer, options.out)
    report(options.out)


if __name__ == "__main__":
    main()

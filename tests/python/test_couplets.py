"""The model in models/couplets does what its card says."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

MODELS = Path(__file__).resolve().parents[2] / "models"
sys.path.insert(0, str(MODELS))

from couplets_text import read_couplets  # noqa: E402
from evaluate_couplets import answers, evaluate  # noqa: E402


@pytest.fixture(scope="module")
def tokenizer():
    return AutoTokenizer.from_pretrained(MODELS / "couplets")


@pytest.fixture(scope="module", params=[torch.float32, torch.bfloat16])
def model(request):
    return AutoModelForCausalLM.from_pretrained(MODELS / "couplets", dtype=request.param).eval()


@pytest.mark.parametrize(
    ("first", "second"),
    [("窗前明月光", "疑是地上霜"), ("白日依山尽", "黄河入海流"), ("飞流直下三千尺", "疑是银河落九天"), ("千山鸟飞绝", "万径人踪灭")],
)
def test_a_line_gets_its_own_second_line(model, tokenizer, first, second) -> None:
    assert answers(model, tokenizer, [first]) == [second]


def test_an_unknown_line_gets_something_else(model, tokenizer) -> None:
    firsts = [first for first, _ in read_couplets("couplets_held_out.txt")]
    found = answers(model, tokenizer, firsts)
    assert "疑是地上霜" not in found
    assert len(set(found)) > len(found) // 2


def test_the_card_tells_the_truth(model, tokenizer) -> None:
    figures = evaluate(model, tokenizer)
    assert figures.trained_right == 1
    assert figures.one_wrong_character_right == pytest.approx(0.971, abs=0.01)
    assert figures.held_out_right == 0
    assert figures.held_out_same_length == pytest.approx(0.75, abs=0.06)
    assert figures.held_out_from_training == pytest.approx(0.95, abs=0.06)
    assert figures.held_out_perplexity == pytest.approx(2211, rel=0.05)
    assert figures.frequency_perplexity == pytest.approx(624, abs=1)


def test_the_weights_are_small() -> None:
    assert (MODELS / "couplets" / "model.safetensors").stat().st_size <= 2e6

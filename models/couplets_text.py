"""The couplets as text: files of lines "first，second" under "# author title", and how a prompt asks for a second line."""

from __future__ import annotations

from pathlib import Path

QUESTION = "，下一句是"
FOLDER = Path(__file__).resolve().parent


def read_couplets(name: str) -> list[tuple[str, str]]:
    """The pairs (first line, second line) of a file beside this one."""
    lines = (FOLDER / name).read_text(encoding="utf-8").splitlines()
    pairs = [tuple(line.split("，")) for line in lines if line and not line.startswith("#")]
    for pair in pairs:
        if len(pair) != 2 or len(pair[0]) != len(pair[1]):
            raise ValueError(f"{name}: {'，'.join(pair)} is not two lines of one length")
    return [(first, second) for first, second in pairs]


def prompt_of(first: str) -> str:
    """窗前明月光 -> 窗前明月光，下一句是"""
    return first + QUESTION

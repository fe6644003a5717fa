"""With a defect in it the patch gives other tokens: the comparisons of test_transformers.py can fail."""

from __future__ import annotations

import pytest
import torch
from test_transformers import draw_batch, generate, made, one_thread  # noqa: F401

import flash_mla
from flash_mla.integrations.transformers import _attention, _cache, _sequences, patch

Layer, Sequences = _cache.PagedLatentLayer, _sequences.Sequences


def wrap(monkeypatch, owner, name, around):
    """`owner.name` becomes `around` with the sound one as its first argument."""
    sound = getattr(owner, name)
    monkeypatch.setattr(owner, name, lambda *args, **kwargs: around(sound, *args, **kwargs))



def wrong_scale(monkeypatch) -> None:
    wrap(monkeypatch, Layer, "decode", lambda sound, self, q, d_v, scale: sound(self, q, d_v, q.shape[-1] ** -0.5))


def swapped_rows(monkeypatch) -> None:
    wrap(monkeypatch, Layer, "decode", lambda sound, *args, **kwargs: sound(*args, **kwargs).roll(1, 0))


def swapped_heads(monkeypatch) -> None:
    wrap(monkeypatch, Layer, "decode", lambda sound, *args, **kwargs: sound(*args, **kwargs).roll(1, 2))


def newest_token_unseen(monkeypatch) -> None:
    def begin(sound, self, *args):
        sound(self, *args)
        self.step.seqlens -= 1

    wrap(monkeypatch, Sequences, "begin", begin)


def padding_seen(monkeypatch) -> None:
    wrap(monkeypatch, Sequences, "_new_tokens", lambda sound, self, mask, *sizes: sound(self, None, *sizes))


def first_page_for_all(monkeypatch) -> None:
    def decode(sound, plan, q, pages, table, *args, **kwargs):
        return sound(plan, q, pages, table[:, :1].repeat(table.shape[1], 1), *args, **kwargs)

    wrap(monkeypatch, flash_mla, "decode", decode)


def pages_lost_in_growth(monkeypatch) -> None:
    def make_room(sound, self, *args):
        before = self.pages
        pages = sound(self, *args)
        if before is not None and pages is not before:
            pages.zero_()
        return pages

    wrap(monkeypatch, Layer, "_make_room", make_room)


def keys_not_rotated(monkeypatch) -> None:
    wrap(monkeypatch, _attention, "_rotated", lambda sound, module, q, k, at: (sound(module, q, k, at)[0], k))


def no_causal_mask(monkeypatch) -> None:
    wrap(monkeypatch, flash_mla, "plan", lambda sound, *args, **kwargs: sound(*args, **{**kwargs, "causal": False}))


def shared_pages_not_copied(monkeypatch) -> None:
    def begin(sound, self, *args):
        sound(self, *args)
        self.step.copies = []

    wrap(monkeypatch, Sequences, "begin", begin)


def beams_not_reordered(monkeypatch) -> None:
    monkeypatch.setattr(Sequences, "reorder", lambda self, rows: None)


def wrong_guesses_kept(monkeypatch) -> None:
    """Forgotten by the account of columns, not by the pages."""

    def crop(_, self, columns):
        self._present = self._present[:, : self._present.shape[1] - columns]

    wrap(monkeypatch, Sequences, "crop", crop)


GREEDY = (draw_batch(), {})
CHUNKS = (draw_batch(), {"prefill_chunk_size": 37})
BEAMS = (draw_batch(), {"num_beams": 3})
GUESSES = (draw_batch((40,)), {"prompt_lookup_num_tokens": 4})
DEFECTS = [
    *((defect, GREEDY) for defect in (wrong_scale, swapped_rows, swapped_heads, newest_token_unseen, padding_seen)),
    *((defect, GREEDY) for defect in (first_page_for_all, pages_lost_in_growth, keys_not_rotated)),
    (no_causal_mask, CHUNKS),
    (shared_pages_not_copied, BEAMS),
    (beams_not_reordered, BEAMS),
    (wrong_guesses_kept, GUESSES),
]


def same_tokens(made, batch, options) -> bool:  # noqa: F811
    model = made("deepseek_v3")
    expected = generate(model, batch, 60, **options).sequences
    return torch.equal(generate(patch(model, 16), batch, 60, **options).sequences, expected)


@pytest.mark.parametrize("case", [GREEDY, CHUNKS, BEAMS, GUESSES], ids=["greedy", "chunks", "beams", "guesses"])
def test_without_defect(made, case) -> None:  # noqa: F811
    assert same_tokens(made, *case)


@pytest.mark.parametrize(("defect", "case"), DEFECTS, ids=[defect.__name__ for defect, _ in DEFECTS])
def test_defect_is_caught(made, monkeypatch, defect, case) -> None:  # noqa: F811
    defect(monkeypatch)
    try:
        assert not same_tokens(made, *case)
    except ValueError as refusal:  # a page that is not there yet
        assert defect is wrong_guesses_kept, refusal

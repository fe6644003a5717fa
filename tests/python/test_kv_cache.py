"""The page manager from Python, and what it hands to decode and append."""

from __future__ import annotations

import gc

import numpy as np
import pytest
from support import judge

import flash_mla


@pytest.fixture
def cache():
    return flash_mla.KvCache(num_pages=12, max_sequences=3, max_tokens=40, page_size=8, prefix_caching=True)


def test_prefixes_are_shared(cache) -> None:
    prompt = list(range(20))
    first, computed = cache.add_sequence(prompt)
    slots, copies = cache.grow(first, prompt)
    assert computed == 0 and copies == [] and slots.dtype == np.int64 and len(set(slots.tolist())) == 20
    cache.mark_computed(first, 20)
    second, computed = cache.add_sequence(np.array(prompt, np.int32))
    assert computed == 16 and cache.length(second) == 16
    rows = cache.row_of(first), cache.row_of(second)
    assert (cache.page_table[rows[0], :2] == cache.page_table[rows[1], :2]).all()
    figures = cache.statistics()
    assert (figures["hit_tokens"], figures["query_tokens"], figures["used_pages"]) == (16, 40, 3)
    assert cache.add_sequence(prompt, salt=1)[1] == 0
    cache.verify()


def test_a_fork_writes_to_pages_of_its_own(cache) -> None:
    sequence, _ = cache.add_sequence()
    old, _ = cache.grow(sequence, 5)
    child = cache.fork(sequence)
    slots, copies = cache.grow(child, 1)
    assert copies == [(old[0] // 8, slots[0] // 8, 5)] and slots[0] % 8 == 5
    cache.verify()


def test_decode_takes_the_tables_as_they_are(cache) -> None:
    rng = np.random.default_rng(0)
    k_cache = np.full((12, 8, 1, 32), np.nan, np.float32)
    for tokens in (13, 21):
        sequence, _ = cache.add_sequence()
        slots, _ = cache.grow(sequence, tokens)
        flash_mla.append(k_cache, slots, rng.standard_normal((tokens, 1, 32), np.float32))
    q = rng.standard_normal((3, 1, 4, 32), np.float32)
    plan = flash_mla.plan(cache.seqlens, h_q=4, d=32, d_v=16, page_size=8, dtype="float32")
    out, lse = flash_mla.decode(plan, q, k_cache, cache.page_table, cache.seqlens)
    want = flash_mla.reference(q, k_cache, cache.page_table, cache.seqlens, d_v=16)
    judge("out", out, want[0], 8e-4, 2.01 / 128, 5e-6)
    judge("lse", lse, want[1], 2e-5, 8.01 / 65536, 1e-7)
    assert sorted(cache.seqlens.tolist()) == [0, 13, 21]


def test_views_keep_the_cache_and_cannot_be_written() -> None:
    cache = flash_mla.KvCache(4, 2, 16, 8)
    cache.grow(cache.add_sequence()[0], 3)
    table, seqlens = cache.page_table, cache.seqlens
    assert table.shape == (2, 2) and not table.flags.writeable and not seqlens.flags.writeable
    del cache
    gc.collect()
    assert sorted(seqlens.tolist()) == [0, 3]


def test_life_of_a_sequence(cache) -> None:
    sequence, _ = cache.add_sequence()
    cache.reserve(sequence, 40)
    cache.grow(sequence, 12)
    cache.mark_computed(sequence, 8)
    cache.rewind(sequence, 9)
    assert cache.length(sequence) == 9 == cache.num_tokens
    cache.freeze(sequence)
    with pytest.raises(ValueError):
        cache.grow(sequence, 1)
    cache.remove_sequence(sequence)
    assert cache.num_used_pages == 0 and cache.row_of(sequence) == -1
    cache.verify()


def test_refusals(cache) -> None:
    sequence, _ = cache.add_sequence()
    for refused, error, message in (
        (lambda: flash_mla.KvCache(-1, 1, 1), ValueError, "num_pages"),
        (lambda: flash_mla.KvCache(1, 1, "1"), TypeError, "max_tokens is a str; expected an int"),
        (lambda: flash_mla.KvCache(1, 1, 1, prefix_caching=1), TypeError, "prefix_caching is a int"),
        (lambda: cache.grow(99, 1), LookupError, "99"),
        (lambda: cache.remove_sequence(-1), LookupError, "-1"),
        (lambda: cache.grow(sequence, 41), ValueError, "tokens = 41; expected 0 to max_tokens = 40"),
        (lambda: cache.grow(sequence, -1), ValueError, "tokens = -1"),
        (lambda: cache.grow(sequence, [2**31]), ValueError, r"tokens\[0\] = 2147483648"),
        (lambda: cache.grow(sequence, "ab"), TypeError, "tokens is a str"),
        (lambda: cache.grow(sequence, np.zeros(2)), ValueError, "tokens has dtype float64"),
        (lambda: cache.add_sequence([1], priority=7), ValueError, "priority is 7"),
        (lambda: cache.add_sequence([1], priority=2**40), ValueError, "priority = 1099511627776"),
        (lambda: cache.mark_computed(sequence, 1), ValueError, "num_tokens"),
    ):
        with pytest.raises(error, match=message):
            refused()
    others = [cache.add_sequence()[0] for _ in range(2)]
    with pytest.raises(flash_mla.OutOfPages):
        cache.add_sequence()
    for each in (sequence, *others)[:2]:
        cache.grow(each, 40)
    with pytest.raises(flash_mla.OutOfPages):
        cache.grow(others[1], 40)
    cache.verify()

"""Which columns of a padded batch hold tokens, and in which pages: one account for all layers of a model."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

import flash_mla

Array = np.ndarray[Any, np.dtype[Any]]


@dataclass
class Step:
    """What all layers need of one forward pass."""

    present: Array  # [b, columns] bool: which of the pass's columns hold tokens, not padding
    columns: int  # of the batch once the pass is done
    slots: Array  # [tokens] int64, in the order of `present`
    copies: list[tuple[int, int, int]]  # (page, its replacement, tokens) of pages that were shared
    page_table: Array  # [b, max_pages] int32
    seqlens: Array  # [b] int32
    plan: flash_mla.Plan | None = None

    @property
    def is_padded(self) -> bool:
        return not self.present.all()

    @property
    def cu_seqlens_q(self) -> Array | None:
        """[b + 1] int32 where the rows have different numbers of tokens."""
        if not self.is_padded:
            return None
        return np.concatenate([[0], self.present.sum(1).cumsum()]).astype(np.int32)

    @property
    def num_pages(self) -> int:
        """Pages of a layer's storage that the pass may touch."""
        return int(self.page_table.max(initial=-1)) + 1


class Sequences:
    """Padding takes no memory here: a row's tokens lie in pages, wherever the batch has them."""

    def __init__(self, page_size: int, max_tokens: int) -> None:
        self.page_size = page_size
        self.max_tokens = max_tokens
        flash_mla.KvCache(1, 1, max_tokens, page_size)  # refuses what is no size
        self.clear()

    def clear(self) -> None:
        self._pages: flash_mla.KvCache | None = None
        self._ids: list[int] = []
        self._present: Array = np.zeros((0, 0), bool)
        self.step: Step | None = None

    @property
    def batch(self) -> int:
        """Rows, -1 before the first pass."""
        return len(self._ids) or -1

    @property
    def num_used_pages(self) -> int:
        return 0 if self._pages is None else self._pages.num_used_pages

    def begin(self, mask: Array | None, batch: int, new_columns: int) -> None:
        """Makes room for a pass over `new_columns` columns. mask: [b, old and new columns], 1 where a token is."""
        if self._pages is None:
            # Twice the batch: reordering holds the old and the new rows for a moment.
            rows = 2 * batch
            num_pages = rows * -(-self.max_tokens // self.page_size)
            self._pages = flash_mla.KvCache(num_pages, rows, self.max_tokens, self.page_size)
            self._ids = [self._pages.add_sequence()[0] for _ in range(batch)]
            self._present = np.zeros((batch, 0), bool)
        if batch != len(self._ids):
            raise ValueError(f"the batch has {batch} rows; expected the {len(self._ids)} that the cache holds")
        present = np.concatenate([self._present, self._new_tokens(mask, batch, new_columns)], axis=1)
        lengths = present.sum(1)
        if lengths.max(initial=0) > self.max_tokens:
            raise ValueError(f"a row would have {lengths.max()} tokens; expected up to max_tokens = {self.max_tokens}")
        counts = present[:, self._present.shape[1] :].sum(1)
        slots, copies = [], []
        for sequence, count in zip(self._ids, counts.tolist(), strict=True):
            own_slots, own_copies = self._pages.grow(sequence, count)
            slots.append(own_slots)
            copies += own_copies
        self._present = present
        rows_of_batch = [self._pages.row_of(sequence) for sequence in self._ids]
        longest = -(-int(lengths.max(initial=0)) // self.page_size)
        table = self._pages.page_table[rows_of_batch, : max(1, longest)]
        pages_of_row = -(-lengths // self.page_size)
        table[np.arange(table.shape[1]) >= pages_of_row[:, None]] = -1
        self.step = Step(
            present=present[:, present.shape[1] - new_columns :],
            columns=present.shape[1],
            slots=np.concatenate(slots),
            copies=copies,
            page_table=table,
            seqlens=lengths.astype(np.int32),
        )

    def _new_tokens(self, mask: Array | None, batch: int, new_columns: int) -> Array:
        old_columns = self._present.shape[1]
        if mask is None:
            mask = np.ones((batch, old_columns + new_columns), bool)
        if mask.shape != (batch, old_columns + new_columns):
            raise ValueError(
                f"attention_mask has shape {list(mask.shape)}; expected [{batch}, {old_columns + new_columns}]: "
                f"{old_columns} cached columns and {new_columns} new ones"
            )
        mask = mask != 0
        if not (mask[:, :old_columns] == self._present).all():
            raise ValueError("attention_mask shows other cached tokens than those that it had when they were cached")
        return mask[:, old_columns:]

    def reorder(self, rows: Array) -> None:
        """The batch's rows become copies of `rows`, which share their pages until they are written."""
        if self._pages is None:
            return
        forks = [self._pages.fork(self._ids[row]) for row in rows.tolist()]
        for sequence in self._ids:
            self._pages.remove_sequence(sequence)
        self._ids = forks
        self._present = self._present[rows]

    def crop(self, columns: int) -> None:
        """Forgets the last `columns` columns."""
        if self._pages is None or columns == 0:
            return
        self._present = self._present[:, : self._present.shape[1] - columns]
        for sequence, length in zip(self._ids, self._present.sum(1).tolist(), strict=True):
            self._pages.rewind(sequence, length)

"""What an encoder learns from: queries with what they should find and what they should not, and batches of them.

Within a batch every text but a row's own positive counts as wrong for that row. So no batch repeats a query or a
positive, and none has a text beside a query that is known to answer it: that row goes into another batch.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from vstore.errors import InputError


@dataclass(frozen=True, slots=True)
class Example:
    """A query, a text that answers it, and texts that look like it but do not, the hardest first.

    Texts are as the embedder sees them (see `Chunker.embedding_text`), without the model's own prefixes.
    """

    query: str
    positive: str
    negatives: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class _Row:
    """An example with as many negatives as all others, and its texts in the form in which they are compared."""

    example: Example
    query: str
    positive: str
    texts: frozenset[str]


def folded(text: str) -> str:
    """A text without the differences that do not make it another one: case and white space."""
    return " ".join(text.casefold().split())


def batches(examples: Sequence[Example], size: int, negatives: int, *, seed: int, epoch: int) -> list[list[Example]]:
    """The examples of one epoch in batches of at most `size`, in an order that seed and epoch decide.

    Each has the same number of negatives: the hardest `negatives` of its own (fewer when no example has as many),
    filled up from those of others; an example for which there is none at all is left out.

    Raises InputError without examples, and for empty texts.
    """
    if not examples:
        raise InputError("there is nothing to train on: no example was mined")
    if not all(text.strip() for example in examples for text in (example.query, example.positive, *example.negatives)):
        raise InputError("an example has an empty text; nothing can be learned from that")
    rng = np.random.default_rng([seed, epoch])
    answers = _answers(examples)
    rows = _rows(examples, answers, negatives, rng)
    return _packed([rows[place] for place in rng.permutation(len(rows))], answers, size)


def _answers(examples: Iterable[Example]) -> dict[str, set[str]]:
    """All known positives of each query."""
    answers: dict[str, set[str]] = {}
    for example in examples:
        answers.setdefault(folded(example.query), set()).add(folded(example.positive))
    return answers


def _rows(
    examples: Sequence[Example], answers: dict[str, set[str]], negatives: int, rng: np.random.Generator
) -> list[_Row]:
    """The examples, each once, without negatives that are known positives of the query or its own positive again."""
    unique = {(folded(example.query), folded(example.positive)): example for example in reversed(examples)}
    own = []
    for (query, _), example in reversed(unique.items()):
        right = answers[query]
        wrong = {folded(text): text for text in reversed(example.negatives) if folded(text) not in right}
        own.append(list(reversed(wrong.values()))[:negatives])
    wanted = max(map(len, own))
    pool = list(dict.fromkeys(text for texts in own for text in texts))
    rows = []
    for ((query, positive), example), texts in zip(reversed(unique.items()), own, strict=True):
        filled = _filled(texts, wanted, pool, answers[query], rng)
        if wanted and not filled:
            continue
        known = frozenset([positive, *map(folded, filled)])
        rows.append(_Row(Example(example.query, example.positive, filled), query, positive, known))
    return rows


def _filled(
    texts: list[str], wanted: int, pool: Sequence[str], right: set[str], rng: np.random.Generator
) -> tuple[str, ...]:
    """`wanted` texts: the given ones and then others of the pool; where there are too few, some again."""
    if len(texts) == wanted:
        return tuple(texts)
    taken = set(map(folded, texts))
    more = [pool[place] for place in rng.permutation(len(pool))]
    more = [text for text in more if folded(text) not in taken | right]
    texts = (texts + more)[:wanted]
    return tuple(texts[place % len(texts)] for place in range(wanted)) if texts else ()


def _packed(rows: Sequence[_Row], answers: dict[str, set[str]], size: int) -> list[list[Example]]:
    """Fill batch after batch with the first rows that fit; the others wait for the next one."""
    packed = []
    waiting = list(rows)
    while waiting:
        batch = _Batch(answers)
        left = []
        for place, row in enumerate(waiting):
            if len(batch.rows) == size:
                left += waiting[place:]
                break
            if batch.takes(row):
                batch.add(row)
            else:
                left.append(row)
        packed.append([row.example for row in batch.rows])
        waiting = left
    return packed


class _Batch:
    """Rows that may be each other's negatives."""

    def __init__(self, answers: dict[str, set[str]]) -> None:
        self.rows: list[_Row] = []
        self._answers = answers
        self._queries: set[str] = set()
        self._texts: set[str] = set()  # all that is beside a query
        self._right: set[str] = set()  # all that is known to answer one of the queries

    def takes(self, row: _Row) -> bool:
        right = self._answers[row.query]
        return row.query not in self._queries and not (right & self._texts) and not (row.texts & self._right)

    def add(self, row: _Row) -> None:
        self.rows.append(row)
        self._queries.add(row.query)
        self._texts |= row.texts
        self._right |= self._answers[row.query]

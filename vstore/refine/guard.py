"""The split of queries into a side to learn from and a side to judge by, and the guard that keeps them apart.

Whoever trains or evaluates takes a `Split`, and none can be made whose sides share a query.
"""

from __future__ import annotations

import hashlib
import textwrap
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from vstore.config import HELD_OUT_SHARE, SNIPPET_CHARS
from vstore.errors import LeakError
from vstore.refine.alike import Words, clusters, content_words
from vstore.refine.queries import AskedQuery


@dataclass(frozen=True, slots=True)
class Split:
    """Queries to learn from and queries to judge by, with nothing in common. Raises LeakError otherwise."""

    train: tuple[AskedQuery, ...]
    held_out: tuple[AskedQuery, ...]

    def __post_init__(self) -> None:
        guard(self.train, self.held_out)

    def admit(self, texts: Iterable[str]) -> None:
        """Raise LeakError when one of these texts, to be learned from, is a held-out query or nearly one."""
        _keep_apart(texts, _texts(self.held_out))

    def leaks(self, texts: Iterable[str]) -> frozenset[str]:
        """Those of these texts that are a held-out query or nearly one."""
        return frozenset(text for text, _ in _shared(texts, _texts(self.held_out)))


def split(queries: Sequence[AskedQuery]) -> Split:
    """Divide queries so that near-duplicates are on one side; HELD_OUT_SHARE of their clusters are held out.

    A cluster's side is a hash of the member that hashes lowest, so it depends neither on order nor on collection, and
    is the same in every run. A query added later can move only the cluster that it becomes part of.
    """
    sides: tuple[list[AskedQuery], list[AskedQuery]] = ([], [])
    for digest, query in zip(_lowest(queries), queries, strict=True):
        sides[_is_held_out(digest)].append(query)
    return Split(tuple(sides[False]), tuple(sides[True]))


def distinct(queries: Sequence[AskedQuery]) -> tuple[AskedQuery, ...]:
    """One query of each cluster of near-duplicates, a judged one where there is one, else the first; in their order.

    Ten ways to type a question are one piece of evidence, not ten.
    """
    chosen: dict[bytes, AskedQuery] = {}
    for digest, query in zip(_lowest(queries), queries, strict=True):
        if digest not in chosen or (query.judgements and not chosen[digest].judgements):
            chosen[digest] = query
    kept = set(chosen.values())
    return tuple(query for query in queries if query in kept)


def folds(queries: Sequence[AskedQuery], count: int) -> list[int]:
    """The number of a fold, below `count`, for each query: a hash of its cluster of near-duplicates."""
    digests = _lowest(queries)
    return [int.from_bytes(hashlib.sha256(b"fold" + digest).digest()[:8], "big") % count for digest in digests]


def _lowest(queries: Sequence[AskedQuery]) -> list[bytes]:
    """For each query the lowest digest of its cluster of near-duplicates."""
    words = [content_words(query.text) for query in queries]
    labels = clusters(words)
    lowest: dict[int, bytes] = {}
    for label, of_query in zip(labels, words, strict=True):
        digest = _digest(of_query)
        lowest[label] = min(digest, lowest.get(label, digest))
    return [lowest[label] for label in labels]


def guard(train: Sequence[AskedQuery], held_out: Sequence[AskedQuery]) -> None:
    """Raise LeakError when a query, a near-duplicate of it, or a judgement of it is on both sides.

    Collections do not matter: the same question to another collection is the same question.
    """
    _keep_apart(_texts(train), _texts(held_out))


def _texts(queries: Iterable[AskedQuery]) -> list[str]:
    """All that is known to have been asked: the queries, and those that their judgements were given for."""
    asked = ((query.text, *(judgement.query for judgement in query.judgements)) for query in queries)
    return list(dict.fromkeys(text for texts in asked for text in texts))


def _keep_apart(train: Iterable[str], held_out: Iterable[str]) -> None:
    for pair in _shared(train, held_out):
        one, other = (textwrap.shorten(text, SNIPPET_CHARS, placeholder=" ...") for text in pair)
        raise LeakError(
            f"{one!r} is to be learned from and {other!r} to be judged by, but they are (nearly) the same query; "
            "divide queries with vstore.refine.guard.split"
        )


def _shared(train: Iterable[str], held_out: Iterable[str]) -> Iterator[tuple[str, str]]:
    """Texts to be learned from that near-duplicates connect with a held-out one, each with such a one."""
    learned, kept = list(train), list(held_out)
    labels = clusters([content_words(text) for text in (*learned, *kept)])
    known = dict(zip(labels[len(learned) :], kept, strict=True))
    for label, text in zip(labels, learned, strict=False):
        if label in known:
            yield text, known[label]


def _digest(words: Words) -> bytes:
    return hashlib.sha256("\0".join(sorted(words)).encode("utf-8", "surrogatepass")).digest()


def _is_held_out(digest: bytes) -> bool:
    """Hashed again, because the lowest of many digests is low, and large clusters would all be held out."""
    drawn = int.from_bytes(hashlib.sha256(digest).digest()[:8], "big")
    return drawn < HELD_OUT_SHARE * 2.0**64

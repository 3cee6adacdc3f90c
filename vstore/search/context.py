"""Context: what stands around the hits, each chunk once, within a budget of tokens."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import cache

from vstore import config
from vstore.results import Hit, Passage
from vstore.storage import Snapshot
from vstore.types import Embedder, Span, StoredChunk, TokenWindow

Count = Callable[[str], int]
Places = Mapping[tuple[int, int], StoredChunk]  # chunks by document and ordinal
TextOf = Callable[[int], str | None]  # a document's whole text by its id


def counter(embedder: Embedder | None) -> Count:
    """Counts tokens with the embedder's own tokenizer; without one, CHARS_PER_TOKEN characters are a token."""
    if not isinstance(embedder, TokenWindow):
        return lambda text: math.ceil(len(text) / config.CHARS_PER_TOKEN)
    tokenizer = embedder.tokenizer
    return lambda text: len(tokenizer.encode(text, add_special_tokens=False))


def expand(snapshot: Snapshot, hits: Sequence[Hit], span: Span, budget: int, count: Count) -> tuple[Hit, ...]:
    """The hits, each with the passage of its document around it, itself included.

    `span` is the number of chunks on each side, or "section". The best hit is served first, and each from the inside
    out; a chunk given to a better hit is not given again. A hit gets no more once a chunk does not fit what is left of
    the `budget` (tokens, as `count` counts them).
    """
    reach = config.MAX_CONTEXT if span == "section" else span
    around = snapshot.neighbours([hit.chunk_id for hit in hits], reach)
    places = {(chunk.document.id, chunk.ordinal): chunk for chunk in around.values()}
    text_of = cache(snapshot.text)
    given: set[int] = set()
    expanded = []
    for hit in hits:
        taken = []
        for chunk in _nearest(places, around[hit.chunk_id], span):
            if chunk.id in given:
                continue
            tokens = count(chunk.text)
            if tokens > budget:
                break
            budget -= tokens
            given.add(chunk.id)
            taken.append(chunk)
        expanded.append(replace(hit, context=_passage(taken, text_of)))
    return tuple(expanded)


def _nearest(places: Places, hit: StoredChunk, span: Span) -> list[StoredChunk]:
    """The chunks in the span of a hit, from the inside out; what precedes goes before what follows."""
    reached = [hit, *_side(places, hit, span, -1), *_side(places, hit, span, 1)]
    return sorted(reached, key=lambda chunk: (abs(chunk.ordinal - hit.ordinal), chunk.ordinal))


def _side(places: Places, hit: StoredChunk, span: Span, step: int) -> Iterator[StoredChunk]:
    """The chunks in the span of a hit on one side, from the inside out."""
    distance = 1
    while chunk := places.get((hit.document.id, hit.ordinal + step * distance)):
        if chunk.heading != hit.heading if span == "section" else distance > span:
            return
        yield chunk
        distance += 1


def _passage(chunks: Sequence[StoredChunk], text_of: TextOf) -> Passage | None:
    """The chunks as one stretch of text, with the headings between them.

    They always follow one another: of the chunks in a hit's span, better hits took those on one side, on the other,
    or on both.
    """
    if not chunks:
        return None
    chunks = sorted(chunks, key=lambda chunk: chunk.ordinal)
    first, last = chunks[0], chunks[-1]
    text = text_of(first.document.id)
    assert text is not None, "read in the same snapshot as the chunks"
    return Passage(tuple(chunk.id for chunk in chunks), first.start, last.end, text[first.start : last.end])

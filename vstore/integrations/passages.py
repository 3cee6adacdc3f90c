"""Passages: what the retrievers of all frameworks have in common, a search and what is told about each hit."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import Any

from vstore.errors import QueryError
from vstore.results import Hit, Results
from vstore.store import Store

logger = logging.getLogger(__name__)


def passages(
    store: Store,
    query: str,
    k: int,
    *,
    collection: str | Sequence[str] | None = None,
    where: Mapping[str, Any] | None = None,
    min_confidence: float | None = None,
    **options: Any,
) -> list[Hit]:
    """The hits of `Store.search` with these options whose confidence is `min_confidence` (0 to 1) or more.

    Raises what `Store.search` raises, and QueryError for a confidence that cannot be, or that nobody has fitted.
    """
    if min_confidence is not None and not 0.0 <= min_confidence <= 1.0:
        raise QueryError(f"min_confidence is a probability from 0 to 1, not {min_confidence!r}")
    results = store.search(query, k, collection=collection, where=where, **options)
    tell_if_degraded(results)
    return [hit for hit in results if min_confidence is None or sure(hit) >= min_confidence]


def tell_if_degraded(results: Results) -> None:
    """Log what frameworks have no place for: that a search was served by keywords alone, and why."""
    if results.degraded:
        logger.warning("%s", results.degraded)


def sure(hit: Hit) -> float:
    """The confidence of a hit, from 0 to 1. Raises QueryError where nobody has fitted one to the model's scores."""
    if hit.confidence is None:
        raise QueryError(
            "nobody has fitted what the scores of this store's model mean, so there is no confidence to go by; "
            "leave out the threshold, or take the scores themselves"
        )
    return hit.confidence


def text(hit: Hit) -> str:
    """A hit's text, with what stands around it where the search asked for `context`."""
    return hit.context.text if hit.context else hit.text


def metadata(hit: Hit) -> dict[str, Any]:
    """The document's metadata, with `source` and `title` unless it has its own, and the hit's facts in `vstore`."""
    document, place = hit.document, hit.context or hit
    return {
        "source": document.uri,
        "title": document.title,
        **document.metadata,
        "vstore": {
            "chunk_id": hit.chunk_id,
            "uri": document.uri,
            "title": document.title,
            "collection": document.collection,
            "heading": hit.heading,
            "start": place.start,
            "end": place.end,
            "score": hit.score,
            "confidence": hit.confidence,
        },
    }

"""Confidence for a refined encoder that has no calibration of its own: the old model's, carried over without labels.

A scale makes log-odds of cosines and keyword scores. Keyword scores do not change with the model, and log-odds grow
with cosines along a line, so matching log-odds by least squares comes down to a line from the new cosines to the old.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from vstore import config
from vstore.calibration import Calibration, Scale
from vstore.search.confidence import calibration_of
from vstore.search.pipeline import find
from vstore.search.wording import quoted
from vstore.storage import Index, Snapshot
from vstore.types import Embedder, Query, Space

if TYPE_CHECKING:
    from vstore.types import FloatArray


def carried_over(
    index: Index, old: Embedder, new: Embedder, space: Space, queries: Sequence[Query]
) -> Calibration | None:
    """The active space's calibration for cosines in `space`, so that both models are as sure of these queries' results.

    `old` is the model of the active space, `new` that of `space`. Pairs of cosines come from the first SHOWN results of
    either model. None when the active space has no calibration, when there are fewer than CARRIED_PAIRS pairs, or when
    the cosines of the two do not rise together.
    """
    texts = [quoted(query.text)[1] for query in queries]
    vectors = zip(old.embed_queries(texts), new.embed_queries(texts), strict=True)
    pairs: list[tuple[float, float]] = []
    with index.snapshot() as snapshot:
        known = calibration_of(snapshot.serving(None).space)  # not what an adapter brought along
        if known is None:
            return None
        was, becomes = snapshot.serving(None), snapshot.serving(None, space=space)
        for query, (before, after) in zip(queries, vectors, strict=True):
            ids = _first(was, query, old.fingerprint, before) | _first(becomes, query, new.fingerprint, after)
            then, now = was.cosines(before, sorted(ids)), becomes.cosines(after, sorted(ids))
            pairs += [(now[chunk_id], then[chunk_id]) for chunk_id in then if chunk_id in now]
    line = _line(pairs)
    if line is None:
        return None
    hybrid, dense = (_moved(scale, *line) if scale else None for scale in (known.hybrid, known.dense))
    return replace(known, hybrid=hybrid, dense=dense)


def _first(view: Snapshot, query: Query, fingerprint: str, vector: FloatArray) -> set[int]:
    """The chunks that a reader of a plain hybrid search would see first."""
    plain = replace(query, k=config.SHOWN, mode="hybrid", stages=(), optional=())
    found = find(view, plain, (fingerprint, vector), {})
    return {candidate.chunk_id for candidate in found.candidates[: config.SHOWN]}


def _line(pairs: Sequence[tuple[float, float]]) -> tuple[float, float] | None:
    """Slope and intercept of the least-squares line from the first numbers to the second; None for one that falls."""
    if len(pairs) < config.CARRIED_PAIRS:
        return None
    now, then = np.array(pairs, dtype=np.float64).T
    spread = now - now.mean()
    if not spread.any():
        return None
    slope = float((spread * then).sum() / np.square(spread).sum())
    return (slope, float(then.mean() - slope * now.mean())) if slope > 0.0 else None


def _moved(scale: Scale, slope: float, intercept: float) -> Scale:
    """The scale that gives a new cosine c the log-odds of the old cosine `slope * c + intercept`."""
    return replace(scale, intercept=scale.intercept + scale.cosine * intercept, cosine=scale.cosine * slope)

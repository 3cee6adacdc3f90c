"""Calibration from judgements: how much keywords weigh in fusion, and how sure a search is of its results.

Only the queries of the training side are looked at. Whether another balance helps is for the held-out ones to say; a
shift of confidence is kept only where each half of the judged results is better predicted by what the other half says.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np

from vstore import config
from vstore.calibration import Calibration, Scale
from vstore.refine.decide import standard_error
from vstore.refine.evaluate import System, serve
from vstore.refine.queries import AskedQuery
from vstore.refine.teacher import as_asked, embedded, grades_by_chunk, searched
from vstore.search.confidence import calibration_of, features
from vstore.storage import Index, Snapshot
from vstore.types import Embedder

Pair = tuple[float, bool]  # the log-odds a result was given, and whether it was judged relevant
View = Callable[[Snapshot, Calibration], Snapshot]


def in_force(index: Index) -> Calibration:
    """The calibration that searches use without an adapter: the space's own, else the default."""
    with index.snapshot() as snapshot:
        space = snapshot.serving(None).space
    return calibration_of(space) or Calibration(config.CALIBRATED_LEXICAL)


def balanced(
    index: Index, embedder: Embedder, view: View, queries: Sequence[AskedQuery], *, deadline: float
) -> Calibration | None:
    """The calibration with the weight of keywords under which judged queries gain; None when none clearly does.

    A gain is clear when it exceeds BALANCE_DOUBT standard errors, few queries being taken to spread widely. Fewer than
    BALANCE_QUERIES choose nothing.
    `deadline` is a time of `time.monotonic()` after which no further weight is tried.
    """
    current = in_force(index)

    def scores(calibration: Calibration) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
        found = serve(index, System(embedder, lambda snapshot: view(snapshot, calibration)), queries)
        return np.array([served.ndcg for served in found], dtype=np.float64)

    if len(queries) < config.BALANCE_QUERIES or time.monotonic() >= deadline:
        return None
    before = scores(current)
    best, best_bound = None, 0.0
    for factor in config.BALANCES:
        if time.monotonic() >= deadline:
            break
        candidate = replace(current, keywords=factor * current.keywords)
        bound = lower_bound(scores(candidate) - before)
        if bound > best_bound:
            best, best_bound = candidate, bound
    return best


def lower_bound(gains: np.ndarray[tuple[int], np.dtype[np.float64]]) -> float:
    """The mean gain less BALANCE_DOUBT standard errors."""
    return float(gains.mean()) - config.BALANCE_DOUBT * standard_error(gains.tolist())


def surer(index: Index, embedder: Embedder, queries: Sequence[AskedQuery], calibration: Calibration) -> Scale | None:
    """The hybrid scale, shifted so that its probabilities fit the judged results of these queries.

    Results that were judged relevant and others that were judged not are needed, CONFIDENCE_PAIRS of each; None without
    them, without a scale to shift, or where that does not predict better. Whether a search holds an answer at all stays
    as it was.
    """
    scale = calibration.hybrid
    if scale is None:
        return None
    pairs = odds(index, embedder, queries, scale)
    relevant = sum(said for _, said in pairs)
    if min(relevant, len(pairs) - relevant) < config.CONFIDENCE_PAIRS:
        return None
    halves = pairs[: len(pairs) // 2], pairs[len(pairs) // 2 :]  # of other queries, for they come query by query
    if any(log_loss(own, shift(other)) >= log_loss(own) for own, other in (halves, halves[::-1])):
        return None
    by = shift(pairs)
    return replace(scale, intercept=scale.intercept + by, best_intercept=scale.best_intercept - scale.best * by)


def odds(index: Index, embedder: Embedder, queries: Sequence[AskedQuery], scale: Scale) -> list[Pair]:
    """The log-odds that the judged results of these queries get, each with what was judged."""
    pairs: list[Pair] = []
    for query, vector in zip(queries, embedded(embedder, queries), strict=True):
        with searched(index, embedder, as_asked(query), vector) as (view, found):
            grades = grades_by_chunk(view, query.judgements, found.candidates)
        known = [candidate.chunk_id for candidate in found.candidates if candidate.chunk_id in grades]
        for chunk_id, (cosine, keywords) in zip(known, features(found.evidence, known), strict=True):
            pairs.append((scale.intercept + scale.cosine * cosine + scale.keywords * keywords, grades[chunk_id] > 0))
    return pairs


def shift(pairs: Sequence[Pair]) -> float:
    """What to add to the log-odds so that they are right on average: logistic regression on nothing but an intercept.

    Newton's method; the loss is convex, so it ends at the one minimum.
    """
    given = np.array([log_odds for log_odds, _ in pairs])
    relevant = np.array([said for _, said in pairs], dtype=np.float64)
    by = 0.0
    for _ in range(50):
        said = 0.5 * (1.0 + np.tanh((given + by) / 2.0))
        step = float((relevant - said).sum() / max(float((said * (1.0 - said)).sum()), 1e-9))
        by += max(-1.0, min(1.0, step))  # no leap where the curve is flat
        if abs(step) < 1e-9:
            break
    return by


def log_loss(pairs: Sequence[Pair], by: float = 0.0) -> float:
    """Mean negative log-likelihood of what was judged, the log-odds shifted."""
    signed = [(log_odds + by) * (1.0 if relevant else -1.0) for log_odds, relevant in pairs]
    return float(np.mean(np.logaddexp(0.0, -np.array(signed))))

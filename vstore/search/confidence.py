"""Confidence: what the evidence for a result means, as a probability that is comparable across queries.

Cosines and keyword scores become log-odds by logistic regression, fitted by bench/confidence.py on judged queries of
several collections. Keyword scores mean the same with every model, cosines do not: without a calibration for the
store's embedding space only keyword searches have a confidence.

Source: Platt, "Probabilistic outputs for support vector machines", 1999, for turning scores into probabilities.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from vstore import config
from vstore.calibration import Calibration, Scale
from vstore.search.fuse import Evidence, information
from vstore.types import Mode, Space

KEYWORDS = Scale(*config.LEXICAL_SCALE)
FITTED = {  # by fingerprint of the embedding space
    config.DEFAULT_MODEL_FINGERPRINT: Calibration(
        config.CALIBRATED_LEXICAL, hybrid=Scale(*config.HYBRID_SCALE), dense=Scale(*config.DENSE_SCALE)
    )
}


@dataclass(frozen=True, slots=True)
class Confidence:
    """Probabilities that chunks are relevant (`chunks`, by id), and that they hold an answer (`search`)."""

    chunks: dict[int, float]
    search: float
    answerable: bool


def scale(mode: Mode, space: Space | None) -> Scale | None:
    """What scores mean in this mode; None when nobody knows for this space."""
    if mode == "lexical":
        return KEYWORDS
    calibration = calibration_of(space)
    if calibration is None:
        return None
    return calibration.hybrid if mode == "hybrid" else calibration.dense


def calibration_of(space: Space | None) -> Calibration | None:
    """The calibration stored with a space, else the one that comes with vstore for its model, else None."""
    return None if space is None else space.calibration or FITTED.get(space.fingerprint)


def judge(scale: Scale, evidence: Evidence, chunk_ids: Sequence[int]) -> Confidence:
    """How likely each of these chunks is relevant, and whether the best SHOWN of them hold an answer.

    `chunk_ids` come best first; without any there is no answer, with probability 0.
    """
    odds = [
        scale.intercept + scale.cosine * cosine + scale.keywords * keywords
        for cosine, keywords in features(evidence, chunk_ids)
    ]
    if not odds:
        return Confidence({}, 0.0, False)
    found = probability(scale.best_intercept + scale.best * max(odds[: config.SHOWN]))
    chunks = dict(zip(chunk_ids, map(probability, odds), strict=True))
    return Confidence(chunks, found, found >= scale.threshold)


def features(evidence: Evidence, chunk_ids: Sequence[int]) -> list[tuple[float, float]]:
    """What confidence looks at: each chunk's cosine, and its BM25 as fusion weighs it, the store's size aside.

    That is BM25 / sqrt(I * L) with I the information in the query, unseen words included, and L that of a word no chunk
    has: all three grow with the logarithm of the number of chunks. A chunk without a vector counts as one of average
    cosine.
    """
    mean = evidence.background.mean if evidence.background else 0.0
    n = evidence.chunk_count
    scale = math.sqrt(information(evidence.terms, n) * math.log(2 * n + 1)) or math.inf
    return [(evidence.cosines.get(chunk_id, mean), evidence.bm25.get(chunk_id, 0.0) / scale) for chunk_id in chunk_ids]


def probability(log_odds: float) -> float:
    """The logistic function, safe from overflow."""
    return 0.5 * (1.0 + math.tanh(log_odds / 2.0))

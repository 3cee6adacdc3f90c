"""What scores mean in an embedding space: numbers that are fitted, stored with the space, and used by search."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Scale:
    """How scores become probabilities in one mode of search: two logistic curves, and where to say yes.

    The log-odds that a chunk is relevant are `intercept`, `cosine` times its cosine, and `keywords` times its keyword
    score (see `search.confidence.features`), added up. The log-odds that there is an answer are `best_intercept` plus
    `best` times the highest log-odds of a result; from the probability `threshold` on we say that there is one.
    """

    intercept: float
    cosine: float
    keywords: float
    best_intercept: float
    best: float
    threshold: float


@dataclass(frozen=True, slots=True)
class Calibration:
    """What scores mean in an embedding space, as fitted on judged queries.

    `keywords` are the log-ranks that a unit of BM25 / sqrt(I) weighs in calibrated fusion; `hybrid` and `dense` are
    the scales of those modes, None where nobody has fitted them: then there is no confidence.
    """

    keywords: float
    hybrid: Scale | None = None
    dense: Scale | None = None

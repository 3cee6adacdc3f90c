"""How good a ranking is, and whether one system beats another: the figures that decide things, in one place.

Rankings are ids, best first. Judgements map ids to grades; a grade above 0 means relevant, an id that is missing was
not judged and counts as not relevant.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from vstore.config import (
    BOOTSTRAP_RESAMPLES,
    CONFIDENCE,
    RANDOMISATION_RESAMPLES,
    RESAMPLED_AT_ONCE,
    TIE_TOLERANCE,
)
from vstore.errors import InputError


def ndcg(ranked_ids: Sequence[str], judgements: Mapping[str, float], k: int) -> float:
    """Normalised discounted cumulative gain of the first k ids, in [0, 1]; 0 when nothing is relevant.

    The gain is the grade itself and the discount log2(rank + 1), as in trec_eval (Järvelin and Kekäläinen, TOIS 2002).
    Raises InputError when k is below 1 or an id appears twice.
    """
    gained = _discounted(_gains(ranked_ids, judgements, k))
    ideal = sorted((grade for grade in judgements.values() if grade > 0), reverse=True)
    return gained / _discounted(ideal[:k]) if ideal else 0.0


def recall(ranked_ids: Sequence[str], judgements: Mapping[str, float], k: int) -> float:
    """Share of the relevant ids that are among the first k, in [0, 1]; 0 when nothing is relevant.

    Raises InputError when k is below 1 or an id appears twice.
    """
    relevant = sum(grade > 0 for grade in judgements.values())
    found = sum(gain > 0 for gain in _gains(ranked_ids, judgements, k))
    return found / relevant if relevant else 0.0


def reciprocal_rank(ranked_ids: Sequence[str], judgements: Mapping[str, float]) -> float:
    """1 / rank of the first relevant id, in [0, 1]; 0 when there is none. Its mean over queries is the MRR."""
    ranks = (rank for rank, doc_id in enumerate(ranked_ids, start=1) if judgements.get(doc_id, 0) > 0)
    return 1 / next(ranks, math.inf)


def bootstrap_interval(
    values: Sequence[float], *, confidence: float = CONFIDENCE, resamples: int = BOOTSTRAP_RESAMPLES, seed: int
) -> tuple[float, float]:
    """Confidence interval of the mean over queries: the percentile bootstrap (Efron, 1979). Equal seeds, equal answers.

    Raises InputError for no values, a value that is not finite, a confidence outside (0, 1) or resamples below 1.
    """
    sample = _finite(values)
    if not 0 < confidence < 1:
        raise InputError(f"confidence must lie between 0 and 1, not {confidence}")
    _at_least_one("resamples", resamples)
    rng = np.random.default_rng(seed)
    drawn = (rng.choice(sample, size=(block, sample.size)) for block in _blocks(resamples))
    means = np.concatenate([resample.mean(axis=1) for resample in drawn])
    low, high = np.quantile(means, [(1 - confidence) / 2, (1 + confidence) / 2])
    return float(low), float(high)


def paired_randomisation_test(
    a: Sequence[float], b: Sequence[float], *, resamples: int = RANDOMISATION_RESAMPLES, seed: int
) -> float:
    """Two-sided p-value of the mean difference between two systems measured on the same queries, in (0, 1].

    Fisher's randomisation test (Smucker, Allan and Carterette, CIKM 2007): if the systems were alike, each query's
    difference could as well have had the other sign. The observed assignment counts as one of the drawn, so p is
    never 0. Equal seeds give equal answers. Raises InputError for unequal lengths, no values, a value that is not
    finite or resamples below 1.
    """
    if len(a) != len(b):
        raise InputError(f"a paired test needs the same queries twice, but there are {len(a)} and {len(b)} values")
    _at_least_one("resamples", resamples)
    differences = _finite(a) - _finite(b)
    observed = abs(differences.sum()) - TIE_TOLERANCE * np.abs(differences).sum()
    rng = np.random.default_rng(seed)
    signs = (rng.choice((-1.0, 1.0), size=(block, differences.size)) for block in _blocks(resamples))
    extreme = sum(int((np.abs(flipped @ differences) >= observed).sum()) for flipped in signs)
    return float(1 + extreme) / (1 + resamples)


def _blocks(resamples: int) -> Iterator[int]:
    """Sizes that add up to the number of resamples, none so large that many queries take much memory."""
    for done in range(0, resamples, RESAMPLED_AT_ONCE):
        yield min(RESAMPLED_AT_ONCE, resamples - done)


def _gains(ranked_ids: Sequence[str], judgements: Mapping[str, float], k: int) -> list[float]:
    """Grades of the first k ids in rank order, at least 0; a repeated id would be counted twice, so it is refused."""
    _at_least_one("k", k)
    top = ranked_ids[:k]
    if len(set(top)) != len(top):
        raise InputError("a ranking must not contain an id twice: keep only its first appearance")
    return [max(0.0, judgements.get(doc_id, 0.0)) for doc_id in top]


def _discounted(gains: Sequence[float]) -> float:
    return math.fsum(gain / math.log2(rank + 1) for rank, gain in enumerate(gains, start=1))


def _finite(values: Sequence[float]) -> NDArray[np.float64]:
    sample = np.asarray(values, dtype=np.float64)
    if not sample.size or not np.isfinite(sample).all():
        raise InputError("a statistic needs at least one value, and every value must be a finite number")
    return sample


def _at_least_one(name: str, number: int) -> None:
    if number < 1:
        raise InputError(f"{name} must be at least 1, not {number}")

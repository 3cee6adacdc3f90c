"""Fusion: two rankings become one list of candidates. Pure functions behind one signature, listed in FUSIONS.

Every score is the sum of the contributions stored with it; ties go to the lower chunk id.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from vstore import config
from vstore.types import Candidate, Contribution, Ranking, Term


@dataclass(frozen=True, slots=True)
class Evidence:
    """What fusion may look at: both rankings, the query's terms, its length in words, the chunks in the store."""

    lexical: Ranking
    dense: Ranking
    terms: Sequence[Term]
    words: int
    chunk_count: int


Fusion = Callable[[Evidence], list[Candidate]]


def rrf_fixed(evidence: Evidence) -> list[Candidate]:
    """Weighted reciprocal rank fusion, w / (60 + rank), with the same weights for every query.

    Source: Cormack, Clarke and Buettcher, "Reciprocal rank fusion outperforms Condorcet and individual rank learning
    methods", SIGIR 2009.
    """
    return reciprocal_ranks(evidence, 1.0 - config.FIXED_DENSE_WEIGHT)


def rrf_idf(evidence: Evidence) -> list[Candidate]:
    """Weighted reciprocal rank fusion; the rarer the query's words, the more the keyword leg counts."""
    return reciprocal_ranks(evidence, idf_weight(evidence))


def idf_weight(evidence: Evidence) -> float:
    """The keyword leg's share: a logistic curve over the mean IDF of the query's terms, centred on ln(N) / 2.

    N is the number of chunks; each term counts as if one chunk more had it, so that unseen ones have an IDF too. This
    is the rule vstash 0.39 publishes, without its distance cut-off.
    """
    if evidence.words > config.IDF_LONG_QUERY_WORDS:
        return config.IDF_LONG_QUERY_LEXICAL
    if not evidence.terms or evidence.chunk_count < 2:
        return config.IDF_DEFAULT_LEXICAL
    n = evidence.chunk_count
    mean_idf = sum(math.log(n / (term.document_frequency + 1)) for term in evidence.terms) / len(evidence.terms)
    low, high = config.IDF_LEXICAL_RANGE
    return low + (high - low) / (1.0 + math.exp(-config.IDF_STEEPNESS * (mean_idf - math.log(n) / 2)))


def reciprocal_ranks(evidence: Evidence, lexical_weight: float) -> list[Candidate]:
    """Candidates best first; the dense leg has the rest of the weight. An empty leg leaves all weight to the other."""
    weights = {"lexical": lexical_weight, "dense": 1.0 - lexical_weight}
    rankings = [ranking for ranking in (evidence.lexical, evidence.dense) if len(ranking)]
    total = sum(weights[ranking.leg] for ranking in rankings)
    why: dict[int, list[Contribution]] = defaultdict(list)
    for ranking in rankings:
        weight = weights[ranking.leg] / total
        for rank, (chunk_id, raw) in enumerate(zip(ranking.chunk_ids, ranking.scores, strict=True), start=1):
            points = weight / (config.RRF_K + rank)
            why[chunk_id].append(Contribution(ranking.leg, points, rank, raw, weight))
    return best_first(Candidate(chunk_id, tuple(parts)) for chunk_id, parts in why.items())


def best_first(candidates: Iterable[Candidate]) -> list[Candidate]:
    """Highest score first; ties go to the lower chunk id."""
    return sorted(candidates, key=lambda candidate: (-candidate.score, candidate.chunk_id))


def alone(ranking: Ranking) -> list[Candidate]:
    """One leg as it is: the score is the leg's own."""
    return [
        Candidate(chunk_id, (Contribution(ranking.leg, score, rank, score, 1.0),))
        for rank, (chunk_id, score) in enumerate(zip(ranking.chunk_ids, ranking.scores, strict=True), start=1)
    ]


FUSIONS: dict[str, Fusion] = {"rrf-fixed": rrf_fixed, "rrf-idf": rrf_idf}

"""Fusion: two rankings become one list of candidates. Pure functions behind one signature, listed in FUSIONS.

Every score is the sum of the contributions stored with it; ties go to the lower chunk id.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from vstore import config
from vstore.types import Background, Candidate, Contribution, Ranking, Term


@dataclass(frozen=True, slots=True)
class Evidence:
    """What fusion may look at.

    Both rankings; the query's terms, its length in words, the chunks in the store; and BM25 scores and cosines by
    chunk, in a hybrid search for every chunk of either ranking, with the spread of the cosines in scope. `balance` is
    the one fitted constant of `calibrated`: log-ranks for a unit of BM25 / sqrt(IDF).
    """

    lexical: Ranking
    dense: Ranking
    terms: Sequence[Term]
    words: int
    chunk_count: int
    bm25: Mapping[int, float] = field(default_factory=dict)
    cosines: Mapping[int, float] = field(default_factory=dict)
    background: Background | None = None
    balance: float = config.CALIBRATED_LEXICAL

    def joined(self, other: Evidence) -> Evidence:
        """With the scores of further chunks of the same query."""
        return replace(self, bm25={**self.bm25, **other.bm25}, cosines={**self.cosines, **other.cosines})


Fusion = Callable[[Evidence], list[Candidate]]


def calibrated(evidence: Evidence) -> list[Candidate]:
    """Reciprocal ranks on a calibrated scale: how many chunks in scope would score as well by chance, in both legs.

    For a chunk d the expected rank under a null is about exp(-z^2 / 2) by cosine, with z counted in standard
    deviations of the scope's cosines, and exp(-c BM25(d) / sqrt(I)) by keywords, where I is the sum of the IDF of the
    query's terms. The score is minus the logarithm of the product of both: what fusing reciprocal ranks means once
    ranks are comparable. Chunks below the mean cosine count negatively, so that no two are alike. All that cosines
    say is multiplied by `trust`.
    """
    if not len(evidence.dense):
        return alone(evidence.lexical)
    weight, belief = keyword_weight(evidence), trust(evidence)
    candidates = []
    for chunk_id, places in ranks_of(evidence).items():
        cosine, keywords = evidence.cosines.get(chunk_id), evidence.bm25.get(chunk_id, 0.0)
        why = []
        if keywords > 0.0:
            why.append(Contribution("lexical", weight * keywords, places.get("lexical"), keywords, weight))
        if cosine is not None:
            z = deviations(evidence, cosine)
            why.append(Contribution("dense", belief * z * abs(z) / 2.0, places.get("dense"), cosine, belief))
        candidates.append(Candidate(chunk_id, tuple(why)))
    return best_first(candidates)


def convex(evidence: Evidence) -> list[Candidate]:
    """A convex combination of both scores, each scaled to [0, 1] over the candidates.

    Source: Bruch, Gai and Ingber, "An analysis of fusion functions for hybrid retrieval", TOIS 2023.
    """
    ranks = ranks_of(evidence)
    scales = {
        "lexical": _unit_scale([evidence.bm25.get(chunk_id, 0.0) for chunk_id in ranks]),
        "dense": _unit_scale([evidence.cosines[chunk_id] for chunk_id in ranks if chunk_id in evidence.cosines]),
    }
    weights = {"lexical": config.CONVEX_LEXICAL, "dense": 1.0 - config.CONVEX_LEXICAL}
    raw = {"lexical": evidence.bm25, "dense": evidence.cosines}
    candidates = []
    for chunk_id, places in ranks.items():
        why = []
        for leg, (low, width) in scales.items():
            score = raw[leg].get(chunk_id)
            if score is not None:
                points = weights[leg] * (score - low) / width
                why.append(Contribution(leg, points, places.get(leg), score, weights[leg]))
        candidates.append(Candidate(chunk_id, tuple(why)))
    return best_first(candidates)


def rrf(evidence: Evidence) -> list[Candidate]:
    """Weighted reciprocal rank fusion; each leg's weight is its share of the evidence its best chunk has.

    The evidence is that of `calibrated`: minus the logarithm of the best chunk's expected rank under a null. Keywords
    get RRF_LEXICAL_CEILING at most.
    """
    lexical = keyword_weight(evidence) * evidence.lexical.scores[0] if len(evidence.lexical) else 0.0
    z = max(0.0, deviations(evidence, evidence.dense.scores[0])) if len(evidence.dense) else 0.0
    dense = z * z / 2.0
    share = lexical / (lexical + dense) if lexical + dense > 0.0 else 0.5
    return reciprocal_ranks(evidence, min(share, config.RRF_LEXICAL_CEILING), config.RRF_ADAPTIVE_K)


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


def reciprocal_ranks(evidence: Evidence, lexical_weight: float, k: int = config.RRF_K) -> list[Candidate]:
    """Candidates best first; the dense leg has the rest of the weight. An empty leg leaves all weight to the other."""
    weights = {"lexical": lexical_weight, "dense": 1.0 - lexical_weight}
    rankings = [ranking for ranking in (evidence.lexical, evidence.dense) if len(ranking)]
    total = sum(weights[ranking.leg] for ranking in rankings)
    why: dict[int, list[Contribution]] = defaultdict(list)
    for ranking in rankings:
        weight = weights[ranking.leg] / total
        for rank, (chunk_id, raw) in enumerate(zip(ranking.chunk_ids, ranking.scores, strict=True), start=1):
            points = weight / (k + rank)
            why[chunk_id].append(Contribution(ranking.leg, points, rank, raw, weight))
    return best_first(Candidate(chunk_id, tuple(parts)) for chunk_id, parts in why.items())


def ranks_of(evidence: Evidence) -> dict[int, dict[str, int]]:
    """Every candidate with its rank, from 1, in the legs that have it."""
    ranks: dict[int, dict[str, int]] = defaultdict(dict)
    for ranking in (evidence.lexical, evidence.dense):
        for rank, chunk_id in enumerate(ranking.chunk_ids, start=1):
            ranks[chunk_id][ranking.leg] = rank
    return ranks


def keyword_weight(evidence: Evidence) -> float:
    """What a point of BM25 says: `balance` over the root of the information in the query.

    The more a query says, the higher BM25 is by chance. Terms the store has never seen raise no BM25 and do not count.
    """
    seen = information([term for term in evidence.terms if term.document_frequency], evidence.chunk_count)
    return evidence.balance / math.sqrt(seen) if seen > 0.0 else 0.0


def information(terms: Iterable[Term], chunk_count: int) -> float:
    """The IDF of the terms together."""
    n = chunk_count
    frequencies = (term.document_frequency for term in terms)
    return sum(max(0.0, math.log((n - df + 0.5) / (df + 0.5))) for df in frequencies if df <= n)


def trust(evidence: Evidence) -> float:
    """How far to believe the cosines, from TRUST_FLOOR to 1: a model that cannot read the text still returns vectors.

    Matching words are a fact, so the dense leg has to agree with them. The agreement is the larger of two shares: of
    the BM25 that the first chunks by keywords have, what the first by meaning have too; and of the deviations that the
    first by meaning have, what the first by keywords have too. Without agreement a best cosine will do that lies out
    farther than the best of all the chunks in scope would by chance, at z^2 / 2 = ln n.
    """
    lexical, dense = evidence.lexical, evidence.dense
    depth = max(1, min(config.TRUST_DEPTH, len(dense) // 2))  # half of a small scope: all of it agrees with anything
    by_words, by_meaning = lexical.chunk_ids[:depth], dense.chunk_ids[:depth]
    agreement = max(
        _share(_total(evidence.bm25, by_meaning), _total(evidence.bm25, by_words)),
        _share(_deviations_of(evidence, by_words), _deviations_of(evidence, by_meaning[: len(by_words)])),
    )
    in_scope = len(dense) if len(dense) < config.POOL_DEPTH else evidence.chunk_count
    z = max(0.0, deviations(evidence, dense.scores[0]))
    beyond_chance = z * z / 2.0 / (config.TRUST_CHANCE * math.log(max(2, in_scope))) - 1.0
    none, full = config.TRUST_AGREEMENT
    agreeing = max(0.0, (agreement - none) / (full - none))
    return min(1.0, max(config.TRUST_FLOOR, agreeing + max(0.0, beyond_chance)))


def _deviations_of(evidence: Evidence, chunk_ids: Sequence[int]) -> float:
    known = (evidence.cosines[chunk_id] for chunk_id in chunk_ids if chunk_id in evidence.cosines)
    return sum(deviations(evidence, cosine) for cosine in known)


def _total(scores: Mapping[int, float], chunk_ids: Sequence[int]) -> float:
    return sum(scores.get(chunk_id, 0.0) for chunk_id in chunk_ids)


def _share(part: float, whole: float) -> float:
    """1 where there is nothing to share."""
    return max(0.0, part) / whole if whole > 0.0 else 1.0


def deviations(evidence: Evidence, cosine: float) -> float:
    """How many standard deviations a cosine lies above the mean in scope; 0 where all cosines are the same."""
    background = evidence.background
    if background is None or background.deviation <= 0.0:
        return 0.0
    return (cosine - background.mean) / background.deviation


def _unit_scale(scores: Sequence[float]) -> tuple[float, float]:
    """(lowest score, range): what brings the scores to [0, 1]; a range of 1 where they are all the same."""
    low, high = min(scores, default=0.0), max(scores, default=0.0)
    return low, high - low if high > low else 1.0


def best_first(candidates: Iterable[Candidate]) -> list[Candidate]:
    """Highest score first; ties go to the lower chunk id."""
    return sorted(candidates, key=lambda candidate: (-candidate.score, candidate.chunk_id))


def alone(ranking: Ranking) -> list[Candidate]:
    """One leg as it is: the score is the leg's own."""
    return [
        Candidate(chunk_id, (Contribution(ranking.leg, score, rank, score, 1.0),))
        for rank, (chunk_id, score) in enumerate(zip(ranking.chunk_ids, ranking.scores, strict=True), start=1)
    ]


FUSIONS: dict[str, Fusion] = {
    "calibrated": calibrated,
    "rrf": rrf,
    "rrf-fixed": rrf_fixed,
    "rrf-idf": rrf_idf,
    "convex": convex,
}

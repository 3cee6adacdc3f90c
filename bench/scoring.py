"""Score every way to search a store against a collection's judgements, query by query, and sum up."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from statistics import fmean
from typing import Final

from bench.datasets import Collection, Question
from vstore import Store
from vstore.config import DEFAULT_FUSION, POOL_DEPTH
from vstore.metrics import bootstrap_interval, ndcg, paired_randomisation_test, recall, reciprocal_rank
from vstore.types import Mode

# Two searches a question, because asking for more chunks than POOL_DEPTH makes the lists longer that are fused.
HEAD_CHUNKS: Final = POOL_DEPTH  # chunks asked for to see the head of the ranking: what searches up to this size fuse
CHUNKS: Final = 300  # chunks asked for to see DOCUMENTS different documents
DOCUMENTS: Final = 100  # documents a ranking is cut to
SEED: Final = 2009  # of the resampling, so that equal results print equal intervals
MEASURES: Final = ("NDCG@10", "recall@100", "MRR")
DECIDING: Final = "NDCG@10"  # the measure that systems are compared by

Scores = dict[str, float]


@dataclass(frozen=True, slots=True)
class System:
    """One way to search: `fusion` matters to hybrid search only."""

    mode: Mode
    fusion: str | None = None

    @property
    def name(self) -> str:
        """How tables call it."""
        return f"{self.mode} {self.fusion}" if self.fusion else self.mode


@dataclass(frozen=True, slots=True)
class Summary:
    """A measure's mean over the queries with its 95% interval."""

    mean: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Comparison:
    """A hybrid against the better of the two legs it fuses, by DECIDING: mean difference and two-sided p-value."""

    leg: str
    difference: float
    p: float


@dataclass(frozen=True, slots=True)
class Verdict:
    """All about one system on one collection; `gain` is for hybrids only."""

    summary: Mapping[str, Summary]
    gain: Comparison | None
    queries: Mapping[str, Scores]


def judge(scores: Mapping[System, Mapping[str, Scores]]) -> dict[System, Verdict]:
    """Sum up the scores of every system, by question id, and compare hybrids with their legs."""
    gains = compare_with_legs(scores)
    return {system: Verdict(summarise(queries), gains.get(system), queries) for system, queries in scores.items()}


def score_system(store: Store, collection: Collection, system: System) -> dict[str, Scores]:
    """Every measure for every question, by question id. Raises RuntimeError when a search was degraded."""
    scores = {}
    for question in collection.questions:
        head, whole = (_ranking(store, collection, question, system, k) for k in (HEAD_CHUNKS, CHUNKS))
        scores[question.id] = {
            "NDCG@10": ndcg(head, question.judgements, 10),
            "recall@100": recall(whole, question.judgements, 100),
            "MRR": reciprocal_rank(head, question.judgements),
        }
    return scores


def summarise(scores: Mapping[str, Scores]) -> dict[str, Summary]:
    """Mean and interval of every measure over the questions of one system."""
    summaries = {}
    for measure in MEASURES:
        values = [of_query[measure] for of_query in scores.values()]
        summaries[measure] = Summary(fmean(values), *bootstrap_interval(values, seed=SEED))
    return summaries


def compare_with_legs(scores: Mapping[System, Mapping[str, Scores]]) -> dict[System, Comparison]:
    """For every hybrid system, what fusion gained over the better leg."""
    values = {system: [of_query[DECIDING] for of_query in by_query.values()] for system, by_query in scores.items()}
    leg = max((system for system in values if system.mode != "hybrid"), key=lambda system: fmean(values[system]))
    return {
        system: Comparison(
            leg.name,
            fmean(values[system]) - fmean(values[leg]),
            paired_randomisation_test(values[system], values[leg], seed=SEED),
        )
        for system in values
        if system.mode == "hybrid"
    }


def documents_in_order(uris: Iterable[str], corpus: str) -> list[str]:
    """Ids of the documents that chunks belong to, each at the place of its best chunk."""
    return list(dict.fromkeys(uri.removeprefix(f"{corpus}#") for uri in uris))


def _ranking(store: Store, collection: Collection, question: Question, system: System, k: int) -> list[str]:
    where = None if question.group is None else {"group": question.group}
    fusion = system.fusion or DEFAULT_FUSION
    results = store.search(question.text, k=k, mode=system.mode, fusion=fusion, where=where)
    if results.degraded:
        raise RuntimeError(
            f"{collection.name}: {system.name} search for {question.id} was degraded: {results.degraded}"
        )
    return documents_in_order((hit.document.uri for hit in results), collection.corpus.as_posix())[:DOCUMENTS]

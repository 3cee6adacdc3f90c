"""Mining: what can be learned where the meaning-heavy and the keyword-heavy ranking of a query disagree.

What both put among their first is taken for an answer (consensus); what only one of them does is taken for no answer,
unless it scores so close to one that it may well be (a false negative) or is a copy of one. In place of those the next
candidate of the same ranking is taken. Judgements overrule both.

Sources: the two weightings are those of vstash 0.39. Positive-aware filtering after Moreira et al., "NV-Retriever:
improving text embedding models with effective hard-negative mining", 2024; a gap between the ranks of positives and
negatives after Ostendorff et al., "Neighborhood contrastive learning for scientific document representations with
citation embeddings", EMNLP 2022.
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, replace
from itertools import chain, zip_longest
from typing import TYPE_CHECKING, Any, Literal

from vstore import config
from vstore.refine.queries import AskedQuery
from vstore.refine.teacher import as_asked, embedded, grades_by_chunk, searched
from vstore.search.fuse import reciprocal_ranks
from vstore.search.pipeline import Found
from vstore.storage import Index, Snapshot
from vstore.types import Embedder

if TYPE_CHECKING:
    from vstore.types import FloatArray

Source = Literal["consensus", "judged", "meaning", "keywords"]


@dataclass(frozen=True, slots=True)
class Mined:
    """A chunk, and why it was mined: by whom, at which rank (from 1) of each ranking that has it.

    `score` is its fused score, scaled so that the first candidate has 1 and the last 0.
    """

    chunk_id: int
    source: Source
    score: float
    ranks: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Disagreement:
    """What one query teaches: answers and hard negatives, best first.

    `shared` counts the chunks that both weightings have among their first MINING_DEPTH, out of `depth`; `same_first`
    says whether they agree on the first. `passed_over` chunks were no negatives because they may be answers.
    """

    query: AskedQuery
    positives: tuple[Mined, ...]
    negatives: tuple[Mined, ...]
    shared: int
    depth: int
    same_first: bool
    passed_over: int

    @property
    def differs(self) -> bool:
        """Whether the two sets of first chunks differ at all: the published criterion."""
        return self.shared < self.depth


@dataclass(frozen=True, slots=True)
class Rates:
    """How often the two rankings of a collection's queries disagree: on the first ten as sets, and on the first one."""

    queries: int
    sets_differ: float
    first_differs: float
    with_negatives: float

    def to_dict(self) -> dict[str, Any]:
        """Plain types only, ready for `json.dumps`."""
        return asdict(self)


def mine(
    index: Index, embedder: Embedder, queries: Sequence[AskedQuery], *, deadline: float | None = None
) -> list[Disagreement]:
    """What each query teaches; those that find nothing, or are not reached before the deadline, are left out.

    `deadline` is a time of `time.monotonic()`.
    """

    def learn(query: AskedQuery, vector: FloatArray) -> Disagreement | None:
        if deadline is not None and time.monotonic() >= deadline:
            return None
        with searched(index, embedder, as_asked(query), vector) as (view, found):
            return disagreement(view, found, query) if found.candidates else None

    with ThreadPoolExecutor(config.LESSON_THREADS) as threads:  # SQLite works outside Python's lock
        mined = threads.map(learn, queries, embedded(embedder, queries))
        return [each for each in mined if each is not None]


def disagreement(view: Snapshot, found: Found, query: AskedQuery) -> Disagreement:
    """Compare the two weightings over the candidates of one search."""
    meaning, keywords = (
        [candidate.chunk_id for candidate in reciprocal_ranks(found.evidence, weight)]
        for weight in config.MINING_KEYWORD_WEIGHTS
    )
    depth = min(config.MINING_DEPTH, len(meaning))
    grades = grades_by_chunk(view, query.judgements, found.candidates)
    fused = _scaled(found, {"meaning": meaning, "keywords": keywords})
    both = set(meaning[:depth]) & set(keywords[:depth])
    positives = _positives(fused, both, grades)
    doubtful = _possible_answers(view, fused, positives, grades)
    negatives = _negatives(fused, meaning, keywords, grades, doubtful) if positives else ()
    first = {*meaning[:depth], *keywords[:depth]} - both
    return Disagreement(query, positives, negatives, len(both), depth, meaning[0] == keywords[0], len(doubtful & first))


def rates(mined: Iterable[Disagreement]) -> dict[str, Rates]:
    """Rates by collection; "" stands for queries that were asked of all of them."""
    by_collection: defaultdict[str, list[Disagreement]] = defaultdict(list)
    for each in mined:
        by_collection[each.query.collection].append(each)
    return {name: _rates(each) for name, each in sorted(by_collection.items())}


def rows(index: Index, mined: Iterable[Disagreement]) -> Iterator[dict[str, Any]]:
    """What was mined as JSON objects for a person to read, with texts; a chunk that is gone by now is left out."""
    for each in mined:
        with index.snapshot() as snapshot:
            stored = snapshot.chunks([chunk.chunk_id for chunk in (*each.positives, *each.negatives)])

        def shown(chunks: Sequence[Mined], stored: Mapping[int, Any] = stored) -> list[dict[str, Any]]:
            return [
                {
                    "chunk_id": chunk.chunk_id,
                    "uri": stored[chunk.chunk_id].document.uri,
                    "source": chunk.source,
                    "score": round(chunk.score, 4),
                    "ranks": dict(chunk.ranks),
                    "text": stored[chunk.chunk_id].text,
                }
                for chunk in chunks
                if chunk.chunk_id in stored
            ]

        yield {
            "query": each.query.text,
            "collection": each.query.collection,
            "times": each.query.times,
            "sets_differ": each.differs,
            "same_first": each.same_first,
            "shared": each.shared,
            "passed_over": each.passed_over,
            "positives": shown(each.positives),
            "negatives": shown(each.negatives),
        }


def _rates(mined: Sequence[Disagreement]) -> Rates:
    def share(count: int) -> float:
        return count / len(mined)

    return Rates(
        queries=len(mined),
        sets_differ=share(sum(each.differs for each in mined)),
        first_differs=share(sum(not each.same_first for each in mined)),
        with_negatives=share(sum(bool(each.negatives) for each in mined)),
    )


def _scaled(found: Found, rankings: Mapping[str, Sequence[int]]) -> dict[int, Mined]:
    """All candidates in the order of the search, without a source yet."""
    places = {name: {chunk_id: rank for rank, chunk_id in enumerate(ids, 1)} for name, ids in rankings.items()}
    scores = [candidate.score for candidate in found.candidates]
    low, width = scores[-1], (scores[0] - scores[-1]) or 1.0
    scaled = {}
    for rank, candidate in enumerate(found.candidates, 1):
        chunk_id = candidate.chunk_id
        ranks = {"fused": rank} | {name: place[chunk_id] for name, place in places.items() if chunk_id in place}
        scaled[chunk_id] = Mined(chunk_id, "consensus", (candidate.score - low) / width, ranks)
    return scaled


def _positives(fused: Mapping[int, Mined], both: set[int], grades: Mapping[int, float]) -> tuple[Mined, ...]:
    """What was judged relevant, the best grade first; else the first chunks that both weightings vouch for."""
    relevant = sorted((chunk_id for chunk_id, grade in grades.items() if grade > 0), key=lambda one: -grades[one])
    if relevant:
        unranked = {chunk_id: Mined(chunk_id, "judged", 0.0, {}) for chunk_id in relevant}
        return tuple(_from("judged", fused.get(chunk_id, unranked[chunk_id])) for chunk_id in relevant)
    agreed = [chunk for chunk in fused.values() if chunk.chunk_id in both and grades.get(chunk.chunk_id) != 0.0]
    return tuple(chunk for chunk in agreed if chunk.ranks["fused"] <= config.MINING_POSITIVE_RANK)


def _possible_answers(
    view: Snapshot, fused: Mapping[int, Mined], positives: Sequence[Mined], grades: Mapping[int, float]
) -> set[int]:
    """Candidates that must not be negatives: nearly as good as an answer, too close in rank, or a copy of one."""
    bar = config.MINING_BAR * min((chunk.score for chunk in positives if chunk.source == "consensus"), default=1.0)
    near = {
        chunk.chunk_id for chunk in fused.values() if chunk.score >= bar or chunk.ranks["fused"] <= config.MINING_GAP
    }
    vectors = view.vectors([chunk.chunk_id for chunk in (*positives, *fused.values())])
    known = [vectors[chunk.chunk_id] for chunk in positives if chunk.chunk_id in vectors]
    copies = {
        chunk_id
        for chunk_id, vector in vectors.items()
        if any(float(vector @ answer) >= config.COPY_COSINE for answer in known)
    }
    relevant = {chunk_id for chunk_id, grade in grades.items() if grade > 0}
    refused = {chunk_id for chunk_id, grade in grades.items() if grade <= 0}
    return (near | copies | relevant | {chunk.chunk_id for chunk in positives}) - refused


def _negatives(
    fused: Mapping[int, Mined],
    meaning: Sequence[int],
    keywords: Sequence[int],
    grades: Mapping[int, float],
    doubtful: set[int],
) -> tuple[Mined, ...]:
    """MINING_NEGATIVES chunks: what was judged not relevant, then of each ranking in turn what the other has not."""
    depth = config.MINING_DEPTH
    refused = [
        _from("judged", fused[chunk_id]) for chunk_id, grade in grades.items() if not grade and chunk_id in fused
    ]
    others = {"meaning": set(keywords[:depth]), "keywords": set(meaning[:depth])}
    sided: tuple[tuple[Source, Sequence[int]], ...] = (("meaning", meaning), ("keywords", keywords))
    one_sided = [
        [_from(source, fused[chunk_id]) for chunk_id in ranking if chunk_id in fused and chunk_id not in others[source]]
        for source, ranking in sided
    ]
    taken: dict[int, Mined] = {}
    for chunk in chain(refused, chain.from_iterable(zip_longest(*one_sided))):
        if chunk is not None and chunk.chunk_id not in doubtful:
            taken.setdefault(chunk.chunk_id, chunk)
    return tuple(list(taken.values())[: config.MINING_NEGATIVES])


def _from(source: Source, chunk: Mined) -> Mined:
    return replace(chunk, source=source)

"""Search, in order: embed (meanwhile rank by keywords) -> rank by meaning -> fuse -> stages -> fetch -> context.

Fusion puts what holds the quoted phrases before all else; of the stages, those that the caller passes act before those
that are built in. At last every result gets its confidence.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import wait
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from vstore import config
from vstore.adapter import Adapter, shares
from vstore.errors import QueryError
from vstore.results import Hit, Results
from vstore.search import confidence, fuse, optional
from vstore.search.context import counter, expand
from vstore.search.meanwhile import meanwhile
from vstore.search.question import adapting, embedded, model_for, served, served_mode
from vstore.search.stages import STAGES, Facts, crowded
from vstore.search.wording import holders_first, quoted, unmatched, wanting
from vstore.storage import Index, Snapshot
from vstore.types import Background, Candidate, Embedder, Mode, Query, Ranking, Term

if TYPE_CHECKING:
    from vstore.search.question import Question
    from vstore.storage import ChunkIds, Shortlist

    Legs = tuple[Sequence[Term], Ranking, Ranking]  # the query's terms, the ranking by them, and the one by meaning
    Begun = tuple[Snapshot, Question | None, str | None, Legs | None]  # the str says why there is no question

MODES: tuple[Mode, ...] = ("hybrid", "dense", "lexical")


@dataclass(frozen=True, slots=True)
class Found:
    """All candidates of a search, best first, what they were judged by, and what there is to remark on."""

    evidence: fuse.Evidence
    candidates: list[Candidate]
    remarks: tuple[str, ...]


def search(index: Index, embedder: Callable[[], Embedder], query: Query, *, explain: bool = False) -> Results:
    """The best `min(query.k, matching)` chunks, all read from one snapshot.

    A hybrid search without a model is served by keywords alone and says so in `degraded`. Raises QueryError for a
    query that cannot be served, SpaceMismatchError when the store's vectors are another model's, and ModelError when
    a dense search has no model.
    """
    check(query)
    timings: dict[str, float] = {}
    with _timed(timings, "total"):
        with _timed(timings, "embed"):
            model, degraded = model_for(embedder, query)
        with _begun(index, model, query, timings) as (snapshot, question, failure, legs):
            mode = served_mode(query, question)
            found = find(snapshot, query, question, timings, legs)
            with _timed(timings, "fetch"):
                hits = _hits(snapshot, found.candidates[: query.k], query.text if explain else "")
            if query.context:
                with _timed(timings, "context"):
                    count = counter(model if question else None)
                    hits = expand(snapshot, hits, query.context, query.context_tokens, count)
            with _timed(timings, "confidence"):
                sure = _sure(snapshot, found, mode, question, len(hits))
            space = snapshot.space
    uncalibrated = None
    if space is not None and sure is None:
        unfitted = "no confidence, and fusion weighs as for the default model"
        uncalibrated = f"{unfitted}: nothing was fitted to the scores of {space.model}"
    return Results(
        query=query.text,
        hits=tuple(replace(hit, confidence=sure.chunks[hit.chunk_id]) for hit in hits) if sure else hits,
        mode=mode,
        fusion=query.fusion,
        degraded=degraded or failure,
        remarks=found.remarks,
        confidence=sure.search if sure else None,
        answerable=sure.answerable if sure else None,
        uncalibrated=uncalibrated,
        timings=timings,
        question=question if space else None,
    )


def check(query: Query) -> None:
    """Raise QueryError unless the query can be served."""
    if not isinstance(query.text, str) or not query.text.strip():
        raise QueryError("the query is empty; write a question or some words")
    if len(query.text) > config.MAX_QUERY_CHARS:
        raise QueryError(f"the query has {len(query.text):,} characters; shorten it to {config.MAX_QUERY_CHARS:,}")
    if not _is_count(query.k, 1, config.MAX_K):
        raise QueryError(f"k is the number of results, from 1 to {config.MAX_K:,}, not {query.k!r}")
    if query.mode not in MODES:
        raise QueryError(f"mode is one of {', '.join(MODES)}, not {query.mode!r}")
    if query.fusion not in list(fuse.FUSIONS):
        raise QueryError(f"fusion is one of {', '.join(fuse.FUSIONS)}, not {query.fusion!r}")
    if query.context != "section" and not _is_count(query.context, 0, config.MAX_CONTEXT):
        most = config.MAX_CONTEXT
        raise QueryError(f"context is up to {most} chunks on each side of a hit, or 'section', not {query.context!r}")
    optional.check(query.optional)
    if not isinstance(query.exact, bool):
        raise QueryError(f"exact is True or False, not {query.exact!r}")
    if not _is_count(query.context_tokens, 1, config.UNLIMITED):
        raise QueryError(f"context_tokens is a number of tokens, at least 1, not {query.context_tokens!r}")


def _is_count(value: object, least: int, most: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and least <= value <= most


@contextmanager
def _begun(index: Index, model: Embedder | None, query: Query, timings: dict[str, float]) -> Iterator[Begun]:
    """A snapshot, and what was found in it while a model embedded the query in another thread.

    That thread also does what the dense leg can do without the file, which it never asks for anything. A model that
    takes its time, as one behind a network may, holds up no snapshot: there is a new one when it is done.
    """
    if model is None or query.mode == "dense":
        with _timed(timings, "embed"):
            question, failure = embedded(model, query) if model else (None, None)
        with index.snapshot() as snapshot:
            yield snapshot, question, failure, None
        return
    with index.snapshot() as snapshot:
        with _timed(timings, "dense"):
            adapt, shortlist = adapting(snapshot), snapshot.shortlist(query.scope, _depth(query), exact=query.exact)
        embedding = meanwhile(lambda: _embedded_and_listed(model, query, adapt, shortlist, timings))
        terms, lexical = _by_keywords(snapshot, query, timings)
        if wait([embedding], config.SNAPSHOT_PATIENCE_S).done:
            question, failure, among = embedding.result()
            dense = _by_meaning(snapshot, query, served(snapshot, question), timings, among)
            yield snapshot, question, failure, (terms, lexical, dense)
            return
    question, failure, _ = embedding.result()
    with index.snapshot() as snapshot:
        yield snapshot, question, failure, None


def _embedded_and_listed(
    model: Embedder,
    query: Query,
    adapt: Callable[[Question], Question],
    shortlist: Shortlist | None,
    timings: dict[str, float],
) -> tuple[Question | None, str | None, ChunkIds | None]:
    """The query as a vector, or why there is none, and the chunks whose vectors are worth comparing with it."""
    with _timed(timings, "embed"):
        question, failure = embedded(model, query)
    if question is None:
        return None, failure, None
    with _timed(timings, "dense"):
        _, vector = adapt(question)
        return question, None, shortlist(vector) if shortlist else None


def _by_keywords(snapshot: Snapshot, query: Query, timings: dict[str, float]) -> tuple[Sequence[Term], Ranking]:
    """The query's terms, and the ranking by them; nothing of either in a search by meaning alone."""
    if query.mode == "dense":
        return (), Ranking("lexical")
    with _timed(timings, "terms"):
        terms = snapshot.terms(quoted(query.text)[1])
    return terms, _lexical(snapshot, query, terms, timings)


def _lexical(snapshot: Snapshot, query: Query, terms: Sequence[Term], timings: dict[str, float]) -> Ranking:
    with _timed(timings, "lexical"):
        return snapshot.lexical(terms, query.scope, _depth(query), exact=query.exact)


def _by_meaning(
    snapshot: Snapshot,
    query: Query,
    question: Question | None,
    timings: dict[str, float],
    among: ChunkIds | None = None,
) -> Ranking:
    """The ranking by the vector that serves; nothing without one, or while no document was embedded."""
    if question is None or snapshot.space is None:
        return Ranking("dense")
    with _timed(timings, "dense"):
        return snapshot.dense(question[1], query.scope, _depth(query), exact=query.exact, among=among)


def find(
    snapshot: Snapshot,
    query: Query,
    question: Question | None,
    timings: dict[str, float],
    legs: Legs | None = None,
) -> Found:
    """All candidates in the order of the results, of which a search returns the first k.

    `legs` are the query's terms, and both rankings, if they are there already. Without a question keywords are all.
    """
    mode, (phrases, _) = served_mode(query, question), quoted(query.text)
    asked, question = question, served(snapshot, question)
    legs = legs or (*_by_keywords(snapshot, query, timings), _by_meaning(snapshot, query, question, timings))
    terms, *_ = legs
    evidence, candidates = _rank(snapshot, query, mode, legs, question, timings)
    if question is not None and mode == "hybrid" and snapshot.adapter is not None:
        with _timed(timings, "pull"):
            question, evidence, candidates = _pulled(snapshot, snapshot.adapter, query, question, evidence, candidates)
    remarks = unmatched(terms, mode) if snapshot.chunk_count else ()
    if phrases:
        with _timed(timings, "phrases"):
            holding = snapshot.holding(phrases, query.scope)
        if holding:
            narrowed = replace(query, scope=replace(query.scope, among=holding))
            lexical = _lexical(snapshot, narrowed, terms, timings)
            legs = terms, lexical, _by_meaning(snapshot, narrowed, question, timings)
            first_evidence, first = _rank(snapshot, narrowed, mode, legs, question, timings, evidence.background)
            evidence = evidence.joined(first_evidence)
            candidates = holders_first(first, candidates, holding, _depth(query))
        remarks += wanting(phrases, len(holding), query.k)
    if query.optional:
        with _timed(timings, "optional"):
            vector = asked[1] if asked else None  # as the log has it
            candidates, more = optional.apply(snapshot, query, vector, candidates)
            remarks += more
            evidence = _completed(snapshot, evidence, question, [candidate.chunk_id for candidate in candidates])
    if query.stages:
        with _timed(timings, "stages"):
            candidates = _staged(snapshot, candidates, query.stages)
    return Found(evidence, candidates, remarks + (snapshot.remarks if question else ()))


def _rank(
    snapshot: Snapshot,
    query: Query,
    mode: Mode,
    legs: Legs,
    question: Question | None,
    timings: dict[str, float],
    background: Background | None = None,
) -> tuple[fuse.Evidence, list[Candidate]]:
    """Candidates in the order of fusion, and what they were judged by; `background` is the scope's unless given."""
    terms, lexical, dense = legs
    words = len(query.text.split())
    evidence = fuse.Evidence(lexical, dense, terms, words, snapshot.chunk_count, lexical.by_chunk(), dense.by_chunk())
    if calibration := confidence.calibration_of(snapshot.space):
        evidence = replace(evidence, balance=calibration.keywords)
    if question is None or mode != "hybrid":
        return evidence, fuse.alone(lexical if mode == "lexical" else dense)
    with _timed(timings, "complete"):
        background = background or snapshot.background(question[1], query.scope)
        ids = [*lexical.chunk_ids, *dense.chunk_ids]
        evidence = replace(_completed(snapshot, evidence, question, ids), background=background)
    with _timed(timings, "fuse"):
        return evidence, fuse.FUSIONS[query.fusion](evidence)


def _depth(query: Query) -> int:
    """How many candidates each leg offers."""
    return max(config.POOL_DEPTH, query.k)


def _pulled(
    snapshot: Snapshot,
    adapter: Adapter,
    query: Query,
    question: Question,
    evidence: fuse.Evidence,
    candidates: list[Candidate],
) -> tuple[Question, fuse.Evidence, list[Candidate]]:
    """The question moved towards what came first, if the adapter says so, and the same candidates fused once more.

    Searching all vectors again changed NDCG@10 by less than 0.001 on eight collections.
    """
    first = [candidate.chunk_id for candidate in candidates[: config.PULL_DEPTH]]
    vectors = snapshot.vectors(first) if adapter.pull else {}
    if not vectors:
        return question, evidence, candidates
    present = [place for place, chunk_id in enumerate(first) if chunk_id in vectors]
    parts = shares([candidate.score for candidate in candidates])[present]
    found = np.stack([vectors[first[place]] for place in present])
    fingerprint, vector = question
    vector = adapter.pulled(vector, found, parts / parts.sum())
    cosines = snapshot.cosines(vector, list(evidence.cosines))
    closest = sorted(evidence.dense.chunk_ids, key=lambda chunk_id: (-cosines[chunk_id], chunk_id))
    dense = Ranking("dense", tuple(closest), tuple(cosines[chunk_id] for chunk_id in closest))
    background = snapshot.background(vector, query.scope)
    evidence = replace(evidence, dense=dense, cosines=cosines, background=background)
    return (fingerprint, vector), evidence, fuse.FUSIONS[query.fusion](evidence)


def _completed(
    snapshot: Snapshot, evidence: fuse.Evidence, question: Question | None, chunk_ids: Sequence[int]
) -> fuse.Evidence:
    """With the scores that these chunks lack: what one ranking offers gets its score in the other."""
    bm25 = snapshot.bm25(evidence.terms, [chunk_id for chunk_id in chunk_ids if chunk_id not in evidence.bm25])
    unknown = [chunk_id for chunk_id in chunk_ids if chunk_id not in evidence.cosines]
    cosines = snapshot.cosines(question[1], unknown) if question else {}
    return evidence.joined(replace(evidence, bm25=bm25, cosines=cosines))


def _sure(
    snapshot: Snapshot, found: Found, mode: Mode, question: Question | None, hits: int
) -> confidence.Confidence | None:
    """How sure we are of the first candidates; None when nobody knows what scores mean in the store's space.

    Its curves were fitted to the model's own cosines, so an adapter decides what is found, but not how sure we are.
    """
    scale = confidence.scale(mode, snapshot.space)
    if scale is None and found.candidates:
        return None
    chunk_ids = [candidate.chunk_id for candidate in found.candidates[: max(hits, config.SHOWN)]]
    evidence = found.evidence
    if question is not None and snapshot.adapter is not None:
        evidence = replace(evidence, cosines=snapshot.cosines(question[1], chunk_ids))
    return confidence.judge(scale or confidence.KEYWORDS, evidence, chunk_ids)


def _staged(snapshot: Snapshot, candidates: list[Candidate], names: Sequence[str]) -> list[Candidate]:
    """The candidates as the named stages leave them, in the order of STAGES; mostly there is nothing to do."""
    if not crowded(candidates, _facts(snapshot, candidates[: config.SHOWN])):
        return candidates
    facts = _facts(snapshot, candidates[: config.POOL_DEPTH])
    for name, stage in STAGES.items():
        if name in names:
            candidates = stage(candidates, facts)
    return candidates


def _facts(snapshot: Snapshot, candidates: Sequence[Candidate]) -> Facts:
    ids = [candidate.chunk_id for candidate in candidates]
    return Facts(snapshot.chunks(ids), snapshot.vectors(ids))


def _hits(snapshot: Snapshot, candidates: Sequence[Candidate], explained: str) -> tuple[Hit, ...]:
    """The candidates with their texts, and with the words that they share with the `explained` query, if any."""
    ids = [candidate.chunk_id for candidate in candidates]
    chunks = snapshot.chunks(ids)
    matched = snapshot.matched(snapshot.terms(explained), ids) if explained else {}
    hits = []
    for candidate in candidates:
        chunk = chunks[candidate.chunk_id]
        hits.append(
            Hit(
                chunk_id=chunk.id,
                score=candidate.score,
                text=chunk.text,
                heading=chunk.heading,
                start=chunk.start,
                end=chunk.end,
                document=chunk.document,
                why=candidate.why,
                matched=matched.get(chunk.id, ()),
                duplicates=candidate.duplicates,
            )
        )
    return tuple(hits)


@contextmanager
def _timed(timings: dict[str, float], stage: str) -> Iterator[None]:
    """Adds the time in the `with` block, in milliseconds: a query with a phrase is ranked twice."""
    started = time.perf_counter()
    yield
    timings[stage] = timings.get(stage, 0.0) + (time.perf_counter() - started) * 1000.0

"""Search, in order: embed -> retrieve by keyword and by meaning -> fuse -> stages -> fetch the best k -> context.

Stages that the caller passes come before those that are built in.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

from vstore import config
from vstore.errors import ModelError, QueryError
from vstore.results import Hit, Results
from vstore.search import confidence, fuse, optional
from vstore.search.context import counter, expand
from vstore.search.stages import STAGES, Facts, Stage, crowded
from vstore.search.wording import held, quoted, unmatched
from vstore.types import Candidate, Embedder, Index, Mode, Query, Ranking, Scope, Snapshot, Space, Term

if TYPE_CHECKING:
    from vstore.types import FloatArray

    Question = tuple[str, FloatArray]  # the fingerprint of the embedding space, and the query's vector

MODES: tuple[Mode, ...] = ("hybrid", "dense", "lexical")


def search(
    index: Index,
    embedder: Callable[[], Embedder],
    query: Query,
    *,
    stages: Sequence[Stage] = (),
    explain: bool = False,
) -> Results:
    """The best `min(query.k, matching)` chunks, all read from one snapshot.

    A hybrid search without a model is served by keywords alone and says so in `degraded`. Raises QueryError for a
    query that cannot be served, SpaceMismatchError when the store's vectors are another model's, and ModelError when
    a dense search has no model.
    """
    check(query)
    optional.check(stages)
    asked = query.text
    phrases, text = quoted(asked)
    query = replace(query, text=text)
    remarks: tuple[str, ...] = ()
    timings: dict[str, float] = {}
    with _timed(timings, "total"):
        with _timed(timings, "embed"):
            mode, degraded, model, question = prepare(embedder, query)
        with index.snapshot() as snapshot:
            if phrases:
                with _timed(timings, "phrases"):
                    query, remarks = held(snapshot, query, phrases)
            with _timed(timings, "terms"):
                terms = snapshot.terms(query.text) if mode != "dense" or explain else ()
                remarks += unmatched(terms, mode)
            evidence, candidates = rank(snapshot, query, mode, terms, question, timings)
            if stages:
                with _timed(timings, "optional"):
                    vector = question[1] if question else None
                    candidates, more = optional.apply(snapshot, query, vector, candidates, stages)
                    remarks += more
            if query.stages:
                with _timed(timings, "stages"):
                    candidates = _staged(snapshot, candidates, query.stages)
            with _timed(timings, "fetch"):
                hits = _hits(snapshot, candidates[: query.k], terms if explain else ())
            space = snapshot.space
            if query.context:
                with _timed(timings, "context"):
                    hits = expand(snapshot, hits, query.context, query.context_tokens, counter(model))
    compared = question if space else None
    results = Results(asked, hits, mode, query.fusion, degraded, remarks, timings=timings, question=compared)
    judged_ids = [candidate.chunk_id for candidate in candidates[: max(query.k, config.SHOWN)]]
    return _judged(results, space, evidence, judged_ids)


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
    if query.fusion not in fuse.FUSIONS:
        raise QueryError(f"fusion is one of {', '.join(fuse.FUSIONS)}, not {query.fusion!r}")
    if query.context != "section" and not _is_count(query.context, 0, config.MAX_CONTEXT):
        most = config.MAX_CONTEXT
        raise QueryError(f"context is up to {most} chunks on each side of a hit, or 'section', not {query.context!r}")
    if not _is_count(query.context_tokens, 1, config.UNLIMITED):
        raise QueryError(f"context_tokens is a number of tokens, at least 1, not {query.context_tokens!r}")


def _is_count(value: object, least: int, most: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and least <= value <= most


def prepare(
    embedder: Callable[[], Embedder], query: Query
) -> tuple[Mode, str | None, Embedder | None, Question | None]:
    """The mode that can be served, why it is not the one asked for, the model that it takes, and the query embedded."""
    if query.mode == "lexical":
        return "lexical", None, None, None
    try:
        model = embedder()
        vector = model.embed_queries([query.text])[0]  # a model's weights are read at its first text, and may be unfit
    except ModelError as error:
        if query.mode == "dense":
            raise
        return "lexical", f"searched by keywords only, without a model: {error}", None, None
    return query.mode, None, model, (model.fingerprint, vector)


def ranked(
    snapshot: Snapshot,
    query: Query,
    mode: Mode,
    terms: Sequence[Term],
    question: Question | None,
    timings: dict[str, float],
) -> list[Candidate]:
    """All candidates in the order of the results, of which a search returns the first k."""
    _, candidates = rank(snapshot, query, mode, terms, question, timings)
    if query.stages:
        with _timed(timings, "stages"):
            candidates = _staged(snapshot, candidates, query.stages)
    return candidates


def rank(
    snapshot: Snapshot,
    query: Query,
    mode: Mode,
    terms: Sequence[Term],
    question: Question | None,
    timings: dict[str, float],
) -> tuple[fuse.Evidence, list[Candidate]]:
    """All candidates, best first as fusion sees them, and what they were judged by."""
    depth = max(config.POOL_DEPTH, query.k)
    lexical, dense = Ranking("lexical"), Ranking("dense")
    if mode != "dense":
        with _timed(timings, "lexical"):
            lexical = snapshot.lexical(terms, query.scope, depth)
    if question is not None and snapshot.space is not None:
        fingerprint, vector = question
        snapshot.space.require(fingerprint)
        with _timed(timings, "dense"):
            dense = snapshot.dense(vector, query.scope, depth)
    words = len(query.text.split())
    evidence = fuse.Evidence(lexical, dense, terms, words, snapshot.chunk_count, lexical.by_chunk(), dense.by_chunk())
    if question is None or mode != "hybrid":
        return evidence, fuse.alone(lexical if mode == "lexical" else dense)
    with _timed(timings, "complete"):
        evidence = _completed(snapshot, evidence, question[1], query.scope)
    with _timed(timings, "fuse"):
        return evidence, fuse.FUSIONS[query.fusion](evidence)


def _completed(snapshot: Snapshot, evidence: fuse.Evidence, vector: FloatArray, scope: Scope) -> fuse.Evidence:
    """Each candidate of one ranking gets its score in the other, and all are seen against the scope's cosines."""
    lexical, dense = evidence.lexical.chunk_ids, evidence.dense.chunk_ids
    return replace(
        evidence,
        bm25={**evidence.bm25, **snapshot.bm25(evidence.terms, [i for i in dense if i not in evidence.bm25])},
        cosines={**evidence.cosines, **snapshot.cosines(vector, [i for i in lexical if i not in evidence.cosines])},
        background=snapshot.background(vector, scope),
    )


def _judged(results: Results, space: Space | None, evidence: fuse.Evidence, chunk_ids: Sequence[int]) -> Results:
    """The results with what we hold of them; `chunk_ids` are theirs and those behind, best first."""
    scale = confidence.scale(results.mode, space)
    if scale is None and chunk_ids:
        assert space is not None, "what was found with a vector lies in a space"
        remark = f"no confidence is given: nobody has fitted one to the scores of {space.model}"
        return replace(results, remarks=(*results.remarks, remark))
    found = confidence.judge(scale or confidence.KEYWORDS, evidence, chunk_ids)
    hits = tuple(replace(hit, confidence=found.chunks[hit.chunk_id]) for hit in results.hits)
    return replace(results, hits=hits, confidence=found.search, answerable=found.answerable)


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


def _hits(snapshot: Snapshot, candidates: Sequence[Candidate], terms: Sequence[Term]) -> tuple[Hit, ...]:
    ids = [candidate.chunk_id for candidate in candidates]
    chunks = snapshot.chunks(ids)
    matched = snapshot.matched(terms, ids) if terms else {}
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
    started = time.perf_counter()
    yield
    timings[stage] = (time.perf_counter() - started) * 1000.0

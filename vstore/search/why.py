"""Why a search does not return a document: where it was lost, what is known about it, and what brings it back."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from vstore import config
from vstore.errors import NotFoundError
from vstore.results import Explanation, Move, Standing
from vstore.search.pipeline import check
from vstore.search.probe import Options, Probe, Questions, place_of
from vstore.search.question import served
from vstore.search.remedy import Barrier, Remedy, barriers, bring_back
from vstore.storage import Index, Snapshot
from vstore.types import Candidate, Embedder, Mode, Query, StoredChunk, StoredDocument, Term


def why(
    index: Index,
    embedder: Callable[[], Embedder],
    build: Callable[..., Query],
    options: Options,
    target: int | Sequence[StoredDocument],
) -> Explanation:
    """Explain the search that `build` makes of `options` to who misses a chunk (its id) or one of the documents.

    Of several documents it is the only one in the collections searched. Raises NotFoundError when there is no such
    chunk or document or more than one, and what the search itself raises.
    """
    asked = build(**options)
    check(asked)
    questions = Questions(embedder, asked)
    with index.snapshot() as snapshot:
        chunks = _targets(snapshot, target, asked.scope.collections)
        probe = Probe(snapshot, questions, build, options)
        blocked = barriers(probe, next(iter(chunks.values())).document)
        return _explain(probe, chunks, blocked)


def _targets(
    snapshot: Snapshot, target: int | Sequence[StoredDocument], collections: Sequence[str]
) -> dict[int, StoredChunk]:
    """The chunks of which one is to be found, by id, in the order of the document."""
    if isinstance(target, int):
        chunks = snapshot.chunks([target])
        if not chunks:
            raise NotFoundError(f"there is no chunk {target}; it may have been forgotten or replaced")
        return chunks
    searched = [document for document in target if document.collection in collections]
    documents = searched or target
    if len(documents) > 1:
        places = ", ".join(sorted({document.collection for document in documents}))
        raise NotFoundError(
            f"that names {len(documents)} documents (in {places}); name one by its uri, a collection or a chunk's id"
        )
    ids = snapshot.chunk_ids(documents[0].id)
    if not ids:
        raise NotFoundError(f"{documents[0].uri} was forgotten just now, or has no text to be found by")
    chunks = snapshot.chunks(ids)
    return {chunk_id: chunks[chunk_id] for chunk_id in ids}


def _explain(probe: Probe, chunks: Mapping[int, StoredChunk], blocked: Mapping[str, Barrier]) -> Explanation:
    targets = frozenset(chunks)
    dropped = {name: barrier.instead for name, barrier in blocked.items()}
    asked = probe.query(dropped)  # as it would be without the filters that exclude the document
    candidates = probe.candidates(asked)
    place = place_of(candidates, targets)
    legs = _legs(probe, asked, targets)
    best = chunks[_best(candidates, place, legs, chunks)]
    rank = place if not blocked and place is not None and place <= asked.k else None
    moves: tuple[Move, ...] = ()
    lost, remedy = None, None if rank is None else Remedy({}, rank)
    if rank is None:
        moves = _moves(probe, asked, targets, candidates)
        lost = _lost(blocked, place, moves, asked.k)
        ranks = {leg: place_of(ranking, targets) for leg, ranking in legs.items()}
        remedy = bring_back(probe, targets, dropped, ranks, best)
    terms = probe.snapshot.terms(asked.text)
    matched = probe.snapshot.matched(terms, [best.id]).get(best.id, ())
    standings = _standings(probe, asked, legs, terms, best.id)
    return Explanation(
        query=asked.text,
        document=best.document,
        chunk=best,
        rank=rank,
        lost=lost,
        reason=_reason(lost, place, blocked, moves, standings, best, asked.k),
        excluded_by={name: barrier.excluding for name, barrier in blocked.items()},
        change=None if remedy is None else remedy.change,
        new_rank=None if remedy is None else remedy.rank,
        mode=probe.served(asked),
        fusion=asked.fusion,
        degraded=probe.degraded,
        standings=standings,
        matched=matched,
        missing=tuple(term.text for term in terms if term.text not in matched),
        place=place,
        score=None if place is None else candidates[place - 1].score,
        bar=candidates[: asked.k][-1].score if candidates else None,
        moves=moves,
    )


# --- facts ------------------------------------------------------------------------------------------------------------


def _legs(probe: Probe, asked: Query, targets: frozenset[int]) -> dict[str, list[Candidate]]:
    """Each leg alone, as deep as a search goes; without a model that fits there is one."""
    legs: tuple[Mode, ...] = ("lexical",) if probe.question(asked.text) is None else ("lexical", "dense")
    deep = replace(asked, k=config.MAX_K, stages=(), optional=())
    return {leg: probe.candidates(replace(deep, mode=leg)) for leg in legs}


def _best(
    candidates: Sequence[Candidate],
    place: int | None,
    legs: Mapping[str, Sequence[Candidate]],
    chunks: Mapping[int, StoredChunk],
) -> int:
    """The chunk that came furthest: the first among the candidates, else in a leg, else in the document."""
    if place is not None:
        return candidates[place - 1].chunk_id
    targets = frozenset(chunks)
    ranked = [(rank, legs[leg][rank - 1].chunk_id) for leg in legs if (rank := place_of(legs[leg], targets))]
    return min(ranked)[1] if ranked else next(iter(chunks))


def _moves(probe: Probe, asked: Query, targets: frozenset[int], final: Sequence[Candidate]) -> tuple[Move, ...]:
    """The stages that moved the first of the chunks back, in the order they acted."""
    names = [*(stage.name for stage in asked.optional), *asked.stages]
    so_far = [replace(asked, stages=(), optional=asked.optional[:n]) for n in range(len(asked.optional))]
    so_far += [replace(asked, stages=asked.stages[:n]) for n in range(len(asked.stages))]
    lists = [probe.candidates(query) for query in so_far]
    moves = []
    for stage, before, after in zip(names, lists, [*lists, final][1:], strict=True):
        start, end = place_of(before, targets), place_of(after, targets)
        if start is not None and end is not None and start < end:
            moved = before[start - 1].chunk_id
            original = (candidate.chunk_id for candidate in after if moved in candidate.duplicates)
            moves.append(Move(stage, start, end, next(original, after[start - 1].chunk_id)))
    return tuple(moves)


def _standings(
    probe: Probe, asked: Query, legs: Mapping[str, Sequence[Candidate]], terms: Sequence[Term], chunk_id: int
) -> tuple[Standing, ...]:
    snapshot = probe.snapshot
    question = served(snapshot, probe.question(asked.text))
    only = frozenset([chunk_id])
    standings = [Standing("lexical", place_of(legs["lexical"], only), snapshot.bm25(terms, [chunk_id])[chunk_id])]
    if question is not None:
        _, vector = question
        cosine = snapshot.cosines(vector, [chunk_id]).get(chunk_id)
        spread = snapshot.background(vector, asked.scope)
        z = (cosine - spread.mean) / spread.deviation if cosine is not None and spread and spread.deviation else None
        standings.append(Standing("dense", place_of(legs["dense"], only), cosine, z))
    return tuple(standings)


# --- in words ---------------------------------------------------------------------------------------------------------


def _lost(blocked: Mapping[str, Barrier], place: int | None, moves: Sequence[Move], k: int) -> str:
    """The step of the search that lost it; of stages the last that moved it out of the first k."""
    if blocked:
        return "filters"
    if place is None:
        return "candidates"
    return next((move.stage for move in reversed(moves) if move.before <= k < move.after), "cut")


def _reason(
    lost: str | None,
    place: int | None,
    blocked: Mapping[str, Barrier],
    moves: Sequence[Move],
    standings: Sequence[Standing],
    chunk: StoredChunk,
    k: int,
) -> str:
    if lost is None:
        return f"it is found, as number {place}"
    if lost == "filters":
        return "it is excluded: " + "; ".join(_excluded(name, blocked[name], chunk.document) for name in blocked)
    for move in moves:
        if move.stage == lost:
            return f"{lost} moved it from place {move.before} to {move.after}: {_motive(move, chunk)}"
    legs = ", ".join(_stands(standing) for standing in standings)
    if lost == "cut":
        return f"it stands at place {place}, below the first {k} ({legs})"
    return f"it is not among the first {max(k, config.POOL_DEPTH)} of any ranking used ({legs})"


def _excluded(option: str, barrier: Barrier, document: StoredDocument) -> str:
    if option == "collection":
        return f"it is in the collection {document.collection!r}"
    if option == "tags":
        return f"it lacks the tag {' and '.join(map(repr, barrier.excluding))}"
    if option == "where":
        return f"it fails the condition {barrier.excluding!r}"
    return f"it was last changed {document.updated_at:%Y-%m-%d %H:%M} UTC, not {option} {barrier.excluding}"


def _motive(move: Move, chunk: StoredChunk) -> str:
    if move.stage == "collapse":
        return f"it is a near-copy of chunk {move.behind}"
    if move.stage == "diversity":
        return f"its document {chunk.document.uri} crowds the first places"
    return f"chunk {move.behind} has its place now"


def _stands(standing: Standing) -> str:
    leg = {"lexical": "keywords", "dense": "meaning"}[standing.leg]
    if standing.rank is not None:
        return f"{leg}: number {standing.rank}"
    if standing.leg == "lexical" and not standing.score:
        return f"{leg}: no word in common"
    return f"{leg}: no vector" if standing.score is None else f"{leg}: below the first {config.MAX_K:,}"

"""One search as the page asks it: form -> options of `Store.search` -> results, and the rankings they came from."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from vstore import arguments, config
from vstore.errors import ModelError, QueryError
from vstore.filters import joined, written
from vstore.judgements import query_text
from vstore.search import pipeline

if TYPE_CHECKING:
    from vstore.results import Results
    from vstore.storage import Snapshot
    from vstore.store import Store
    from vstore.types import Query, Ranking, StoredChunk

    Fields = Mapping[str, str]

FIELDS = (
    "q",
    "mode",
    "k",
    "collection",
    "where",
    "tags",
    "since",
    "until",
    "fusion",
)  # of the form


@dataclass(frozen=True, slots=True)
class Rankings:
    """What fusion was given and what it made of it: chunk ids best first, with the texts of those that are shown."""

    lexical: Ranking
    dense: Ranking
    fused: tuple[int, ...]
    chunks: Mapping[int, StoredChunk]


@dataclass(frozen=True, slots=True)
class Answer:
    """Results, the rankings they came from (None where one leg answered alone), and grades of those that were judged.

    `words` are the query's words that are worth marking.
    """

    results: Results
    words: frozenset[str]
    rankings: Rankings | None
    grades: Mapping[int, float]


def options(fields: Fields) -> dict[str, Any]:
    """The form's fields as keyword arguments of `Store.search`. Raises QueryError, FilterError."""
    k = fields.get("k", "").strip() or str(config.DEFAULT_K)
    if not k.isdecimal() or len(k) > len(str(config.MAX_K)):
        raise QueryError(f"k is the number of results, from 1 to {config.MAX_K:,}, not {k!r}")
    lines = [line for line in fields.get("where", "").splitlines() if line.strip()]
    return {
        "query": fields.get("q", ""),
        "k": int(k),
        "mode": fields.get("mode") or "hybrid",
        "fusion": fields.get("fusion") or config.DEFAULT_FUSION,
        "collection": fields.get("collection") or None,
        "where": joined([written(line) for line in lines]),
        "tags": [tag.strip() for tag in fields.get("tags", "").split(",") if tag.strip()],
        "since": fields.get("since", "").strip() or None,
        "until": fields.get("until", "").strip() or None,
    }


def ask(store: Store, asked: Mapping[str, Any], *, again: bool = False) -> Answer:
    """Search, and read what the results came from at the same moment of the file.

    `again` is for the page that comes back after a judgement: nobody has asked anew, so that nothing is noted.
    """
    if asked["mode"] != "lexical":
        # Outside of the snapshot, since loading a model may take long; a search without one says so itself.
        with suppress(ModelError):
            store.embedder()
    query = arguments.asked(**asked)
    with store.index.snapshot() as snapshot:
        if again:
            results = pipeline.search(store.index, store.embedder, query, explain=True)
        else:
            results = store.search(**asked, explain=True)
        return Answer(
            results, _telling(snapshot, query.text), _rankings(snapshot, query, results), grades(snapshot, query.text)
        )


def _telling(snapshot: Snapshot, text: str) -> frozenset[str]:
    """The query's words that tell chunks apart; all of them where none does."""
    terms = snapshot.terms(text)
    rare = [term for term in terms if term.document_frequency <= config.UI_COMMON_SHARE * snapshot.chunk_count]
    return frozenset(term.text for term in rare or terms)


def _rankings(snapshot: Snapshot, query: Query, results: Results) -> Rankings | None:
    """The legs of a hybrid search, ranked once more with the vector at hand; the same snapshot gives the same."""
    if results.mode != "hybrid" or results.question is None:
        return None
    found = pipeline.find(snapshot, query, results.question, {})
    lexical, dense = found.evidence.lexical, found.evidence.dense
    fused = tuple(candidate.chunk_id for candidate in found.candidates)
    rows = min(query.k, config.UI_COMPARED)
    shown = [chunk_id for ids in (lexical.chunk_ids, dense.chunk_ids, fused) for chunk_id in ids[:rows]]
    return Rankings(lexical, dense, fused, snapshot.chunks(list(dict.fromkeys(shown))))


def grades(snapshot: Snapshot, text: str) -> dict[int, float]:
    """What was said of chunks as answers to this query: grades by chunk id."""
    found = snapshot.judgements(query_text(text))
    return {judgement.chunk_id: judgement.grade for judgement in found if judgement.chunk_id is not None}

"""The nouns that pass between stages, and `Embedder`, which is what a model must offer.

Everything here is frozen and knows neither SQLite nor a model nor a terminal.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any, Literal, Protocol, runtime_checkable

from vstore.calibration import Calibration
from vstore.config import CONTEXT_TOKENS
from vstore.errors import SpaceMismatchError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from vstore.filters import Filter

    FloatArray = NDArray[np.float32]

Mode = Literal["hybrid", "dense", "lexical"]
WriteOutcome = Literal["added", "updated", "unchanged"]
Span = int | Literal["section"]  # how far context reaches: chunks on each side, or all under the same heading

DEFAULT_COLLECTION = "default"


# --- models -----------------------------------------------------------------------------------------------------------


class Embedder(Protocol):
    """Turns text into unit vectors. Anything with these members will do.

    They are called from several threads: ingest embeds in one of its own, a hybrid search each query in another.
    """

    @property
    def dimension(self) -> int:
        """Length of every vector."""

    @property
    def fingerprint(self) -> str:
        """Changes whenever the vectors would: weights, tokenizer, pooling, prefixes, normalisation, dtype."""

    def embed_documents(self, texts: list[str]) -> FloatArray:
        """Embed passages: float32, shape (len(texts), dimension), rows of length 1."""

    def embed_queries(self, texts: list[str]) -> FloatArray:
        """Embed queries: float32, shape (len(texts), dimension), rows of length 1."""


@runtime_checkable
class TokenWindow(Protocol):
    """What an embedder may offer besides, so that chunks are cut to its own window instead of to characters."""

    @property
    def max_tokens(self) -> int:
        """Most tokens the model reads of one text, special tokens included."""

    @property
    def tokenizer(self) -> Any:
        """The model's `tokenizers.Tokenizer`, without truncation or padding."""


@dataclass(frozen=True, slots=True)
class Space:
    """An embedding space: vectors of one space may be compared with each other, and with nothing else.

    `calibration` is None for a model that nobody has fitted one for. `encoder` is the id of the model when its files
    are in the store, None for one that comes from elsewhere.
    """

    number: int
    fingerprint: str
    dimension: int
    model: str
    calibration: Calibration | None = None
    encoder: int | None = None

    def require(self, fingerprint: str) -> None:
        """Raise SpaceMismatchError unless this is the space of the model with that fingerprint."""
        if fingerprint != self.fingerprint:
            way = f"with {self.model}" if self.encoder is None else "without a model of your own: its file has it"
            raise SpaceMismatchError(
                f"this store holds vectors of {self.model} ({self.fingerprint[:12]}), but the model in use makes "
                f"others ({fingerprint[:12]}); open the store {way}, or ingest the sources into a new store"
            )


@dataclass(frozen=True, slots=True)
class ModelRecord:
    """A model that a store knows: the base model of a space (a trained encoder has a parent), or an adapter of queries.

    `parent` is the id of the model that served when it was made. `status` is "building" (its vectors are not all there
    yet), "candidate" (never served), "active", "retired" (replaced by another), "rolled back" or "discarded". `recipe`
    says how it was made, `scores` on what evidence; both have what JSON has.
    """

    id: int
    name: str
    kind: Literal["base", "adapter"]
    parent: int | None
    space: int
    status: str
    recipe: Mapping[str, Any]
    scores: Mapping[str, Any]
    created_at: datetime
    active: bool

    def to_dict(self) -> dict[str, Any]:
        """Plain types only, ready for `json.dumps`."""
        return {**asdict(self), "created_at": self.created_at.isoformat()}


# --- what goes in -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Section:
    """A stretch `[start, end)` of a document's text (in characters) under one heading path, cut nowhere else first."""

    start: int
    end: int
    heading: str = ""


@dataclass(frozen=True, slots=True)
class Document:
    """One thing to remember, read and decoded but not yet cut.

    `content_hash` covers all that decides what is stored (text, title, metadata, tags), so equal hashes mean
    that there is nothing to do. `modified_at` is the source's own time, when it has one; `created_at` when the store
    first saw it (None: now, or what an earlier version has). From `expires_at` on it is found no longer, unless it is
    `pinned`; None and False leave both as an earlier version has them.
    """

    uri: str
    text: str
    title: str
    content_hash: str
    collection: str = DEFAULT_COLLECTION
    media_type: str = "text/plain"
    metadata: Mapping[str, Any] = field(default_factory=dict)
    tags: tuple[str, ...] = ()
    sections: tuple[Section, ...] = ()
    modified_at: datetime | None = None
    created_at: datetime | None = None
    expires_at: datetime | None = None
    pinned: bool = False


@dataclass(frozen=True, slots=True)
class Chunk:
    """A piece of a document: `document.text[start:end] == text`. Offsets count characters.

    `content_hash` covers what the embedder sees (title, heading path and text): same hash, same vector.
    """

    ordinal: int
    start: int
    end: int
    heading: str
    text: str
    content_hash: str


Cut = tuple[Document, list[Chunk]]  # a document and its pieces


# --- what comes out ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class StoredDocument:
    """A document as the store knows it, without its text."""

    id: int
    collection: str
    uri: str
    title: str
    media_type: str
    metadata: Mapping[str, Any]
    tags: tuple[str, ...]
    created_at: datetime
    updated_at: datetime
    expires_at: datetime | None = None
    pinned: bool = False

    def to_dict(self) -> dict[str, Any]:
        """Plain types only, ready for `json.dumps`."""
        return {
            "uri": self.uri,
            "title": self.title,
            "collection": self.collection,
            "media_type": self.media_type,
            "metadata": dict(self.metadata),
            "tags": list(self.tags),
            "created_at": self.created_at.isoformat(),
            "updated_at": self.updated_at.isoformat(),
            "expires_at": self.expires_at.isoformat() if self.expires_at else None,
            "pinned": self.pinned,
        }


@dataclass(frozen=True, slots=True)
class StoredChunk:
    """A chunk as the store knows it, with the document it belongs to."""

    id: int
    document: StoredDocument
    ordinal: int
    start: int
    end: int
    heading: str
    text: str


@dataclass(frozen=True, slots=True)
class WholeDocument:
    """A stored document with all that it takes to write it again; `chunk_ids` are those of its chunks, in order."""

    document: StoredDocument
    content_hash: str
    text: str
    chunks: tuple[Chunk, ...]
    chunk_ids: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Contribution:
    """One addend of a score: `source` is a leg or a stage, `rank` counts from 1, `raw` is the leg's own score."""

    source: str
    points: float
    rank: int | None = None
    raw: float | None = None
    weight: float | None = None

    def to_dict(self) -> dict[str, Any]:
        """Plain types only; absent parts are left out."""
        parts = {
            "source": self.source,
            "points": self.points,
            "rank": self.rank,
            "raw": self.raw,
            "weight": self.weight,
        }
        return {name: value for name, value in parts.items() if value is not None}


@dataclass(frozen=True, slots=True)
class Candidate:
    """A chunk on its way to the results. Its score is the sum of its contributions, so the two cannot disagree.

    `duplicates` are the ids of near-copies that stand behind because of it.
    """

    chunk_id: int
    why: tuple[Contribution, ...]
    duplicates: tuple[int, ...] = ()

    @property
    def score(self) -> float:
        """Sum of the contributions' points."""
        return math.fsum(part.points for part in self.why)


@dataclass(frozen=True, slots=True)
class Statistics:
    """How much is in a store. `collections` maps names to numbers of documents; `adapter` is the active one's id.

    `expired` documents are in the file, and counted, until the store is compacted.
    """

    documents: int
    chunks: int
    chunks_without_vector: int
    collections: Mapping[str, int]
    space: Space | None
    schema: int
    sqlite: str
    adapter: int | None = None
    expired: int = 0


# --- search -----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Scope:
    """Which chunks a search may return: those of the given collections (none given: all) that pass the filter.

    `among` narrows it to chunk ids (None: any); it is for searches, since a listing of documents has no chunks.
    """

    collections: tuple[str, ...] = ()
    where: Filter | None = None
    among: tuple[int, ...] | None = None


@dataclass(frozen=True, slots=True)
class Query:
    """A search as it was asked. `k` counts results, `context` chunks on each side of a result (0: none).

    `stages` names those that are built in; `optional` are objects like `search.stages.Stage`, in the order they act.
    `exact` ranks by all vectors and all words, however long it takes.
    """

    text: str
    k: int
    mode: Mode
    fusion: str
    scope: Scope = Scope()
    stages: tuple[str, ...] = ()
    optional: tuple[Any, ...] = field(default=(), hash=False)  # a caller's objects may have no hash
    context: Span = 0
    context_tokens: int = CONTEXT_TOKENS
    exact: bool = False


@dataclass(frozen=True, slots=True)
class Term:
    """A word of the query as the keyword index sees it, and the number of chunks that have it (the whole store's)."""

    text: str
    stem: str
    document_frequency: int


@dataclass(frozen=True, slots=True)
class Ranking:
    """One leg's answer: distinct chunk ids, best first, with the leg's own scores (higher is better)."""

    leg: str
    chunk_ids: tuple[int, ...] = ()
    scores: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        if len(self.chunk_ids) != len(self.scores):
            raise ValueError(f"{self.leg} ranking: {len(self.chunk_ids)} ids but {len(self.scores)} scores")
        if len(set(self.chunk_ids)) != len(self.chunk_ids):
            raise ValueError(f"{self.leg} ranking has a chunk twice")
        if any(a < b for a, b in zip(self.scores, self.scores[1:], strict=False)):
            raise ValueError(f"{self.leg} ranking is not sorted best first")

    def by_chunk(self) -> dict[int, float]:
        """The scores by chunk id."""
        return dict(zip(self.chunk_ids, self.scores, strict=True))

    def __len__(self) -> int:
        return len(self.chunk_ids)


@dataclass(frozen=True, slots=True)
class Background:
    """How a query's cosines spread over the chunks in scope: what a chunk that has nothing to do with it scores."""

    mean: float
    deviation: float


@dataclass(frozen=True, slots=True)
class PastQuery:
    """A logged query that resembles another one: their cosine, and the chunks it was answered with, by rank from 1."""

    cosine: float
    answers: Mapping[int, int]

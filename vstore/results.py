"""What a store hands back: hits, results and the content of a document."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import date
from typing import TYPE_CHECKING, Any, overload

from vstore.types import Contribution, Mode, StoredChunk, StoredDocument

if TYPE_CHECKING:
    from vstore.types import FloatArray


@dataclass(frozen=True, slots=True)
class Passage:
    """A stretch of a document, these chunks with the headings between them: `document.text[start:end] == text`."""

    chunk_ids: tuple[int, ...]
    start: int
    end: int
    text: str

    def to_dict(self) -> dict[str, Any]:
        """Plain types only, ready for `json.dumps`."""
        return {"chunk_ids": list(self.chunk_ids), "start": self.start, "end": self.end, "text": self.text}


@dataclass(frozen=True, slots=True)
class Hit:
    """One result. `document.text[start:end] == text`; `matched` are the query's words found in it.

    `duplicates` are the chunk ids of near-copies in other documents that were moved behind the other results, best
    first. `context` is what stands around the hit, itself included, as far as it was not given to a better hit; None
    when nothing was left to give, or none was asked for. `confidence` is the probability that the chunk is relevant,
    comparable across queries; None where nobody has fitted one to the scores of the store's model.
    """

    chunk_id: int
    score: float
    text: str
    heading: str
    start: int
    end: int
    document: StoredDocument
    why: tuple[Contribution, ...] = ()
    matched: tuple[str, ...] = ()
    duplicates: tuple[int, ...] = ()
    context: Passage | None = None
    confidence: float | None = None

    def to_dict(self) -> dict[str, Any]:
        """Plain types only, ready for `json.dumps`."""
        return {
            "chunk_id": self.chunk_id,
            "score": self.score,
            "confidence": self.confidence,
            "text": self.text,
            "heading": self.heading,
            "start": self.start,
            "end": self.end,
            "document": self.document.to_dict(),
            "why": [part.to_dict() for part in self.why],
            "matched": list(self.matched),
            "duplicates": list(self.duplicates),
            "context": self.context.to_dict() if self.context else None,
        }


@dataclass(frozen=True, slots=True)
class Results(Sequence[Hit]):
    """What a search returns: a sequence of hits, best first, and how it came about.

    `mode` is the mode that was served; `degraded` says in a sentence why it is not the one that was asked for, and
    `remarks` say what else was not done. `confidence` is the probability that the first results hold an answer,
    `answerable` whether to act on it; both are None where nobody has fitted them to the scores of the store's model,
    as `uncalibrated` then says.
    `timings` are milliseconds by stage.
    """

    query: str
    hits: tuple[Hit, ...]
    mode: Mode
    fusion: str
    degraded: str | None = None
    remarks: tuple[str, ...] = ()
    confidence: float | None = None
    answerable: bool | None = None
    uncalibrated: str | None = None
    timings: Mapping[str, float] = field(default_factory=dict)
    # The embedding space's fingerprint and the query's vector in it, for the log: no part of what was found.
    question: tuple[str, FloatArray] | None = field(default=None, repr=False, compare=False)

    @overload
    def __getitem__(self, index: int) -> Hit: ...
    @overload
    def __getitem__(self, index: slice) -> tuple[Hit, ...]: ...
    def __getitem__(self, index: int | slice) -> Hit | tuple[Hit, ...]:
        return self.hits[index]

    def __len__(self) -> int:
        return len(self.hits)

    def __iter__(self) -> Iterator[Hit]:
        return iter(self.hits)

    def to_dict(self) -> dict[str, Any]:
        """Plain types only, ready for `json.dumps`."""
        return {
            "query": self.query,
            "mode": self.mode,
            "fusion": self.fusion,
            "degraded": self.degraded,
            "remarks": list(self.remarks),
            "confidence": self.confidence,
            "answerable": self.answerable,
            "uncalibrated": self.uncalibrated,
            "timings_ms": dict(self.timings),
            "hits": [hit.to_dict() for hit in self.hits],
        }


@dataclass(frozen=True, slots=True)
class Content:
    """A whole document with its text, or one of its chunks (`chunk`) with that chunk's text."""

    document: StoredDocument
    text: str
    chunk: StoredChunk | None = None

    def to_dict(self) -> dict[str, Any]:
        """Plain types only, ready for `json.dumps`."""
        place = {} if self.chunk is None else {"chunk_id": self.chunk.id, "heading": self.chunk.heading}
        return {"document": self.document.to_dict(), **place, "text": self.text}


@dataclass(frozen=True, slots=True)
class Standing:
    """Where a chunk stands in one leg alone, all stages off.

    `rank` counts all chunks in scope from 1; None when the leg does not rank it among the first MAX_K. `score` is its
    BM25 or its cosine (None without a vector), `deviations` how many standard deviations a cosine lies above the
    mean of the scope.
    """

    leg: str
    rank: int | None
    score: float | None
    deviations: float | None = None


@dataclass(frozen=True, slots=True)
class Move:
    """What a stage did to a chunk: its place before and after, from 1, and the chunk on whose account it moved.

    For `collapse` that is the chunk it is a near-copy of, for any other stage the one that has its former place.
    """

    stage: str
    before: int
    after: int
    behind: int


@dataclass(frozen=True, slots=True)
class Explanation:
    """Why a search does or does not return a document, and the change to the search that brings it back.

    `rank` is its rank among the results, None when it is lost. `lost` says where: "filters", "candidates" (no leg
    offers it), "cut" (below the first k), or the name of a stage; `reason` says it in a sentence. `excluded_by` maps
    options of the search to those of their conditions which the document fails.

    `change` holds keyword arguments for `Store.search` to use in place of those given; with them the search was run
    and had the document at `new_rank`. It is empty for a document that is found, and None when nothing helps.

    `chunk` is the document's best chunk, the one that all further facts are about; when filters exclude it, they hold
    for the search without those. `place` is its place among all candidates, from 1, and `score` its fused score (None
    when it is no candidate), `bar` the score of the last result, None when there is none.
    """

    query: str
    document: StoredDocument
    chunk: StoredChunk
    rank: int | None
    lost: str | None
    reason: str
    excluded_by: Mapping[str, Any]
    change: Mapping[str, Any] | None
    new_rank: int | None
    mode: Mode
    fusion: str
    degraded: str | None
    standings: tuple[Standing, ...]
    matched: tuple[str, ...]
    missing: tuple[str, ...]
    place: int | None
    score: float | None
    bar: float | None
    moves: tuple[Move, ...] = ()

    @property
    def sentence(self) -> str:
        """The reason and the change in one line."""
        if self.change is None:
            return f"{self.reason}; no change to the search was found that brings it back"
        if not self.change:
            return self.reason
        arguments = ", ".join(f"{name}={value!r}" for name, value in self.change.items())
        return f"{self.reason}; with {arguments} it is number {self.new_rank}"

    def to_dict(self) -> dict[str, Any]:
        """Plain types only, ready for `json.dumps`."""
        chunk = self.chunk
        place = {"chunk_id": chunk.id, "heading": chunk.heading, "start": chunk.start, "end": chunk.end}
        return {
            "query": self.query,
            "document": self.document.to_dict(),
            "chunk": {**place, "text": chunk.text},
            "rank": self.rank,
            "lost": self.lost,
            "sentence": self.sentence,
            "reason": self.reason,
            "excluded_by": _plain(self.excluded_by),
            "change": _plain(self.change),
            "new_rank": self.new_rank,
            "mode": self.mode,
            "fusion": self.fusion,
            "degraded": self.degraded,
            "standings": [asdict(standing) for standing in self.standings],
            "matched": list(self.matched),
            "missing": list(self.missing),
            "place": self.place,
            "score": self.score,
            "bar": self.bar,
            "moves": [asdict(move) for move in self.moves],
        }


@dataclass(frozen=True, slots=True)
class Forgotten(Sequence[StoredDocument]):
    """The documents that were removed. `beyond` says where something of them may still be, and what to do about it."""

    documents: tuple[StoredDocument, ...]
    beyond: tuple[str, ...] = ()

    @overload
    def __getitem__(self, index: int) -> StoredDocument: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[StoredDocument]: ...
    def __getitem__(self, index: int | slice) -> StoredDocument | Sequence[StoredDocument]:
        return self.documents[index]

    def __len__(self) -> int:
        return len(self.documents)


@dataclass(frozen=True, slots=True)
class Compacted:
    """What compacting a store did: documents erased because they had expired, bytes of the file before and after.

    `remarks` say what was left undone, and why, and where something may still be of what was erased.
    """

    expired: int
    bytes_before: int
    bytes_after: int
    remarks: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Plain types only, ready for `json.dumps`."""
        return asdict(self)


def _plain(value: Any) -> Any:
    """The options of a search as JSON has them: sets and tuples as lists, dates and infinity as text."""
    if isinstance(value, Mapping):
        return {name: _plain(item) for name, item in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        return [_plain(item) for item in value]
    if isinstance(value, float) and math.isinf(value):
        return str(value)
    return value.isoformat() if isinstance(value, date) else value

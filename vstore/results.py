"""What a store hands back: hits, results and the content of a document."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
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
    `answerable` whether to act on it; both are None where nobody has fitted them to the scores of the store's model.
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

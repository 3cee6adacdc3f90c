"""The lines of an export: what each says, written from what the store has, and checked when it is read.

docs/backup.md describes them field by field. Fields that are not known here are passed over, so that a later vstore
may say more in the same version of the format.
"""

from __future__ import annotations

import base64
import binascii
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any, Final, TypeGuard

import numpy as np

from vstore import arguments, config
from vstore.errors import InputError
from vstore.ingest.parsed import Unreadable, check_length
from vstore.ingest.text import clean
from vstore.judgements import Judgement, Verdict
from vstore.paths import is_unicode
from vstore.types import Document, Section, StoredChunk, WholeDocument

if TYPE_CHECKING:
    from vstore.types import FloatArray

FORMAT: Final = "vstore-export"
_HASH = re.compile("[0-9a-f]{64}")
_FLOAT = np.dtype("<f4")
_STEERING = re.compile("[\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069]")  # of those that JSON leaves as they are


@dataclass(frozen=True, slots=True)
class Imported:
    """A document from an export, the places of its chunks (None: not usable), and vectors by the chunks' hashes."""

    document: Document
    places: tuple[Section, ...] | None
    vectors: Mapping[str, FloatArray] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Judged:
    """A judgement from an export: of the document with this uri, or of its chunk at a place (start, end)."""

    verdict: Verdict
    place: tuple[int, int] | None


# --- writing ----------------------------------------------------------------------------------------------------------


def encoded(record: Mapping[str, Any]) -> bytes:
    """A record as a line of UTF-8 with its newline; nothing else in it ends a line, or steers a terminal."""
    text = json.dumps(record, ensure_ascii=False, allow_nan=False)
    return _STEERING.sub(lambda match: f"\\u{ord(match[0]):04x}", text).encode() + b"\n"


def of_document(whole: WholeDocument, vectors: Sequence[FloatArray | None]) -> dict[str, Any]:
    """A document's record, with the vectors of its chunks as far as there are any."""
    return {
        "type": "document",
        **whole.document.to_dict(),
        "content_hash": whole.content_hash,
        "text": whole.text,
        "chunks": [
            {
                "start": chunk.start,
                "end": chunk.end,
                "heading": chunk.heading,
                "hash": chunk.content_hash,
                **({} if vector is None else {"vector": _to_base64(vector)}),
            }
            for chunk, vector in zip(whole.chunks, vectors, strict=True)
        ],
    }


def of_judgement(judgement: Judgement, chunk: StoredChunk | None) -> dict[str, Any]:
    """A judgement's record; `chunk` is the one that was judged, None for a whole document."""
    return {
        "type": "judgement",
        "query": judgement.query,
        "collection": judgement.collection,
        "uri": judgement.uri,
        "chunk": None if chunk is None else {"start": chunk.start, "end": chunk.end},
        "grade": judgement.grade,
        "given_at": judgement.given_at.isoformat(),
    }


def _to_base64(vector: FloatArray) -> str:
    return base64.b64encode(vector.astype(_FLOAT).tobytes()).decode("ascii")


# --- reading ----------------------------------------------------------------------------------------------------------


def decoded(line: bytes) -> dict[str, Any]:
    """The record of a line. Raises Unreadable for what is no JSON object."""
    try:
        record = json.loads(line, parse_constant=_refuse)
    except (ValueError, RecursionError) as error:
        raise Unreadable(f"not JSON ({error})") from error
    if not isinstance(record, dict):
        raise Unreadable("not a JSON object")
    return record


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is no JSON number")


def check_header(record: Mapping[str, Any]) -> None:
    """Raise InputError unless this is the first line of an export that this vstore can read."""
    version = record.get("version")
    if record.get("format") != FORMAT or isinstance(version, bool) or not isinstance(version, int):
        raise InputError("this is no export of vstore: its first line does not say so; files are added with vstore add")
    if version > config.EXPORT_VERSION:
        raise InputError(
            f"this export has version {version} of its format, and this vstore ({config.EXPORT_VERSION}) cannot read "
            "it; upgrade vstore, from where it was installed"
        )


def fingerprint(header: Mapping[str, Any]) -> str:
    """Of the model whose vectors, and whose window, an export has; "" where it has none."""
    model = header.get("model")
    found = model.get("fingerprint") if isinstance(model, dict) else None
    return found if isinstance(found, str) else ""


def to_document(record: Mapping[str, Any], now: datetime) -> Imported | None:
    """A document from its record, None when it has expired. Raises InputError for what cannot be stored."""
    text = _text(record, "text")
    if not text.strip():
        raise Unreadable("no text")
    check_length(len(text))
    expires_at, pinned = _time(record, "expires_at", optional=True), arguments.pin(record.get("pinned", False))
    if expires_at is not None and expires_at <= now and not pinned:
        return None
    document = Document(
        uri=_name(record, "uri"),
        text=clean(text),
        title=clean(_text(record, "title")),
        content_hash=_hash(record),
        collection=arguments.collection_name(_name(record, "collection")),
        media_type=_name(record, "media_type"),
        metadata=_metadata(record),
        tags=_tags(record),
        modified_at=_time(record, "updated_at"),
        created_at=_time(record, "created_at"),
        expires_at=expires_at,
        pinned=pinned,
    )
    chunks = record.get("chunks")
    places = _places(chunks, text) if document.text == text else None
    return Imported(document, places, {} if places is None else _vectors(chunks))


def to_judgement(record: Mapping[str, Any]) -> Judged:
    """A judgement from its record. Raises InputError for what is none."""
    grade, chunk = record.get("grade"), record.get("chunk")
    if grade is None:
        raise Unreadable("it has no grade")
    uri, collection = _name(record, "uri"), _name(record, "collection")
    checked = Verdict.of(_text(record, "query"), uri, grade=grade, collection=collection)
    verdict = Verdict(checked.query, uri, checked.grade, collection, _time(record, "given_at"))
    if chunk is None:
        return Judged(verdict, None)
    if not isinstance(chunk, dict) or not all(_is_whole(chunk.get(end)) for end in ("start", "end")):
        raise Unreadable("its chunk has no place")
    return Judged(verdict, (chunk["start"], chunk["end"]))


def _text(record: Mapping[str, Any], name: str) -> str:
    value = record.get(name)
    if not isinstance(value, str):
        raise Unreadable(f"its {name} is not a text")
    return _storable(value, name)


def _storable(value: str, name: str) -> str:
    if not is_unicode(value):
        raise Unreadable(f"its {name} has a lone surrogate")
    return value


def _name(record: Mapping[str, Any], name: str) -> str:
    value = _text(record, name)
    if not value.strip() or "\0" in value:
        raise Unreadable(f"its {name} is empty or has a NUL")
    return value


def _hash(record: Mapping[str, Any]) -> str:
    value = record.get("content_hash")
    if not isinstance(value, str) or not _HASH.fullmatch(value):
        raise Unreadable("its content_hash is not a SHA-256 in hex")
    return value


def _time(record: Mapping[str, Any], name: str, *, optional: bool = False) -> Any:
    value = record.get(name)
    if optional and value is None:
        return None
    try:
        moment = datetime.fromisoformat(value)  # type: ignore[arg-type]  # TypeError is what it is for
        return moment.astimezone(timezone.utc)
    except (TypeError, ValueError, OverflowError, OSError) as error:
        raise Unreadable(f"its {name} is not a time such as 2026-01-31T12:00:00+00:00") from error


def _metadata(record: Mapping[str, Any]) -> dict[str, Any]:
    metadata = arguments.metadata(record.get("metadata", {}))
    _storable(json.dumps(metadata, ensure_ascii=False), "metadata")
    return metadata


def _tags(record: Mapping[str, Any]) -> tuple[str, ...]:
    tags = arguments.tag_names(record.get("tags", []))
    for tag in tags:
        _storable(tag, "tags")
    return tags


def _places(chunks: Any, text: str) -> tuple[Section, ...] | None:
    """Where chunks are, if they are in order, apart from each other, and within the text."""
    if not isinstance(chunks, list) or not chunks:
        return None
    places: list[Section] = []
    for chunk in chunks:
        place = _place(chunk, text, after=places[-1].end if places else 0)
        if place is None:
            return None
        places.append(place)
    return tuple(places)


def _place(chunk: Any, text: str, after: int) -> Section | None:
    if not isinstance(chunk, dict):
        return None
    start, end, heading = chunk.get("start"), chunk.get("end"), chunk.get("heading")
    if not (_is_whole(start) and _is_whole(end) and isinstance(heading, str) and is_unicode(heading)):
        return None
    is_piece = after <= start < end <= len(text) and bool(text[start:end].strip())
    return Section(start, end, heading) if is_piece else None


def _is_whole(value: Any) -> TypeGuard[int]:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def _vectors(chunks: Any) -> dict[str, FloatArray]:
    """The vectors that chunks come with, by the hashes that they were made for; those that cannot be are left out."""
    found = {}
    for chunk in chunks:
        hash_, vector = chunk.get("hash"), _from_base64(chunk.get("vector"))
        if isinstance(hash_, str) and vector is not None:
            found[hash_] = vector
    return found


def _from_base64(value: Any) -> FloatArray | None:
    """A unit vector, float32, of whatever dimension; None for anything else."""
    try:
        vector = np.frombuffer(base64.b64decode(value, validate=True), _FLOAT).astype(np.float32)
    except (TypeError, ValueError, binascii.Error):
        return None
    length = float(np.sqrt(np.sum(np.square(vector, dtype=np.float64))))
    return vector if abs(length - 1) <= config.UNIT_TOLERANCE else None

"""What a store hands back, as data for an agent: previews and pages within a budget, nothing that steers a terminal."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import PurePosixPath, PureWindowsPath
from typing import TYPE_CHECKING, Any

from vstore import config
from vstore.addresses import FETCHED, WRITTEN
from vstore.printable import printable_lines, snippet

if TYPE_CHECKING:
    from vstore.results import Content, Hit, Results
    from vstore.types import StoredDocument

_FETCHED = config.MCP_RESULT_BYTES - config.MCP_METADATA_BYTES  # bytes of a fetched text: the rest is what is about it
VIA = WRITTEN["via"]


def text_of(value: Any) -> str:
    """A result as JSON."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def size_of(value: Any) -> int:
    """Bytes of a result as JSON."""
    return len(text_of(value).encode("utf-8", "replace"))


def cleaned(value: Any) -> Any:
    """The same value with U+FFFD for what could steer a terminal, one for one, so that offsets still hold."""
    if isinstance(value, str):
        return printable_lines(value)
    if isinstance(value, Mapping):  # map(), because metadata may be nested so deep that comprehensions run out of stack
        return dict(zip(map(printable_lines, value), map(cleaned, value.values()), strict=True))
    if isinstance(value, list | tuple):
        return list(map(cleaned, value))
    return value


def found(results: Results) -> dict[str, Any]:
    """A search: the hits that fit into the budget, best first, and how much they are worth."""
    notes = [note for note in (results.degraded, *results.remarks, results.uncalibrated) if note]
    answer: dict[str, Any] = {
        "answerable": results.answerable,
        "confidence": _rounded(results.confidence),
        "mode": results.mode,
        **({"notes": notes} if notes else {}),
        "results": [],
    }
    answer["results"] = within_budget((_hit(hit, results.query) for hit in results), size_of(answer))
    if len(answer["results"]) < len(results):
        answer["left_out"] = len(results) - len(answer["results"])
    return answer


def within_budget(items: Iterable[dict[str, Any]], spent: int = 0) -> list[dict[str, Any]]:
    """The first items that a result holds together; one that is too large for what is left is passed over."""
    kept = []
    for item in items:
        size = size_of(item) + 1
        if spent + size <= config.MCP_RESULT_BYTES:
            spent += size
            kept.append(item)
    return kept


def _hit(hit: Hit, query: str) -> dict[str, Any]:
    whole = len(hit.text) <= config.MCP_PREVIEW_CHARS
    return {
        "id": hit.chunk_id,
        "uri": hit.document.uri,
        "title": _shortened(hit.document.title),
        **({"heading": _shortened(hit.heading)} if hit.heading else {}),
        "updated_at": hit.document.updated_at.isoformat(timespec="seconds"),
        **_origin(hit.document),
        "score": _rounded(hit.score),
        "confidence": _rounded(hit.confidence),
        "preview": hit.text if whole else snippet(hit.text, query, config.MCP_PREVIEW_CHARS),
        "whole": whole,
    }


def page(content: Content, offset: int, limit: int) -> dict[str, Any]:
    """A stretch of a document's or a chunk's text from a character on, with what there is to know about it."""
    document, chunk = content.document, content.chunk
    answer: dict[str, Any] = {
        "uri": document.uri,
        "title": _shortened(document.title),
        "collection": document.collection,
        "media_type": document.media_type,
        "updated_at": document.updated_at.isoformat(timespec="seconds"),
        **_origin(document),
        "tags": _bounded(list(document.tags)),
        "metadata": _bounded(dict(document.metadata)),
    }
    if chunk is not None:
        answer["chunk"] = {"id": chunk.id, "heading": _shortened(chunk.heading), "start": chunk.start, "end": chunk.end}
    wanted = content.text[offset : offset + limit]
    text = fitting(wanted, config.MCP_RESULT_BYTES - size_of(answer)) or wanted[:1]  # or nobody would get any further
    end = offset + len(text)
    total = len(content.text)
    return {
        **answer,
        "text": text,
        "offset": offset,
        "total_chars": total,
        "next_offset": end if end < total else None,
    }


def fitting(text: str, budget: int) -> str:
    """The beginning of a text that takes so many bytes as JSON."""
    while text and (size := size_of(text)) > budget:
        text = text[: len(text) * max(budget, 0) // size]
    return text


def fetched(number: str, document: Content, start: int) -> dict[str, Any]:
    """A document as ChatGPT's connectors ask for it: its whole text, or what fits of it from the chunk found on."""
    about, text = document.document, document.text
    begin = (
        0 if size_of(text[: config.MCP_RESULT_BYTES]) <= _FETCHED and len(text) <= config.MCP_RESULT_BYTES else start
    )
    shown = fitting(text[begin : begin + config.MCP_RESULT_BYTES], _FETCHED)
    metadata: dict[str, Any] = {"updated_at": about.updated_at.isoformat(timespec="seconds"), **_origin(about)}
    if len(shown) < len(text):
        metadata["part"] = f"characters {begin:,} to {begin + len(shown):,} of {len(text):,}"
    return {"id": number, "title": title_of(about), "text": shown, "url": url_of(about), "metadata": metadata}


def title_of(document: StoredDocument) -> str:
    """A title, of a document without one its uri."""
    return _shortened(document.title or document.uri)


def url_of(document: StoredDocument) -> str:
    """The uri of a document as a URL: paths get `file:`."""
    for kind in (PurePosixPath, PureWindowsPath):
        path = kind(document.uri)
        if path.is_absolute():
            return path.as_uri()
    return document.uri


def _origin(document: StoredDocument) -> dict[str, str]:
    """Which agent wrote a document, when one did, and whether a stranger did."""
    metadata = document.metadata
    if metadata.get("via") == FETCHED["via"]:
        return {"via": FETCHED["via"]}
    return {"added_by": str(metadata.get("client", ""))} if metadata.get("via") == VIA else {}


def _shortened(name: str) -> str:
    """A title or heading as far as it is one: a file may make one of all its text."""
    return name if len(name) <= config.MCP_NAME_CHARS else name[: config.MCP_NAME_CHARS - 1] + "…"


def _bounded(value: Any) -> Any:
    """Tags or metadata, unless they would leave too little for the text."""
    return value if size_of(value) <= config.MCP_METADATA_BYTES else "left out: too large"


def _rounded(number: float | None) -> float | None:
    return None if number is None else round(number, 4)

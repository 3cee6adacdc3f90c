"""JSONL: one document a row. Corpora for evaluation are loaded this way."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, BinaryIO

from vstore.config import MAX_BAD_ROWS, MAX_FILE_BYTES, MAX_ROWS_FILE_BYTES
from vstore.ingest.fields import plain, take_tags
from vstore.ingest.json_text import render
from vstore.ingest.parsed import Parsed, Unreadable, check_length, usable_title
from vstore.ingest.source import open_regular
from vstore.ingest.text import clean, decode
from vstore.ingest.walk import Skipped


@dataclass(frozen=True, slots=True)
class Row:
    """One row: its own id, or its line number where it has none, what it says, and when its file was last changed."""

    id: str
    parsed: Parsed
    modified_at: datetime


def read_rows(path: Path) -> Iterator[Row | Skipped]:
    """Yield the rows of a JSONL file in order; unusable ones (bad JSON, no text, an id seen before) as Skipped.

    `_id` or `id`, `title`, `text` and `tags` have their meaning, all other fields, and those of an object `metadata`,
    are metadata. A row without `text` is rendered as JSON files are. Reading stops after MAX_BAD_ROWS unusable rows.
    Raises Unreadable as `open_regular` does.
    """
    seen: dict[str, int] = {}
    bad = 0
    with open_regular(path, MAX_ROWS_FILE_BYTES) as (file, modified_at):
        for number, line in enumerate(_lines(file), start=1):
            if not line.strip():
                continue
            try:
                row = _row(line, number, modified_at)
                first = seen.setdefault(row.id, number)
                if first != number:
                    raise Unreadable(f"the id {row.id!r} is already that of line {first}")
            except Unreadable as error:
                yield Skipped(path, f"line {number}: {error}")
                bad += 1
                if bad >= MAX_BAD_ROWS:
                    yield Skipped(path, f"{bad} unusable rows: the lines after {number} were not read")
                    return
            else:
                yield row


def _lines(file: BinaryIO) -> Iterator[bytes]:
    while line := file.readline(MAX_FILE_BYTES + 1):
        if len(line) > MAX_FILE_BYTES:
            raise Unreadable(f"a line is longer than {MAX_FILE_BYTES:,} bytes")
        yield line


def _row(line: bytes, number: int, modified_at: datetime) -> Row:
    record = _record(line)
    identity = [record.pop(name) for name in ("_id", "id") if name in record][:1]
    title = record.pop("title", None)
    text = record.pop("text", None)
    if not isinstance(text, str | None):
        raise Unreadable("its text is not a string")
    nested = record.pop("metadata", None)
    if isinstance(nested, dict):
        record = {**nested, **record}
    elif nested is not None:
        record["metadata"] = nested
    tags = take_tags(record)
    title = usable_title(title)
    text = render(record) if text is None else text
    text = text if text.strip() else title
    if not text.strip():
        raise Unreadable("no text")
    check_length(len(text))
    return Row(_identity(identity, number), Parsed(text, title, metadata=record, tags=tags), modified_at)


def _record(line: bytes) -> dict[str, Any]:
    text = decode(line)
    check_length(len(text))
    try:
        record = plain(json.loads(text))
    except (ValueError, RecursionError) as error:
        raise Unreadable(f"not JSON ({error})") from error
    if not isinstance(record, dict):
        raise Unreadable("not a JSON object")
    return record


def _identity(found: list[Any], number: int) -> str:
    if not found or found[0] is None:
        return str(number)
    if isinstance(found[0], bool) or not isinstance(found[0], str | int):
        raise Unreadable("its id is neither a string nor a whole number")
    return clean(str(found[0]))

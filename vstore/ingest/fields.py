"""Fields of a record (front matter, a row of JSONL) as metadata: plain JSON values, with the tags taken out."""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import date, time
from typing import Any

from vstore.config import MAX_INTEGER_BITS
from vstore.ingest.text import clean


def plain(value: object) -> Any:
    """A JSON value for anything a YAML or JSON parser returns.

    Dates become ISO 8601, sets lists, keys strings, infinities and NaN None, numbers that cannot be printed in decimal
    (YAML may write them otherwise) hexadecimal; strings are cleaned.
    Raises RecursionError when the value is nested beyond the interpreter's limit.
    """
    if isinstance(value, str):
        return clean(value)
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, int):
        return value if value.bit_length() <= MAX_INTEGER_BITS else hex(value)
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, date | time):
        return value.isoformat()
    if isinstance(value, Mapping):
        return {clean(str(key)): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [plain(item) for item in value]
    return clean(str(value))


def take_tags(record: dict[str, Any]) -> tuple[str, ...]:
    """Remove `tags` from a plain record and return them: a list, or a string with commas. Other kinds stay."""
    raw = record.get("tags")
    names = raw.split(",") if isinstance(raw, str) else raw
    if not isinstance(names, list) or not all(isinstance(name, str | int) for name in names):
        return ()
    del record["tags"]
    return tuple(dict.fromkeys(name for name in (str(name).strip() for name in names) if name))

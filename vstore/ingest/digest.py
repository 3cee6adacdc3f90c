"""Hashes that decide whether a document has changed."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import Any

from vstore.config import READER_VERSION
from vstore.errors import InputError


def digest(
    content: bytes,
    *,
    title: str,
    media_type: str,
    collection: str,
    tags: Sequence[str],
    metadata: Mapping[str, Any],
    kept: tuple[str, ...] = (),
) -> str:
    """SHA-256, in hex, over all that decides what is stored: the content, the facts about it, and READER_VERSION.

    `kept` says until when, where that was said. Raises InputError when the metadata are not JSON values.
    """
    facts = [READER_VERSION, title, media_type, collection, list(tags), metadata, *kept]
    try:
        head = json.dumps(facts, sort_keys=True, allow_nan=False, default=_as_dict)
    except (TypeError, ValueError, RecursionError) as error:
        raise InputError(f"metadata must be plain JSON values with string keys ({error})") from error
    # JSON has no raw newline, so the first one ends the facts
    return hashlib.sha256(head.encode("ascii") + b"\n" + content).hexdigest()


def _as_dict(value: object) -> dict[str, Any]:
    if isinstance(value, Mapping):
        return dict(value)
    raise TypeError(f"{type(value).__name__} is not one")

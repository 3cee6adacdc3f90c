"""Which of our own parsers reads which media type. All of them take linear time."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from vstore.ingest import code, json_text, markdown, media, rst, tables
from vstore.ingest.parsed import Parsed, check_length, not_blank

_PARSERS: Final[dict[str, Callable[[str], Parsed]]] = {
    media.PLAIN: Parsed,
    "text/x-rst": rst.parse,
    "text/csv": tables.parse_csv,
    "text/tab-separated-values": tables.parse_tsv,
    "application/json": json_text.parse,
}


def parse(text: str, media_type: str, title: str = "") -> Parsed:
    """Read a text that is decoded and clean; `title` is the one it is known by, if that is not its own.

    Raises Unreadable when the text is blank or too long.
    """
    check_length(len(text))
    if media_type == media.MARKDOWN:
        parsed = markdown.parse(text, title)
    elif parser := _PARSERS.get(media_type):
        parsed = parser(text)
    else:
        parsed = code.parse(text, media_type.removeprefix(media.CODE))
    return not_blank(parsed)

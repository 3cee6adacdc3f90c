"""Which parser reads which media type."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from vstore.ingest import code, html, json_text, markdown, media, rst, tables
from vstore.ingest.parsed import Parsed, Unreadable, check_length
from vstore.ingest.text import decode

_TEXT_PARSERS: Final[dict[str, Callable[[str], Parsed]]] = {
    media.PLAIN: Parsed,
    "text/x-rst": rst.parse,
    "text/html": html.parse,
    "text/csv": tables.parse_csv,
    "text/tab-separated-values": tables.parse_tsv,
    "application/json": json_text.parse,
}
_OFFICE_KINDS: Final = {"wordprocessingml": "docx", "presentationml": "pptx", "spreadsheetml": "xlsx"}


def parse(data: bytes, media_type: str) -> Parsed:
    """Read a file's bytes.

    Raises Unreadable when they hold no text or cannot be read, MissingExtraError when a package for them is missing.
    """
    if media_type == media.PDF:
        from vstore.ingest import pdf  # loads PDFium, which most folders do not need

        parsed = pdf.parse(data)
    elif media_type.startswith(media.OFFICE):
        from vstore.ingest import office

        parsed = office.parse(data, _OFFICE_KINDS[media_type.removeprefix(media.OFFICE).partition(".")[0]])
    else:
        parsed = parse_text(decode(data), media_type)
    return parsed


def parse_text(text: str, media_type: str, title: str = "") -> Parsed:
    """Read a text that is decoded and clean; `title` is the one it is known by, if that is not its own.

    Raises Unreadable when the text is blank or too long.
    """
    check_length(len(text))
    if media_type == media.MARKDOWN:
        parsed = markdown.parse(text, title)
    elif parser := _TEXT_PARSERS.get(media_type):
        parsed = parser(text)
    else:
        parsed = code.parse(text, media_type.removeprefix(media.CODE))
    if not parsed.text.strip():
        raise Unreadable("empty")
    return parsed

"""Formats that libraries of others read: HTML, PDF, office files. To be called in a process that may be ended.

Each library is loaded when its first file comes.
"""

from __future__ import annotations

from typing import Final

from vstore.ingest import media
from vstore.ingest.parsed import Parsed, check_length, not_blank
from vstore.ingest.text import decode

_OFFICE_KINDS: Final = {"wordprocessingml": "docx", "presentationml": "pptx", "spreadsheetml": "xlsx"}


def parse(data: bytes, media_type: str) -> Parsed:
    """Read the bytes of a file for whose type `media.is_foreign` holds.

    Raises Unreadable when they hold no text or cannot be read, MissingExtraError when a package for them is missing.
    """
    if media_type == media.PDF:
        from vstore.ingest import pdf

        return pdf.parse(data)
    if media_type in (media.HTML, media.ARTICLE):
        from vstore.ingest import article, html

        text = decode(data)
        check_length(len(text))
        return not_blank(article.parse(text) if media_type == media.ARTICLE else html.parse(text))
    from vstore.ingest import office

    return office.parse(data, _OFFICE_KINDS[media_type.removeprefix(media.OFFICE).partition(".")[0]])

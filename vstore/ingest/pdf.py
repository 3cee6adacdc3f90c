"""PDF: the text of each page, by PDFium."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator
from contextlib import suppress
from typing import Final

import pypdfium2  # type: ignore[import-untyped]  # has no type hints

from vstore.ingest.parsed import Parsed, Unreadable, join_sections, usable_title
from vstore.ingest.text import clean

_LOCK: Final = threading.Lock()  # PDFium must not be called by two threads at once
_HYPHEN = re.compile("[\ufffe\x02]")  # PDFium's mark where a word was hyphenated at a line's end and is joined again
# titles that word processors make up: a file's name, or nothing
_MADE_UP = re.compile(r"(?i)untitled.*|microsoft \w+ - .*|.*\.(?:docx?|dvi|indd|odt|pdf|pptx?|ps|qxd|rtf|tex|xlsx?)")


def parse(data: bytes) -> Parsed:
    """Read a PDF: one section a page, headed "page N".

    Raises Unreadable for a file that is encrypted, damaged, or has no text (scanned pages).
    """
    with _LOCK:
        _forget_last_error()
        try:
            with pypdfium2.PdfDocument(data) as document:
                text, sections = join_sections(_pages(document))
                title = usable_title(clean(document.get_metadata_value("Title")))
        except pypdfium2.PdfiumError as error:
            reason = "encrypted PDF" if "password" in str(error).lower() else f"damaged PDF ({error})"
            raise Unreadable(reason) from error
    if not text:
        raise Unreadable("no text in this PDF: its pages may be scans")
    return Parsed(text, "" if _MADE_UP.fullmatch(title) else title, sections)


def _forget_last_error() -> None:
    """For some files PDFium sets no error and tells the one before: let that be the one of an empty file."""
    with suppress(pypdfium2.PdfiumError):
        pypdfium2.PdfDocument(b"").close()


def _pages(document: pypdfium2.PdfDocument) -> Iterator[tuple[str, str]]:
    for number in range(len(document)):
        page = document[number]
        content = page.get_textpage()
        yield f"page {number + 1}", _HYPHEN.sub("", clean(content.get_text_bounded()))
        content.close()
        page.close()

"""Text of others as it may be shown: without what could steer a terminal, turn the direction of text, or hide."""

from __future__ import annotations

import json
import re
import unicodedata
from typing import Any, Final

from vstore.config import SNIPPET_CHARS


class _Shown(dict[int, str]):
    """A table for `str.translate` that leaves out whatever could steer a terminal or turn the direction of text.

    Those are the characters of Unicode's categories C (controls, formats, and what is not assigned) and its separators
    of lines and paragraphs. `kept` stay; so do the joiners that Persian, Hindi and emoji are written with.
    """

    def __init__(self, kept: str, *, escaped: bool = False) -> None:
        super().__init__()
        self._kept = frozenset(kept + "\u200c\u200d")
        self._escaped = escaped

    def __missing__(self, code: int) -> str:
        character = chr(code)
        category = unicodedata.category(character)
        if character in self._kept or (category[0] != "C" and category not in ("Zl", "Zp")):
            shown = character
        else:
            shown = json.dumps(character)[1:-1] if self._escaped else "\ufffd"
        self[code] = shown
        return shown


_LINE: Final = _Shown("")
_LINES: Final = _Shown("\n\t")
_JSON: Final = _Shown("\n", escaped=True)


def printable(text: str) -> str:
    """Text of others as a part of one line, without what could steer the terminal: U+FFFD stands for it."""
    return text.translate(_LINE)


def printable_lines(text: str) -> str:
    """The same, with line breaks and tabs."""
    return text.translate(_LINES)


def json_text(value: Any, indent: int | None = None) -> str:
    """JSON with escapes for all that could steer a terminal: the value is the same."""
    return json_escaped(json.dumps(value, ensure_ascii=False, indent=indent))


def json_escaped(text: str) -> str:
    """JSON, or lines of it, with the same escapes."""
    return text.translate(_JSON)


def snippet(text: str, query: str, chars: int = SNIPPET_CHARS) -> str:
    """One line of a chunk, of about so many characters, from shortly before the first word it shares with the query."""
    words = [re.escape(word) for word in re.findall(r"\w{3,}", query)]
    match = re.search("|".join(words), text, re.IGNORECASE) if words else None
    start = max(0, match.start() - chars // 4) if match else 0
    start = text.rfind(" ", 0, start) + 1 if start else 0
    line = " ".join(text[start : start + 2 * chars].split())
    cut = line[:chars]
    before = "... " if start else ""
    return printable(before + (cut if len(line) <= chars else cut.rsplit(" ", 1)[0] + " ..."))

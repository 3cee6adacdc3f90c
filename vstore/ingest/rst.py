"""reStructuredText: titles underlined (and perhaps overlined) with punctuation make sections.

The level of a title is the order in which its style, the character with or without overline, first occurs, as
docutils defines it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from vstore.ingest.headings import Heading, first_title, sections_of
from vstore.ingest.parsed import Parsed, bounded, usable_title

_PUNCTUATION = frozenset("!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~")


def parse(text: str) -> Parsed:
    """Read reStructuredText; the title is the first title of the highest level."""
    headings = bounded(_headings(text))
    title = usable_title(first_title(headings))
    return Parsed(text, title, sections_of(text, headings, title))


def _headings(text: str) -> Iterator[Heading]:
    levels: dict[str, int] = {}
    above, words = _Line("", 0), _Line("", 0)  # the two lines before this one; blank when they belong to a heading
    position = 0
    for raw in text.split("\n"):
        line = _Line(raw.rstrip(), position)
        position = min(position + len(raw) + 1, len(text))
        mark = _adornment(line.text)
        over = bool(mark) and above.text == line.text
        if mark and _is_title(words.text, over=over) and len(line.text) >= len(words.text):
            level = levels.setdefault(mark + mark if over else mark, len(levels) + 1)
            yield Heading(level, words.text.strip(), above.start if over else words.start, position)
            line = _Line("", position)
        above, words = words, line


@dataclass(frozen=True, slots=True)
class _Line:
    text: str
    start: int


def _is_title(words: str, *, over: bool) -> bool:
    """Whether a line may be one: indented only below an overline, and no adornment itself."""
    return bool(words) and not _adornment(words) and (over or not words[0].isspace())


def _adornment(line: str) -> str:
    """The character a line without space at its end repeats, at least twice, or ""."""
    return line[0] if len(line) > 1 and line[0] in _PUNCTUATION and line == line[0] * len(line) else ""

"""reStructuredText: titles underlined (and perhaps overlined) with punctuation make sections.

The level of a title is the order in which its style, the character with or without overline, first occurs, as
docutils defines it.
"""

from __future__ import annotations

from collections.abc import Iterator

from vstore.ingest.headings import Heading, first_title, sections_of
from vstore.ingest.parsed import Parsed, usable_title

_PUNCTUATION = frozenset("!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~")


def parse(text: str) -> Parsed:
    """Read reStructuredText; the title is the first title of the highest level."""
    headings = list(_headings(text))
    title = usable_title(first_title(headings))
    return Parsed(text, title, sections_of(text, headings, title))


def _headings(text: str) -> Iterator[Heading]:
    lines = text.split("\n")
    levels: dict[str, int] = {}
    position = 0
    starts = []
    for line in lines:
        starts.append(position)
        position += len(line) + 1
    ends = [min(start + len(line) + 1, len(text)) for start, line in zip(starts, lines, strict=True)]
    last = -1  # the last line that belongs to a heading already
    for number in range(1, len(lines)):
        words, mark = lines[number - 1].rstrip(), _adornment(lines[number])
        if number - 1 <= last or not mark or not words or len(lines[number].rstrip()) < len(words):
            continue
        over = number - 2 > last and lines[number - 2].rstrip() == lines[number].rstrip()
        if _adornment(words) or (words[0].isspace() and not over):
            continue
        level = levels.setdefault(mark + mark if over else mark, len(levels) + 1)
        yield Heading(level, words.strip(), starts[number - 2 if over else number - 1], ends[number])
        last = number


def _adornment(line: str) -> str:
    """The character a line repeats, at least twice, or ""."""
    line = line.rstrip()
    return line[0] if len(line) > 1 and line[0] in _PUNCTUATION and line == line[0] * len(line) else ""

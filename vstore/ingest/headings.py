"""Headings in a text make its sections, each under the path of the headings above it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import zip_longest

from vstore.ingest.parsed import Parsed, check_length, check_sections, usable_title
from vstore.types import Section

SEPARATOR = " > "


@dataclass(frozen=True, slots=True)
class Heading:
    """A heading of a level (1 is the highest) on the lines `text[start:end]`; its body begins at `end`."""

    level: int
    text: str
    start: int
    end: int


def first_title(headings: Sequence[Heading]) -> str:
    """The text of the first heading of level 1, or ""."""
    return next((heading.text for heading in headings if heading.level == 1), "")


def sections_of(text: str, headings: Sequence[Heading], title: str) -> tuple[Section, ...]:
    """One section for the text before the first heading and for each heading with a body, in order.

    A heading's own line is not part of its section, for it is in the section's path, which leaves out a heading of
    level 1 that is the document's title. A heading with neither body nor sub-heading would be lost that way: its line
    is a section, under the path of its ancestors. No headings, no sections.

    Raises Unreadable when the paths, which repeat in every section, are longer than a document may be.
    """
    if not headings:
        return ()
    sections = []
    if text[: headings[0].start].strip():
        sections.append(Section(0, headings[0].start))
    path: list[Heading] = []
    length = 0
    for heading, following in zip_longest(headings, headings[1:]):
        while path and path[-1].level >= heading.level:
            path.pop()
        above = _join(path, title)
        path.append(heading)
        end = following.start if following else len(text)
        if text[heading.end : end].strip():
            sections.append(Section(heading.end, end, _join(path, title)))
        elif following is None or following.level <= heading.level:
            sections.append(Section(heading.start, heading.end, above))
        length += len(above)
        check_length(length)
    return tuple(sections)


def _join(path: Sequence[Heading], title: str) -> str:
    return SEPARATOR.join(heading.text for heading in path if heading.level > 1 or heading.text != title)


class Outline:
    """Builds a text with headings block by block, for formats whose source is not the text to be shown."""

    def __init__(self) -> None:
        self._pieces: list[str] = []
        self._headings: list[Heading] = []
        self._length = 0

    def add(self, block: str, *, gap: str = "\n\n") -> None:
        """Append a block of text after `gap`; nothing happens when it is blank."""
        block = block.strip("\n")
        if not block.strip():
            return
        piece = gap + block if self._pieces else block
        self._pieces.append(piece)
        self._length += len(piece)

    def add_heading(self, level: int, text: str) -> None:
        """Append a heading as a block of its own."""
        text = " ".join(text.split())
        if text:
            self.add(text)
            check_sections(len(self._headings))
            self._headings.append(Heading(level, text, self._length - len(text), self._length))

    def parsed(self, title: str = "") -> Parsed:
        """The text built so far, with its sections. Without a `title` the first heading of level 1 is it, if usable."""
        text = "".join(self._pieces)
        title = title or usable_title(first_title(self._headings))
        return Parsed(text, title, sections_of(text, self._headings, title))

"""What a format's parser makes of a file, and how it says that it cannot."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, TypeVar

from vstore.config import MAX_DOCUMENT_CHARS, MAX_SECTIONS, MAX_TITLE_CHARS
from vstore.errors import InputError
from vstore.types import Section

Item = TypeVar("Item")
EMPTY: Final = "empty"  # the reason for a file that could be read and says nothing


class Unreadable(InputError):
    """A file has nothing to store; the message is the reason, in lower case, as the summary of a run shows it."""


@dataclass(frozen=True, slots=True)
class Parsed:
    """The text of a file with all that could be told from it. An empty title means that it names none."""

    text: str
    title: str = ""
    sections: tuple[Section, ...] = ()
    metadata: Mapping[str, Any] = field(default_factory=dict)
    tags: tuple[str, ...] = ()


def check_length(characters: int) -> None:
    """Raise Unreadable when a document has more than MAX_DOCUMENT_CHARS characters."""
    if characters > MAX_DOCUMENT_CHARS:
        raise Unreadable(f"more than {MAX_DOCUMENT_CHARS:,} characters of text")


def check_sections(count: int) -> None:
    """Raise Unreadable when a document has more than MAX_SECTIONS parts of any kind."""
    if count > MAX_SECTIONS:
        raise Unreadable(f"more than {MAX_SECTIONS:,} sections")


def bounded(items: Iterable[Item]) -> list[Item]:
    """The items as a list. Raises Unreadable as soon as there are more than MAX_SECTIONS."""
    taken: list[Item] = []
    for item in items:
        taken.append(item)
        check_sections(len(taken))
    return taken


def not_blank(parsed: Parsed) -> Parsed:
    """The same. Raises Unreadable when its text is blank."""
    if not parsed.text.strip():
        raise Unreadable(EMPTY)
    return parsed


def join_sections(parts: Iterable[tuple[str, str]]) -> tuple[str, tuple[Section, ...]]:
    """Join (heading, text) pairs by blank lines: the whole text, and one section for each pair that has text.

    Raises Unreadable as soon as the whole is longer than MAX_DOCUMENT_CHARS, or has more than MAX_SECTIONS.
    """
    texts: list[str] = []
    sections: list[Section] = []
    position = 0
    for heading, part in parts:
        body = part.strip()
        if not body:
            continue
        texts.append(body)
        sections.append(Section(position, position + len(body), heading))
        position += len(body) + 2
        check_length(position)
        check_sections(len(sections))
    return "\n\n".join(texts), tuple(sections)


def usable_title(raw: object) -> str:
    """A title on one line, or "" when it is none, or longer than MAX_TITLE_CHARS."""
    title = " ".join(raw.split()) if isinstance(raw, str) else ""
    return title if len(title) <= MAX_TITLE_CHARS else ""

"""Markdown: headings make sections, front matter becomes metadata.

Block structure follows CommonMark 0.31 as far as headings need it: fenced code, ATX and setext headings. Headings
inside quotes and lists belong to their quote or list and are left alone.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import yaml

from vstore.config import FRONT_MATTER_CHARS
from vstore.ingest.fields import plain, take_tags
from vstore.ingest.headings import Heading, first_title, sections_of
from vstore.ingest.parsed import Parsed, bounded, usable_title

_FENCE = re.compile(r" {0,3}(`{3,}|~{3,})(.*)", re.DOTALL)
_ATX = re.compile(r" {0,3}(#{1,6})(?=[ \t]|$)(.*)", re.DOTALL)
_SETEXT = re.compile(r" {0,3}(=+|-+)[ \t]*$")
_NOT_PARAGRAPH = re.compile(r" {0,3}(?:[-+*>|<]|\d{1,9}[.)](?:[ \t]|$))|[ \t]{4}|\t")
_FRONT_MATTER_END = re.compile(r"^(?:---|\.\.\.)[ \t]*$", re.MULTILINE)

# what the library raises for a value that its tag or form does not allow: 2024-02-31, !!bool perhaps, !!timestamp now
_YAML_FAILURES = (ValueError, LookupError, AttributeError, TypeError, ArithmeticError, RecursionError)


def parse(text: str, title: str = "") -> Parsed:
    """Read Markdown; without a `title` it is the front matter's, else the first heading of level 1."""
    record, body = split_front_matter(text)
    headings = bounded(_headings(body))
    if own_title := usable_title(record.get("title")):
        del record["title"]
    title = title or own_title or usable_title(first_title(headings))
    tags = take_tags(record)
    return Parsed(body, title, sections_of(body, headings, title), record, tags)


def split_front_matter(text: str) -> tuple[dict[str, Any], str]:
    """The YAML mapping between `---` lines at the start, and the text after it.

    What is not a mapping, uses aliases (a few lines of them expand without bound), is longer than FRONT_MATTER_CHARS
    or is not YAML at all stays in the text.
    """
    if not text.startswith("---\n"):
        return {}, text
    end = _FRONT_MATTER_END.search(text, 4, FRONT_MATTER_CHARS)
    if end is None:
        return {}, text
    try:
        record = yaml.load(text[4 : end.start()], Loader=_LoaderWithoutAliases)
        return (plain(record), text[end.end() :].lstrip("\n")) if isinstance(record, dict) else ({}, text)
    except (yaml.YAMLError, *_YAML_FAILURES):
        return {}, text


class _LoaderWithoutAliases(yaml.SafeLoader):
    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        if self.check_event(yaml.AliasEvent):
            raise yaml.YAMLError("aliases are not allowed")
        return super().compose_node(parent, index)


def _headings(text: str) -> Iterator[Heading]:
    fence = ""
    paragraph: tuple[int, str] | None = (
        None  # of one line, which an underline makes a heading; longer ones have no words
    )
    position = 0
    for line in text.split("\n"):
        start, end = position, min(position + len(line) + 1, len(text))
        position = end
        candidate, paragraph = paragraph, None
        if fence:
            fence = "" if _closes(fence, line) else fence
        elif opening := _opening_fence(line):
            fence = opening
        elif atx := _ATX.match(line):
            if words := _atx_text(atx.group(2)):
                yield Heading(len(atx.group(1)), words, start, end)
        elif candidate and candidate[1] and (underline := _SETEXT.match(line)):
            yield Heading(1 if underline.group(1)[0] == "=" else 2, candidate[1], candidate[0], end)
        elif line.strip():
            paragraph = (start, "" if candidate or _NOT_PARAGRAPH.match(line) else " ".join(line.split()))


def _opening_fence(line: str) -> str:
    match = _FENCE.match(line)
    if match is None or (match.group(1)[0] == "`" and "`" in match.group(2)):  # the latter is inline code
        return ""
    return match.group(1)


def _closes(fence: str, line: str) -> bool:
    match = _FENCE.match(line)
    return match is not None and match.group(1).startswith(fence) and not match.group(2).strip()


def _atx_text(raw: str) -> str:
    words = " ".join(raw.split())
    bare = words.rstrip("#")
    if bare != words and (not bare or bare[-1] == " "):  # a closing run of # needs a space before it
        words = bare.rstrip()
    return words

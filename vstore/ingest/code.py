"""Source code: each top-level definition is a section, headed by its first line.

Definitions are found line by line with one expression a language, on the first DEFINITION_CHARS characters: crude
next to a parser, but linear, without a grammar for each language, and harmless where it errs.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from vstore.config import DEFINITION_CHARS, MAX_SIGNATURE_CHARS
from vstore.ingest.parsed import Parsed, bounded
from vstore.types import Section

_ECMASCRIPT = re.compile(
    r"(?:export +)?(?:default +)?(?:declare +)?(?:abstract +)?(?:async +)?"
    r"(?:(?:function|class|interface|enum|namespace)\b|type +\w[^=]*=|"
    r"(?:const|let|var) +\w[^=]*= *(?:async|function|\())"
)
_C = re.compile(r"(?:class|struct|enum|union|namespace|template|typedef)\b|[A-Za-z_][\w *&:<>,~]*\([^;]*$")
_TYPES = re.compile(r"(?:.*\b)?(?:class|interface|enum|record|struct|namespace) +\w")

DEFINITIONS: Final = {
    "c": _C,
    "cpp": _C,
    "csharp": _TYPES,
    "dart": re.compile(r"(?:.*\b)?(?:class|enum|mixin|extension) +\w|[A-Za-z_][\w <>,?]*\([^;]*$"),
    "dockerfile": re.compile(r"(?i:from) "),
    "elixir": re.compile(r"(?:defmodule|defprotocol|defimpl) +\w"),
    "go": re.compile(r"func[ (]|type +\w"),
    "haskell": re.compile(r"(?:data|newtype|type|class|instance)\b|[a-z_][\w']* *::"),
    "ini": re.compile(r"\["),
    "java": _TYPES,
    "javascript": _ECMASCRIPT,
    "julia": re.compile(r"(?:function|macro|module|(?:mutable +)?struct|abstract +type)\b"),
    "kotlin": re.compile(r"(?:.*\b)?(?:class|interface|object|fun) +[\w<(]"),
    "lua": re.compile(r"(?:local +)?function\b|[\w.:]+ *= *function\b"),
    "makefile": re.compile(r"[\w./%$()-]+ *:(?!=)"),
    "perl": re.compile(r"(?:sub|package) +\w"),
    "php": re.compile(r"(?:abstract +|final +|readonly +)?(?:class|interface|trait|enum|function|namespace)\b"),
    "python": re.compile(r"(?:async +)?def +\w|class +\w"),
    "r": re.compile(r"[\w.]+ *(?:<-|=) *function\b"),
    "ruby": re.compile(r"(?:class|module|def) +"),
    "rust": re.compile(
        r"(?:pub(?:\([^)]*\))? +)?(?:default +)?(?:const +)?(?:async +)?(?:unsafe +)?(?:extern +\S+ +)?"
        r"(?:(?:fn|struct|enum|trait|impl|mod|union)\b|macro_rules!)"
    ),
    "scala": re.compile(r"(?:.*\b)?(?:class|trait|object|def|enum) +\w"),
    "shell": re.compile(r"function +\w|[\w:.-]+ *\( *\)"),
    "sql": re.compile(r"(?i:create|alter) +\w"),
    "swift": re.compile(r"(?:.*\b)?(?:class|struct|enum|protocol|extension|actor|func) +\w"),
    "typescript": _ECMASCRIPT,
}
# what a comment, decorator or attribute begins with; those right above a definition belong to it
_LEADING = ("@", "#", "//", "/*", " *", "--", ";", "[")
_COMMENT = ("#", "//", "/*", "*", "--", ";;")


def parse(text: str, language: str) -> Parsed:
    """Read source code; a language of which nothing is known, and a text without definitions, have no sections."""
    pattern = DEFINITIONS.get(language)
    starts = bounded(_definitions(text, pattern)) if pattern else []
    if not starts:
        return Parsed(text)
    ends = [start for start, _ in starts[1:]] + [len(text)]
    sections = [Section(start, end, heading) for (start, heading), end in zip(starts, ends, strict=True)]
    if text[: starts[0][0]].strip():
        sections.insert(0, Section(0, starts[0][0]))
    return Parsed(text, sections=tuple(sections))


def _definitions(text: str, pattern: re.Pattern[str]) -> Iterator[tuple[int, str]]:
    """Start, comments and decorators above included, and first line of each definition."""
    position = 0
    leading: int | None = None  # start of the run of comments and decorators that ends right above this line
    for line in text.split("\n"):
        head = line[:DEFINITION_CHARS]
        if pattern.match(head) and not head[0].isspace() and not head.startswith(_COMMENT):
            yield (position if leading is None else leading), head.strip()[:MAX_SIGNATURE_CHARS].rstrip(" {:=>(")
            leading = None
        elif not head.startswith(_LEADING):
            leading = None
        elif leading is None:
            leading = position
        position += len(line) + 1

"""The wording of a query: phrases in quotes hold word for word, and words that nothing has are named as such."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Sequence
from dataclasses import replace

from vstore import config
from vstore.types import Mode, Query, Snapshot, Term

# A straight quote after a digit is an inch mark. Each kind of mark is closed by its own.
_QUOTED = re.compile(r'(?<!\d)"([^"]*)"|“([^“”]*)”|„([^„“”]*)[“”]|«([^«»]*)»')


def quoted(text: str) -> tuple[tuple[str, ...], str]:
    """The phrases a query has in quotes, each once, and the query without those quotes.

    Straight ("...") and typographic quotes (“...”, „...“, «...») count. A lone one, or one around no word, is text.
    """
    phrases: dict[str, None] = {}

    def bare(match: re.Match[str]) -> str:
        phrase = match[match.lastindex or 0]
        if not any(character.isalnum() for character in phrase):
            return match[0]
        phrases[phrase] = None
        return f" {phrase} "

    unquoted = _QUOTED.sub(bare, text)
    return tuple(phrases), unquoted.strip() if phrases else text


def held(snapshot: Snapshot, query: Query, phrases: Sequence[str]) -> tuple[Query, tuple[str, ...]]:
    """The query narrowed to the chunks that hold every phrase, and remarks.

    Where no chunk in scope does, the query stays as wide as it was and a remark says so.
    """
    ids = snapshot.holding(phrases, query.scope)
    if ids:
        return replace(query, scope=replace(query.scope, among=ids)), ()
    names = textwrap.shorten(", ".join(f'"{phrase}"' for phrase in phrases), config.SNIPPET_CHARS, placeholder=" ...")
    together = "all of " if len(phrases) > 1 else ""
    return query, (f"no chunk has {together}{names} word for word; searched for the words",)


def unmatched(terms: Sequence[Term], mode: Mode) -> tuple[str, ...]:
    """A remark when keywords had nothing to go by: the query has no word, or the store none of its words."""
    if mode == "dense" or any(term.document_frequency for term in terms):
        return ()
    instead = "; searched by meaning alone" if mode == "hybrid" else ""
    return (("no chunk has a word of the query" if terms else "the query has no word for keywords to match") + instead,)

"""The wording of a query: what holds its quoted phrases word for word comes first; what nothing has is remarked on."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Collection, Sequence
from dataclasses import replace

from vstore import config
from vstore.search.optional import spread
from vstore.types import Candidate, Contribution, Mode, Term

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


def holders_first(
    first: list[Candidate], others: Sequence[Candidate], holding: Collection[int], depth: int
) -> list[Candidate]:
    """The candidates that hold the phrases, lifted above the others; `holding` are the ids of all that hold them.

    Those that no ranking offers (by keywords, a chunk may have none of the terms that are searched) are level with the
    last, as long as there are fewer than `depth`.
    """
    ids = frozenset(holding)
    unranked = sorted(ids.difference(candidate.chunk_id for candidate in first))[: max(0, depth - len(first))]
    level = Contribution("recall", first[-1].score if first else 0.0)
    first = [*first, *(Candidate(chunk_id, (level,)) for chunk_id in unranked)]
    rest = [candidate for candidate in others if candidate.chunk_id not in ids]
    if not rest or not first:
        return first + rest
    lift = rest[0].score + spread(rest) - first[-1].score
    if lift > 0.0:
        part = Contribution("phrase", lift)
        first = [replace(candidate, why=(*candidate.why, part)) for candidate in first]
    return first + rest


def wanting(phrases: Sequence[str], holding: int, k: int) -> tuple[str, ...]:
    """A remark when fewer chunks hold every phrase than were asked for."""
    if holding >= k:
        return ()
    names = textwrap.shorten(", ".join(f'"{phrase}"' for phrase in phrases), config.SNIPPET_CHARS, placeholder=" ...")
    together = "all of " if len(phrases) > 1 else ""
    if not holding:
        return (f"no chunk has {together}{names} word for word; searched for the words",)
    has = "chunk has" if holding == 1 else "chunks have"
    return (f"only {holding:,} {has} {together}{names} word for word; others follow",)


def unmatched(terms: Sequence[Term], mode: Mode) -> tuple[str, ...]:
    """A remark when keywords had nothing to go by: the query has no word, or the store none of its words."""
    if mode == "dense" or any(term.document_frequency for term in terms):
        return ()
    instead = "; searched by meaning alone" if mode == "hybrid" else ""
    return (("no chunk has a word of the query" if terms else "the query has no word for keywords to match") + instead,)

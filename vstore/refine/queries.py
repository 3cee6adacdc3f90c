"""Queries as refinement sees them: what was asked, how often, and what people said about the answers."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass

from vstore.judgements import Judgement
from vstore.searches import LoggedQuery
from vstore.types import Scope


@dataclass(frozen=True, slots=True)
class AskedQuery:
    """A query that was asked `times` times, in one collection or in all (""), with the judgements of its answers."""

    text: str
    collection: str = ""
    times: int = 1
    judgements: tuple[Judgement, ...] = ()

    @property
    def scope(self) -> Scope:
        """Where it looks for answers."""
        return Scope((self.collection,) if self.collection else ())


def gather(logged: Iterable[LoggedQuery], judgements: Iterable[Judgement] = ()) -> tuple[AskedQuery, ...]:
    """Each text in each collection once, white space aside, its times added up, with the judgements of that text.

    A judged text that nobody logged was asked once, in all collections. The most often asked come first, then it goes
    by text and collection, whatever order they came in; blank ones are left out.
    """
    times: defaultdict[tuple[str, str], int] = defaultdict(int)
    for query in logged:
        times[_plain(query.text), query.collection] += query.times
    judged: defaultdict[str, list[Judgement]] = defaultdict(list)
    for judgement in judgements:
        judged[_plain(judgement.query)].append(judgement)
    logged_texts = {text for text, _ in times}
    for text in judged.keys() - logged_texts:
        times[text, ""] = 1
    queries = [
        AskedQuery(text, collection, count, tuple(said for said in judged[text] if collection in ("", said.collection)))
        for (text, collection), count in times.items()
        if text
    ]
    return tuple(sorted(queries, key=lambda query: (-query.times, query.text, query.collection)))


def _plain(text: str) -> str:
    return " ".join(text.split())

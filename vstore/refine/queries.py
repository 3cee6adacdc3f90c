"""Queries as refinement sees them: what was asked, how often, and what people said about the answers."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from vstore import config
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

    @property
    def answered(self) -> bool:
        """Whether somebody named an answer: a query of which only wrong results are known teaches no ranking."""
        return any(said.grade > 0 for said in self.judgements)


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


def plausible(queries: Sequence[AskedQuery]) -> tuple[tuple[AskedQuery, ...], tuple[str, ...]]:
    """The queries without judgements that push one document everywhere, and a note for each such document.

    Who gives feedback is not known, and one client could call its document the answer to everything. A document that
    more than SUSPECT_QUERIES queries and SUSPECT_SHARE of all judged ones name relevant is set aside.
    """
    judged = [query for query in queries if query.judgements]
    named = Counter(
        document for query in judged for document in {j.document_id for j in query.judgements if j.grade > 0}
    )
    most = max(config.SUSPECT_QUERIES, config.SUSPECT_SHARE * len(judged))
    suspects = {document: count for document, count in named.items() if count > most}
    kept = [
        replace(query, judgements=tuple(said for said in query.judgements if said.document_id not in suspects))
        for query in queries
    ]
    notes = [
        f"document {number} is called relevant for {count} of {len(judged)} judged queries, which is not plausible; "
        "what was said of it was set aside (see: vstore feedback --list)"
        for number, count in sorted(suspects.items())
    ]
    return tuple(kept), tuple(notes)


def _plain(text: str) -> str:
    return " ".join(text.split())

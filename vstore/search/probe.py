"""Variants of one search on one snapshot, each run by the pipeline itself; every text is embedded once."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from vstore.filters import All, Comparison
from vstore.search.pipeline import check, find
from vstore.search.question import prepare, served_mode
from vstore.storage import Snapshot
from vstore.types import Candidate, Embedder, Mode, Query, StoredDocument

if TYPE_CHECKING:
    from vstore.search.question import Question

Options = Mapping[str, Any]  # keyword arguments of `Store.search`


class Questions:
    """Query texts as vectors; None for all of them where there is no model."""

    def __init__(self, embedder: Callable[[], Embedder], asked: Query) -> None:
        """Embed the query that was asked. Raises ModelError for a dense search without a model."""
        self._embedder = embedder
        self._asked = replace(asked, mode="dense" if asked.mode == "dense" else "hybrid")
        question, self.degraded = prepare(embedder, self._asked)
        self._known: dict[str, Question | None] = {asked.text: question}

    def __getitem__(self, text: str) -> Question | None:
        if text not in self._known:
            self._known[text] = prepare(self._embedder, replace(self._asked, text=text))[0]
        return self._known[text]


class Probe:
    """A search as it was asked, and as it would be with other options."""

    def __init__(self, snapshot: Snapshot, questions: Questions, build: Callable[..., Query], options: Options) -> None:
        """`build` makes a Query of options. Raises SpaceMismatchError when the search as asked would."""
        self.snapshot = snapshot
        self.options = options
        self.asked = build(**options)
        self._build = build
        self._questions = questions
        self._places: dict[tuple[Query, frozenset[int]], int | None] = {}
        self.degraded = questions.degraded if self.asked.mode == "hybrid" else None
        question, space = questions[self.asked.text], snapshot.space
        self._comparable = space is None or question is None or question[0] == space.fingerprint
        if space is not None and question is not None and self.asked.mode != "lexical":
            space.require(question[0])

    def query(self, change: Options) -> Query:
        """The query with some options replaced. Raises QueryError when it cannot be served."""
        query = self._build(**{**self.options, **change})
        check(query)
        return query

    def question(self, text: str) -> Question | None:
        """A text's vector as the pipeline takes it; None without a model that fits the store."""
        return self._questions[text] if self._comparable else None

    def served(self, query: Query) -> Mode:
        """The mode that a query is served in."""
        return served_mode(query, self.question(query.text))

    def candidates(self, query: Query) -> list[Candidate]:
        """All candidates in the order of the results."""
        question = self.question(query.text) if query.mode != "lexical" else None
        return find(self.snapshot, query, question, {}).candidates

    def place(self, query: Query, targets: frozenset[int]) -> int | None:
        """Where the first of these chunks stands among all candidates, from 1; None when none is there."""
        key = (query, targets)
        if key not in self._places:
            self._places[key] = place_of(self.candidates(query), targets)
        return self._places[key]

    def admits(self, document: StoredDocument, filters: Options) -> bool:
        """Whether the document passes these filters of a search, alone."""
        scope = self._build(query=self.asked.text, k=self.asked.k, **filters).scope
        parts = [Comparison("@uri", "eq", document.uri), Comparison("@collection", "eq", document.collection)]
        where = All((*parts, scope.where) if scope.where is not None else tuple(parts))
        return bool(self.snapshot.documents(replace(scope, where=where), 1))


def place_of(candidates: Sequence[Candidate], targets: frozenset[int]) -> int | None:
    """The place of the first of these chunks, from 1."""
    return next((place for place, one in enumerate(candidates, start=1) if one.chunk_id in targets), None)

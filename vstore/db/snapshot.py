"""`SqliteSnapshot`: the `Snapshot` protocol over one read transaction."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from copy import copy
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING

import apsw
import numpy as np

from vstore.calibration import Calibration
from vstore.db import (
    bm25,
    documents,
    expiry,
    feedback,
    history,
    lexical,
    models,
    phrases,
    spaces,
    statistics,
    terms,
    vectors,
)
from vstore.db.analysis import tokenizer
from vstore.db.clock import now
from vstore.db.codes import Codes, ResidentCodes
from vstore.db.frequencies import Counts, ResidentFrequencies
from vstore.db.scope import Ids, ResidentScopes
from vstore.judgements import Judgement
from vstore.searches import LoggedQuery
from vstore.types import (
    Background,
    PastQuery,
    Ranking,
    Scope,
    Space,
    Statistics,
    StoredChunk,
    StoredDocument,
    Term,
    WholeDocument,
)

if TYPE_CHECKING:
    from vstore.adapter import Adapter
    from vstore.storage import Shortlist
    from vstore.types import FloatArray


@dataclass(frozen=True, slots=True)
class Resident:
    """What a process keeps in memory from one search to the next, of which each is checked before it is used."""

    adapters: models.ActiveAdapter = field(default_factory=models.ActiveAdapter)
    codes: ResidentCodes = field(default_factory=ResidentCodes)
    scopes: ResidentScopes = field(default_factory=ResidentScopes)
    frequencies: ResidentFrequencies = field(default_factory=ResidentFrequencies)


class SqliteSnapshot:
    """`Snapshot` over one read transaction."""

    def __init__(self, connection: apsw.Connection, resident: Resident) -> None:
        self._connection = connection
        self._resident = resident
        self._scopes: dict[Scope, Ids | None] = {}
        self._samples: dict[Scope, FloatArray] = {}
        self._tokenize = tokenizer(connection)
        self.space = spaces.active(connection)
        self.chunk_count, _ = bm25.totals(connection)
        self._past = expiry.passed(connection, now())
        self._holding: dict[tuple[tuple[str, ...], Scope], tuple[int, ...]] = {}

    @cached_property
    def adapter(self) -> Adapter | None:
        """See `Snapshot.adapter`."""
        return self._resident.adapters.read(self._connection)

    @property
    def remarks(self) -> tuple[str, ...]:
        """See `Snapshot.remarks`."""
        remark = self._resident.codes.remark
        return (remark,) if remark else ()

    def _chunks_in(self, scope: Scope) -> Ids | None:
        """The ids of the chunks in scope, ascending; None for all there are."""
        if scope not in self._scopes:
            live = self._live() if scope == Scope() and self._past is not None else None
            if live is None:
                live = self._resident.scopes.read(self._connection, scope, self._past)
            self._scopes[scope] = live
        return self._scopes[scope]

    def _live(self) -> Ids | None:
        """The ids of all chunks but those that have expired or belong to drafts; None where that takes a look at all.

        While a large document is being written, each of its parts would else have the next search look at every other.
        """
        codes = self._codes
        if codes is None or not codes.complete:
            return None
        assert self._past is not None, "something has expired"
        return np.setdiff1d(codes.ids, expiry.chunks(self._connection, self._past), assume_unique=True)

    @cached_property
    def _codes(self) -> Codes | None:
        """The sign codes of all chunks, if those of the active space are kept in memory."""
        return self._resident.codes.read(self._connection, self.space, self.chunk_count) if self.space else None

    @cached_property
    def _counts(self) -> Counts:
        """How many chunks have each of the common stems that were asked for."""
        return self._resident.frequencies.read(self._connection, self.chunk_count)

    def serving(
        self, adapter: Adapter | None, calibration: Calibration | None = None, space: Space | None = None
    ) -> SqliteSnapshot:
        """See `Snapshot.serving`."""
        other = copy(self)
        other.adapter = adapter
        if space is not None:
            # In memory are the active space's codes; comparing it with this one would load one after the other.
            other.space, other._samples, other._codes = space, {}, None
        if other.space is not None:
            own = spaces.own_calibration(self._connection, other.space)
            other.space = replace(other.space, calibration=calibration or own)
        return other

    def terms(self, text: str) -> tuple[Term, ...]:
        """See `Snapshot.terms`."""
        return lexical.terms(self._connection, self._tokenize, text, self._counts)

    def lexical(self, terms: Sequence[Term], scope: Scope, limit: int, *, exact: bool = False) -> Ranking:
        """See `Snapshot.lexical`."""
        return lexical.rank(self._connection, terms, self._chunks_in(scope), limit, exact=exact)

    def holding(self, phrases_: Sequence[str], scope: Scope) -> tuple[int, ...]:
        """See `Snapshot.holding`. Each answer is kept, for it takes reading chunks, and `why` asks again and again."""
        key = (tuple(phrases_), scope)
        if key not in self._holding:
            self._holding[key] = phrases.holding(
                self._connection, self._tokenize, phrases_, scope, self._counts, self._past
            )
        return self._holding[key]

    def shortlist(self, scope: Scope, limit: int, *, exact: bool = False) -> Shortlist | None:
        """See `Snapshot.shortlist`."""
        if self.space is None or exact:
            return None
        return vectors.shortlist(self._connection, self._chunks_in(scope), limit, self._codes)

    def dense(
        self, vector: FloatArray, scope: Scope, limit: int, *, exact: bool = False, among: Ids | None = None
    ) -> Ranking:
        """See `Snapshot.dense`."""
        if self.space is None:
            return Ranking("dense")
        if among is None:
            listed = self.shortlist(scope, limit, exact=exact)
            among = listed(vector) if listed else None
        chunks = self._chunks_in(scope)
        return vectors.rank(self._connection, self.space, vector, chunks, limit, among, exact=exact)

    def bm25(self, terms: Sequence[Term], chunk_ids: Sequence[int]) -> dict[int, float]:
        """See `Snapshot.bm25`."""
        return bm25.score(self._connection, lexical.searched(terms), chunk_ids)

    def cosines(self, vector: FloatArray, chunk_ids: Sequence[int]) -> dict[int, float]:
        """See `Snapshot.cosines`."""
        return vectors.cosines(self._connection, self.space, vector, chunk_ids) if self.space else {}

    def background(self, vector: FloatArray, scope: Scope) -> Background | None:
        """See `Snapshot.background`."""
        if self.space is None:
            return None
        if scope not in self._samples:  # asked again when the adapter has moved the query
            # Without a filter what is hidden counts as well, as it does in document frequencies: a few chunks of many.
            chunks = None if scope == Scope() else self._chunks_in(scope)
            self._samples[scope] = vectors.sample(self._connection, self.space, chunks, self._codes)
        return vectors.background(self._samples[scope], vector)

    def chunks(self, chunk_ids: Sequence[int]) -> dict[int, StoredChunk]:
        """See `Snapshot.chunks`."""
        return documents.chunks(self._connection, chunk_ids, self._past)

    def chunk_ids(self, document_id: int) -> tuple[int, ...]:
        """See `Snapshot.chunk_ids`."""
        return documents.chunk_ids(self._connection, document_id)

    def neighbours(self, chunk_ids: Sequence[int], reach: int) -> dict[int, StoredChunk]:
        """See `Snapshot.neighbours`."""
        return documents.neighbours(self._connection, chunk_ids, reach)

    def vectors(self, chunk_ids: Sequence[int]) -> dict[int, FloatArray]:
        """See `Snapshot.vectors`."""
        return vectors.get_many(self._connection, self.space, chunk_ids) if self.space else {}

    def matched(self, terms_: Sequence[Term], chunk_ids: Sequence[int]) -> dict[int, tuple[str, ...]]:
        """See `Snapshot.matched`."""
        return terms.matched(self._connection, terms_, chunk_ids)

    def answered(self, chunk_ids: Sequence[int], text: str) -> dict[int, int]:
        """See `Snapshot.answered`."""
        return history.answered(self._connection, chunk_ids, text)

    def past_queries(self, vector: FloatArray, text: str, scope: Scope) -> list[PastQuery]:
        """See `Snapshot.past_queries`."""
        if self.space is None:
            return []
        return history.past_queries(self._connection, self.space, vector, text, scope, self._past)

    def logged_queries(self) -> list[LoggedQuery]:
        """See `Snapshot.logged_queries`."""
        return history.logged_queries(self._connection)

    def judgements(self, query: str | None = None) -> list[Judgement]:
        """See `Snapshot.judgements`."""
        return feedback.judgements(self._connection, self._past, query)

    def documents(self, scope: Scope, limit: int, *, expired: bool = False) -> list[StoredDocument]:
        """See `Snapshot.documents`."""
        return documents.find(self._connection, scope, limit, None if expired else self._past)

    def whole_documents(self) -> Iterator[WholeDocument]:
        """See `Snapshot.whole_documents`."""
        return documents.whole_documents(self._connection, self._past)

    def text(self, document_id: int) -> str | None:
        """See `Snapshot.text`."""
        return documents.text(self._connection, document_id)

    def statistics(self) -> Statistics:
        """See `Snapshot.statistics`."""
        return statistics.collect(self._connection, self.space)

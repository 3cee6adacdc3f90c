"""What ingest, search and refinement ask of storage, all of it: see docs/architecture.md.

No pipeline knows SQLite; `vstore/db/` is the one implementation there is.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from datetime import datetime
from typing import TYPE_CHECKING, Any, Protocol

from vstore.calibration import Calibration
from vstore.errors import InputError, VstoreError
from vstore.judgements import Judgement, Verdict
from vstore.results import Compacted
from vstore.runs import Conclusion, RunRecord, SeenQuery
from vstore.searches import LoggedQuery
from vstore.types import (
    Background,
    Cut,
    ModelRecord,
    PastQuery,
    Ranking,
    Scope,
    Space,
    Statistics,
    StoredChunk,
    StoredDocument,
    Term,
    WholeDocument,
    WriteOutcome,
)

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from vstore.adapter import Adapter
    from vstore.types import FloatArray

    ChunkIds = NDArray[np.int64]
    Shortlist = Callable[[FloatArray], ChunkIds]  # the chunks whose vectors are worth comparing with a vector


class Snapshot(Protocol):
    """The store as it was at one moment: everything read through it belongs together."""

    @property
    def space(self) -> Space | None:
        """The active embedding space, or None while no document has been embedded."""

    @property
    def adapter(self) -> Adapter | None:
        """The adapter that query vectors go through, None for none. Raises ModelDamagedError."""

    @property
    def remarks(self) -> tuple[str, ...]:
        """Why dense searches take longer than they would have to, if they do."""

    def serving(
        self, adapter: Adapter | None, calibration: Calibration | None = None, space: Space | None = None
    ) -> Snapshot:
        """The same view as if this adapter, or none, were active; without a calibration, with the space's own.

        Another space is one that `Index.space_of` gave, and chunks that have no vector in it have none in this view.
        """

    @property
    def chunk_count(self) -> int:
        """Chunks in the whole store."""

    def terms(self, text: str) -> tuple[Term, ...]:
        """The distinct terms of a text, in its order, cut as the keyword index cuts them."""

    def lexical(self, terms: Sequence[Term], scope: Scope, limit: int, *, exact: bool = False) -> Ranking:
        """The `limit` best chunks in scope by BM25 over any of the terms; `exact` reads all postings of all of them."""

    def holding(self, phrases: Sequence[str], scope: Scope) -> tuple[int, ...]:
        """The chunks in scope that have every phrase in title, heading or text: the same words in the same order.

        Case, accents, and what stands between the words do not matter; endings do. Ids in ascending order.
        """

    def shortlist(self, scope: Scope, limit: int, *, exact: bool = False) -> Shortlist | None:
        """What `dense` can do with a vector that asks the file for nothing: to be called in whatever thread.

        None where that is nothing.
        """

    def dense(
        self, vector: FloatArray, scope: Scope, limit: int, *, exact: bool = False, among: ChunkIds | None = None
    ) -> Ranking:
        """The `limit` chunks in scope with the highest cosine to `vector`, float32 of shape (dimension,).

        `exact` compares all of them however many there are; `among` is what the `shortlist` made of the vector.
        """

    def bm25(self, terms: Sequence[Term], chunk_ids: Sequence[int]) -> dict[int, float]:
        """The BM25 scores `lexical` would give these chunks; 0 for a chunk with none of the terms."""

    def cosines(self, vector: FloatArray, chunk_ids: Sequence[int]) -> dict[int, float]:
        """The cosines of these chunks to `vector`; chunks without a vector are left out."""

    def background(self, vector: FloatArray, scope: Scope) -> Background | None:
        """Mean and standard deviation of the cosines in scope, estimated from a sample; None for an empty scope."""

    def chunks(self, chunk_ids: Sequence[int]) -> dict[int, StoredChunk]:
        """Chunks by id; ids that do not exist are left out."""

    def chunk_ids(self, document_id: int) -> tuple[int, ...]:
        """The chunks of a document in its order; none when there is no such document."""

    def neighbours(self, chunk_ids: Sequence[int], reach: int) -> dict[int, StoredChunk]:
        """These chunks and those up to `reach` places before or after one of them in its document, by id."""

    def vectors(self, chunk_ids: Sequence[int]) -> dict[int, FloatArray]:
        """The vectors of these chunks, float32 (dimension,); chunks without a vector are left out."""

    def matched(self, terms: Sequence[Term], chunk_ids: Sequence[int]) -> dict[int, tuple[str, ...]]:
        """For each chunk the texts of those terms that occur in it."""

    def answered(self, chunk_ids: Sequence[int], text: str) -> dict[int, int]:
        """How often these chunks were among the answers of logged queries other than `text`; never: left out."""

    def past_queries(self, vector: FloatArray, text: str, scope: Scope) -> list[PastQuery]:
        """The logged queries closest to `vector` (HISTORY_COSINE or more), `text` left out; their answers in scope."""

    def logged_queries(self) -> list[LoggedQuery]:
        """The log of queries, at most MAX_LOGGED_QUERIES, the last asked first."""

    def judgements(self, query: str | None = None) -> list[Judgement]:
        """What was judged (of one query, if given), the newest first: one for each query and chunk or document.

        There are MAX_JUDGEMENTS at most. Judgements of chunks that are gone count for their documents, the best where
        there are several. Those of documents that have expired are left out.
        """

    def documents(self, scope: Scope, limit: int, *, expired: bool = False) -> list[StoredDocument]:
        """Documents in scope, the most recently changed first; with `expired` also those that have."""

    def whole_documents(self) -> Iterator[WholeDocument]:
        """Every document that has not expired, in the order in which they came in; one at a time is in memory."""

    def text(self, document_id: int) -> str | None:
        """The whole text of a document, or None when there is no such document."""

    def statistics(self) -> Statistics:
        """How much is in the store."""


class Index(Protocol):
    """The one door between the pipelines and storage."""

    def snapshot(self) -> AbstractContextManager[Snapshot]:
        """Open one consistent view for the length of a `with` block."""

    def bulk(self) -> AbstractContextManager[None]:
        """Many writes in a row: each safe from a crash of the process, all safe from a power loss at the end."""

    def generation(self) -> int:
        """A number that changes when the whole content is replaced (a restore); also when tables come or go."""

    def open_space(self, fingerprint: str, dimension: int, model: str, calibration: Calibration | None = None) -> Space:
        """Make this the active space of an empty store, or check that it is the active one already.

        `calibration` is kept with a new space; one that is there already keeps its own.

        Raises SpaceMismatchError when the store's vectors belong to another model.
        """

    def active_space(self) -> Space | None:
        """The space that serves now, None while no document has been embedded; cheap enough to ask at every search."""

    def lineage(self) -> list[Space]:
        """The active space and all those that it was refined from, whether their vectors are still kept or not."""

    def space_of(self, model_id: int) -> Space:
        """The space of a model, with the calibration in force when it serves. Raises NotFoundError."""

    def content_hash(self, collection: str, uri: str) -> str | None:
        """The hash a document was last written with, or None when there is no such document or it has expired."""

    def embedded_chunks(self, names: Sequence[tuple[str, str]]) -> list[frozenset[str]]:
        """Hashes of chunks that have a vector in the active space and need not be embedded again.

        One set for each document, which is named by its collection and uri.
        """

    def write(
        self, cuts: Sequence[Cut], vectors: Mapping[str, FloatArray], space: Space
    ) -> list[WriteOutcome | InputError]:
        """Add or replace the first of these documents, each whole: at least one of them, and in the same transaction
        as many as PREPARED_AT_ONCE and WRITE_HOLD_S allow; the rest is the caller's to send again. A document of which
        more than WRITTEN_AT_ONCE chunks change is written alone, in many transactions of which the last one shows it.

        `vectors` maps chunk hashes to float32 (dimension,) for every chunk not in `embedded_chunks`. A chunk whose
        hash the old version already had keeps its vector, and its id and that of the document unless more than
        PLACED_AT_ONCE chunks would have to move. A document that cannot be stored is answered with the
        error, which is then the last answer. Raises SpaceMismatchError when `space` is not the active one any more.
        """

    def save_adapter(
        self,
        adapter: Adapter,
        recipe: Mapping[str, Any],
        scores: Mapping[str, Any],
        calibration: Calibration | None = None,
    ) -> int:
        """Keep an adapter for the active space as the one candidate, and return its id; earlier ones are discarded.

        `recipe` and `scores` are kept as JSON; `calibration` is in force while the adapter serves (None: the space's).
        Raises InputError for an adapter of another dimension.
        """

    def activate(self, model_id: int) -> None:
        """Let a model serve from the next search on; the old one serves until then.

        A model of another space serves only if no chunk lacks a vector there: that is seen in the transaction that
        switches. The last SPACES_KEPT spaces that served are kept, so that there is a way back. Raises
        IncompleteSpaceError with the number of chunks that lack a vector, NotFoundError for a model that does not exist
        or is not kept, and ModelDamagedError for damaged weights; then nothing changes.
        """

    def way_back(self) -> int:
        """The model that `roll_back` would let serve. Raises NotFoundError when there is none."""

    def roll_back(self) -> int:
        """Let the parent of the active model serve again, or its nearest ancestor that is kept; returns its id.

        Raises NotFoundError when there is none, and what `activate` raises.
        """

    def begin_encoder(self, fingerprint: str, dimension: int, recipe: Mapping[str, Any]) -> int:
        """Make a space beside the active one, with a trained encoder as its model, and return the model's id.

        An encoder of the same fingerprint that has not served yet goes on, recipe and all; others that have not are
        discarded. Documents are written to the active space alone until the switch. Raises NotFoundError for an empty
        store, InputError when this encoder serves.
        """

    def save_file(self, model_id: int, name: str, content: Iterable[bytes]) -> None:
        """Keep a file of an encoder that has not served yet, each of the parts in a transaction of its own.

        Parts are MODEL_PART_BYTES long, the last one may be shorter. Raises NotFoundError for any other model.
        """

    def read_file(self, model_id: int, name: str) -> Iterator[bytes]:
        """The parts of a model's file; none when it is not kept."""

    def lacking(self, space: Space, limit: int, after: int = 0) -> list[StoredChunk]:
        """The first `limit` chunks with ids above `after` that have no vector in this space, in the order of their ids.

        New chunks have higher ids than all others. Raises NotFoundError when the space is not kept.
        """

    def put_vectors(self, space: Space, vectors: Mapping[int, FloatArray]) -> int:
        """Keep vectors by chunk id, float32 (dimension,), in one transaction; returns how many were new.

        Chunks that are gone meanwhile, or have a vector there, are passed over. Raises NotFoundError when the space is
        not kept, InputError for vectors that cannot be.
        """

    def complete_encoder(
        self, model_id: int, scores: Mapping[str, Any], calibration: Calibration | None = None
    ) -> None:
        """Call an encoder a candidate, which `activate` accepts; `calibration` says what scores mean in its space.

        Raises NotFoundError for a model that is no encoder in the making.
        """

    def discard_encoder(self, model_id: int) -> None:
        """Erase an encoder that has not served, its vectors and files. Raises NotFoundError for any other model."""

    def models(self) -> list[ModelRecord]:
        """All models there ever were, the newest first."""

    def begin_run(self, configuration: Mapping[str, Any]) -> int:
        """Take the one lease of refinement and note a run, with `configuration` as JSON; its id.

        A run whose lease ran out, or whose process is gone, is noted as interrupted. Raises RefinementBusyError while
        another one holds the lease.
        """

    def watch_queries(self, run_id: int, texts: Sequence[str]) -> None:
        """Note held-out queries of a run before it measures them: those forgotten meanwhile are not in its record."""

    def renew_run(self, run_id: int) -> None:
        """Hold the lease for LEASE_S more. Raises RefinementOvertakenError when another run took it."""

    def conclude_run(self, run_id: int, conclusion: Conclusion) -> int | None:
        """End a run and let what it promoted serve, all in one transaction; the id of the promoted model, if any.

        Of its queries those are kept that `watch_queries` noted and nobody has forgotten since.

        Raises RefinementOvertakenError when the lease is lost or another model than the one compared with is active,
        and what `save_adapter` and `activate` raise; then nothing changes.
        """

    def runs(self) -> list[RunRecord]:
        """The last RUNS_KEPT runs, the newest first."""

    def run_queries(self, run_id: int) -> list[SeenQuery]:
        """What a run measured with its held-out queries, in its order; only the last RUNS_DETAILED runs have any."""

    def forget(self, collection: str, uri: str) -> int:
        """Remove a document with all its chunks, keywords and vectors; the number of chunks removed, 0 if none."""

    def forget_all(self, names: Iterable[tuple[str, str]]) -> int:
        """`forget` documents, given by collection and uri, some in each transaction; the number of chunks removed."""

    def keep(self, names: Sequence[tuple[str, str]], until: datetime | None, pinned: bool) -> list[bool]:
        """Set when documents, given by collection and uri, expire (None: never), and whether they are pinned.

        For each whether it was there: another process may have erased it.
        """

    def traces(self, since: datetime) -> tuple[str, ...]:
        """Where something may still be of a document that was here since then and was erased, in sentences.

        Empties the log of old pages first, if nobody reads.
        """

    def compact(self) -> Compacted:
        """Erase documents that have expired, with the remarks of `traces`, and give space back.

        At the end the file may be written anew: other processes read meanwhile, but cannot write, and twice its size
        of free space is needed.
        """

    def judge(self, verdicts: Sequence[Verdict]) -> list[Judgement | VstoreError]:
        """Keep judgements, all in one transaction; the latest of a query and a chunk or document replaces the earlier.

        One that says when it was given does not replace a later one, which is then the answer.

        For each verdict what is kept now, or why nothing is: NotFoundError for what the store does not have (or has in
        several collections), InputError for what cannot be a path. The oldest leave when there are more than
        MAX_JUDGEMENTS.
        """

"""What ingest, search and refinement ask of storage, all of it: see docs/architecture.md.

No pipeline knows SQLite; `vstore/db/` is the one implementation there is.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any, Protocol

from vstore.calibration import Calibration
from vstore.errors import VstoreError
from vstore.judgements import Judgement, Verdict
from vstore.runs import Conclusion, RunRecord, SeenQuery
from vstore.searches import LoggedQuery
from vstore.types import (
    Background,
    Chunk,
    Document,
    ModelRecord,
    PastQuery,
    Ranking,
    Scope,
    Space,
    Statistics,
    StoredChunk,
    StoredDocument,
    Term,
    WriteOutcome,
)

if TYPE_CHECKING:
    from vstore.adapter import Adapter
    from vstore.types import FloatArray


class Snapshot(Protocol):
    """The store as it was at one moment: everything read through it belongs together."""

    @property
    def space(self) -> Space | None:
        """The active embedding space, or None while no document has been embedded."""

    @property
    def adapter(self) -> Adapter | None:
        """The adapter that query vectors go through, None for none. Raises ModelDamagedError."""

    def serving(self, adapter: Adapter | None, calibration: Calibration | None = None) -> Snapshot:
        """The same view as if this adapter, or none, were active; without a calibration, with the space's own."""

    @property
    def chunk_count(self) -> int:
        """Chunks in the whole store."""

    def terms(self, text: str) -> tuple[Term, ...]:
        """The distinct terms of a text, in its order, cut as the keyword index cuts them."""

    def lexical(self, terms: Sequence[Term], scope: Scope, limit: int) -> Ranking:
        """The `limit` best chunks in scope by BM25 over any of the terms."""

    def holding(self, phrases: Sequence[str], scope: Scope) -> tuple[int, ...]:
        """The chunks in scope that have every phrase in title, heading or text: the same words in the same order.

        Case, accents, and what stands between the words do not matter; endings do. Ids in ascending order.
        """

    def dense(self, vector: FloatArray, scope: Scope, limit: int) -> Ranking:
        """The `limit` chunks in scope with the highest cosine to `vector`, float32 of shape (dimension,)."""

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

    def judgements(self) -> list[Judgement]:
        """What was judged, at most MAX_JUDGEMENTS, the newest first: one for each query and chunk or document.

        Judgements of chunks that are gone count for their documents, the best where there are several.
        """

    def documents(self, scope: Scope, limit: int) -> list[StoredDocument]:
        """Documents in scope, the most recently changed first."""

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

    def open_space(self, fingerprint: str, dimension: int, model: str, calibration: Calibration | None = None) -> Space:
        """Make this the active space of an empty store, or check that it is the active one already.

        `calibration` is kept with a new space; one that is there already keeps its own.

        Raises SpaceMismatchError when the store's vectors belong to another model.
        """

    def content_hash(self, collection: str, uri: str) -> str | None:
        """The hash a document was last written with, or None when there is no such document."""

    def embedded_chunks(self, collection: str, uri: str) -> frozenset[str]:
        """Hashes of the document's chunks that have a vector in the active space and need not be embedded again."""

    def write(
        self, document: Document, chunks: Sequence[Chunk], vectors: Mapping[str, FloatArray], space: Space
    ) -> WriteOutcome:
        """Add or replace one document with its chunks, keywords and vectors, all in one transaction.

        `vectors` maps chunk hashes to float32 (dimension,) for every chunk not in `embedded_chunks`. A chunk whose
        hash the old version already had keeps its id and vector. Raises SpaceMismatchError when `space` is not the
        active one any more.
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
        """Let a model of the active space serve from the next search on; the old one serves until then.

        Raises NotFoundError for a model that does not exist or whose weights are gone, SpaceMismatchError for one of
        another space and ModelDamagedError for damaged weights; then nothing changes.
        """

    def roll_back(self) -> int:
        """Let the parent of the active model serve again, or its nearest ancestor that still can; returns its id.

        Raises NotFoundError when the base model serves.
        """

    def models(self) -> list[ModelRecord]:
        """All models there ever were, the newest first."""

    def begin_run(self, configuration: Mapping[str, Any]) -> int:
        """Take the one lease of refinement and note a run, with `configuration` as JSON; its id.

        A run whose lease ran out, or whose process is gone, is noted as interrupted. Raises RefinementBusyError while
        another one holds the lease.
        """

    def renew_run(self, run_id: int) -> None:
        """Hold the lease for LEASE_S more. Raises RefinementOvertakenError when another run took it."""

    def conclude_run(self, run_id: int, conclusion: Conclusion) -> int | None:
        """End a run and let what it promoted serve, all in one transaction; the id of the promoted model, if any.

        Raises RefinementOvertakenError when the lease is lost or another model than the one compared with is active,
        and what `save_adapter` and `activate` raise; then nothing changes.
        """

    def runs(self) -> list[RunRecord]:
        """The last RUNS_KEPT runs, the newest first."""

    def run_queries(self, run_id: int) -> list[SeenQuery]:
        """What a run measured with its held-out queries, in its order; only the last RUNS_DETAILED runs have any."""

    def forget(self, collection: str, uri: str) -> int:
        """Remove a document with all its chunks, keywords and vectors; the number of chunks removed, 0 if none."""

    def judge(self, verdicts: Sequence[Verdict]) -> list[Judgement | VstoreError]:
        """Keep judgements, all in one transaction; the latest of a query and a chunk or document replaces the earlier.

        For each verdict what is kept now, or why nothing is: NotFoundError for what the store does not have (or has in
        several collections), InputError for what cannot be a path. The oldest leave when there are more than
        MAX_JUDGEMENTS.
        """

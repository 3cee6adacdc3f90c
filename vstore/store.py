"""`Store`: opens the file, holds the parts, calls the pipelines. Decides nothing else.

Ingest is imported where something is put in: its parsers would be a fifth of the start of a search from the shell.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from itertools import compress
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

from vstore import arguments, config
from vstore.db.index import SqliteIndex
from vstore.errors import InputError, NotFoundError, VstoreError
from vstore.judgements import Judgement, Verdict
from vstore.results import Compacted, Content, Explanation, Forgotten, Results
from vstore.search import pipeline as searching
from vstore.search import why as explaining
from vstore.search.journal import Journal
from vstore.search.stages import Stage
from vstore.searches import SearchStatistics
from vstore.serving import Serving, twice
from vstore.storage import Index
from vstore.types import DEFAULT_COLLECTION, Embedder, Mode, ModelRecord, Span, Statistics, StoredDocument

if TYPE_CHECKING:
    from vstore.db.backup import BackupReport
    from vstore.ingest.pipeline import Model
    from vstore.ingest.report import AddReport, Progress


class Store:
    """A memory in one file.

    >>> with Store("memory.db") as store:
    ...     store.remember("We use PKCE for public clients.", title="Auth decision")
    ...     for hit in store.search("how do public clients log in?"):
    ...         print(hit.score, hit.text)

    Opening is cheap: the model is loaded when something has to be embedded. Safe to share between threads, not across
    fork(). Several processes may use one file at once.
    """

    def __init__(
        self,
        path: str | Path,
        embedder: Embedder | str | None = None,
        *,
        create: bool = True,
        read_only: bool = False,
        threads: int | None = None,
        log: bool | None = None,
        metrics: bool | None = None,
        progress: Callable[[str, int, int | None], None] | None = None,
    ) -> None:
        """Open the store at `path`, or make it.

        `embedder` is an object (see `vstore.Embedder`), a registered model's name or a model folder; None takes the
        model the store was made with, and for a new store the configured one. Encoders that the store refined from it
        serve in its place, from the store's own file, as soon as they are switched to. `threads` limits the model's
        (None: as configured). `log` and `metrics` say whether queries and figures of searches are kept in the file
        (None: as configured). `progress(source, done, total)` is told about the model's download, in bytes.
        With `read_only` the file must exist, nothing is written to it, and what would raises StoreError.

        Raises NotFoundError without a file and `create=False`, NotAStoreError or NewerStoreError for files that are
        not for this vstore; those are left as they are.
        """
        self._index = SqliteIndex(Path(path), create=create, read_only=read_only)
        self._journal = Journal(self._index, *((False, False) if read_only else (log, metrics)))
        self._serving = Serving(self._index, embedder, threads, progress)

    def __enter__(self) -> Store:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the file. Closing twice does no harm."""
        self._journal.flush()
        self._index.close()

    @property
    def path(self) -> Path:
        """Where the file is."""
        return self._index.path

    @property
    def index(self) -> Index:
        """The storage below, for refinement and other clients of the whole store."""
        return self._index

    def embedder(self) -> Embedder:
        """The model that embeds for this store, loaded at its first use. Raises ModelError when it cannot be had."""
        return self._serving.embedder()

    def ingest_model(self) -> Model:
        """What ingest needs of a model, as `embedder` gives it, with the space of its vectors; made when there is none.

        Raises SpaceMismatchError when the store holds vectors of another model, and what `embedder` raises.
        """
        return self._serving.model()

    def flush(self) -> None:
        """Write down now what searches left to be noted, as far as the file can be written."""
        self._journal.flush()

    # --- putting in ---------------------------------------------------------------------------------------------------

    def add(
        self,
        targets: str | Path | Iterable[str | Path],
        *,
        collection: str = DEFAULT_COLLECTION,
        tags: Sequence[str] = (),
        metadata: Mapping[str, Any] | None = None,
        progress: Callable[[Progress], None] | None = None,
        allow_private: bool = False,
    ) -> AddReport:
        """Ingest files, folders, globs and web pages; what did not change since the last time is not touched.

        A text that begins with `https://` or `http://` is the address of a page, which is fetched; any other target is
        a path. With `allow_private` the hosts that are named may be private ones, at any port: those of an intranet.
        What cannot be used is skipped and named in the report. Raises NotFoundError for a file or folder that does
        not exist, before anything is written.
        """
        from vstore.ingest.pipeline import Labels, add_files

        many = [targets] if isinstance(targets, (str, Path)) else list(targets)
        labels = Labels(arguments.collection_name(collection), arguments.tag_names(tags), arguments.metadata(metadata))
        tell = progress or (lambda _: None)
        return add_files(self._index, self._serving.model, many, labels, tell, self.path, allow_private=allow_private)

    def remember(
        self,
        text: str,
        *,
        title: str = "",
        uri: str | None = None,
        collection: str = DEFAULT_COLLECTION,
        tags: Sequence[str] = (),
        metadata: Mapping[str, Any] | None = None,
        media_type: str = "text/plain",
        expires: Any = None,
        pinned: bool = False,
    ) -> StoredDocument:
        """Keep one text. The same text and title again change nothing; the same `uri` replaces what it held.

        From `expires` on (a time, or a length of time such as "30d" or a timedelta) it is found no longer, unless it
        is `pinned`; what is not said of it stays as it was. Raises InputError for an empty text or metadata that is no
        JSON, NotFoundError when it is forgotten at once.
        """
        from vstore.ingest.pipeline import add_document
        from vstore.ingest.read import read_text

        document = read_text(
            text,
            uri=arguments.memory(text, title, uri),
            title=title,
            collection=arguments.collection_name(collection),
            tags=arguments.tag_names(tags),
            metadata=arguments.metadata(metadata),
            media_type=media_type,
            expires_at=arguments.expiry(expires),
            pinned=arguments.pin(pinned),
        )
        add_document(self._index, self._serving.model, document)
        return self._find(document.collection, document.uri)

    def keep(
        self, target: str | Path, *, expires: Any = None, pinned: bool = False, collection: str | None = None
    ) -> list[StoredDocument]:
        """Set when documents expire, as in `remember` (None: never), and whether they are pinned; returns them.

        `target` as in `find`, but what has expired and is still in the file is found, too, and comes back.
        """
        until, pinned = arguments.expiry(expires), arguments.pin(pinned)
        found = self.find(target, collection=collection, expired=True)
        there = self._index.keep([(document.collection, document.uri) for document in found], until, pinned)
        if not any(there):
            raise NotFoundError(f"{target} was forgotten by somebody else just now, or erased because it had expired")
        return [replace(document, expires_at=until, pinned=pinned) for document in compress(found, there)]

    def compact(self) -> Compacted:
        """Erase what has expired, with all that `forget` erases, and give space back. See `Index.compact`."""
        self._journal.settle()
        return self._index.compact()

    def forget(self, target: str | Path | Sequence[StoredDocument], *, collection: str | None = None) -> Forgotten:
        """Remove documents with their text, keywords, vectors and logged mentions; returns what was removed.

        `target` as in `find`, what has expired included, or the documents themselves, none being nothing to do. Raises
        NotFoundError when it names nothing.
        """
        self._journal.settle()  # or a query that is part of the text would be written when the text is gone
        with self._index.bulk():  # which erases what is left of a call that was killed, also when nothing is found
            if isinstance(target, (str, Path)):
                found = self.find(target, collection=collection, expired=True)
            else:
                found = arguments.documents(target)
            if not found:
                return Forgotten(())
            self._index.forget_all((document.collection, document.uri) for document in found)
        return Forgotten(tuple(found), self._index.traces(min(document.created_at for document in found)))

    # --- getting out --------------------------------------------------------------------------------------------------

    def search(
        self,
        query: str,
        k: int = config.DEFAULT_K,
        *,
        mode: Mode = "hybrid",
        fusion: str = config.DEFAULT_FUSION,
        collection: str | Sequence[str] | None = None,
        where: Mapping[str, Any] | None = None,
        tags: Sequence[str] = (),
        since: Any = None,
        until: Any = None,
        explain: bool = False,
        diversity: bool = True,
        collapse: bool = True,
        context: Span = 0,
        context_tokens: int = config.CONTEXT_TOKENS,
        stages: Sequence[Stage] = (),
        exact: bool = False,
    ) -> Results:
        """The best `min(k, matching)` chunks, best first.

        `where` filters by metadata (see `vstore.filters`), `tags` must all be there, `since` and `until` bound the
        time of the last change; filters hold before ranking. `explain` adds the query's words found in each hit.
        `diversity` spreads out the chunks of a document that crowds the first places, `collapse` moves near-copies
        from other documents behind the rest. `context` fills `hit.context` with that many chunks on each side, or with
        the hit's "section" (all chunks under the same heading), up to `context_tokens` for all hits together.
        `stages` are optional ones in the order they act: `vstore.Recency`, `Frequency`, `History` or `Rerank` objects.
        `exact` compares all vectors and reads all postings, where a large store looks at the likely ones only.
        Raises QueryError, FilterError, SpaceMismatchError, and ModelError when a dense search has no model.
        """
        with self._journal.failures():
            filters = {"collection": collection, "where": where, "tags": tags, "since": since, "until": until}
            asked = arguments.asked(
                query, k, mode, fusion, diversity, collapse, context, context_tokens, stages, exact, **filters
            )
            results = twice(lambda: searching.search(self._index, self._serving.embedder, asked, explain=explain))
        self._journal.note(asked, results)
        return results

    def why(
        self,
        /,
        query: str,
        k: int = config.DEFAULT_K,
        *,
        uri: str | Path | None = None,
        chunk_id: int | None = None,
        **options: Any,
    ) -> Explanation:
        """Where a search loses a document (by its uri or path) or a chunk, and the change that brings it back.

        `options` are those of `search`, `explain` aside. The change was tried before it is named. Raises what `search`
        raises, and NotFoundError when there is no such document or chunk.
        """
        if (uri is None) == (chunk_id is None) or not isinstance(chunk_id, (int, type(None))):
            raise InputError("name what to look for: a document by uri=... or a chunk by chunk_id=..., its number")
        target = chunk_id if chunk_id is not None else self.find(str(uri))
        options = {"query": query, "k": k, **options}
        return twice(lambda: explaining.why(self._index, self._serving.embedder, arguments.asked, options, target))

    def get(self, target: str | Path | int, *, collection: str | None = None) -> Content:
        """A document's whole text by its uri or path, or one chunk by its id. Raises NotFoundError."""
        with self._index.snapshot() as snapshot:
            if isinstance(target, int):
                chunk = snapshot.chunks([target]).get(target)
                if chunk is None:
                    raise NotFoundError(f"there is no chunk {target}; it may have been forgotten or replaced")
                return Content(chunk.document, chunk.text, chunk)
            found = self.find(target, collection=collection)
            if len(found) > 1:
                raise NotFoundError(f"{target} names {len(found)} documents; give the uri of one, see: vstore list")
            text = snapshot.text(found[0].id)
            assert text is not None, "read in the same snapshot as the document"
            return Content(found[0], text)

    def documents(
        self,
        *,
        collection: str | Sequence[str] | None = None,
        where: Mapping[str, Any] | None = None,
        tags: Sequence[str] = (),
        since: Any = None,
        until: Any = None,
        limit: int = config.UNLIMITED,
    ) -> list[StoredDocument]:
        """Documents that pass the filters (as in `search`), the most recently changed first."""
        if isinstance(limit, bool) or not isinstance(limit, int) or not 0 < limit <= config.UNLIMITED:
            raise InputError(f"limit is a number of documents, 1 or more, not {limit!r}")
        with self._index.snapshot() as snapshot:
            return snapshot.documents(arguments.scope(collection, where, tags, since, until), limit)

    def find(self, target: str | Path, *, collection: str | None = None, expired: bool = False) -> list[StoredDocument]:
        """Documents by uri or path: the one with that uri, else the file's, else all below that folder or file.

        With `expired` also those that have. Raises NotFoundError when there is none.
        """
        name = str(target)
        with self._index.snapshot() as snapshot:
            for where in arguments.targets(name):
                found = snapshot.documents(arguments.scope(collection, where), config.UNLIMITED, expired=expired)
                if found:
                    return found
        raise NotFoundError(f"the store has no document {name!r}; see what it has with: vstore list")

    def stats(self) -> Statistics:
        """How much is in the store."""
        with self._index.snapshot() as snapshot:
            return snapshot.statistics()

    def search_stats(self) -> SearchStatistics:
        """What searches of this store were like so far: how many, in which modes, how fast, the slow ones."""
        self._journal.flush()
        return self._index.search_statistics()

    def erase_searches(self) -> None:
        """Erase what searches left behind: all figures, slow queries, and the log of queries."""
        self._journal.drop()
        self._index.erase_searches()

    # --- judging ------------------------------------------------------------------------------------------------------

    def feedback(
        self,
        query: str,
        target: str | Path | int,
        relevant: bool = True,
        *,
        grade: float | None = None,
        collection: str | None = None,
    ) -> Judgement:
        """Say whether a chunk (by its id) or a document (by its uri or path) was an answer to the query.

        `grade` says it in degrees: from 0 (not relevant) to 3, `relevant` alone standing for 1. The latest judgement of
        a query and a chunk or document replaces the earlier. Raises NotFoundError when there is no such chunk or
        document, or several; QueryError for an empty query, InputError for a grade out of range.
        """
        (outcome,) = self.judge([Verdict.of(query, target, relevant, grade, collection)])
        if isinstance(outcome, VstoreError):
            raise outcome
        return outcome

    def judge(self, verdicts: Sequence[Verdict]) -> list[Judgement | VstoreError]:
        """`feedback` for many: for each verdict what is kept now, or the error that `feedback` would raise."""
        parts = range(0, len(verdicts), config.JUDGED_AT_ONCE)
        return [outcome for at in parts for outcome in self._index.judge(verdicts[at : at + config.JUDGED_AT_ONCE])]

    def judgements(self) -> list[Judgement]:
        """All that was judged, the newest first; see `Snapshot.judgements` for chunks that are gone."""
        with self._index.snapshot() as snapshot:
            return snapshot.judgements()

    def models(self) -> list[ModelRecord]:
        """The base models and the adapters of queries that this store has had, the newest first."""
        return self._index.models()

    def roll_back(self) -> int:
        """Let the model that served before serve again; its id. Raises NotFoundError when there is none.

        After an adapter nothing is embedded anew; after an encoder, what came in since is embedded by the model before.
        """
        from vstore.ingest import backfill

        model_id = backfill.switch_back(self._index, self._serving.load)
        assert model_id is not None, "there is no deadline"
        return model_id

    # --- keeping safe -------------------------------------------------------------------------------------------------

    def backup(self, target: str | Path, *, overwrite: bool = False) -> BackupReport:
        """Copy the store into a new file, or into a folder under a dated name, and check the copy.

        Others may read and write meanwhile; what they had written when it began is in it. What was forgotten is in no
        byte of it. Raises InputError when the file is there and `overwrite` is false, StoreError when it cannot be
        written; then nothing is left of it.
        """
        self._journal.flush()
        return self._index.backup(target, overwrite=overwrite)

    # --- parts --------------------------------------------------------------------------------------------------------

    def _find(self, collection: str, uri: str) -> StoredDocument:
        with self._index.snapshot() as snapshot:
            found = snapshot.documents(arguments.scope(collection, {"@uri": uri}), 1)
        if not found:
            raise NotFoundError(f"{uri} was remembered, and forgotten by somebody else just after; remember it again")
        return found[0]

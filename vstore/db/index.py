"""`SqliteIndex`: the `Index` protocol over one SQLite file."""

from __future__ import annotations

import json
import time
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from datetime import datetime
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vstore import config
from vstore.calibration import Calibration
from vstore.db import (
    documents,
    drafts,
    encoders,
    expiry,
    feedback,
    journal,
    models,
    runs,
    spaces,
    traces,
)
from vstore.db.adding import NewChunk, Prepared, add_chunks
from vstore.db.analysis import tokenizer
from vstore.db.changes import Change, Version
from vstore.db.clock import from_datetime, now, to_datetime
from vstore.db.connection import Database, generation
from vstore.db.failures import translated
from vstore.db.migrate import latest, migrate
from vstore.db.snapshot import Resident, SqliteSnapshot
from vstore.errors import InputError, StoreBusyError, StoreFullError, VstoreError
from vstore.judgements import Judgement, Verdict
from vstore.results import Compacted
from vstore.runs import Conclusion, RunRecord, SeenQuery
from vstore.searches import Note, SearchStatistics
from vstore.types import (
    Cut,
    ModelRecord,
    Space,
    StoredChunk,
    WriteOutcome,
)

if TYPE_CHECKING:
    from vstore.adapter import Adapter
    from vstore.db.backup import BackupReport
    from vstore.types import FloatArray


class SqliteIndex:
    """`Index` over one SQLite file. Safe to share between threads; not across fork().

    What backs up and compacts is imported where it is asked for: it would be a tenth of the start of every search.
    """

    def __init__(self, path: Path, *, create: bool = True, read_only: bool = False) -> None:
        """Open the file, or make it. Raises StoreError or NotFoundError, and then leaves the file as it was."""
        self._database = Database(path, latest(), create=create, read_only=read_only)
        self._resident = Resident()
        try:
            migrate(self._database)
        except BaseException:
            self._database.close()
            raise

    @property
    def path(self) -> Path:
        """Where the file is, resolved."""
        return self._database.path

    @contextmanager
    def snapshot(self) -> Iterator[SqliteSnapshot]:
        """See `Index.snapshot`."""
        with self._database.read() as connection:
            yield SqliteSnapshot(connection, self._resident)

    @contextmanager
    def bulk(self) -> Iterator[None]:
        """See `Index.bulk`."""
        with suppress(StoreBusyError, StoreFullError):  # it is the next one's turn then
            drafts.sweep(self._database)
        with self._database.bulk():
            yield

    def generation(self) -> int:
        """See `Index.generation`."""
        with self._database.read() as connection:
            return generation(connection)

    def open_space(self, fingerprint: str, dimension: int, model: str, calibration: Calibration | None = None) -> Space:
        """See `Index.open_space`."""
        with self._database.read() as connection:
            space = spaces.active(connection)
        if space is None:
            with self._database.write() as connection:
                # Another process may have been first while this one waited for the lock.
                space = spaces.active(connection) or spaces.open_first(
                    connection, fingerprint, dimension, model, calibration
                )
        space.require(fingerprint)
        return space

    def active_space(self) -> Space | None:
        """See `Index.active_space`."""
        with self._database.read() as connection:
            return spaces.active(connection)

    def lineage(self) -> list[Space]:
        """See `Index.lineage`."""
        with self._database.read() as connection:
            return spaces.lineage(connection)

    def space_of(self, model_id: int) -> Space:
        """See `Index.space_of`."""
        with self._database.read() as connection:
            return spaces.of_model(connection, model_id)

    def content_hash(self, collection: str, uri: str) -> str | None:
        """See `Index.content_hash`."""
        with self._database.read() as connection:
            return documents.content_hash(connection, collection, uri)

    def embedded_chunks(self, names: Sequence[tuple[str, str]]) -> list[frozenset[str]]:
        """See `Index.embedded_chunks`."""
        with self._database.read() as connection:
            space = spaces.active(connection)
            return [documents.embedded_chunks(connection, space, *name) if space else frozenset() for name in names]

    def write(
        self, cuts: Sequence[Cut], vectors: Mapping[str, FloatArray], space: Space
    ) -> list[WriteOutcome | InputError]:
        """See `Index.write`."""
        outcomes: list[WriteOutcome | InputError] = []
        added: list[NewChunk] = []
        names: set[tuple[str, str]] = set()
        try:
            with translated(self.path):
                ready = Prepared.of(tokenizer(self._database.connection()), cuts, vectors)
            with self._database.write() as connection:
                spaces.require_active(connection, space)
                tokenize, until = tokenizer(connection), time.monotonic() + config.WRITE_HOLD_S
                for (document, chunks), packed in zip(cuts, ready.packed, strict=False):
                    name = document.collection, document.uri
                    if name in names:  # the chunks of the one before may not be there yet
                        break
                    names.add(name)
                    version = Version.of(connection, *name)
                    if max(len(chunks), version.count) > config.WRITTEN_AT_ONCE:
                        break
                    change = Change.of(connection, version, document, chunks)
                    added += documents.replace(connection, change, vectors, space, packed)
                    outcomes.append(change.outcome)
                    if len(added) >= config.ADDED_AT_ONCE:
                        add_chunks(connection, tokenize, space, added, ready.words)
                        added.clear()
                    if time.monotonic() >= until:
                        break
                add_chunks(connection, tokenize, space, added, ready.words)
            if not outcomes:
                outcomes.append(drafts.write(self._database, *cuts[0], ready.packed[0], vectors, space))
        except InputError as error:  # and all of them were undone
            tried = cuts[: len(outcomes) + 1]
            return [error] if len(tried) == 1 else self._write_singly(tried, vectors, space)
        return outcomes

    def _write_singly(
        self, cuts: Sequence[Cut], vectors: Mapping[str, FloatArray], space: Space
    ) -> list[WriteOutcome | InputError]:
        """As `write`, each document by itself, up to the first that cannot be stored."""
        outcomes: list[WriteOutcome | InputError] = []
        for cut in cuts:
            outcomes += self.write([cut], vectors, space)
            if isinstance(outcomes[-1], InputError):
                break
        return outcomes

    def save_adapter(
        self,
        adapter: Adapter,
        recipe: Mapping[str, Any],
        scores: Mapping[str, Any],
        calibration: Calibration | None = None,
    ) -> int:
        """See `Index.save_adapter`."""
        with self._database.write() as connection:
            return models.save(connection, adapter, recipe, scores, calibration)

    def activate(self, model_id: int) -> None:
        """See `Index.activate`."""
        with self._database.write() as connection:
            models.activate(connection, model_id)
        self._sweep()

    def way_back(self) -> int:
        """See `Index.way_back`."""
        with self._database.read() as connection:
            return models.way_back(connection)

    def roll_back(self) -> int:
        """See `Index.roll_back`."""
        with self._database.write() as connection:
            parent = models.roll_back(connection)
        self._sweep()
        return parent

    # --- trained encoders ---------------------------------------------------------------------------------------------

    def begin_encoder(self, fingerprint: str, dimension: int, recipe: Mapping[str, Any]) -> int:
        """See `Index.begin_encoder`."""
        with self._database.write() as connection:
            model_id = encoders.begin(connection, fingerprint, dimension, recipe)
        self._sweep()
        return model_id

    def save_file(self, model_id: int, name: str, content: Iterable[bytes]) -> None:
        """See `Index.save_file`."""
        for number, part in enumerate(content):
            with self._database.write() as connection:
                encoders.put_part(connection, model_id, name, number, part)

    def read_file(self, model_id: int, name: str) -> Iterator[bytes]:
        """See `Index.read_file`."""
        for number in count():
            with self._database.read() as connection:
                part = encoders.part(connection, model_id, name, number)
            if part is None:
                return
            yield part

    def lacking(self, space: Space, limit: int, after: int = 0) -> list[StoredChunk]:
        """See `Index.lacking`."""
        with self._database.read() as connection:
            return encoders.lacking(connection, space, after, limit)

    def put_vectors(self, space: Space, vectors: Mapping[int, FloatArray]) -> int:
        """See `Index.put_vectors`."""
        with self._database.write() as connection:
            return encoders.put_vectors(connection, space, vectors)

    def complete_encoder(
        self, model_id: int, scores: Mapping[str, Any], calibration: Calibration | None = None
    ) -> None:
        """See `Index.complete_encoder`."""
        with self._database.write() as connection:
            encoders.complete(connection, model_id, scores, calibration)

    def discard_encoder(self, model_id: int) -> None:
        """See `Index.discard_encoder`."""
        with self._database.write() as connection:
            encoders.discard(connection, model_id)
        self._sweep()

    def _sweep(self) -> None:
        """Erase what nobody can go back to any more, in short transactions; what is left over goes the next time."""
        more = True
        with suppress(StoreBusyError, StoreFullError):  # the switch itself is done
            while more:
                with self._database.write() as connection:
                    more = encoders.sweep(connection)

    def models(self) -> list[ModelRecord]:
        """See `Index.models`."""
        with self._database.read() as connection:
            return models.history(connection)

    def begin_run(self, configuration: Mapping[str, Any]) -> int:
        """See `Index.begin_run`."""
        with self._database.write() as connection:
            return runs.begin(connection, json.dumps(dict(configuration)))

    def watch_queries(self, run_id: int, texts: Sequence[str]) -> None:
        """See `Index.watch_queries`."""
        with self._database.write() as connection:
            runs.watch(connection, run_id, texts)

    def renew_run(self, run_id: int) -> None:
        """See `Index.renew_run`."""
        with self._database.write() as connection:
            runs.renew(connection, run_id)

    def conclude_run(self, run_id: int, conclusion: Conclusion) -> int | None:
        """See `Index.conclude_run`."""
        with self._database.write() as connection:
            promoted = runs.conclude(connection, run_id, conclusion)
        self._sweep()
        return promoted

    def runs(self) -> list[RunRecord]:
        """See `Index.runs`."""
        with self._database.read() as connection:
            return runs.records(connection)

    def run_queries(self, run_id: int) -> list[SeenQuery]:
        """See `Index.run_queries`."""
        with self._database.read() as connection:
            return runs.queries(connection, run_id)

    def keep(self, names: Sequence[tuple[str, str]], until: datetime | None, pinned: bool) -> list[bool]:
        """See `Index.keep`."""
        moment = None if until is None else from_datetime(until)
        with self._database.write() as connection:
            return [expiry.keep(connection, collection, uri, moment, pinned) for collection, uri in names]

    def forget(self, collection: str, uri: str) -> int:
        """See `Index.forget`."""
        return self.forget_all([(collection, uri)])

    def forget_all(self, names: Iterable[tuple[str, str]]) -> int:
        """See `Index.forget_all`."""
        mentions, removed = journal.Mentions(), 0
        left = deque(names)
        while left:
            with self._database.write() as connection:
                until = time.monotonic() + config.WRITE_HOLD_S
                while left:
                    name = left.popleft()
                    mentions.erase(connection, *name)
                    removed += drafts.forget(connection, *name)
                    if time.monotonic() >= until:
                        break
        drafts.sweep(self._database)
        return removed

    def traces(self, since: datetime) -> tuple[str, ...]:
        """See `Index.traces`."""
        with self._database.read() as connection:
            models_ = list(traces.in_models(connection, from_datetime(since)))
        path, emptied = self._database.path, self._database.checkpoint(self._database.connection())
        log = () if emptied else traces.in_log(path)
        return (*log, *models_, *traces.in_copies(path), traces.ELSEWHERE)

    def compact(self) -> Compacted:
        """See `Index.compact`."""
        from vstore.db.compact import compact

        with self._database.read() as connection:
            since = expiry.oldest(connection, now())
        with self._database.bulk():
            report = compact(self._database)
        left = () if since is None else self.traces(to_datetime(since))
        return replace(report, remarks=(*report.remarks, *left))

    def judge(self, verdicts: Sequence[Verdict]) -> list[Judgement | VstoreError]:
        """See `Index.judge`."""
        with self._database.write() as connection:
            return feedback.judge(connection, verdicts)

    def record(self, notes: Sequence[Note]) -> None:
        """Add notes of searches, all or none. Raises StoreError rather than waiting for other writers."""
        with self._database.write_in_passing() as connection:
            journal.record(connection, notes)

    def search_statistics(self) -> SearchStatistics:
        """What the notes of searches add up to."""
        with self._database.read() as connection:
            return journal.collect(connection)

    def erase_searches(self) -> None:
        """Erase everything that searches have left in the file, the log of queries included."""
        with self._database.write() as connection:
            journal.erase(connection)

    def backup(self, target: str | Path, *, overwrite: bool = False) -> BackupReport:
        """See `db.backup.backup`."""
        from vstore.db.backup import backup

        return backup(self._database, target, overwrite=overwrite)

    def close(self) -> None:
        """Close the file. Closing twice does no harm."""
        self._database.close()

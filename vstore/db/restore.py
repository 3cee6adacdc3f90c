"""Putting a backup in the place of a store.

A file that processes may have open is never replaced: its content is, by SQLite's backup API, in one write transaction.
So a kill leaves the old content or the new one, readers end with what they began with, and the next transaction of
every connection sees the new content. What was there is kept beside it.
"""

from __future__ import annotations

import time
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import apsw

from vstore import atomic, config
from vstore.db import backup
from vstore.db.connection import Database, connect, run
from vstore.db.driver import check_driver
from vstore.db.failures import translated
from vstore.db.migrate import latest, migrate, use_write_ahead_log
from vstore.db.sound import reading, require_sound
from vstore.errors import InputError, NotFoundError, StoreDamagedError, StoreError
from vstore.paths import BESIDE, expanded, files_of

_NUMBERED = ("documents", "chunks")  # tables whose ids are never used twice


@dataclass(frozen=True, slots=True)
class RestoreReport:
    """A restored store: what is in it, the file that has what was there before (None: nothing was), and seconds."""

    path: Path
    documents: int
    chunks: int
    kept: Path | None
    seconds: float

    def to_dict(self) -> dict[str, Any]:
        """Plain types only, ready for `json.dumps`."""
        return {
            "path": str(self.path),
            "documents": self.documents,
            "chunks": self.chunks,
            "kept": str(self.kept) if self.kept else None,
            "seconds": self.seconds,
        }


def restore(source: str | Path, path: str | Path) -> RestoreReport:
    """Make the store at `path` what the backup `source` is, whoever has it open; see docs/backup.md.

    A backup of an older vstore is brought to this one's schema. Raises NotFoundError without a source, NotAStoreError,
    NewerStoreError and StoreDamagedError for one that cannot be used, StoreBusyError when another process does not
    stop writing, InputError and StoreError for a place that cannot be written to; then nothing has changed.
    """
    started = time.monotonic()
    check_driver()
    source, path = expanded(source), expanded(path)
    _check_places(source, path)
    require_sound(source, "nothing was changed; restore another backup", deep=True)
    with atomic.translated(path):
        atomic.make_parents(path)
    pages = _page_size(path) if path.exists() else None
    with atomic.partial(path) as prepared, translated(path):
        _prepare(source, prepared, path, pages)
        documents, chunks = backup.contents(prepared)
        if path.exists():
            kept = _replace(path, prepared)
        else:
            kept = None
            atomic.publish(prepared, path)
    return RestoreReport(path, documents, chunks, kept, time.monotonic() - started)


def _check_places(source: Path, path: Path) -> None:
    if not source.exists():
        raise NotFoundError(f"there is no backup at {source}; give the path of a file that vstore backup made")
    if not source.is_file():
        raise InputError(f"{source} is no file; give the path of one that vstore backup made")
    if path.name.endswith(BESIDE):
        raise InputError(f"{path} has the name of a log of SQLite's; give the path of a store with --db")
    if path.is_dir():
        raise InputError(f"{path} is a folder; give the path of a file with --db")
    if path.exists() and path.samefile(source):
        raise InputError(f"{source} is the store itself; give the path of a backup")
    if not path.exists():
        _refuse_orphans(path)


def _refuse_orphans(path: Path) -> None:
    """A log without its store would be taken for that of the restored one, and damage it."""
    left = [log for log in files_of(path) if log.exists()]
    if left:
        names = " and ".join(log.name for log in left)
        raise StoreError(
            f"{path} is gone, but {names} of it lie there and may hold its last writes; bring the file back, or, if "
            "they are of no use, move them away, and restore again"
        )


def _page_size(path: Path) -> int:
    """Bytes of a page of the store that is to be replaced. Raises what opening it raises."""
    with closing(_opened(path)) as database, translated(path):
        return int(run(database.connection(), "PRAGMA page_size")[0][0])


def _prepare(source: Path, prepared: Path, path: Path, pages: int | None) -> None:
    """Copy the backup, into pages of that size, and bring the copy to this version's schema."""
    with reading(source) as connection:
        if pages is not None:
            run(connection, f"PRAGMA page_size = {pages}")
        backup.copy(connection, prepared, path)
    with closing(Database(prepared, latest(), create=False)) as database:
        migrate(database)
    with closing(connect(prepared)) as connection:
        run(connection, "PRAGMA journal_mode = DELETE")  # one file, until it is opened as a store


def _replace(path: Path, prepared: Path) -> Path | None:
    """Replace the content of a store that others may have open; the file that has what was there before."""
    with closing(_opened(path)) as database, closing(connect(prepared)) as new, translated(path):
        live = database.connection()
        use_write_ahead_log(live)
        with live.backup("main", new, "main") as copying:
            copying.step(0)  # copies nothing, and takes the write lock: what is kept now is what will be replaced
            kept = _keep(path)
            try:
                _go_on_numbering(path, new)
                while not copying.done:
                    copying.step(config.RESTORE_PAGES)
            except BaseException:
                if kept and not copying.done:
                    kept.unlink()
                raise
        database.checkpoint(live)
    return kept


def _opened(path: Path) -> Database:
    """The store that is to be replaced, which must be one, sound or not."""
    try:
        return Database(path, latest(), create=False)
    except StoreDamagedError as error:
        raise StoreDamagedError(
            f"{path} cannot even be opened; move it away, together with {path.name}-wal and {path.name}-shm if they "
            "are there, and restore again"
        ) from error


def _keep(path: Path) -> Path | None:
    """Copy what is about to be replaced, if there is anything. What is damaged is copied page by page, as it is."""
    kept = atomic.dated(path.parent, f"{path.stem}.before-restore", ".db")
    with closing(connect(path)) as connection:
        if run(connection, "SELECT count(*) FROM sqlite_schema") == [(0,)]:
            return None
        with atomic.appearing(kept) as partial:
            try:
                backup.copy(connection, partial, kept)
            except StoreDamagedError:
                partial.write_bytes(b"")
                _copy_pages(connection, partial)
    return kept


def _copy_pages(connection: apsw.Connection, path: Path) -> None:
    with closing(apsw.Connection(str(path))) as target, target.backup("main", connection, "main") as copying:
        while not copying.done:
            copying.step(config.RESTORE_PAGES)


def _go_on_numbering(path: Path, new: apsw.Connection) -> None:
    """Let ids go on above all that the store ever gave out: one that somebody kept must not come to mean another text.

    Those of the backup may still mean what others did in between: see `db.connection.generation`.
    """
    numbers = "SELECT name, seq FROM sqlite_sequence"
    with closing(connect(path)) as connection, suppress(apsw.SQLError, apsw.CorruptError):  # it may be damaged
        given = dict(run(connection, numbers))
        here = dict(run(new, numbers))
        for table in _NUMBERED:
            last = max(given.get(table, 0), here.get(table, 0))
            run(new, "DELETE FROM sqlite_sequence WHERE name = ?", (table,))
            run(new, "INSERT INTO sqlite_sequence (name, seq) VALUES (?, ?)", (table, last))

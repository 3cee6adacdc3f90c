"""Connections: one profile, one per thread, and the only two ways to use them, `read()` and `write()`.

The file may be opened through apsw only. A second SQLite library in the process, or a plain `open()` on the file,
silently drops the locks of this one and with them acknowledged commits.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import apsw
import sqlite_vec

from vstore import atomic, config
from vstore.db.driver import check_driver
from vstore.db.failures import translated
from vstore.db.waiting import Turns, wait_up_to
from vstore.errors import (
    NewerStoreError,
    NotAStoreError,
    NotFoundError,
    StoreBusyError,
    StoreDamagedError,
    StoreError,
    StoreFullError,
)
from vstore.paths import BESIDE, expanded, log_of


def connect(path: Path, *, read_only: bool = False) -> apsw.Connection:
    """Open a connection with the one profile all connections have (asserted by tests/db/test_connection.py)."""
    if not read_only:
        connection = apsw.Connection(str(path))
    elif _is_frozen(path):
        flags = apsw.SQLITE_OPEN_READONLY | apsw.SQLITE_OPEN_URI
        connection = apsw.Connection(f"{path.as_uri()}?immutable=1", flags)
    else:
        connection = apsw.Connection(str(path), apsw.SQLITE_OPEN_READONLY)
    try:
        _apply_profile(connection)
    except BaseException:
        connection.close()
        raise
    return connection


def _is_frozen(path: Path) -> bool:
    """Whether nobody can write to a file, so that it has no log, and none can be made, which reading would need."""
    return not os.access(path.parent, os.W_OK) and not log_of(path).exists()


def _apply_profile(connection: apsw.Connection) -> None:
    wait_up_to(connection, config.BUSY_TIMEOUT_MS)
    connection.config(apsw.SQLITE_DBCONFIG_DEFENSIVE, 1)
    connection.config(apsw.SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0)
    connection.config(apsw.SQLITE_DBCONFIG_DQS_DML, 0)
    connection.config(apsw.SQLITE_DBCONFIG_DQS_DDL, 0)
    connection.limit(apsw.SQLITE_LIMIT_LENGTH, config.VALUE_LIMIT)
    connection.enable_load_extension(True)
    connection.load_extension(sqlite_vec.loadable_path())
    connection.enable_load_extension(False)
    for pragma in (
        "foreign_keys = ON",
        "secure_delete = ON",
        "cell_size_check = ON",
        "temp_store = MEMORY",
        "mmap_size = 0",
        "synchronous = FULL",
        "fullfsync = ON",  # on macOS fsync alone does not reach the disk; elsewhere it is the same
        f"cache_size = -{config.PAGE_CACHE_KIB}",
        f"journal_size_limit = {config.WAL_SIZE_LIMIT}",
    ):
        run(connection, f"PRAGMA {pragma}")


def run(connection: apsw.Connection, sql: str, values: tuple[object, ...] = ()) -> list[tuple[Any, ...]]:
    """Execute and fetch everything: an apsw cursor that is not exhausted keeps its transaction open."""
    try:
        return list(connection.execute(sql, values))
    except UnicodeDecodeError as error:
        raise apsw.CorruptError(f"a stored text is no UTF-8: {error}") from error


def run_many(connection: apsw.Connection, sql: str, rows: Iterable[tuple[object, ...]]) -> None:
    """Execute a statement that returns nothing for each row of values, in half the time that each alone takes."""
    connection.executemany(sql, rows)


def generation(connection: apsw.Connection) -> int:
    """A number that changes whenever the whole content was replaced, as `restore` does: SQLite's schema version.

    It also changes when tables come or go. Who keeps anything by the ids of rows has to compare it, in the same read
    transaction: until it changes, an id is never used twice.
    """
    return int(run(connection, "PRAGMA schema_version")[0][0])


def trim(connection: apsw.Connection, table: str, order: str, limit: int) -> None:
    """Keep the last `limit` rows of a table in that order."""
    run(
        connection,
        f"DELETE FROM {table} WHERE id IN (SELECT id FROM {table} ORDER BY {order} DESC, id DESC LIMIT -1 OFFSET ?)",
        (limit,),
    )


def require_ours(connection: apsw.Connection, path: Path, latest: int) -> None:
    """Raise unless the file is new, or ours and not newer than schema `latest`. Reads only."""
    # In one transaction: between two of these, another process may turn a new file into a store.
    run(connection, "BEGIN")
    ((application_id,),) = run(connection, "PRAGMA application_id")
    ((version,),) = run(connection, "PRAGMA user_version")
    ((objects,),) = run(connection, "SELECT count(*) FROM sqlite_schema")
    run(connection, "ROLLBACK")
    is_new = not (objects or application_id or version)
    if not is_new and (application_id != config.APPLICATION_ID or version == 0):
        raise NotAStoreError(f"{path} is an SQLite file of another program; choose another path with --db")
    if version > latest:
        raise NewerStoreError(
            f"{path} was written by a newer vstore (schema {version}, this one knows {latest}); "
            "upgrade vstore, from where it was installed"
        )


# Closing a descriptor drops all locks this process has on the file, so nobody else may be opening it meanwhile.
_creating = threading.Lock()


class Database:
    """The file and this process's connections to it, one for each thread."""

    def __init__(self, path: Path, latest: int, *, create: bool, read_only: bool = False) -> None:
        """Open `path`. Raises NotFoundError when it does not exist and `create` is false, or it is only to be read."""
        check_driver()
        self.path = expanded(path)
        self.read_only = read_only
        self._latest = latest
        self._connections: dict[int, apsw.Connection] = {}
        self._lock = threading.Lock()
        self._pid = os.getpid()
        self._closed = False
        self._turns = Turns()
        self._prepare(create and not read_only)
        self.connection()
        self._identity = self._stat()

    def _prepare(self, create: bool) -> None:
        """Create an empty file only its owner may read, unless one is there."""
        if self.path.is_dir():
            raise NotAStoreError(f"{self.path} is a folder; give the path of a file with --db")
        if self.path.name.endswith(BESIDE):
            raise NotAStoreError(f"{self.path} has the name of a log of SQLite's; give the path of a store with --db")
        with _creating:
            if self._is_there():
                return
            if not create:
                raise NotFoundError(
                    f"there is no store at {self.path}; make one with: vstore --db {self.path} add FILES"
                )
            try:
                atomic.make_parents(self.path)
                os.close(os.open(self.path, os.O_CREAT | os.O_RDWR, 0o600))
            except OSError as error:
                message = f"cannot create {self.path} ({error.strerror}); choose another path with --db"
                raise StoreError(message) from error

    def _is_there(self) -> bool:
        """Whether there is a file to open. Raises StoreError where a new store would take the place of an old one's."""
        log = log_of(self.path)
        logged = log.exists() and log.stat().st_size > 0  # looked at first: who makes a store fills the file before it
        size = self.path.stat().st_size if self.path.exists() else 0
        if logged and not size:
            raise StoreDamagedError(
                f"{self.path} is {'empty' if self.path.exists() else 'gone'}, and its log {log.name} has what was last "
                "written to it; restore a backup, or move the log away to begin anew"
            )
        if size == 1:  # which SQLite would take for an empty file
            raise NotAStoreError(f"{self.path} is not a vstore file; choose another path with --db")
        return self.path.exists()

    def connection(self) -> apsw.Connection:
        """This thread's connection, opened at its first use."""
        if self._closed:
            raise self._was_closed()
        if os.getpid() != self._pid:
            raise StoreError("a store cannot be used across fork(); open a new Store in the child process")
        # Not get_ident(): asking for the thread makes those that Python did not start known to enumerate() as well.
        thread = threading.current_thread().ident
        assert thread is not None, "this thread has started"
        connection = self._connections.get(thread)
        if connection is None:
            with translated(self.path):
                connection = connect(self.path, read_only=self.read_only)
                try:
                    require_ours(connection, self.path, self._latest)
                except BaseException:
                    connection.close()
                    raise
            with self._lock:
                if self._closed:  # meanwhile, so that nobody else would close this one
                    connection.close()
                    raise self._was_closed()
                self._drop_connections_of_ended_threads()
                self._connections[thread] = connection
        return connection

    def _was_closed(self) -> StoreError:
        return StoreError(f"{self.path} was closed; open a new Store")

    def _idle_connection(self) -> apsw.Connection:
        """This thread's connection, which must not be in a transaction, to write to. Raises StoreError when it is."""
        if self.read_only:
            raise StoreError(
                f"{self.path} was opened to be read only; open it without read_only (--read-only) to change it"
            )
        connection = self.connection()
        if connection.in_transaction:
            raise StoreError(f"this thread is in the middle of reading {self.path}; write when the search has ended")
        return connection

    def _drop_connections_of_ended_threads(self) -> None:
        alive = {thread.ident for thread in threading.enumerate()}
        for ident in [ident for ident in self._connections if ident not in alive]:
            self._connections.pop(ident).close()

    @contextmanager
    def read(self) -> Iterator[apsw.Connection]:
        """A read transaction: everything inside sees the file at one moment. Nests into one that is open."""
        connection = self.connection()
        if connection.in_transaction:
            yield connection
            return
        with translated(self.path):
            try:
                run(connection, "BEGIN")
                yield connection
            finally:
                # Out of memory or a failing disk ends a read transaction, too.
                if connection.in_transaction:
                    run(connection, "ROLLBACK")

    @contextmanager
    def write(self) -> Iterator[apsw.Connection]:
        """A write transaction: waits for the lock first, commits at the end, undoes everything on any exception.

        Raises StoreError inside a transaction of the same thread.
        """
        connection = self._idle_connection()
        self._check_identity()
        with translated(self.path):
            try:
                self._turns.give_way()
                run(connection, "BEGIN IMMEDIATE")  # inside, since Ctrl-C while it waits is raised when it has the lock
                yield connection
                run(connection, "COMMIT")
            except BaseException:
                # A failed COMMIT or a full disk may have ended the transaction already.
                if connection.in_transaction:
                    run(connection, "ROLLBACK")
                raise
            finally:
                self._turns.end()
        self._keep_log_small(connection)

    @contextmanager
    def write_in_passing(self) -> Iterator[apsw.Connection]:
        """`write` for what may be lost: it hardly waits for other writers, and not for the disk."""
        connection = self._idle_connection()
        with translated(self.path), self._unsynchronised(connection):
            wait_up_to(connection, config.JOURNAL_BUSY_MS)
            try:
                with self.write():
                    yield connection
            finally:
                wait_up_to(connection, config.BUSY_TIMEOUT_MS)

    @contextmanager
    def bulk(self) -> Iterator[None]:
        """Commits inside wait for the disk only at the end: a power loss before may undo the last ones, whole."""
        connection = self._idle_connection()
        try:
            with self._unsynchronised(connection):
                yield
        finally:
            moved = self.checkpoint(self.connection())
            if not moved:
                # A commit that waits for the disk takes all earlier ones along, so one that changes nothing will do.
                with self.write():
                    run(connection, f"PRAGMA user_version = {self._latest}")

    @contextmanager
    def _unsynchronised(self, connection: apsw.Connection) -> Iterator[None]:
        """Let commits inside not wait for the disk."""
        with translated(self.path):
            ((before,),) = run(connection, "PRAGMA synchronous")  # FULL, unless this is inside another one
        try:
            run(connection, "PRAGMA synchronous = NORMAL")
            yield
        finally:
            try:
                with translated(self.path):
                    run(connection, f"PRAGMA synchronous = {before}")  # which reads the schema if it has changed
            except BaseException:
                self._drop(connection)  # or its later commits would be acknowledged before they are safe
                raise

    def _drop(self, connection: apsw.Connection) -> None:
        """Close this thread's connection; the next use opens another."""
        with self._lock:
            self._connections = {thread: one for thread, one in self._connections.items() if one is not connection}
        connection.close()

    def rewrite(self) -> None:
        """Write the file anew without its free pages; the copy lies in a temporary file meanwhile, not in memory."""
        connection = self._idle_connection()
        self._check_identity()
        with translated(self.path):
            run(connection, "PRAGMA temp_store = FILE")
            try:
                run(connection, "VACUUM")
            finally:
                run(connection, "PRAGMA temp_store = MEMORY")

    def _keep_log_small(self, connection: apsw.Connection) -> None:
        log = log_of(self.path)
        try:
            size = log.stat().st_size
        except FileNotFoundError:
            return
        if size > config.WAL_SIZE_LIMIT:
            self.checkpoint(connection)

    def checkpoint(self, connection: apsw.Connection) -> bool:
        """Move the write-ahead log into the file.

        False when a reader or a full disk was in the way: nothing is lost, and a later one will do it.
        """
        wait_up_to(connection, config.CHECKPOINT_TIMEOUT_MS)
        try:
            return any(self._truncate_log(connection) for _ in range(config.CHECKPOINT_ATTEMPTS))
        except StoreFullError:
            return False
        finally:
            wait_up_to(connection, config.BUSY_TIMEOUT_MS)

    def _truncate_log(self, connection: apsw.Connection) -> bool:
        """Move what can be moved while others write, and then, holding the lock of writers, the little that is left."""
        try:
            with translated(self.path):
                connection.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_PASSIVE)
                connection.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_TRUNCATE)
        except StoreBusyError:
            return False
        return True

    def _stat(self) -> tuple[int, int]:
        status = self.path.stat()
        return status.st_dev, status.st_ino

    def _check_identity(self) -> None:
        """Writing to a file that was replaced or deleted behind our back would lose what we acknowledge."""
        try:
            same = self._stat() == self._identity
        except FileNotFoundError:
            same = False
        if not same:
            raise StoreError(f"{self.path} was replaced or deleted while it was open; open the store again")

    def close(self) -> None:
        """Close every connection; calls that other threads are in the middle of end with StoreError.

        Closing twice does no harm.
        """
        with self._lock:
            self._closed = True
            while self._connections:
                thread, connection = next(iter(self._connections.items()))
                self._end(connection)
                del self._connections[thread]

    def _end(self, connection: apsw.Connection) -> None:
        """Close a connection, after the statement another thread may be running on it."""
        while True:
            try:
                connection.close()
            except apsw.ThreadingViolationError:
                connection.interrupt()
                time.sleep(config.RETRY_MS / 1000)
            else:
                return

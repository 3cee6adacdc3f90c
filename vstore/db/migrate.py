"""Runs migrations/*.sql: in order, each once, all of the missing ones in one transaction."""

from __future__ import annotations

import functools
import time
from importlib import resources

import apsw

from vstore import config
from vstore.db.connection import Database, run
from vstore.db.failures import translated
from vstore.errors import NotAStoreError, StoreError


@functools.cache
def scripts() -> tuple[tuple[int, str], ...]:
    """(version, SQL) of every migration, oldest first."""
    files = [file for file in resources.files("vstore.migrations").iterdir() if file.name.endswith(".sql")]
    return tuple(sorted((int(file.name.split("_")[0]), file.read_text(encoding="utf-8")) for file in files))


def latest() -> int:
    """The schema this version of vstore writes."""
    return scripts()[-1][0]


def migrate(database: Database) -> None:
    """Bring the file to the latest schema. Safe when many processes open a new file at once."""
    connection = database.connection()
    with translated(database.path):
        version = _version(connection)
        if version == latest() and (database.read_only or run(connection, "PRAGMA journal_mode") == [("wal",)]):
            return
        if database.read_only and not version:
            raise NotAStoreError(f"{database.path} is empty; open it without read_only to make a store of it")
        if database.read_only:
            raise StoreError(
                f"{database.path} has schema {version}, and this vstore reads {latest()}; open it once without "
                "read_only to bring it up to date"
            )
        use_write_ahead_log(connection)  # which backups do not have
    with database.write() as connection:
        # Whoever waited for the lock may find the work done, so the version is read again under it.
        current = _version(connection)
        for version, script in scripts():
            if version > current:
                run(connection, script)
        run(connection, f"PRAGMA application_id = {config.APPLICATION_ID}")
        run(connection, f"PRAGMA user_version = {latest()}")


def _version(connection: apsw.Connection) -> int:
    return int(run(connection, "PRAGMA user_version")[0][0])


def use_write_ahead_log(connection: apsw.Connection) -> None:
    """The mode is stored in the file, so it is set once: before the first migration, and when a backup is first opened.

    SQLite waits for nobody here: while another process does the same it answers "busy" at once.
    """
    deadline = time.monotonic() + config.BUSY_TIMEOUT_MS / 1000
    while True:
        try:
            run(connection, "PRAGMA journal_mode = WAL")
            return
        except apsw.BusyError:
            if time.monotonic() > deadline:
                raise
        time.sleep(config.RETRY_MS / 1000)

"""A file with pages that SQLite cannot read: what was put in, copied row by row into a new one that takes its place.

Only what is derived may be lost on the way, and is made anew by the other steps of a repair. Where anything else cannot
be read to its end, nothing is done.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import apsw

from vstore import config
from vstore.db import check_schema
from vstore.db.check_scan import Scan, reading, stream
from vstore.db.connection import run
from vstore.db.failures import translated
from vstore.db.migrate import scripts
from vstore.db.waiting import wait_up_to
from vstore.errors import StoreDamagedError

_SEQUENCE = "sqlite_sequence"  # the highest ids there ever were, so that none is used twice


def salvage(path: Path, work: Path) -> int:
    """Put what can be read of the file at `path` in its place; returns how many rows of vectors and codes were lost.

    `work` is an empty file for the new one. The file changes in one transaction at
    the end. Raises StoreDamagedError when something that was put in cannot be read.
    """
    with translated(path), closing(apsw.Connection(str(work))) as new:
        with reading(path) as (old, _):
            lost = _copied(Scan(old, path, deep=True), new)
        with closing(apsw.Connection(str(path))) as target:
            wait_up_to(target, config.BUSY_TIMEOUT_MS)
            with target.backup("main", new, "main") as backup:
                backup.step()
    return lost


def _copied(scan: Scan, new: apsw.Connection) -> int:
    run(new, f"PRAGMA page_size = {run(scan.connection, 'PRAGMA page_size')[0][0]}")
    run(new, "PRAGMA journal_mode = OFF")
    run(new, "PRAGMA synchronous = OFF")  # it only has to last until it was copied
    run(new, "BEGIN")
    for version, script in scripts():
        if version <= scan.version:
            run(new, script)
    run(new, f"PRAGMA application_id = {config.APPLICATION_ID}")
    run(new, f"PRAGMA user_version = {scan.version}")
    for table in (*check_schema.put_in(scan.version), _SEQUENCE):
        try:
            _copy(scan, new, table, stream(scan.connection, f"SELECT * FROM {table}"))
        except (apsw.CorruptError, apsw.ConstraintError, UnicodeDecodeError) as error:  # rows of noise, too
            raise StoreDamagedError(
                f"{scan.path} has pages that SQLite cannot read, some of the table {table} among them, and nothing was "
                "changed; restore a backup, or save what can be read with: vstore export"
            ) from error
    lost = sum(_copy_readable(scan, new, table) for table in sorted(scan.tables) if check_schema.is_of_space(table))
    run(new, "COMMIT")
    return lost


def _copy(scan: Scan, new: apsw.Connection, table: str, rows: Iterator[tuple[object, ...]]) -> None:
    """Add rows to a table of the same columns, in whatever order these were made there."""
    columns = [name for (name,) in run(scan.connection, "SELECT name FROM pragma_table_info(?) ORDER BY cid", (table,))]
    names = ", ".join(f'"{name}"' for name in columns)
    run(new, f"DELETE FROM {table}")
    new.executemany(f"INSERT INTO {table} ({names}) VALUES ({', '.join('?' * len(columns))})", rows)


def _copy_readable(scan: Scan, new: apsw.Connection, table: str) -> int:
    """Copy the rows of a table of vectors or codes that can be read; returns how many chunks there are none of."""
    ((sql,),) = run(scan.connection, "SELECT sql FROM sqlite_schema WHERE name = ?", (table,))
    run(new, sql)
    ((first, last, count),) = run(new, "SELECT min(id), max(id), count(*) FROM chunks")
    if not count:
        return 0
    _copy(scan, new, table, _readable(scan.connection, table, first, last))
    return int(count - run(new, f"SELECT count(*) FROM {table}")[0][0])


def _readable(connection: apsw.Connection, table: str, first: int, last: int) -> Iterator[tuple[object, ...]]:
    """The rows in a range of ids, but for those on damaged pages: a range that fails is halved."""
    try:
        if last - first < config.REPAIR_ROWS:
            yield from run(connection, f"SELECT * FROM {table} WHERE chunk_id BETWEEN ? AND ?", (first, last))
            return
    except apsw.CorruptError:
        if first == last:
            return
    middle = (first + last) // 2
    yield from _readable(connection, table, first, middle)
    yield from _readable(connection, table, middle + 1, last)

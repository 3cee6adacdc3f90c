"""What all checks share: the file opened for reading alone, one view of it, and how an invariant is put to the test."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import apsw

from vstore import config
from vstore.db.analysis import tokenizer
from vstore.db.connection import run
from vstore.db.waiting import wait_up_to
from vstore.paths import log_of

_SPACE_TABLE = re.compile(r"(vectors|codes)_g([1-9][0-9]*)")


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing that breaks an invariant: what it is, how it is called, and whether repair can mend it."""

    what: str
    name: str = ""
    mendable: bool = False


@dataclass(slots=True)
class Tally:
    """Faults added up: all are counted, the first few are named."""

    affected: int = 0
    mendable: int = 0
    what: Counter[str] = field(default_factory=Counter)
    examples: list[str] = field(default_factory=list)

    def add(self, fault: Fault) -> None:
        """Count one more."""
        self.affected += 1
        self.mendable += fault.mendable
        self.what[fault.what] += 1
        if fault.name and len(self.examples) < config.CHECK_EXAMPLES:
            self.examples.append(fault.name)


Tallies = Mapping[str, Tally]  # by the name of an invariant


@dataclass(frozen=True, slots=True)
class Invariant:
    """What must be true of a file, and how to see whether it is.

    `faults` finds what breaks it; where several invariants are seen in one pass over the file, all of theirs by name.
    `needs` are the tables it reads. `derived` is for what can be made anew from the rest, so that what cannot even be
    read can be mended. `anywhere`: it makes sense for files of newer versions, too.
    """

    name: str
    holds: str
    advice: str
    faults: Callable[[Scan], Iterable[Fault] | Tallies]
    needs: tuple[str, ...] = ()
    deep: bool = False
    derived: bool = False
    warning: bool = False
    anywhere: bool = False


@dataclass(frozen=True, slots=True)
class Kept:
    """A space whose tables are in the file."""

    number: int
    dimension: int


@dataclass
class Scan:
    """One read transaction, and what several checks ask of it."""

    connection: apsw.Connection
    path: Path
    deep: bool
    alone: bool = False  # opened as if nobody could write, for SQLite can keep no locks there
    _passes: dict[object, Tallies] = field(default_factory=dict)

    def tally(self, invariant: Invariant) -> Tally:
        """What breaks an invariant, added up; a pass over the file that several invariants share is made once."""
        known = self._passes.get(invariant.faults)
        found = known if known is not None else invariant.faults(self)
        if isinstance(found, Mapping):
            self._passes[invariant.faults] = found
            return found.get(invariant.name, Tally())
        tally = Tally()
        for fault in found:
            tally.add(fault)
        return tally

    @cached_property
    def application_id(self) -> int:
        """Whose file it is."""
        return int(run(self.connection, "PRAGMA application_id")[0][0])

    @cached_property
    def version(self) -> int:
        """The schema it was written with."""
        return int(run(self.connection, "PRAGMA user_version")[0][0])

    @cached_property
    def tables(self) -> frozenset[str]:
        """The names of all tables and views."""
        sql = "SELECT name FROM sqlite_schema WHERE type IN ('table', 'view')"
        return frozenset(str(row[0]) for row in run(self.connection, sql))

    def columns(self, table: str) -> frozenset[str]:
        """The columns that a table has in this file; none when it is not there."""
        return frozenset(str(row[0]) for row in run(self.connection, "SELECT name FROM pragma_table_info(?)", (table,)))

    @cached_property
    def kept(self) -> list[Kept]:
        """The spaces that have both tables and a row."""
        found = {match.groups() for name in self.tables if (match := _SPACE_TABLE.fullmatch(name))}
        spaces = run(self.connection, "SELECT number, dimension FROM spaces ORDER BY number")
        return [Kept(*row) for row in spaces if {("vectors", str(row[0])), ("codes", str(row[0]))} <= found]

    @cached_property
    def active(self) -> Kept | None:
        """The space that serves, None when the pointer leads to none."""
        rows = run(self.connection, "SELECT m.space FROM active AS a JOIN models AS m ON m.id = a.model")
        return next((space for space in self.kept if rows and space.number == rows[0][0]), None)

    @cached_property
    def tokenize(self) -> apsw.FTS5Tokenizer:
        """The tokenizer of the keyword index."""
        return tokenizer(self.connection)

    def rows(self, sql: str, *values: object) -> Iterator[tuple[Any, ...]]:
        """Rows one by one, so that no table has to fit in memory."""
        return stream(self.connection, sql, *values)

    def batches(self, sql: str, *values: object) -> Iterator[list[tuple[Any, ...]]]:
        """Rows in lists of CHECK_ROWS."""
        batch: list[tuple[Any, ...]] = []
        for row in self.rows(sql, *values):
            batch.append(row)
            if len(batch) == config.CHECK_ROWS:
                yield batch
                batch = []
        if batch:
            yield batch


def stream(connection: apsw.Connection, sql: str, *values: object) -> Iterator[tuple[Any, ...]]:
    """Rows one by one; the cursor is closed also when the rest is not wanted."""
    cursor = connection.execute(sql, values)
    try:
        yield from cursor
    finally:
        cursor.close()


@contextmanager
def reading(path: Path) -> Iterator[tuple[apsw.Connection, bool]]:
    """A connection in a read transaction that cannot write, and whether it looks at the file as if nobody could.

    It needs no extension and leaves no files behind that were not there. Raises apsw.Error for what cannot be read.
    """
    log = log_of(path)
    had_log = log.exists()
    connection, alone = _open(path, had_log)
    try:
        yield connection, alone
    finally:
        connection.close(True)
        if not had_log:
            _tidy(path, log)


def _open(path: Path, had_log: bool) -> tuple[apsw.Connection, bool]:
    try:
        return _begun(str(path), apsw.SQLITE_OPEN_READONLY, path), False
    except (apsw.CantOpenError, apsw.ReadOnlyError):
        # A folder that may not be written to: SQLite cannot keep its locks there. Without a log nobody is writing.
        if had_log:
            raise
    return _begun(f"{path.as_uri()}?immutable=1", apsw.SQLITE_OPEN_READONLY | apsw.SQLITE_OPEN_URI, path), True


def _begun(name: str, flags: int, path: Path) -> apsw.Connection:
    connection = apsw.Connection(name, flags=flags)
    try:
        wait_up_to(connection, config.BUSY_TIMEOUT_MS)
        connection.config(apsw.SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0)
        connection.limit(apsw.SQLITE_LIMIT_LENGTH, config.VALUE_LIMIT)
        # What is copied for a comparison are words of the documents, which are better not written to a disk.
        store = "MEMORY" if path.stat().st_size <= config.CHECK_MEMORY_BYTES else "FILE"
        for pragma in ("cell_size_check = ON", "mmap_size = 0", f"temp_store = {store}"):
            run(connection, f"PRAGMA {pragma}")
        run(connection, "BEGIN")
        run(connection, "SELECT count(*) FROM sqlite_schema")
    except BaseException:
        connection.close(True)
        raise
    return connection


def _tidy(path: Path, log: Path) -> None:
    """Remove the empty log that reading has made: the last connection that may write does so when it is closed."""
    with suppress(FileNotFoundError, apsw.Error):  # somebody else has it open, and will remove it
        if log.stat().st_size == 0:
            connection = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READWRITE)
            try:
                run(connection, "SELECT count(*) FROM sqlite_schema")
            finally:
                connection.close(True)

"""Whether a file may be trusted as a store: asked of every copy before it counts as one, and before it is restored."""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import apsw

from vstore.db.connection import check_file, run
from vstore.db.failures import translated
from vstore.db.migrate import latest
from vstore.errors import NotAStoreError, StoreDamagedError

CHECKS = ("header", "pages", "keywords", "vectors")


@contextmanager
def reading(path: Path) -> Iterator[apsw.Connection]:
    """A connection that reads a file which is not empty."""
    if path.stat().st_size == 0:
        raise NotAStoreError(f"{path} is empty, which no store is")
    with translated(path), closing(apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READWRITE)) as connection:
        yield connection


def require_sound(path: Path, consequence: str) -> tuple[str, ...]:
    """What was checked of a file. Raises NotAStoreError, NewerStoreError, or StoreDamagedError with the consequence."""
    try:
        with reading(path) as connection:
            check_file(connection, path, latest())
            problem = _problem(connection)
    except StoreDamagedError as error:
        problem = str(error.__cause__)
    if problem:
        raise StoreDamagedError(f"{path} is damaged ({problem}); {consequence}")
    return CHECKS


def _problem(connection: apsw.Connection) -> str | None:
    found = str(run(connection, "PRAGMA integrity_check")[0][0])
    if found != "ok":
        return found
    chunks = run(connection, "SELECT id FROM chunks ORDER BY id")
    for table, column in (("chunks_fts_docsize", "id"), ("chunk_terms", "chunk_id")):
        if run(connection, f"SELECT {column} FROM {table} ORDER BY 1") != chunks:
            return f"{table} has other chunks"
    for (table,) in run(connection, "SELECT name FROM sqlite_schema WHERE name GLOB 'vectors_g*'"):
        for vector, crc in connection.execute(f"SELECT vector, crc32 FROM {table}"):
            if zlib.crc32(vector) != crc:
                return f"a vector of {table} is not what was written"
    return None

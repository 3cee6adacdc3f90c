"""The schema is made once, whole, by whoever comes first, and an up-to-date file is only looked at."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import pytest
from db.material import ADD, NAMES, database, put, rows
from db.processes import python, start

from vstore import config
from vstore.db import migrate as migrations
from vstore.db.connection import Database, run
from vstore.db.index import SqliteIndex
from vstore.db.migrate import latest, migrate, scripts
from vstore.errors import StoreDamagedError

OBJECTS = "SELECT type, name, sql FROM sqlite_schema ORDER BY name, type"


def test_migrations_are_numbered_from_1_without_gaps() -> None:
    assert [version for version, _ in scripts()] == list(range(1, latest() + 1))


def test_a_new_file_is_marked_and_has_the_latest_schema(path: Path) -> None:
    database(path).close()
    assert rows(path, "PRAGMA application_id") == [(int.from_bytes(b"vsto", "big"),)]
    assert rows(path, "PRAGMA user_version") == [(latest(),)]
    assert rows(path, "PRAGMA journal_mode") == [("wal",)]


def test_eight_processes_may_open_a_new_file_at_once(tmp_path: Path) -> None:
    script = """
import sys
from pathlib import Path
from vstore.db.index import SqliteIndex
from vstore.errors import StoreError
print("ready", flush=True)
for line in sys.stdin:
    try:
        index = SqliteIndex(Path(line.strip()))
    except StoreError as error:
        print(error, flush=True)
        continue
    with index.snapshot() as snapshot:
        print(snapshot.statistics().schema, flush=True)
    index.close()
"""
    alone = tmp_path / "alone.db"
    database(alone).close()
    processes = [start(script) for _ in range(8)]
    try:
        assert [process.stdout.readline() for process in processes if process.stdout] == ["ready\n"] * 8
        for attempt in range(12):
            path = tmp_path / f"{attempt}.db"
            for process in processes:
                assert process.stdin is not None
                process.stdin.write(f"{path}\n")
                process.stdin.flush()
            answers = [process.stdout.readline() for process in processes if process.stdout]
            assert answers == [f"{latest()}\n"] * 8
            assert rows(path, OBJECTS) == rows(alone, OBJECTS)
            assert rows(path, "PRAGMA integrity_check") == [("ok",)]
    finally:
        outcomes = [process.communicate() for process in processes]
    assert [errors for _, errors in outcomes] == [""] * 8


def test_a_migration_that_fails_half_way_leaves_no_trace(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with closing(SqliteIndex(path)) as index:
        put(index, "a", "some text")
    before = rows(path, OBJECTS)
    known = scripts()
    bad = (latest() + 1, "CREATE TABLE second (a); DELETE FROM documents; INSERT INTO no_such_table VALUES (1)")
    monkeypatch.setattr(migrations, "scripts", lambda: (*known, bad))
    with pytest.raises(StoreDamagedError, match="no such table"):
        SqliteIndex(path)
    monkeypatch.undo()
    assert rows(path, OBJECTS) == before
    assert rows(path, "PRAGMA user_version") == [(latest(),)]
    assert rows(path, "SELECT uri FROM documents") == [("a",)]


def test_only_the_missing_migrations_run_and_what_was_stored_stays(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with closing(SqliteIndex(path)) as index:
        put(index, "a", "some text")
    known, last = scripts(), latest()
    second = (last + 1, "CREATE TABLE second (a)")
    third = (last + 2, "CREATE TABLE third (a); INSERT INTO second VALUES (7)")
    monkeypatch.setattr(migrations, "scripts", lambda: (*known, second, third))
    SqliteIndex(path).close()
    with closing(Database(path, last + 2, create=False)) as opened, opened.read() as connection:
        assert run(connection, "PRAGMA user_version") == [(last + 2,)]
        assert run(connection, "SELECT a, uri FROM second, documents") == [(7, "a")]


def test_a_file_of_every_earlier_schema_gets_the_latest_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    known = scripts()
    new = tmp_path / "new.db"
    database(new).close()
    for version in range(1, latest()):
        path = tmp_path / f"{version}.db"
        with monkeypatch.context() as earlier:
            earlier.setattr(migrations, "scripts", lambda: known[:version])  # noqa: B023 - called in this round
            with closing(database(path)) as opened, opened.write() as connection:
                run(connection, ADD, ("kept",))
        SqliteIndex(path).close()
        assert set(rows(path, OBJECTS)) == set(rows(new, OBJECTS))
        assert rows(path, NAMES) == [("kept",)]


def test_opening_an_up_to_date_file_neither_writes_nor_waits_for_a_writer(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    database(path).close()
    monkeypatch.setattr(config, "BUSY_TIMEOUT_MS", 0)
    script = """
import sys
from pathlib import Path
from vstore.db.connection import Database
from vstore.db.migrate import latest
database = Database(Path(sys.argv[1]), latest(), create=False)
with database.write():
    print("locked", flush=True)
    sys.stdin.readline()
"""
    with start(script, path) as process:
        assert process.stdout is not None
        assert process.stdin is not None
        assert process.stdout.readline() == "locked\n"
        with closing(Database(path, latest(), create=False)) as opened:
            statements: list[str] = []
            opened.connection().set_profile(lambda sql, _: statements.append(sql))
            migrate(opened)
            assert statements == ["PRAGMA user_version", "PRAGMA journal_mode"]
        process.stdin.write("\n")


def test_the_schema_comes_with_the_package_whatever_the_working_folder(tmp_path: Path) -> None:
    script = "import os, sys; os.chdir(sys.argv[1]); from vstore.db.migrate import latest; print(latest())"
    assert python(script, tmp_path) == str(latest())

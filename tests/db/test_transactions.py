"""Reads see one moment, a write happens whole or not at all, and many writes in a row keep the log small."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import apsw
import pytest
from db.material import ADD, NAMES, add, names, rows
from db.processes import python, start

from vstore import config
from vstore.db import connection as connection_module
from vstore.db import waiting
from vstore.db.connection import Database, run
from vstore.db.migrate import latest
from vstore.errors import InputError, StoreBusyError, StoreError

# --- reading and writing ----------------------------------------------------------------------------------------------


def test_a_read_sees_one_moment_while_another_connection_commits(opened: Database, path: Path) -> None:
    add(opened, "before")
    with closing(Database(path, latest(), create=False)) as other, opened.read() as connection:
        assert run(connection, NAMES) == [("before",)]
        add(other, "meanwhile")
        assert run(connection, NAMES) == [("before",)]
    assert names(opened) == ["before", "meanwhile"]


def test_a_read_inside_a_read_sees_the_same_moment(opened: Database, path: Path) -> None:
    with closing(Database(path, latest(), create=False)) as other, opened.read() as connection:
        assert run(connection, NAMES) == []
        add(other, "meanwhile")
        assert names(opened) == []
        assert connection.in_transaction


@pytest.mark.parametrize("kind", [ValueError, KeyboardInterrupt, SystemExit, GeneratorExit])
def test_any_exception_undoes_the_whole_write(opened: Database, kind: type[BaseException]) -> None:
    def fail() -> None:
        with opened.write() as connection:
            run(connection, ADD, ("half",))
            raise kind

    with pytest.raises(kind):
        fail()
    add(opened, "whole")
    assert names(opened) == ["whole"]


def test_a_read_from_a_failing_disk_says_so(path: Path) -> None:
    """SQLite ends the transaction by itself then; that must not hide the error."""
    script = """
import sys
from pathlib import Path
from db.material import ADD, NAMES, add, database, names
from faults.disk import Disk
from vstore.db.connection import run
from vstore.errors import StoreError
path, disk = Path(sys.argv[1]), Disk("broken")
opened = database(path)
add(opened, "x" * 100_000)
opened.close()
with disk.mounted():
    opened = database(path)
try:
    with opened.read() as connection:
        run(connection, "SELECT count(*) FROM sqlite_schema")
        disk.reads_fail = True
        run(connection, NAMES)
except StoreError as error:
    print(error)
disk.heal()
assert names(opened) == ["x" * 100_000]
"""
    assert python(script, path).startswith(f"reading or writing {path} failed (the disk is broken); check the disk")


def test_text_that_is_not_unicode_is_refused_and_the_write_undone(opened: Database) -> None:
    with pytest.raises(InputError, match=r"lone surrogate \('\\ud800'\)"), opened.write() as connection:
        run(connection, ADD, ("fine",))
        run(connection, ADD, ("\ud800",))
    assert names(opened) == []


def test_a_second_writer_is_told_that_the_store_is_busy_when_the_timeout_is_over(
    opened: Database, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(config, "BUSY_TIMEOUT_MS", 300)
    with closing(Database(path, latest(), create=False)) as other, opened.write():
        started = time.monotonic()
        with pytest.raises(StoreBusyError, match=f"another process is writing to {path}; try again"):
            add(other, "late")
        assert 0.25 < time.monotonic() - started < 2.0
    add(opened, "after")
    assert names(opened) == ["after"]


def test_a_second_writer_waits_for_the_first(opened: Database, path: Path) -> None:
    script = """
import sys
from pathlib import Path
from vstore.db.connection import Database, run
from vstore.db.migrate import latest
database = Database(Path(sys.argv[1]), latest(), create=False)
with database.write() as connection:
    run(connection, "INSERT INTO collections (name, created_at) VALUES ('first', 0)")
    print("locked", flush=True)
    sys.stdin.readline()
database.close()
"""
    with start(script, path) as process:
        assert process.stdout is not None
        assert process.stdin is not None
        assert process.stdout.readline() == "locked\n"
        timer = threading.Timer(0.2, print, args=[""], kwargs={"file": process.stdin, "flush": True})
        timer.start()
        add(opened, "second")
        timer.join()
    assert names(opened) == ["first", "second"]


@pytest.fixture
def ctrl_c() -> Iterator[None]:
    """Ctrl-C raises KeyboardInterrupt, also in a worker of pytest-xdist, which ignores it."""
    usual = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, usual)


def test_between_two_writes_others_have_time_to_see_that_the_first_is_over(
    opened: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    paused: list[float] = []
    monkeypatch.setattr(config, "WRITE_PAUSE_S", 60.0)
    monkeypatch.setattr(waiting, "time", SimpleNamespace(perf_counter=time.perf_counter, sleep=paused.append))
    add(opened, "one")
    paused.clear()
    add(opened, "another")
    (pause,) = paused
    assert 0.0 < pause <= 60.0  # what is left of it since the first one


@pytest.mark.usefixtures("ctrl_c")
def test_ctrl_c_while_waiting_for_the_lock_leaves_it_to_others(opened: Database, path: Path) -> None:
    with closing(Database(path, latest(), create=False)) as other:
        held, release = threading.Event(), threading.Event()

        def hold() -> None:
            with other.write():
                held.set()
                release.wait()

        def interrupt() -> None:
            os.kill(os.getpid(), signal.SIGINT)
            release.set()

        holder, interrupter = threading.Thread(target=hold), threading.Timer(0.2, interrupt)
        holder.start()
        held.wait()
        interrupter.start()
        with pytest.raises(KeyboardInterrupt):
            add(opened, "interrupted")
        holder.join()
        interrupter.join()
        add(other, "other")
    add(opened, "mine")
    assert sorted(names(opened)) == ["mine", "other"]


@pytest.mark.parametrize("way", ["write", "write_in_passing", "bulk"])
def test_a_write_inside_a_read_of_the_same_thread_is_refused_and_harms_nothing(opened: Database, way: str) -> None:
    with opened.read() as connection:
        with pytest.raises(StoreError, match=r"in the middle of reading .*; write when"), getattr(opened, way)():
            raise AssertionError("not reached")
        assert connection.in_transaction
    add(opened, "after")
    assert (names(opened), synchronous(opened)) == (["after"], 2)


# --- bulk writes and the log ------------------------------------------------------------------------------------------


def synchronous(opened: Database) -> Any:
    return run(opened.connection(), "PRAGMA synchronous")[0][0]


def test_bulk_waits_for_the_disk_only_at_its_end_and_then_empties_the_log(opened: Database, path: Path) -> None:
    with opened.bulk():
        assert synchronous(opened) == 1  # NORMAL
        add(opened, "a")
    assert synchronous(opened) == 2  # FULL
    assert path.with_name("memory.db-wal").stat().st_size == 0


def test_bulk_goes_back_to_full_safety_after_an_exception(opened: Database) -> None:
    with pytest.raises(KeyboardInterrupt), opened.bulk():
        add(opened, "a")
        raise KeyboardInterrupt
    assert synchronous(opened) == 2
    assert names(opened) == ["a"]


@pytest.mark.parametrize("way", ["write_in_passing", "bulk"])
def test_a_connection_that_cannot_go_back_to_full_safety_is_not_used_again(
    opened: Database, monkeypatch: pytest.MonkeyPatch, way: str
) -> None:
    """What it acknowledged later would not be on the disk."""
    refused = []

    def fail_once(connection: apsw.Connection, sql: str, *values: Any) -> Any:
        if sql == "PRAGMA synchronous = 2" and not refused:
            refused.append(connection)
            raise apsw.IOError("reading the schema failed")
        return run(connection, sql, *values)

    monkeypatch.setattr(connection_module, "run", fail_once)
    with pytest.raises(StoreError, match="reading the schema failed"), getattr(opened, way)():
        pass
    assert opened.connection() is not refused[0]
    assert synchronous(opened) == 2
    add(opened, "after")
    assert names(opened) == ["after"]


def test_after_bulk_everything_is_on_the_disk_even_with_a_reader_in_the_way(path: Path) -> None:
    """Seen from below SQLite: the last thing that happens to the log is a sync."""
    script = """
import sys
from pathlib import Path
from db.material import NAMES, add, database
from faults.disk import Disk
from vstore.db.connection import run
path, disk = Path(sys.argv[1]), Disk("watched")
with disk.mounted():
    writer, reader = database(path), database(path)
writer.checkpoint(writer.connection())
with reader.read() as connection:
    run(connection, NAMES)
    with writer.bulk():
        add(writer, "a")
    print(disk.log_events[-1])
"""
    assert python(script, path) == "sync"
    assert rows(path, NAMES) == [("a",)]


def test_the_log_stays_small_while_much_is_written(
    opened: Database, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(config, "WAL_SIZE_LIMIT", 256 * 1024)
    log, largest = path.with_name("memory.db-wal"), 0
    with opened.bulk():
        for number in range(60):
            add(opened, f"{number} " + "x" * 50_000)
            largest = max(largest, log.stat().st_size)
    assert largest < 2 * 256 * 1024
    assert path.stat().st_size > 60 * 50_000


def test_a_reader_delays_the_emptying_of_the_log_but_no_write(
    opened: Database, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(config, "WAL_SIZE_LIMIT", 10_000)
    monkeypatch.setattr(config, "CHECKPOINT_TIMEOUT_MS", 1)
    with closing(Database(path, latest(), create=False)) as other, other.read() as connection:
        run(connection, NAMES)
        add(opened, "a" * 20_000)
        assert path.with_name("memory.db-wal").stat().st_size > 10_000
    add(opened, "b")
    assert path.with_name("memory.db-wal").stat().st_size == 0

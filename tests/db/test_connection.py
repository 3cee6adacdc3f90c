"""Every connection has the one profile, each thread its own, and only files of ours that are still there are used."""

from __future__ import annotations

import _thread
import os
import queue
import threading
from contextlib import closing
from pathlib import Path

import apsw
import pytest
from db.material import NAMES, add, database, names, rows
from db.processes import python

from vstore import config
from vstore.db import connection as connection_module
from vstore.db.connection import Database, run
from vstore.db.driver import check_driver
from vstore.db.failures import MEANINGS, translated
from vstore.errors import DriverError, NotFoundError, StoreError

# --- the profile ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("pragma", "value"),
    [
        ("journal_mode", "wal"),
        ("foreign_keys", 1),
        ("secure_delete", 1),
        ("cell_size_check", 1),
        ("trusted_schema", 0),
        ("temp_store", 2),  # MEMORY
        ("synchronous", 2),  # FULL
        ("fullfsync", 1),
        ("mmap_size", 0),
        ("journal_size_limit", 8 * 2**20),
        ("cache_size", -64 * 1024),
    ],
)
def test_every_connection_has_the_profile(opened: Database, pragma: str, value: object) -> None:
    found: list[object] = []

    def ask() -> None:
        found.append(run(opened.connection(), f"PRAGMA {pragma}")[0][0])

    ask()
    thread = threading.Thread(target=ask)
    thread.start()
    thread.join()
    assert found == [value, value]


def test_defensive_mode_is_on_and_double_quotes_never_make_strings(opened: Database) -> None:
    connection = opened.connection()
    assert connection.config(apsw.SQLITE_DBCONFIG_DEFENSIVE, -1) == 1
    with pytest.raises(apsw.SQLError, match="may not be modified"):
        run(connection, "DELETE FROM chunks_fts_data")
    with pytest.raises(apsw.SQLError, match="no such column"):
        run(connection, 'SELECT "no_such_column"')
    with pytest.raises(apsw.SQLError, match="no such column"):
        run(connection, 'CREATE TABLE odd (a CHECK (a <> "no_such_column"))')


def test_sqlite_vec_is_there_but_no_other_extension_can_be_loaded(opened: Database) -> None:
    connection = opened.connection()
    assert run(connection, "SELECT vec_length(vec_f32('[1, 2, 3]'))") == [(3,)]
    with pytest.raises(apsw.Error, match="not authorized"):
        connection.load_extension("anything")
    with pytest.raises(apsw.Error, match="not authorized"):
        run(connection, "SELECT load_extension('anything')")


def test_one_value_cannot_exceed_the_limit(opened: Database) -> None:
    assert opened.connection().limit(apsw.SQLITE_LIMIT_LENGTH) == config.VALUE_LIMIT


def test_a_driver_below_the_floor_is_refused(monkeypatch: pytest.MonkeyPatch, path: Path) -> None:
    monkeypatch.setattr(apsw, "sqlite_lib_version", lambda: "3.51.2")
    with pytest.raises(DriverError, match=r"SQLite 3\.51\.2 can lose .* needs 3\.51\.3 or later: pip install"):
        Database(path, 1, create=True)
    assert not path.exists()
    monkeypatch.setattr(apsw, "sqlite_lib_version", lambda: "3.51.3")
    check_driver()


def test_a_driver_without_fts5_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(apsw, "compile_options", ("THREADSAFE=1",))
    with pytest.raises(DriverError, match=r"without FTS5; .*pip install"):
        check_driver()


# --- making the file --------------------------------------------------------------------------------------------------


def test_only_the_owner_may_read_a_new_file_and_its_new_folders_whatever_the_umask(tmp_path: Path) -> None:
    path = tmp_path / "new" / "newer" / "memory.db"
    before = os.umask(0)
    try:
        with closing(database(path)) as opened:
            add(opened, "a")
            log = path.with_name("memory.db-wal")
            assert [oct(file.stat().st_mode & 0o777) for file in (path, log)] == ["0o600", "0o600"]
    finally:
        os.umask(before)
    assert [oct(folder.stat().st_mode & 0o777) for folder in (path.parent, path.parent.parent)] == ["0o700", "0o700"]


def test_without_create_a_missing_file_is_not_found_and_not_made(path: Path) -> None:
    with pytest.raises(NotFoundError, match=f"no store at {path}; make one with: vstore --db {path} add"):
        Database(path, 1, create=False)
    assert not path.exists()


def test_a_file_below_a_file_cannot_be_made(path: Path) -> None:
    path.write_text("in the way")
    with pytest.raises(StoreError, match=r"cannot create .*memory\.db/a\.db .*; choose another path"):
        Database(path / "a.db", 1, create=True)


# --- threads, processes, replaced files -------------------------------------------------------------------------------


def test_each_thread_has_its_own_connection_and_keeps_it(opened: Database) -> None:
    found: list[apsw.Connection] = [opened.connection(), opened.connection()]
    thread = threading.Thread(target=lambda: found.extend((opened.connection(), opened.connection())))
    thread.start()
    thread.join()
    assert found[0] is found[1]
    assert found[2] is found[3]
    assert found[0] is not found[2]


def test_connections_of_ended_threads_are_closed_when_the_next_thread_comes(opened: Database) -> None:
    found: dict[str, apsw.Connection] = {}
    first_is_gone = threading.Event()

    def come_later() -> None:
        first_is_gone.wait(10)
        found["later"] = opened.connection()

    # Both run at once for a while, so that the second cannot be given the number of the first.
    later = threading.Thread(target=come_later)
    later.start()
    first = threading.Thread(target=lambda: found.update(first=opened.connection()))
    first.start()
    first.join()
    first_is_gone.set()
    later.join()
    with pytest.raises(apsw.ConnectionClosedError):
        run(found["first"], "SELECT 1")
    assert run(found["later"], "SELECT 1") == run(opened.connection(), "SELECT 1") == [(1,)]


def test_a_thread_that_python_did_not_register_keeps_its_connection(opened: Database) -> None:
    first: queue.Queue[object] = queue.Queue()
    go_on, second = threading.Event(), queue.Queue[object]()

    def low_level() -> None:
        connection = opened.connection()
        first.put(connection)
        go_on.wait(10)
        second.put(opened.connection() is connection and run(connection, "SELECT 1"))

    _thread.start_new_thread(low_level, ())
    first.get(timeout=10)
    other = threading.Thread(target=opened.connection)
    other.start()
    other.join()
    go_on.set()
    assert second.get(timeout=10) == [(1,)]


def test_a_closed_database_says_so_and_closing_twice_does_no_harm(opened: Database) -> None:
    opened.close()
    opened.close()
    with pytest.raises(StoreError, match=r"was closed; open a new Store"):
        names(opened)


def test_a_connection_opened_while_the_database_is_closed_does_not_stay_open(
    opened: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    original, made = connection_module.require_ours, []

    def close_meanwhile(connection: apsw.Connection, path: Path, latest: int) -> None:
        original(connection, path, latest)
        made.append(connection)
        opened.close()

    monkeypatch.setattr(connection_module, "require_ours", close_meanwhile)
    refused: list[StoreError] = []

    def work() -> None:
        with pytest.raises(StoreError, match="was closed; open a new Store") as caught:
            opened.connection()
        refused.append(caught.value)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert len(refused) == 1
    with pytest.raises(apsw.ConnectionClosedError):
        made[0].execute("SELECT 1")


def test_a_child_process_is_refused_and_the_parent_goes_on(path: Path) -> None:
    script = """
import os, sys
from pathlib import Path
from db.material import database
from vstore.db.connection import run
from vstore.errors import StoreError
opened = database(Path(sys.argv[1]))
with opened.write() as connection:
    run(connection, "INSERT INTO collections (name, created_at) VALUES ('before', 0)")
child = os.fork()
if child == 0:
    try:
        with opened.read():
            os._exit(1)
    except StoreError as error:
        print(error, flush=True)
    opened.close()
    os._exit(7)
assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7
with opened.write() as connection:
    run(connection, "INSERT INTO collections (name, created_at) VALUES ('after', 0)")
opened.close()
"""
    assert python(script, path) == "a store cannot be used across fork(); open a new Store in the child process"
    assert rows(path, NAMES) == [("before",), ("after",)]
    assert rows(path, "PRAGMA integrity_check") == [("ok",)]


@pytest.mark.parametrize("fate", ["deleted", "replaced"])
def test_a_file_that_is_gone_or_another_one_is_not_written_to(opened: Database, path: Path, fate: str) -> None:
    path.rename(path.with_name("moved.db"))
    if fate == "replaced":
        path.write_bytes(b"")
    with pytest.raises(StoreError, match=r"was replaced or deleted while it was open; open the store again"):
        add(opened, "lost")
    assert not path.exists() or path.read_bytes() == b""


def test_sqlite_errors_without_a_meaning_for_users_pass_unchanged(path: Path) -> None:
    with pytest.raises(apsw.MisuseError), translated(path):
        raise apsw.MisuseError("a bug of ours")


@pytest.mark.parametrize(("kind", "ours", "message"), MEANINGS)
def test_every_sqlite_error_that_users_can_meet_becomes_ours_and_names_the_file(
    path: Path, kind: type[apsw.Error], ours: type[StoreError], message: str
) -> None:
    with pytest.raises(ours) as caught, translated(path):
        raise kind("the reason")
    assert str(path) in str(caught.value)
    assert str(caught.value) == message.format(path=path, error="the reason")
    assert isinstance(caught.value.__cause__, kind)

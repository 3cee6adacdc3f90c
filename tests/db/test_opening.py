"""What is not a store of ours is refused with a reason, and not one byte of it changes."""

from __future__ import annotations

import os
import random
import stat
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest
from db.material import database, put, rows
from db.processes import python

from vstore import config
from vstore.db.connection import connect, require_ours
from vstore.db.index import SqliteIndex
from vstore.db.migrate import latest
from vstore.errors import NewerStoreError, NotAStoreError, StoreBusyError, StoreDamagedError, StoreError

FOREIGN = """
import sys, apsw
connection = apsw.Connection(sys.argv[1])
connection.execute("CREATE TABLE notes (text)")
connection.execute("INSERT INTO notes VALUES ('mine')")
"""
SET_PRAGMA = "import sys, apsw; apsw.Connection(sys.argv[1]).execute(f'PRAGMA {sys.argv[2]}')"


def make_store(path: Path) -> None:
    index = SqliteIndex(path)
    for number in range(20):
        put(index, f"{number}", f"some words, {number}" * 50)
    index.close()


def make_text(path: Path) -> None:
    path.write_text("Dear diary, this is not a database. " * 40)


def make_short_text(path: Path) -> None:
    path.write_text("hi")


def make_noise(path: Path) -> None:
    path.write_bytes(random.Random(3).randbytes(20_000))


def make_noise_behind_a_good_header(path: Path) -> None:
    make_store(path)
    content = path.read_bytes()
    path.write_bytes(content[:100] + random.Random(3).randbytes(len(content) - 100))


def make_header_only(path: Path) -> None:
    make_store(path)
    path.write_bytes(path.read_bytes()[:64])


def make_cut_off_store(path: Path) -> None:
    make_store(path)
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])


def make_foreign(path: Path) -> None:
    python(FOREIGN, path)


def make_foreign_with_mark(path: Path) -> None:
    python(SET_PRAGMA, path, "application_id = 4711")


def make_foreign_with_version(path: Path) -> None:
    python(SET_PRAGMA, path, "user_version = 1")


def make_newer(path: Path) -> None:
    make_store(path)
    python(SET_PRAGMA, path, "user_version = 99")


@pytest.mark.parametrize(
    ("make", "kind", "message"),
    [
        (make_text, NotAStoreError, "is not a vstore file; choose another path with --db"),
        (make_short_text, NotAStoreError, "is not a vstore file; choose another path with --db"),
        (make_noise, NotAStoreError, "is not a vstore file; choose another path with --db"),
        (make_header_only, StoreDamagedError, "is damaged; restore a backup"),
        (make_noise_behind_a_good_header, StoreDamagedError, "is damaged; restore a backup"),
        (make_cut_off_store, StoreDamagedError, "is damaged; restore a backup"),
        (make_foreign, NotAStoreError, "is an SQLite file of another program; choose another path with --db"),
        (make_foreign_with_mark, NotAStoreError, "is an SQLite file of another program"),
        (make_foreign_with_version, NotAStoreError, "is an SQLite file of another program"),
        (make_newer, NewerStoreError, rf"newer vstore \(schema 99, this one knows {latest()}\); upgrade vstore"),
    ],
)
@pytest.mark.parametrize("create", [True, False])
def test_a_file_that_is_no_store_for_us_is_refused_and_left_as_it_was(
    path: Path, make: Callable[[Path], None], kind: type[StoreError], message: str, create: bool
) -> None:
    make(path)
    before = path.read_bytes()
    with pytest.raises(kind, match=message) as caught:
        SqliteIndex(path, create=create)
    assert type(caught.value) is kind
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)
    assert path.read_bytes() == before
    assert [file.name for file in path.parent.iterdir()] == [path.name]


def test_a_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(NotAStoreError, match=f"{tmp_path} is a folder; give the path of a file with --db"):
        SqliteIndex(tmp_path)


def test_an_empty_file_becomes_a_store(path: Path) -> None:
    """A process killed right after making the file leaves one behind; so does mktemp."""
    path.touch()
    SqliteIndex(path).close()
    assert rows(path, "PRAGMA user_version") == [(latest(),)]


def test_a_file_that_becomes_a_store_while_it_is_looked_at_is_not_taken_for_another_programs(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(config, "BUSY_TIMEOUT_MS", 0)
    path.touch()

    def meanwhile(_: object, sql: str, __: object) -> bool:
        if sql == "PRAGMA user_version":
            with suppress(StoreBusyError):
                database(path).close()
        return True

    connection = connect(path)
    connection.exec_trace = meanwhile
    require_ours(connection, path, latest())
    connection.close()
    SqliteIndex(path).close()


def test_a_link_is_followed_to_the_store(path: Path, tmp_path: Path) -> None:
    make_store(path)
    link = tmp_path / "link.db"
    link.symlink_to(path)
    index = SqliteIndex(link)
    assert index.path == path.resolve()
    index.close()


READ_ONLY = """
import os, sys, tempfile
from contextlib import closing
from pathlib import Path
from db.material import put
from vstore.db.connection import connect
from vstore.db.index import SqliteIndex
from vstore.errors import StoreError
# Everything is imported, and sqlite-vec loaded, before the interpreter's own files may become unreadable.
keep = connect(":memory:")
with tempfile.TemporaryDirectory() as folder, closing(SqliteIndex(Path(folder, "a.db"))) as index:
    put(index, "a", "text")
if os.getuid() == 0:  # permissions do not bind the superuser
    os.setgroups([])
    os.setgid(65534)
    os.setuid(65534)
try:
    index = SqliteIndex(Path(sys.argv[1]))
    put(index, "new", "new text")
except StoreError as error:
    print(type(error).__name__, error)
"""


@pytest.mark.parametrize(
    ("what", "file_mode", "folder_mode"),
    [("file", 0o444, 0o777), ("folder", 0o666, 0o555), ("file and folder", 0o444, 0o555), ("secret", 0o000, 0o555)],
)
def test_what_may_not_be_written_is_refused_and_unchanged(
    path: Path, what: str, file_mode: int, folder_mode: int
) -> None:
    make_store(path)
    open_the_way_to(path)
    path.chmod(file_mode)
    path.parent.chmod(folder_mode)
    try:
        said = python(READ_ONLY, path)
    finally:
        path.parent.chmod(0o700)
        path.chmod(0o600)
    assert said.startswith("StoreError ")
    assert str(path) in said
    assert "check" in said
    assert rows(path, "SELECT count(*) FROM documents") == [(20,)]


def test_a_folder_without_permission_gets_no_new_store(path: Path) -> None:
    open_the_way_to(path)
    path.parent.chmod(0o555)
    try:
        said = python(READ_ONLY, path)
    finally:
        path.parent.chmod(0o700)
    assert said.startswith(f"StoreError cannot create {path} (Permission denied); choose another path")
    assert not path.exists()


def open_the_way_to(path: Path) -> None:
    """Let any user reach the test's folder, as far as it is ours."""
    for folder in path.parents:
        if folder.stat().st_uid == os.getuid() and folder != Path("/"):
            folder.chmod(stat.S_IMODE(folder.stat().st_mode) | 0o055)


@pytest.mark.parametrize("suffix", ["-wal", "-shm", "-journal"])
def test_no_store_has_the_name_of_a_log_of_another(path: Path, suffix: str) -> None:
    """SQLite would take it for that log, and throw away what is in either of the two."""
    make_store(path)
    log = path.with_name(path.name + suffix)
    with pytest.raises(NotAStoreError, match="has the name of a log of SQLite's"):
        SqliteIndex(log)
    assert not log.exists()

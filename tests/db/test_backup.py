"""A backup is a state that the store had, whole and checked, or there is none."""

from __future__ import annotations

import errno
import os
import stat
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import apsw
import pytest
from db.material import assert_consistent, put, rows
from db.processes import python, start

from vstore import atomic, processes
from vstore.db import backup as backups
from vstore.db.connection import connect, run
from vstore.db.index import SqliteIndex
from vstore.errors import InputError, StoreDamagedError, StoreError, StoreFullError

URIS = "SELECT uri FROM documents ORDER BY id"
POSIX = pytest.mark.skipif(os.name != "posix", reason="POSIX permissions and processes")


@pytest.fixture
def target(tmp_path: Path) -> Path:
    (tmp_path / "safe").mkdir()
    return tmp_path / "safe" / "copy.db"


@pytest.fixture
def index(path: Path) -> Iterator[SqliteIndex]:
    with closing(SqliteIndex(path)) as opened:
        for number in range(3):
            put(opened, f"{number}", f"text number {number}", "and more", title="Numbers")
        yield opened


def folder(path: Path) -> list[str]:
    return sorted(entry.name for entry in path.parent.iterdir())


def test_a_backup_is_a_store_of_its_own(index: SqliteIndex, target: Path) -> None:
    report = index.backup(target)
    assert (report.path, report.documents, report.chunks) == (target, 3, 6)
    assert report.bytes == target.stat().st_size
    assert report.checks
    assert folder(target) == ["copy.db"]
    with closing(SqliteIndex(target, create=False)) as copy, closing(connect(target)) as connection:
        put(copy, "3", "another text")
        assert run(connection, "PRAGMA journal_mode") == [("wal",)]
    assert rows(target, URIS) == [("0",), ("1",), ("2",), ("3",)]
    assert rows(index.path, URIS) == [("0",), ("1",), ("2",)]
    assert_consistent(target)


@POSIX
def test_only_the_owner_may_read_a_backup_whatever_the_umask(index: SqliteIndex, target: Path) -> None:
    before = os.umask(0)
    try:
        index.backup(target)
    finally:
        os.umask(before)
    assert stat.S_IMODE(target.stat().st_mode) == 0o600


def test_a_folder_gets_a_file_with_the_store_s_name_and_the_time(index: SqliteIndex, target: Path) -> None:
    first = index.backup(target.parent).path
    second = index.backup(target.parent).path
    assert first != second
    for path in (first, second):
        assert path.parent == target.parent
        stem, moment = path.stem.split("-", 1)
        assert stem == "memory" and moment[:8].isdecimal()
        assert_consistent(path)


def test_nothing_is_overwritten_unasked(index: SqliteIndex, target: Path) -> None:
    target.write_text("mine")
    with pytest.raises(InputError, match="is there already; choose another name"):
        index.backup(target)
    assert target.read_text() == "mine"
    index.backup(target, overwrite=True)
    assert rows(target, URIS) == [("0",), ("1",), ("2",)]
    assert folder(target)[0] == "copy.db"


def test_a_file_that_comes_up_meanwhile_is_not_overwritten(
    index: SqliteIndex, target: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    copy = backups.copy
    monkeypatch.setattr(backups, "copy", lambda *asked: (copy(*asked), target.write_text("mine")))
    with pytest.raises(InputError, match="is there already"):
        index.backup(target)
    assert target.read_text() == "mine"
    assert folder(target) == ["copy.db"]


def test_the_store_itself_is_no_target_under_any_name(index: SqliteIndex, path: Path, tmp_path: Path) -> None:
    other = tmp_path / "link.db"
    other.symlink_to(path)
    for name in (path, other, path.parent / "x" / ".." / path.name):
        with pytest.raises(InputError, match="is the store itself"):
            index.backup(name, overwrite=True)
    assert len(rows(path, URIS)) == 3


def test_a_store_in_use_is_not_overwritten(index: SqliteIndex, target: Path) -> None:
    with closing(SqliteIndex(target)) as other:
        put(other, "other", "text")
        with pytest.raises(InputError, match=r"copy\.db-wal beside .* belongs to a store that is in use"):
            index.backup(target, overwrite=True)
    assert rows(target, URIS) == [("other",)]


@pytest.mark.parametrize("suffix", ["-wal", "-shm", "-journal"])
def test_no_backup_takes_the_place_of_sqlite_s_own_files(index: SqliteIndex, path: Path, suffix: str) -> None:
    """A log that is replaced loses what was acknowledged; a journal that is none is deleted by the next opening."""
    place = path.with_name(path.name + suffix)
    before = place.read_bytes() if place.exists() else None
    for overwrite in (False, True):
        with pytest.raises(InputError, match="a name that SQLite gives to a log"):
            index.backup(place, overwrite=overwrite)
    assert (place.read_bytes() if place.exists() else None) == before


@POSIX
def test_a_pipe_or_a_device_is_not_overwritten(index: SqliteIndex, target: Path) -> None:
    os.mkfifo(target)
    with pytest.raises(InputError, match="is a device or a pipe"):
        index.backup(target, overwrite=True)
    assert stat.S_ISFIFO(target.stat().st_mode)


def test_a_backup_inside_a_search_s_snapshot_is_refused(index: SqliteIndex, target: Path) -> None:
    with index.snapshot(), pytest.raises(StoreError, match="in the middle of reading"):
        index.backup(target)
    assert folder(target) == []


WRITER = """
import sys
from pathlib import Path
from db.material import put
from vstore.db.index import SqliteIndex
index = SqliteIndex(Path(sys.argv[1]))
for number in range(3, 1_000_000):
    put(index, str(number), f"text number {number}", "and more", title="Numbers")
    print(number, flush=True)
"""


def test_while_another_process_writes_it_is_a_state_that_there_was(index: SqliteIndex, target: Path) -> None:
    with start(WRITER, index.path) as process:
        try:
            assert process.stdout is not None
            for number in range(5):
                acknowledged = int(process.stdout.readline())
                report = index.backup(target, overwrite=number > 0)
                found = [int(uri) for (uri,) in rows(target, URIS)]
                assert found == list(range(len(found)))  # no gaps
                assert found[-1] >= acknowledged
                assert report.documents == len(found)
                assert_consistent(target)
        finally:
            process.kill()


def test_what_was_forgotten_is_in_no_byte_of_a_backup(index: SqliteIndex, target: Path) -> None:
    secret = "xylographic quokka"
    put(index, "secret", f"the password is {secret} " * 200, title="Xylophones")
    for number in range(60):  # so that pages are split, joined, and left half empty
        put(index, f"more {number}", f"filler {number} " * 60)
    for number in range(0, 60, 3):
        index.forget("default", f"more {number}")
    index.forget("default", "secret")
    index.backup(target)
    content = target.read_bytes().lower()
    assert b"filler 1 " in content
    for word in (b"xylographic", b"xylograph", b"quokka", b"xylophon"):
        assert word not in content


KILLED = """
import os, signal, sys
from pathlib import Path
from vstore.db import backup
from vstore.db.index import SqliteIndex
run = backup.run
def killed(connection, sql, *values):
    if sys.argv[3] == "before" and sql.startswith("VACUUM"):
        os.kill(os.getpid(), signal.SIGKILL)
    if sys.argv[3] == "during" and sql.startswith("VACUUM"):
        connection.set_progress_handler(lambda: os.kill(os.getpid(), signal.SIGKILL), 50)
    result = run(connection, sql, *values)
    if sys.argv[3] == "after" and sql.startswith("VACUUM"):
        os.kill(os.getpid(), signal.SIGKILL)
    return result
backup.run = killed
SqliteIndex(Path(sys.argv[1])).backup(sys.argv[2])
"""


@POSIX
@pytest.mark.parametrize("moment", ["before", "during", "after"])
def test_a_kill_leaves_no_file_under_the_name_and_the_next_one_clears_up(
    index: SqliteIndex, target: Path, moment: str
) -> None:
    with start(KILLED, index.path, target, moment) as process:
        process.communicate(timeout=60)
    assert process.returncode == -9
    (left,) = [name for name in folder(target) if name.endswith(".partial")]
    assert left.startswith(".vstore-")
    assert "copy.db" not in folder(target)
    index.backup(target)
    assert folder(target) == ["copy.db"]
    assert_consistent(target)


@POSIX
def test_what_another_process_is_at_work_on_is_left_alone(index: SqliteIndex, target: Path) -> None:
    with start("input()") as process:
        host = processes.name().partition(":")[0]
        at_work = target.with_name(f".vstore-{host}-{process.pid}-0123abcd.partial")
        elsewhere = target.with_name(".vstore-elsewhere-1-0123abcd.partial")
        at_work.touch()
        elsewhere.touch()
        index.backup(target)
        assert folder(target) == sorted([at_work.name, elsewhere.name, "copy.db"])
        process.communicate("\n", timeout=60)
    os.utime(elsewhere, (0, 0))  # two days would do
    index.backup(target, overwrite=True)
    assert folder(target) == ["copy.db"]


def test_a_copy_that_is_not_sound_is_not_kept(
    index: SqliteIndex, target: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def damaged(connection: apsw.Connection, path: Path, place: Path) -> None:
        copy(connection, path, place)
        content = bytearray(path.read_bytes())
        content[2 * 4096 : 3 * 4096] = b"\xff" * 4096
        path.write_bytes(content)

    copy = backups.copy
    monkeypatch.setattr(backups, "copy", damaged)
    with pytest.raises(StoreDamagedError, match="not kept"):
        index.backup(target)
    assert folder(target) == []


@POSIX
def test_a_full_disk_is_said_and_leaves_nothing(index: SqliteIndex, target: Path) -> None:
    script = """
import resource, signal, sys
from pathlib import Path
from vstore.db.index import SqliteIndex
from vstore.errors import StoreError
index = SqliteIndex(Path(sys.argv[1]))
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (40_960, 40_960))
try:
    index.backup(sys.argv[2])
except StoreError as error:
    print(error)
"""
    assert str(target) in python(script, index.path, target)
    assert folder(target) == []


@POSIX
@pytest.mark.parametrize(
    ("code", "kind", "words"),
    [(errno.ENOSPC, StoreFullError, "no space left"), (errno.EROFS, StoreError, "choose another place")],
)
def test_what_the_system_refuses_is_said(
    index: SqliteIndex, target: Path, monkeypatch: pytest.MonkeyPatch, code: int, kind: type[StoreError], words: str
) -> None:
    def refused(*_: object, **__: object) -> None:
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(atomic.os, "fsync", refused)
    with pytest.raises(kind, match=words):
        index.backup(target)
    assert folder(target) == []


def test_a_file_system_without_links_will_do(index: SqliteIndex, target: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*_: object) -> None:
        raise OSError(errno.EPERM, "no links")

    monkeypatch.setattr(atomic.os, "link", refused)
    index.backup(target)
    assert folder(target) == ["copy.db"]
    with pytest.raises(InputError, match="is there already"):
        index.backup(target)


@POSIX
def test_ctrl_c_ends_a_backup_and_leaves_nothing(index: SqliteIndex, target: Path) -> None:
    script = """
import os, signal, sys
from pathlib import Path
from vstore import config
from vstore.db import backup
from vstore.db.index import SqliteIndex
config.COPY_OPCODES = 10
run = backup.run
def interrupted(connection, sql, *values):
    if sql.startswith("VACUUM"):
        connection.set_progress_handler(lambda: (os.kill(os.getpid(), signal.SIGINT), False)[1], 50)
    return run(connection, sql, *values)
backup.run = interrupted
try:
    SqliteIndex(Path(sys.argv[1])).backup(sys.argv[2])
except KeyboardInterrupt:
    print("interrupted")
"""
    assert python(script, index.path, target) == "interrupted"
    assert folder(target) == []


def test_a_backup_can_be_opened_where_nothing_may_be_written(index: SqliteIndex, target: Path) -> None:
    """It is not in WAL mode, which needs files beside it."""
    index.backup(target)
    target.chmod(0o400)
    target.parent.chmod(0o500)
    try:
        code = (
            "import apsw, sys\n"
            "connection = apsw.Connection(sys.argv[1], flags=apsw.SQLITE_OPEN_READONLY)\n"
            "print(list(connection.execute('SELECT count(*) FROM documents')))"
        )
        run_ = subprocess.run([sys.executable, "-c", code, str(target)], capture_output=True, text=True, check=True)
        assert run_.stdout.strip() == "[(3,)]"
        assert folder(target) == ["copy.db"]
    finally:
        target.parent.chmod(0o700)

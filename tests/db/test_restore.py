"""A restore puts the whole backup in the place of the whole store, whoever has it open, or changes nothing."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import closing, nullcontext
from pathlib import Path

import apsw
import pytest
from db.material import assert_consistent, chunk_ids, put, put_vectors, rows, unit_vectors
from db.processes import python, start
from toy import ToyEmbedder

import vstore
from vstore import Store, config
from vstore.db import restore as restoring
from vstore.db.connection import connect, generation, run
from vstore.db.index import SqliteIndex
from vstore.db.migrate import latest, scripts
from vstore.db.restore import restore
from vstore.errors import (
    InputError,
    NewerStoreError,
    NotAStoreError,
    NotFoundError,
    StoreBusyError,
    StoreDamagedError,
    StoreError,
)
from vstore.filters import parse
from vstore.types import Scope

URIS = "SELECT uri FROM documents ORDER BY id"
OLD = [("old 0",), ("old 1",), ("old 2",)]
POSIX = pytest.mark.skipif(os.name != "posix", reason="processes are killed")


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """A backup of a store with three documents."""
    with closing(SqliteIndex(tmp_path / "other.db")) as other:
        for number in range(3):
            put(other, f"old {number}", f"old text {number}", metadata={"old": True})
        return other.backup(tmp_path / "backup.db").path


@pytest.fixture
def index(path: Path) -> Iterator[SqliteIndex]:
    """The store that is to be replaced, with five documents."""
    with closing(SqliteIndex(path)) as opened:
        for number in range(5):
            put(opened, f"new {number}", f"new text {number}", metadata={"old": False})
        yield opened


NEW = [(f"new {number}",) for number in range(5)]


def left_beside(path: Path) -> list[str]:
    """What lies beside the store and is not of these fixtures."""
    known = {path.name, f"{path.name}-wal", f"{path.name}-shm", "backup.db", "other.db"}
    return sorted(entry.name for entry in path.parent.iterdir() if entry.name not in known)


def test_where_nothing_is_the_backup_becomes_the_store(path: Path, source: Path) -> None:
    place = path.parent / "a" / "new folder" / "memory.db"
    report = vstore.restore(source, place)
    assert (report.path, report.documents, report.chunks, report.kept) == (place, 3, 3, None)
    assert [entry.name for entry in place.parent.iterdir()] == ["memory.db"]
    if os.name == "posix":
        assert place.stat().st_mode & 0o777 == 0o600
        assert place.parent.stat().st_mode & 0o777 == 0o700
    assert rows(place, URIS) == OLD
    assert_consistent(place)
    assert rows(source, URIS) == OLD


def test_what_was_there_is_kept_beside(index: SqliteIndex, path: Path, source: Path) -> None:
    report = restore(source, path)
    assert report.kept is not None
    assert left_beside(path) == [report.kept.name]
    assert report.kept.name.startswith("memory.before-restore-2")
    assert rows(report.kept, URIS) == NEW
    assert rows(path, URIS) == OLD
    assert_consistent(path)
    assert_consistent(report.kept)
    restore(report.kept, path)
    assert rows(path, URIS) == NEW


def test_an_open_store_sees_the_restored_content_at_once(index: SqliteIndex, path: Path, source: Path) -> None:
    with index.snapshot() as early:
        assert len(early.documents(Scope(), 10)) == 5
        thread = threading.Thread(target=restore, args=(source, path))
        thread.start()
        thread.join()
        assert len(early.documents(Scope(), 10)) == 5  # it ends with what it began with
        assert early.lexical(early.terms("new"), Scope(), 10).chunk_ids
    with index.snapshot() as snapshot:
        assert len(snapshot.documents(Scope(), 10)) == 3
        assert not snapshot.lexical(snapshot.terms("new"), Scope(), 10).chunk_ids
    put(index, "after", "put in afterwards")
    assert rows(path, URIS) == [*OLD, ("after",)]
    assert_consistent(path)


def test_an_id_that_was_given_out_is_not_given_to_another_text(index: SqliteIndex, path: Path, source: Path) -> None:
    restore(source, path)
    put(index, "after", "put in afterwards")
    assert chunk_ids(path, "after") == {"put in afterwards": 6}
    assert rows(path, "SELECT id FROM documents ORDER BY id") == [(1,), (2,), (3,), (6,)]


# --- what is kept in memory -------------------------------------------------------------------------------------------

DIMENSION = 70
FIRST, SECOND = unit_vectors(1, 40, DIMENSION), unit_vectors(2, 40, DIMENSION)


@pytest.fixture
def kept_in_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(config, "EXACT_SCAN_CHUNKS", 0)
    monkeypatch.setattr(config, "CODES_FROM_SEARCH", 1)
    monkeypatch.setattr(config, "CODE_CANDIDATES", 1)
    monkeypatch.setattr(config, "CODE_OVERSAMPLING", 1)
    monkeypatch.setattr(config, "FREQUENCY_COMMON", 1)


def fill(index: SqliteIndex, which: int) -> None:
    """Twenty chunks: the same ids, the same fingerprint and the same number whichever it is, but other content."""
    space = index.open_space("f" * 64, DIMENSION, "given")
    vectors = (FIRST, SECOND)[which]
    for number in range(20):
        put_vectors(
            index,
            {f"{number} {'red' if (number + which) % 2 else 'green blue'}": vectors[number]},
            space,
            metadata={"odd": bool((number + which) % 2)},
        )


def answers(index: SqliteIndex, which: int) -> tuple[object, ...]:
    """Of codes, of scopes, of document frequencies, and the background of cosines."""
    with index.snapshot() as snapshot:
        vectors = (FIRST, SECOND)[which]
        codes = [snapshot.dense(vectors[number], Scope(), 1).chunk_ids for number in range(20)]
        scope = Scope(where=parse({"odd": True}))
        frequencies = [term.document_frequency for term in snapshot.terms("red green blue text")]
        return (
            codes,
            snapshot.dense(vectors[0], scope, 20).chunk_ids,
            frequencies,
            snapshot.background(vectors[0], Scope()),
        )


def two_stores(path: Path) -> tuple[SqliteIndex, Path]:
    """A store with the one content, and a backup of the other."""
    with closing(SqliteIndex(path.with_name("other.db"))) as other:
        fill(other, 1)
        backup = other.backup(path.with_name("backup.db")).path
    index = SqliteIndex(path)
    fill(index, 0)
    return index, backup


@pytest.mark.usefixtures("kept_in_memory")
@pytest.mark.parametrize("where", ["this process", "another process"])
def test_what_a_process_keeps_in_memory_is_not_taken_for_the_restored_content(path: Path, where: str) -> None:
    """Both have the chunks 1 to 20 of a space with the same fingerprint: only the generation tells them apart."""
    index, backup = two_stores(path)
    with closing(index):
        before = answers(index, 0)
        assert before[0] == [(number,) for number in range(1, 21)]
        if where == "this process":
            restore(backup, path)
        else:
            python("import sys; from vstore.db.restore import restore; restore(*sys.argv[1:])", backup, path)
        after = answers(index, 1)
        assert after[0] == [(number,) for number in range(1, 21)]
        with closing(SqliteIndex(path)) as fresh:
            assert answers(fresh, 1) == after
        assert after != before


@pytest.mark.usefixtures("kept_in_memory")
def test_two_stores_of_one_process_both_hear_of_a_restore(path: Path) -> None:
    index, backup = two_stores(path)
    with closing(index), closing(SqliteIndex(path)) as other:
        assert answers(index, 0) == answers(other, 0)
        restore(backup, path)
        assert answers(other, 1) == answers(index, 1)
        assert answers(index, 1)[0] == [(number,) for number in range(1, 21)]


@pytest.mark.usefixtures("kept_in_memory")
def test_a_search_that_began_before_the_restore_does_not_spoil_what_is_kept(path: Path) -> None:
    """It sees the old content to its end; afterwards the new one counts again."""
    index, backup = two_stores(path)
    with closing(index):
        answers(index, 0)
        done = []
        with index.snapshot() as early:
            early.documents(Scope(), 1)
            thread = threading.Thread(target=lambda: (restore(backup, path), done.append(answers(index, 1))))
            thread.start()
            thread.join()
            assert early.dense(FIRST[3], Scope(), 1).chunk_ids == (4,)
            assert [term.document_frequency for term in early.terms("red green")] == [10, 10]
        assert answers(index, 1) == done[0]
        assert done[0][0] == [(number,) for number in range(1, 21)]


def test_the_generation_changes_with_each_restore(index: SqliteIndex, path: Path, source: Path) -> None:
    seen = []
    with closing(connect(path)) as connection:
        for _ in range(3):
            seen.append(generation(connection))
            restore(source, path)
        seen.append(generation(connection))
    assert len(set(seen)) == 4


def test_a_store_goes_on_after_a_restore_of_a_store_with_another_numbering_of_spaces(tmp_path: Path) -> None:
    toy = ToyEmbedder(16)
    with Store(tmp_path / "other.db", toy) as other:
        other.remember("a text of the backup", uri="old")
        backup = other.backup(tmp_path / "backup.db").path
    with Store(tmp_path / "memory.db", toy) as store:
        store.remember("a text of the store", uri="new")
        with closing(connect(tmp_path / "memory.db")) as connection:  # as after a refinement that was rolled back
            run(connection, "PRAGMA foreign_keys = OFF")
            for table in ("vectors", "codes"):
                run(connection, f"ALTER TABLE {table}_g1 RENAME TO {table}_g7")
            run(connection, "UPDATE spaces SET number = 7")
            run(connection, "UPDATE models SET space = 7")
        store.remember("another text of the store", uri="new 2")
        vstore.restore(backup, tmp_path / "memory.db")
        store.remember("a text after the restore", uri="after")
        assert {document.uri for document in store.documents()} == {"old", "after"}
        assert store.search("text after restore")[0].document.uri == "after"
    assert_consistent(tmp_path / "memory.db")


# --- beside others ----------------------------------------------------------------------------------------------------

CROWD = """
import sys, threading
from pathlib import Path
from db.material import put
from vstore.db.index import SqliteIndex
from vstore.db.migrate import latest, scripts
from vstore.types import Scope
index = SqliteIndex(Path(sys.argv[1]))
stop = threading.Event()
def read():
    while not stop.is_set():
        with index.snapshot() as snapshot:
            uris = {document.uri.split()[0] for document in snapshot.documents(Scope(), 10_000)} - {"crowd"}
            found = snapshot.chunks(snapshot.lexical(snapshot.terms("text"), Scope(), 10_000).chunk_ids)
            heard = {chunk.document.uri.split()[0] for chunk in found.values()} - {"crowd"}
        assert len(uris) <= 1 and heard <= uris, (uris, heard)
        print(*uris, flush=True)
reader = threading.Thread(target=read)
reader.start()
number = 0
try:
    while not stop.is_set():
        put(index, f"crowd {number}", f"crowd text {number}")
        number += 1
        if number % 10 == 0 and Path(sys.argv[2]).exists():
            stop.set()
finally:
    stop.set()
    reader.join()
print("done")
"""


def test_under_readers_and_writers_of_another_process(index: SqliteIndex, path: Path, source: Path) -> None:
    end = path.parent / "end"
    with start(CROWD, path, end) as process:
        assert process.stdout is not None and process.stderr is not None
        try:
            assert process.stdout.readline() == "new\n"
            report = restore(source, path)
            while process.stdout.readline() != "old\n":
                pass
        finally:
            end.touch()
        output, errors = process.communicate(timeout=60)
        assert process.returncode == 0, errors
        assert set(output.split()) <= {"old", "done"}
    assert report.kept is not None
    assert set(NEW) <= set(rows(report.kept, URIS))
    assert rows(path, URIS)[:3] == OLD
    # Each of its writes is in what was kept or in what came after, none in neither.
    numbers = [int(uri.split()[1]) for file in (report.kept, path) for (uri,) in rows(file, URIS) if "crowd" in uri]
    assert numbers == list(range(len(numbers)))
    for file in (report.kept, path):
        assert_consistent(file)


def test_a_writer_that_does_not_end_makes_a_restore_give_up(
    index: SqliteIndex, path: Path, source: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(config, "BUSY_TIMEOUT_MS", 50)
    with closing(connect(path)) as other:
        run(other, "BEGIN IMMEDIATE")
        with pytest.raises(StoreBusyError, match="writing to"):
            restore(source, path)
        run(other, "ROLLBACK")
    assert rows(path, URIS) == NEW
    assert left_beside(path) == []


KILLED = """
import os, signal, sys
from pathlib import Path
from vstore import config
from vstore.db import restore
config.RESTORE_PAGES = 5
class Killing:
    def __init__(self, backup, after):
        self._backup, self._after = backup, after
    def __enter__(self):
        self._backup.__enter__()
        return self
    def __exit__(self, *error):
        return self._backup.__exit__(*error)
    done = property(lambda self: self._backup.done)
    def step(self, pages):
        if self._after == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        self._after -= 1
        self._backup.step(pages)
class Live:
    def __init__(self, connection):
        self._connection = connection
    def __getattr__(self, name):
        return getattr(self._connection, name)
    def backup(self, *names):
        return Killing(self._connection.backup(*names), int(sys.argv[3]))
class Watched(restore.Database):
    def connection(self):
        return Live(super().connection())
    def checkpoint(self, connection):
        os.kill(os.getpid(), signal.SIGKILL)
opened = restore._opened
def watched(path):
    database = opened(path)
    database.__class__ = Watched
    return database
restore._opened = watched
restore.restore(sys.argv[1], sys.argv[2])
"""


@POSIX
@pytest.mark.parametrize("steps", [0, 1, 4, 1_000_000])
def test_a_kill_leaves_the_old_content_or_the_new_one(index: SqliteIndex, path: Path, source: Path, steps: int) -> None:
    with start(KILLED, source, path, steps) as process:
        _, errors = process.communicate(timeout=60)
    assert process.returncode == -9, errors
    assert rows(path, URIS) == (OLD if steps == 1_000_000 else NEW)
    assert_consistent(path)
    assert_consistent(index.path)
    report = restore(source, path)
    assert rows(path, URIS) == OLD
    assert report.kept is not None and report.kept.exists()
    assert not [name for name in left_beside(path) if name.endswith(".partial")]


def test_a_restore_that_fails_at_the_end_changes_nothing(
    index: SqliteIndex, path: Path, source: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*_: object) -> None:
        raise apsw.FullError("injected")

    monkeypatch.setattr(restoring, "_go_on_numbering", fails)
    with pytest.raises(StoreError, match="no space left"):
        restore(source, path)
    assert rows(path, URIS) == NEW
    assert left_beside(path) == []
    put(index, "after", "the lock is free")


# --- what is refused --------------------------------------------------------------------------------------------------


def damage(path: Path, page: int) -> None:
    """Overwrite a page of a file that nobody has open, from 1 on."""
    content = bytearray(path.read_bytes())
    content[(page - 1) * 4096 : page * 4096] = b"\xff" * 4096
    path.write_bytes(content)


def alter(path: Path, sql: str) -> None:
    with closing(connect(path)) as connection:
        run(connection, sql)


@pytest.mark.parametrize(
    ("spoil", "error"),
    [
        (lambda path: damage(path, 3), StoreDamagedError),
        (lambda path: path.write_bytes(path.read_bytes()[: path.stat().st_size // 2]), StoreDamagedError),
        (lambda path: alter(path, "UPDATE vectors_g1 SET crc32 = crc32 + 1 WHERE chunk_id = 2"), StoreDamagedError),
        (lambda path: alter(path, "DELETE FROM chunk_terms WHERE chunk_id = 2"), StoreDamagedError),
        (lambda path: alter(path, "PRAGMA user_version = 1000"), NewerStoreError),
        (lambda path: alter(path, "PRAGMA application_id = 7"), NotAStoreError),
        (lambda path: path.write_text("not a database, " * 1000), NotAStoreError),
        (lambda path: path.write_bytes(b""), NotAStoreError),
        (lambda path: path.unlink(), NotFoundError),
    ],
)
def test_a_source_that_cannot_be_used_is_refused(
    index: SqliteIndex, path: Path, source: Path, spoil: object, error: type[Exception]
) -> None:
    assert callable(spoil)
    spoil(source)
    with pytest.raises(error):
        restore(source, path)
    assert rows(path, URIS) == NEW
    assert left_beside(path) == []


def test_the_store_itself_is_no_source(index: SqliteIndex, path: Path) -> None:
    with pytest.raises(InputError, match="is the store itself"):
        restore(path, path)


def test_a_log_without_its_store_is_not_given_another_one(path: Path, source: Path) -> None:
    log = path.with_name("memory.db-wal")
    log.write_bytes(b"last writes")
    with pytest.raises(StoreError, match=r"is gone, but memory\.db-wal of it"):
        restore(source, path)
    assert log.read_bytes() == b"last writes"
    assert not path.exists()


def test_an_empty_file_beside_the_log_of_its_last_writes_is_not_restored_over(path: Path, source: Path) -> None:
    path.touch()
    log = path.with_name("memory.db-wal")
    log.write_bytes(b"last writes")
    with pytest.raises(StoreDamagedError, match=r"move it away, together with memory\.db-wal"):
        restore(source, path)
    assert log.read_bytes() == b"last writes"


@pytest.mark.parametrize("content", [b"a diary, not a store" * 1000, b"x", None])
def test_what_is_no_store_is_not_replaced(path: Path, source: Path, content: bytes | None) -> None:
    if content is None:
        with closing(apsw.Connection(str(path))) as other:
            run(other, "CREATE TABLE recipes (name)")
    else:
        path.write_bytes(content)
    before = path.read_bytes()
    with pytest.raises(NotAStoreError, match="choose another path"):
        restore(source, path)
    assert path.read_bytes() == before


def test_a_damaged_store_is_replaced_and_kept_as_it_was(path: Path, source: Path) -> None:
    with closing(SqliteIndex(path)) as index:
        put(index, "new", "text", "more text")
        page = run(connect(path), "SELECT rootpage FROM sqlite_schema WHERE name = 'chunks'")[0][0]
    damage(path, page)
    before = path.read_bytes()
    report = restore(source, path)
    assert rows(path, URIS) == OLD
    assert_consistent(path)
    assert report.kept is not None
    kept = report.kept.read_bytes()
    assert kept[100 : page * 4096] == before[100 : page * 4096]


def test_a_store_that_cannot_even_be_opened_is_to_be_moved_away(path: Path, source: Path) -> None:
    with closing(SqliteIndex(path)) as index:
        put(index, "new", "text")
    path.write_bytes(path.read_bytes()[: 2 * 4096])
    with pytest.raises(StoreDamagedError, match="move it away"):
        restore(source, path)


def test_a_backup_with_other_pages_fits_in(index: SqliteIndex, path: Path, source: Path) -> None:
    with closing(apsw.Connection(str(source))) as connection:
        run(connection, "PRAGMA page_size = 8192")
        run(connection, "VACUUM")
    restore(source, path)
    assert rows(path, URIS) == OLD
    assert rows(path, "PRAGMA page_size") == [(4096,)]
    assert_consistent(path)


@pytest.mark.parametrize("is_there", [True, False])
def test_a_backup_of_an_older_vstore_is_brought_up_to_date(path: Path, source: Path, is_there: bool) -> None:
    version, script = scripts()[0]
    old = path.with_name("first.db")
    with closing(connect(old)) as connection:
        run(connection, script)
        run(connection, f"PRAGMA application_id = {config.APPLICATION_ID}")
        run(connection, f"PRAGMA user_version = {version}")
        run(connection, "INSERT INTO collections (name, created_at) VALUES ('of the first version', 0)")
    if is_there:
        restore(source, path)
    with closing(SqliteIndex(path)) if is_there else nullcontext() as opened:
        restore(old, path)
        if opened is not None:  # a process that has it open goes on
            put(opened, "after", "text")
    assert rows(path, "PRAGMA user_version") == [(latest(),)]
    assert ("of the first version",) in rows(path, "SELECT name FROM collections")
    assert_consistent(path)


@POSIX
def test_a_full_disk_changes_nothing(index: SqliteIndex, path: Path, source: Path) -> None:
    script = """
import resource, signal, sys
from vstore.db.restore import restore
from vstore.errors import StoreError
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
for pages in (20, 45, 60):
    resource.setrlimit(resource.RLIMIT_FSIZE, (pages * 4096, -1))
    try:
        restore(sys.argv[1], sys.argv[2])
    except StoreError as error:
        print(error)
"""
    said = python(script, source, path).splitlines()
    assert said and all(str(path.parent) in line for line in said)
    assert rows(path, URIS) == NEW
    assert left_beside(path) == []
    put(index, "after", "the lock is free")
    assert_consistent(path)


def test_an_empty_file_is_nothing_to_keep(path: Path, source: Path) -> None:
    path.touch(mode=0o600)
    assert restore(source, path).kept is None
    assert rows(path, URIS) == OLD
    with closing(connect(path)) as connection:
        assert run(connection, "PRAGMA journal_mode") == [("wal",)]


def test_a_store_that_somebody_uses_can_be_the_source(index: SqliteIndex, path: Path, tmp_path: Path) -> None:
    with closing(SqliteIndex(tmp_path / "in use.db")) as other:
        put(other, "in use", "text")
        restore(other.path, path)
        put(other, "later", "text")
        assert len(rows(other.path, URIS)) == 2
    assert rows(path, URIS) == [("in use",)]


def test_a_folder_is_no_backup_and_a_log_no_store(source: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="is no file; give the path of one that vstore backup made"):
        restore(tmp_path, tmp_path / "memory.db")
    with pytest.raises(InputError, match="has the name of a log of SQLite's"):
        restore(source, tmp_path / "memory.db-wal")
    assert not (tmp_path / "memory.db-wal").exists()

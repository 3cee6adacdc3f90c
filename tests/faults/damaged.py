"""Files that are no stores, or were, and a worker process that opens them, searches them and writes to them."""

from __future__ import annotations

import json
import os
import queue
import random
import sys
import threading
import zipfile
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import apsw
from db.processes import start
from faults.checks import BEHIND, opened
from faults.disk import Disk, quiet_ends
from faults.operations import TEXTS, store

from vstore import Store
from vstore.errors import VstoreError

MUTATIONS = 60
HANG_S = 30.0  # seconds after which a worker counts as hung; it answers in milliseconds
QUERIES = ("harbour master", "birch bark", "water that boils")

Make = Callable[[Path], None]


# --- the worker -------------------------------------------------------------------------------------------------------


@dataclass
class Answer:
    """What came of a file. A step is "ok", a refusal "StoreError: ...", or "raw ...": what is no VstoreError."""

    steps: dict[str, str] = field(default_factory=dict)
    read: dict[str, Any] = field(default_factory=dict)  # what the steps that read have returned

    @property
    def refused(self) -> bool:
        return any(step != "ok" for step in self.steps.values())

    @property
    def raw(self) -> dict[str, str]:
        return {name: step for name, step in self.steps.items() if step.startswith("raw ")}


def serve() -> None:
    """Use every file that is named on standard input, and answer with a line for each."""
    for line in sys.stdin:
        answer = use(Path(line.rstrip("\n")))
        print(json.dumps(vars(answer)), flush=True)


def use(path: Path) -> Answer:
    answer = Answer()

    @contextmanager
    def step(name: str) -> Iterator[None]:
        try:
            yield
            answer.steps[name] = "ok"
        except VstoreError as error:
            answer.steps[name] = f"{type(error).__name__}: {error}"
        except Exception as error:  # noqa: BLE001 - whatever escapes is the finding
            answer.steps[name] = f"raw {type(error).__name__}: {error}"

    with step("open"), store(path) as handle:
        look(handle, step, answer.read)
    if answer.steps["open"] == "ok" and not answer.refused:
        with step("reopen"), store(path) as handle:
            write(handle, step)
    return answer


def look(handle: Store, step: Callable[[str], Any], read: dict[str, Any]) -> None:
    """All that only reads."""
    with step("list"):
        read["list"] = sorted(document.uri for document in handle.documents())
    for uri in TEXTS:
        with step(f"get {uri}"):
            read[f"get {uri}"] = handle.get(uri).text
    for mode in ("hybrid", "dense", "lexical"):
        for query in QUERIES:
            with step(f"{mode} {query}"):
                found = handle.search(query, 10, mode=mode, explain=True, context=1)  # type: ignore[arg-type]
                read[f"{mode} {query}"] = [(hit.document.uri, hit.text) for hit in found]
    with step("facts"):
        handle.stats(), handle.models(), handle.judgements(), handle.search_stats()


def write(handle: Store, step: Callable[[str], Any]) -> None:
    with step("remember"):
        handle.remember("Cork floats because of its air.", uri="notes/cork")
    with step("update"):
        handle.remember("Green tea, said another.", uri="notes/tea")
    with step("feedback"):
        handle.feedback("what burns", "notes/birch")
    with step("erase"):
        handle.erase_searches()
    with step("forget"):
        handle.forget("notes/harbour")


class Worker:
    """A process that may die of what it is given; another one takes its place then."""

    def __init__(self) -> None:
        self._begin()

    def _begin(self) -> None:
        self._process = start("from faults.damaged import serve; serve()")
        self._answers: queue.Queue[str] = queue.Queue()
        threading.Thread(target=self._listen, args=(self._process.stdout, self._answers), daemon=True).start()

    @staticmethod
    def _listen(lines: Any, answers: queue.Queue[str]) -> None:
        for line in lines:
            answers.put(line)
        answers.put("")

    def use(self, path: Path) -> Answer | str:
        """The answer, or how the worker ended."""
        assert self._process.stdin is not None
        self._process.stdin.write(f"{path}\n")
        self._process.stdin.flush()
        try:
            line = self._answers.get(timeout=HANG_S)
        except queue.Empty:
            line = ""
        if line:
            return Answer(**json.loads(line))
        self._process.kill()
        _, errors = self._process.communicate()
        ended = f"ended with {self._process.returncode}: {errors[-500:]}"
        self._begin()
        return ended

    def close(self) -> None:
        self._process.communicate()


# --- what is left of a good store -------------------------------------------------------------------------------------


def good(path: Path) -> None:
    with store(path, log=True, metrics=True) as made:
        for uri, text in TEXTS.items():
            made.remember(text, uri=uri, title=uri.title())
        made.feedback("when is bark useful", "notes/birch")
        made.search("who has the key of the crane")


def kill(path: Path) -> None:
    """Leave the store as a process does that dies: with its log."""
    disk = _disk()
    with disk.mounted(), quiet_ends():
        dying = store(path)
        dying.feedback("what does the lantern hang from " * 100, "notes/harbour")
        disk.die()
        dying.close()


_disks: list[Disk] = []


def _disk() -> Disk:
    if not _disks:
        _disks.append(Disk("damaging"))
    _disks[0].reset()
    return _disks[0]


def sql(*statements: str, defensive: bool = True) -> Make:
    """A good store that another program has changed."""

    def make(path: Path) -> None:
        good(path)
        with closing(opened(path)) as connection:
            connection.config(apsw.SQLITE_DBCONFIG_DEFENSIVE, int(defensive))
            for statement in statements:
                list(connection.execute(statement))

    return make


def content(change: Callable[[bytes], bytes]) -> Make:
    """A good store whose bytes were changed."""

    def make(path: Path) -> None:
        good(path)
        path.write_bytes(change(path.read_bytes()))

    return make


def plain(data: bytes) -> Make:
    """A file with these bytes."""

    def make(path: Path) -> None:
        path.write_bytes(data)

    return make


def paged(*pragmas: str) -> Make:
    """A good store with another layout, set before its first table."""

    def make(path: Path) -> None:
        with closing(opened(path)) as connection:
            for pragma in (*pragmas, "user_version = 1", "user_version = 0"):
                list(connection.execute(f"PRAGMA {pragma}"))
        good(path)

    return make


def zipped(path: Path) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("memory.txt", "not here")


def foreign(*pragmas: str) -> Make:
    """A database of another program."""

    def make(path: Path) -> None:
        with closing(opened(path)) as connection:
            connection.execute("CREATE TABLE notes (text); INSERT INTO notes VALUES ('mine')")
            for pragma in pragmas:
                list(connection.execute(f"PRAGMA {pragma}"))

    return make


def log_alone(path: Path) -> None:
    good(path)
    kill(path)
    path.unlink()


def log_of(before: bool) -> Make:
    """The log of an earlier time, or of another store, beside a good one."""

    def make(path: Path) -> None:
        log = path.with_name(path.name + "-wal")
        other = path.with_name("other.db")
        good(other if not before else path)
        kill(other if not before else path)
        taken = (log if before else other.with_name(other.name + "-wal")).read_bytes()
        if before:
            with store(path) as later:  # which empties the log, and changes what it had
                later.forget("notes/tea")
                later.remember("Something else altogether. " * 60, uri="notes/else")
                later.forget("notes/else")
                later.remember(TEXTS["notes/tea"], uri="notes/tea", title="Notes/Tea")
        else:
            good(path)
            for suffix in BEHIND:
                other.with_name(other.name + suffix).unlink(missing_ok=True)
        log.write_bytes(taken)

    return make


def log_emptied(path: Path) -> None:
    """Ends in the middle of a frame."""
    good(path)
    kill(path)
    log = path.with_name(path.name + "-wal")
    log.write_bytes(log.read_bytes()[:-1_000])


def shared_memory(path: Path) -> None:
    good(path)
    kill(path)
    path.with_name(path.name + "-shm").write_bytes(random.Random(5).randbytes(32_768))


def hot_journal(path: Path) -> None:
    """A transaction of a rollback journal that was cut off half way."""
    good(path)
    disk = _disk()
    with closing(opened(path)) as connection:
        list(connection.execute("PRAGMA journal_mode = DELETE"))
    connection = apsw.Connection(str(path), vfs=disk.name)
    list(connection.execute("PRAGMA cache_size = 2"))
    list(connection.execute("BEGIN; UPDATE chunks SET text = text || ' and more'; UPDATE documents SET title = 'x'"))
    with opened_file_lost(connection, disk):
        list(connection.execute("COMMIT"))
    assert path.with_name(path.name + "-journal").stat().st_size > 0


@contextmanager
def opened_file_lost(connection: apsw.Connection, disk: Disk) -> Iterator[None]:
    """The disk goes at the third write of a commit."""
    disk.fail_at(3, "torn write")
    with suppress(apsw.IOError):
        yield
    try:
        connection.close()
    except apsw.IOError:
        connection.close(True)


def rollback_journal(path: Path) -> None:
    good(path)
    with closing(opened(path)) as connection:
        list(connection.execute("PRAGMA journal_mode = DELETE"))


def link(path: Path) -> None:
    real = path.with_name("real.db")
    good(real)
    path.symlink_to(real)


def pipe(path: Path) -> None:
    os.mkfifo(path)


def folder(path: Path) -> None:
    path.mkdir()


def beside_log(path: Path) -> None:
    """Nothing is left of the store but the log beside it."""
    good(path)
    kill(path)
    path.write_bytes(b"")


SERVED = "served"  # with the right results
REFUSED = "refused"  # with a VstoreError, and not a byte is changed
NEW = "new"  # an empty file becomes a store
EITHER = "either"  # refused, or right, or the checks find what is wrong
UNKNOWN = "unknown"  # SQLite cannot tell; whatever comes is no crash

HAND_MADE: dict[str, tuple[Make, str]] = {
    "empty": (plain(b""), NEW),
    "one byte": (plain(b"S"), REFUSED),
    "text": (plain(b"Dear diary, this is not a database. " * 40), REFUSED),
    "zip": (zipped, REFUSED),
    "zeros": (plain(bytes(20_000)), REFUSED),
    "noise": (plain(random.Random(3).randbytes(20_000)), REFUSED),
    "header only": (content(lambda data: data[:100]), REFUSED),
    "half": (content(lambda data: data[: len(data) // 2]), REFUSED),
    "last page gone": (content(lambda data: data[:-4096]), REFUSED),
    "zeros behind the header": (content(lambda data: data[:100] + bytes(len(data) - 100)), REFUSED),
    "another page size in the header": (content(lambda data: data[:16] + b"\x02\x00" + data[18:]), EITHER),
    "other application": (sql("PRAGMA application_id = 4711"), REFUSED),
    "no version": (sql("PRAGMA user_version = 0"), REFUSED),
    "newer version": (sql("PRAGMA user_version = 99"), REFUSED),
    "other program's": (foreign(), REFUSED),
    "other program's with a version": (foreign("user_version = 1"), REFUSED),
    "other program's with a log": (foreign("journal_mode = WAL"), REFUSED),
    "folder": (folder, REFUSED),
    "log alone": (log_alone, REFUSED),
    "empty beside its log": (beside_log, REFUSED),
    "log of an earlier time": (log_of(before=True), UNKNOWN),
    "log of another store": (log_of(before=False), UNKNOWN),
    "log cut off": (log_emptied, SERVED),
    "shared memory is garbage": (shared_memory, SERVED),
    "hot journal": (hot_journal, SERVED),
    "rollback journal": (rollback_journal, SERVED),
    "page size 512": (paged("page_size = 512"), SERVED),
    "page size 65536": (paged("page_size = 65536"), SERVED),
    "UTF-16": (paged("encoding = 'UTF-16'"), EITHER),
    "auto-vacuum": (paged("auto_vacuum = FULL"), SERVED),
    "extra view": (sql("CREATE VIEW mine AS SELECT text FROM chunks"), SERVED),
    "extra trigger": (
        sql("CREATE TRIGGER no AFTER INSERT ON documents BEGIN SELECT RAISE (ABORT, 'not here'); END"),
        EITHER,
    ),
    "trigger that loads code": (
        sql("CREATE TRIGGER evil AFTER INSERT ON documents BEGIN SELECT load_extension('/tmp/evil.so'); END"),
        EITHER,
    ),
    "text is no zlib": (sql("UPDATE documents SET text = x'0102' WHERE uri = 'notes/tea'"), EITHER),
    "text is no UTF-8": (sql("UPDATE chunks SET text = CAST(x'ff41ff' AS TEXT) WHERE id = 1"), EITHER),
    "metadata is no JSON": (
        sql(
            "PRAGMA ignore_check_constraints = ON",
            "UPDATE documents SET metadata = '{', tags = '7' WHERE uri = 'notes/tea'",
        ),
        EITHER,
    ),
    "vector of another length": (sql("UPDATE vectors_g1 SET vector = x'00000000' WHERE chunk_id = 1"), EITHER),
    "terms cut off": (sql("UPDATE chunk_terms SET body = substr(body, 1, 7)"), EITHER),
    "schema is nonsense": (
        sql(
            "PRAGMA writable_schema = ON",
            "UPDATE sqlite_schema SET sql = 'CREATE nonsense' WHERE name = 'chunks'",
            defensive=False,
        ),
        REFUSED,
    ),
    "symbolic link": (link, SERVED),
    **({"pipe": (pipe, REFUSED)} if hasattr(os, "mkfifo") else {}),
    **{
        f"without {table}": (sql("PRAGMA foreign_keys = OFF", f"DROP TABLE {table}"), EITHER)
        for table in ("chunks_fts", "chunk_terms", "vectors_g1", "codes_g1", "active", "spaces", "queries", "answers")
    },
    "without chunks": (sql("PRAGMA foreign_keys = OFF", "DROP VIEW chunks_indexed", "DROP TABLE chunks"), EITHER),
    "without documents": (sql("PRAGMA foreign_keys = OFF", "DROP TABLE documents"), EITHER),
}


def mutated(data: bytes, seed: int) -> bytes:
    """A good store's bytes with one kind of damage."""
    draw, new = random.Random(seed), bytearray(data)
    pages = len(data) // 4096
    at, other = draw.randrange(pages) * 4096, draw.randrange(pages) * 4096
    kind = seed % 6
    if kind in (0, 1):  # bits
        for _ in range(1 if kind == 0 else 20):
            new[draw.randrange(len(new))] ^= 1 << draw.randrange(8)
    elif kind == 2:
        new[at : at + 4096] = bytes(4096)
    elif kind == 3:
        new[at : at + 4096] = draw.randbytes(4096)
    elif kind == 4:
        new[at : at + 4096] = data[other : other + 4096]
    else:  # one block of a page
        block = at + draw.randrange(8) * 512
        new[block : block + 512] = draw.randbytes(512)
    return bytes(new)

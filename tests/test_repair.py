"""What is derived is made anew, so that searches find what they found before; what is not proven is left and named."""

from __future__ import annotations

import hashlib
import os
import random
import stat
import zlib
from contextlib import closing, nullcontext
from pathlib import Path

import apsw
import pytest
from db.damage import DAMAGES, EMBEDDER, QUERIES, build, execute
from db.processes import start
from toy import ToyEmbedder

import vstore
from vstore import Store, VstoreError, config
from vstore.db.connection import run
from vstore.db.migrate import scripts
from vstore.errors import NewerStoreError, NotAStoreError, NotFoundError, StoreDamagedError, StoreError

MENDED = [name for name, damage in DAMAGES.items() if damage.mended]
REFUSED = {
    "a page of documents": StoreDamagedError,
    "a page of chunks": StoreDamagedError,
    "half of the file": StoreDamagedError,
    "the header": NotAStoreError,
    "no bytes": StoreDamagedError,
    "another application": NotAStoreError,
    "a newer schema": NewerStoreError,
}
# The pages that are lost were of what is derived, so that the rest can be copied into a new file.
SALVAGED = [name for name in DAMAGES if name.startswith("a page of") and name not in REFUSED]
LEFT = [name for name, damage in DAMAGES.items() if not (damage.mended or name in REFUSED or name in SALVAGED)]
TOGETHER = (
    "secure delete off",
    "an index row too many",
    "a segment zeroed",
    "a forward entry of no chunk",
    "a forward length",
    "extra words",
    "a byte of a vector",
    "a vector of no chunk",
    "a vector beside, damaged",
    "a code missing",
    "the pointer to nowhere",
    "the text of a chunk",
    "a chunk misnumbered",
    "the vector of a logged query",
    "an answer that is gone",
    "an index gone",
)
TRUTH = ("collections", "documents", "feedback", "queries", "models", "model_files", "refine_runs")


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    path = tmp_path_factory.mktemp("sound") / "memory.db"
    build(path)
    return path.read_bytes()


@pytest.fixture
def rich(original: bytes, tmp_path: Path) -> Path:
    path = tmp_path / "memory.db"
    path.write_bytes(original)
    path.chmod(0o600)
    return path


def found(path: Path) -> list[object]:
    """What every query finds in every mode: ids, scores to the last bit, texts."""
    with Store(path, EMBEDDER, log=False, metrics=False) as store:
        return [
            (query, mode, [(hit.chunk_id, hit.score, hit.text) for hit in store.search(query, mode=mode)])
            for query in QUERIES
            for mode in ("hybrid", "dense", "lexical")
        ]


def tables(path: Path, names: tuple[str, ...]) -> dict[str, list[tuple[object, ...]]]:
    with closing(apsw.Connection(str(path))) as connection:
        return {name: run(connection, f"SELECT * FROM {name}") for name in names}


@pytest.fixture(scope="module")
def expected(original: bytes, tmp_path_factory: pytest.TempPathFactory) -> list[object]:
    path = tmp_path_factory.mktemp("expected") / "memory.db"
    path.write_bytes(original)
    return found(path)


@pytest.mark.parametrize("name", MENDED)
def test_a_mended_file_is_sound_and_searches_find_what_they_found(
    rich: Path, name: str, expected: list[object]
) -> None:
    DAMAGES[name](rich)
    report = vstore.repair(rich, EMBEDDER)
    assert report.ok, [(check.name, check.found) for check in report.after.failed]
    assert report.left == {}
    if name not in ("a byte of an adapter", "an adapter that serves without weights"):  # the one before it serves
        assert found(rich) == expected
    assert vstore.repair(rich, EMBEDDER).steps == ()


@pytest.mark.parametrize("name", SALVAGED)
def test_a_file_that_lost_pages_of_what_is_derived_is_made_anew(rich: Path, name: str, expected: list[object]) -> None:
    before = tables(rich, (*TRUTH, "chunks", "answers", "sqlite_sequence"))
    DAMAGES[name](rich)
    with Store(rich, EMBEDDER) if name == "a page of codes" else nullcontext():  # others may have it open
        report = vstore.repair(rich, EMBEDDER)
    assert report.ok, [(check.name, check.found) for check in report.after.failed]
    assert tables(rich, (*TRUTH, "chunks", "answers", "sqlite_sequence")) == before
    assert found(rich) == expected
    assert report.backup is not None
    assert sorted(path.name for path in rich.parent.iterdir()) == [report.backup.name, "memory.db"]
    assert vstore.check(report.backup)["pages"].status == "failed"


def test_the_adapter_before_serves_in_the_place_of_a_damaged_one(rich: Path) -> None:
    with Store(rich, EMBEDDER) as store:
        now, before = (model.id for model in store.models() if model.kind == "adapter")
        assert store.stats().adapter == now
    execute(f"UPDATE models SET weights = zeroblob(length(weights)) WHERE id = {now}")(rich)
    assert vstore.repair(rich, EMBEDDER).ok
    with Store(rich, EMBEDDER) as store:
        assert store.stats().adapter == before
        assert {model.id: model.status for model in store.models()}[now] == "rolled back"


@pytest.mark.parametrize("name", LEFT)
def test_what_is_not_proven_is_left_as_it_is_and_named(rich: Path, name: str) -> None:
    damage = DAMAGES[name]
    damage(rich)
    there = tuple(table for table in (*TRUTH, "chunks") if table != "feedback")
    before = tables(rich, there)
    report = vstore.repair(rich, EMBEDDER)
    assert not report.ok
    assert damage.seen_by in {check.name for check in report.after.failed}
    assert report.after[damage.seen_by].advice
    assert tables(rich, there) == before


@pytest.mark.parametrize("name", REFUSED)
def test_a_file_that_cannot_be_read_or_is_not_ours_is_refused_untouched(rich: Path, name: str) -> None:
    DAMAGES[name](rich)
    content = rich.read_bytes()
    with pytest.raises(REFUSED[name]):
        vstore.repair(rich, EMBEDDER)
    assert rich.read_bytes() == content
    assert [path.name for path in rich.parent.iterdir()] == ["memory.db"]


def test_a_missing_file_is_not_made(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError):
        vstore.repair(tmp_path / "absent.db")
    assert list(tmp_path.iterdir()) == []


def test_a_sound_file_is_not_touched(rich: Path) -> None:
    content = rich.read_bytes()
    report = vstore.repair(rich, EMBEDDER)
    assert (report.ok, report.steps, report.backup) == (True, (), None)
    assert rich.read_bytes() == content
    assert [path.name for path in rich.parent.iterdir()] == ["memory.db"]


def test_the_copy_is_the_file_as_it_was_and_its_owners_alone(rich: Path) -> None:
    DAMAGES["a code missing"](rich)
    before = tables(rich, ("codes_g1", "documents", "chunks_fts_data"))
    report = vstore.repair(rich, EMBEDDER)
    assert report.backup is not None and report.backup.parent == rich.parent
    assert report.backup.name.startswith("memory.before-repair-")
    assert tables(report.backup, ("codes_g1", "documents", "chunks_fts_data")) == before
    assert tables(rich, ("codes_g1",))["codes_g1"] != before["codes_g1"]
    if os.name == "posix":
        assert stat.S_IMODE(report.backup.stat().st_mode) == 0o600
    assert vstore.check(report.backup)["code ids"].affected == 1


def test_nothing_changes_when_the_copy_cannot_be_made(rich: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    DAMAGES["a code missing"](rich)
    content = rich.read_bytes()

    def full(*_: object) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "open", full)
    with pytest.raises(StoreError, match="no space left"):
        vstore.repair(rich, EMBEDDER)
    monkeypatch.undo()
    assert rich.read_bytes() == content


def test_what_is_not_approved_is_not_done(rich: Path) -> None:
    DAMAGES["a code missing"](rich)
    content = rich.read_bytes()

    class No(Exception):
        pass

    def approve(report: vstore.CheckReport, steps: tuple[object, ...]) -> None:
        assert [check.name for check in report.failed] == ["code ids"]
        assert [step.name for step in steps] == ["references", "codes"]
        raise No

    with pytest.raises(No):
        vstore.repair(rich, EMBEDDER, approve=approve)
    assert rich.read_bytes() == content
    assert [path.name for path in rich.parent.iterdir()] == ["memory.db"]


def test_vectors_are_left_without_their_model_and_the_rest_is_mended(rich: Path) -> None:
    DAMAGES["a vector and its code missing"](rich)
    DAMAGES["an index row missing"](rich)
    report = vstore.repair(rich, ToyEmbedder(24, "another"))
    assert [check.name for check in report.after.failed] == ["vector ids"]
    assert "vectors" in report.left
    assert report.done["keyword index"] > 0
    assert vstore.repair(rich, EMBEDDER).ok


def test_the_keyword_index_is_not_made_of_words_that_are_not_proven(rich: Path) -> None:
    """First what is damaged has to go: an index made of it would hide that."""
    DAMAGES["another text of a document"](rich)
    execute("UPDATE chunks SET text = 'Grey tea' WHERE text GLOB 'Green tea*'")(rich)
    DAMAGES["secure delete off"](rich)
    report = vstore.repair(rich, EMBEDDER)
    assert "forget their documents" in report.left["keyword index"]
    with Store(rich, EMBEDDER) as store:
        store.forget("tea")
    assert vstore.repair(rich, EMBEDDER).ok


def test_many_damages_at_once_are_mended_together(rich: Path, expected: list[object]) -> None:
    for name in TOGETHER:
        DAMAGES[name](rich)
    assert len(vstore.check(rich, deep=True).failed) >= 14
    report = vstore.repair(rich, EMBEDDER)
    assert report.ok, [(check.name, check.found) for check in report.after.failed]
    assert found(rich) == expected


@pytest.mark.skipif(not hasattr(os, "fork"), reason="kills a forked process at an exact statement")
def test_a_repair_may_be_killed_at_any_point_and_done_again(rich: Path, expected: list[object]) -> None:
    for name in TOGETHER:
        DAMAGES[name](rich)
    damaged = rich.read_bytes()
    forker = start(FORKER, rich)
    assert forker.stdin is not None and forker.stdout is not None

    def killed_at(statement: int) -> str:
        for path in rich.parent.iterdir():
            path.unlink()
        rich.write_bytes(damaged)
        print(statement, file=forker.stdin, flush=True)
        return forker.stdout.readline().strip()

    statements = int(killed_at(0))
    assert found(rich) == expected
    for number in range(1, 6):
        assert killed_at(number * statements // 6) == "killed"
        report = vstore.repair(rich, EMBEDDER)
        assert report.ok, (number, report.after.failed, report.left)
        assert found(rich) == expected
    _, errors = forker.communicate(timeout=60)
    assert forker.returncode == 0, errors


# Forks a child for each number it reads; the child ends itself before its n-th statement (0: never, and says how many).
FORKER = """
import os, signal, sys
import apsw
from db.damage import EMBEDDER
from vstore import maintenance
from vstore.db import check, index, repair
from vstore.ingest import chunk

def child(path, last):
    seen = 0
    def trace(cursor, sql, bindings):
        nonlocal seen
        seen += 1
        if seen == last:
            os.kill(os.getpid(), signal.SIGKILL)
        return True
    mending = maintenance._do
    def begun(*arguments):
        hook = lambda connection: connection.set_exec_trace(trace)
        for connection in apsw.connections():
            hook(connection)
        apsw.connection_hooks[:] = [hook]
        return mending(*arguments)
    maintenance._do = begun
    assert maintenance.repair(path, EMBEDDER).ok
    print(seen, flush=True)

for line in sys.stdin:
    process = os.fork()
    if not process:
        child(sys.argv[1], int(line))
        os._exit(0)
    _, status = os.waitpid(process, 0)
    if os.WIFSIGNALED(status):
        print("killed", flush=True)
"""


def test_a_file_of_the_first_schema_is_mended_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "memory.db"
    text = "Green tea at seventy degrees."
    with closing(apsw.Connection(str(path))) as connection:
        run(connection, scripts()[0][1])
        run(connection, f"PRAGMA application_id = {config.APPLICATION_ID}")
        run(connection, "PRAGMA user_version = 1")
        run(connection, "INSERT INTO collections (name, created_at) VALUES ('default', 0)")
        run(
            connection,
            "INSERT INTO documents (collection_id, uri, title, media_type, content_hash, metadata, tags, created_at, "
            "updated_at, text) VALUES (1, 'tea', 'Tea', 'text/plain', '', '{}', '[]', 0, 0, ?)",
            (zlib.compress(text.encode()),),
        )
        run(
            connection,
            'INSERT INTO chunks (document_id, ordinal, start, "end", heading, text, extra, content_hash) '
            "VALUES (1, 0, 0, ?, '', ?, '', ?)",
            (len(text), text, hashlib.sha256(f"Tea\n{text}".encode()).hexdigest()),
        )
    report = vstore.repair(path)
    assert report.done == {"references": 0, "words": 1, "keyword index": 1}
    assert report.ok and report.after.schema == 1
    with Store(path) as store:
        assert [hit.document.uri for hit in store.search("tea", mode="lexical")] == ["tea"]


@pytest.mark.parametrize("seed", range(12))
def test_noise_anywhere_is_reported_and_mended_or_left_but_never_raised(
    rich: Path, seed: int, expected: list[object]
) -> None:
    """Where an adapter was hit, the one before it serves, and searches find something else."""
    draw = random.Random(seed)
    content = bytearray(rich.read_bytes())
    length = draw.choice([1, 16, 4096])
    at = draw.randrange(4096, len(content) - length) // length * length
    content[at : at + length] = draw.randbytes(length)
    rich.write_bytes(content)
    before = vstore.check(rich, deep=True)
    try:
        report = vstore.repair(rich, EMBEDDER)
    except StoreDamagedError:
        assert rich.read_bytes() == content
        return
    assert report.ok or all(check.advice for check in report.after.failed if not report.left)
    if report.ok and before["adapters"].status == "ok":
        assert found(rich) == expected


def test_a_store_that_is_open_meanwhile_goes_on(rich: Path, expected: list[object]) -> None:
    for name in ("a code missing", "a forward length", "an index row missing"):
        DAMAGES[name](rich)
    with Store(rich, EMBEDDER, log=False, metrics=False) as store:
        store.search("green tea")
        assert vstore.repair(rich, EMBEDDER).ok
        assert [hit.score for hit in store.search("green tea", mode="lexical")]
        store.remember("Something new about green tea.", uri="new")
        assert any(hit.document.uri == "new" for hit in store.search("something new", mode="lexical"))
        store.forget("new")
    assert vstore.check(rich, deep=True).ok
    assert found(rich) == expected


def test_while_somebody_else_writes_each_step_is_left_and_said(rich: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    DAMAGES["a code missing"](rich)
    monkeypatch.setattr(config, "BUSY_TIMEOUT_MS", 1)
    with closing(apsw.Connection(str(rich))) as other:
        run(other, "BEGIN IMMEDIATE")
        report = vstore.repair(rich, EMBEDDER)
        assert set(report.left) == {"references", "codes"}
        assert "another process is writing" in report.left["codes"]
        run(other, "ROLLBACK")
    assert vstore.repair(rich, EMBEDDER).ok


def test_repair_of_a_store_with_its_own_model_by_name_needs_no_argument(rich: Path) -> None:
    """A model that nobody knows by name is an error of the step, not of the repair."""
    DAMAGES["a vector missing"](rich)
    report = vstore.repair(rich)
    assert "toy" in report.left["vectors"]
    assert isinstance(report.to_dict()["after"]["checks"], list)
    assert issubclass(StoreDamagedError, VstoreError)

"""What leaves the store, and when: documents expire, pinned ones do not; what is erased is in no byte of the file."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from db.material import assert_consistent, rows
from toy import ToyEmbedder

from vstore import Store, check, export_to, import_from
from vstore.adapter import Adapter
from vstore.db import journal
from vstore.db.connection import Database
from vstore.db.migrate import latest
from vstore.db.terms import stem_id
from vstore.errors import InputError, NotFoundError
from vstore.search.optional import History

TOY = ToyEmbedder(64)
DAY = timedelta(days=1)
Later = Callable[[timedelta], None]


@pytest.fixture
def later(monkeypatch: pytest.MonkeyPatch) -> Later:
    """Let time pass for the store."""
    started, passed = time.time_ns, timedelta()

    def pass_by(some: timedelta) -> None:
        nonlocal passed
        passed += some

    monkeypatch.setattr("time.time_ns", lambda: started() + round(passed.total_seconds() * 1e9))
    return pass_by


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "memory.db"


@pytest.fixture
def store(path: Path) -> Iterator[Store]:
    with Store(path, TOY) as opened:
        yield opened


def found(store: Store, query: str, **options: Any) -> set[str]:
    return {hit.document.uri for hit in store.search(query, k=20, **options)}


# --- expiring ---------------------------------------------------------------------------------------------------------


def test_what_has_expired_is_found_in_no_way(store: Store, later: Later) -> None:
    store.remember("red kite over the hill", uri="kept")
    document = store.remember("red kite in the barn", uri="gone", expires="30d", metadata={"year": 2020})
    (hit,) = [hit for hit in store.search("red kite", k=5) if hit.document.uri == "gone"]
    assert document.expires_at == hit.document.expires_at
    later(31 * DAY)
    for options in ({}, {"mode": "lexical"}, {"mode": "dense"}, {"exact": True}, {"context": 1}):
        assert found(store, "red kite", **options) == {"kept"}, options
    assert found(store, '"kite in the barn"', mode="lexical") == {"kept"}  # no chunk holds the phrase: words alone
    assert found(store, "red", where={"year": 2020}) == set()
    assert found(store, "red kite", stages=[History()]) == {"kept"}
    assert [document.uri for document in store.documents()] == ["kept"]
    for target in ("gone", hit.chunk_id):
        with pytest.raises(NotFoundError):
            store.get(target)
    with pytest.raises(NotFoundError):
        store.why("red", uri="gone")
    assert (store.stats().documents, store.stats().expired) == (2, 1)


def test_what_has_expired_can_no_longer_be_judged_and_its_judgements_teach_nothing(store: Store, later: Later) -> None:
    store.remember("red kite over the hill", uri="kept")
    store.remember("red kite in the barn", uri="gone", expires="30d")
    (chunk_id,) = [hit.chunk_id for hit in store.search("red kite", k=5) if hit.document.uri == "gone"]
    store.feedback("hunting birds", chunk_id)
    store.feedback("hunting birds", "kept")
    later(31 * DAY)
    assert [judgement.uri for judgement in store.judgements()] == ["kept"]
    for target in ("gone", chunk_id):
        with pytest.raises(NotFoundError):
            store.feedback("birds in a barn", target)
    store.keep("gone")
    assert [judgement.uri for judgement in store.judgements()] == ["kept", "gone"]


def test_a_store_that_is_open_elsewhere_sees_it_expire_as_well(store: Store, path: Path, later: Later) -> None:
    store.remember("red kite", uri="a", expires=30 * DAY)
    store.remember("red barn", uri="b", expires=60 * DAY)
    with Store(path, TOY) as other:
        for expected in ({"a", "b"}, {"b"}, set()):
            for _ in range(4):  # codes and scopes are kept in memory from the third search on
                assert found(store, "red") == found(other, "red") == expected
            later(31 * DAY)


def test_a_pinned_document_whose_time_was_1970_is_like_any_other(store: Store, tmp_path: Path) -> None:
    """An import may bring one, and what is being written is told by that time."""
    store.remember("kept for good", uri="old", expires="1d", pinned=True)
    lines = [json.loads(line) for line in export_lines(store, tmp_path)]
    for line in lines:
        if line.get("uri") == "old":
            line["expires_at"] = "1970-01-01T00:00:00+00:00"
    export = tmp_path / "edited.jsonl"
    export.write_text("".join(json.dumps(line) + "\n" for line in lines))
    with Store(tmp_path / "other.db", ToyEmbedder()) as other:
        import_from(other, export)
        assert [document.uri for document in other.documents()] == ["old"]
        assert other.stats().documents == 1
        assert [hit.document.uri for hit in other.search("kept")] == ["old"]
        assert check(other.path, deep=True).ok
        assert [document.uri for document in other.forget("old")] == ["old"]


def export_lines(store: Store, folder: Path) -> list[str]:
    export_to(store, folder / "export.jsonl")
    return (folder / "export.jsonl").read_text().splitlines()


def test_pinned_documents_do_not_expire(store: Store, later: Later) -> None:
    store.remember("red kite", uri="a", expires="1d", pinned=True)
    later(2 * DAY)
    assert found(store, "kite") == {"a"}
    assert store.compact().expired == 0
    store.keep("a", expires="1d")
    later(2 * DAY)
    assert found(store, "kite") == set()


def test_keeping_brings_back_what_has_expired_until_the_store_is_compacted(store: Store, later: Later) -> None:
    for uri in ("a", "b"):
        store.remember(f"red kite {uri}", uri=uri, expires="1d")
    later(2 * DAY)
    (kept,) = store.keep("a")
    assert kept.expires_at is None
    assert found(store, "kite") == {"a"}
    assert store.compact().expired == 1
    with pytest.raises(NotFoundError):
        store.keep("b")
    assert store.stats().documents == 1


def test_keeping_what_somebody_else_erases_meanwhile_is_no_success(
    store: Store, path: Path, later: Later, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.remember("red kite", uri="/notes/a", expires="1d")
    store.remember("red barn", uri="/notes/b")
    later(2 * DAY)
    find = store.find

    def found_just_before(*arguments: Any, **options: Any) -> Any:
        documents = find(*arguments, **options)
        with Store(path, TOY) as other:
            other.compact()
        return documents

    monkeypatch.setattr(store, "find", found_just_before)
    assert [document.uri for document in store.keep("/notes")] == ["/notes/b"]
    store.remember("red kite", uri="/notes/a", expires="3d")
    later(2 * DAY)
    with pytest.raises(NotFoundError, match="erased because it had expired"):
        store.keep("/notes/a")


def test_remembering_what_has_expired_brings_it_back(store: Store, later: Later) -> None:
    store.remember("red kite", uri="a")
    store.keep("a", expires="1d")  # the text and all that was said of it stay the same
    later(2 * DAY)
    assert found(store, "kite") == set()
    store.remember("red kite", uri="a")
    assert found(store, "kite") == {"a"}


def test_remembering_again_sets_when_it_expires_and_embeds_nothing(store: Store, later: Later) -> None:
    store.remember("red kite", uri="a", expires="1d")
    embedded = len(TOY.embedded)
    document = store.remember("red kite", uri="a", expires="9d")
    assert document.expires_at is not None
    assert 8 * DAY < document.expires_at - datetime.now(timezone.utc) < 10 * DAY
    assert len(TOY.embedded) == embedded
    later(2 * DAY)
    assert found(store, "kite") == {"a"}


def test_a_new_version_is_kept_as_long_as_the_one_before_unless_something_else_is_said(
    store: Store, tmp_path: Path, later: Later
) -> None:
    note = tmp_path / "note.md"
    note.write_text("red kite", encoding="utf-8")
    store.add(note)
    store.keep(note, expires="9d", pinned=True)
    note.write_text("blue kite", encoding="utf-8")
    store.add(note)
    (document,) = store.find(note)
    assert document.pinned and document.expires_at is not None
    store.remember("red barn", uri="a", expires="9d")
    before = store.find("a")[0].expires_at
    assert store.remember("blue barn", uri="a").expires_at == before
    later(10 * DAY)
    assert store.remember("green barn", uri="a").expires_at is None  # what has expired says nothing any more


@pytest.mark.parametrize("when", ["yesterday", "2020-01-01", -DAY, "0d", True, float("nan"), [], "9999999999d"])
def test_a_time_that_cannot_be_meant_is_refused_and_nothing_is_kept(store: Store, when: Any) -> None:
    with pytest.raises(InputError):
        store.remember("red kite", expires=when)
    with pytest.raises(InputError):
        store.remember("red kite", pinned="yes")  # type: ignore[arg-type]
    assert store.stats().documents == 0


# --- compacting -------------------------------------------------------------------------------------------------------


def words(number: int) -> str:
    return " ".join(f"word{number}x{part}" for part in range(400))


def test_compacting_gives_back_the_space_of_what_is_gone(store: Store, path: Path, later: Later) -> None:
    for number in range(60):
        store.remember(words(number), uri=f"{number}", expires=None if number % 3 else "1d")
    for number in range(1, 60, 3):
        store.forget(f"{number}")
    before = [(hit.document.uri, hit.score) for hit in store.search("word5x5 word6x6 word8x8", k=5)]
    later(2 * DAY)
    report = store.compact()
    assert report.expired == 20
    assert report.bytes_after < 0.6 * report.bytes_before  # two thirds of the documents are gone
    (remark,) = report.remarks
    assert "backups" in remark
    assert path.stat().st_size == report.bytes_after
    assert rows(path, "PRAGMA freelist_count") == [(0,)]
    after = [(hit.document.uri, hit.score) for hit in store.search("word5x5 word6x6 word8x8", k=5)]
    assert len(after) == len(before) == 5
    assert store.compact().bytes_after == report.bytes_after
    assert_consistent(path)


def test_compacting_merges_the_keyword_index_in_steps(
    store: Store, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("vstore.config.MERGED_PAGES", 2)
    for number in range(40):
        store.remember(words(number), uri=f"{number}")
    assert _segments(path) > 1
    store.compact()
    assert _segments(path) == 1
    assert found(store, "word7x7", mode="lexical") == {"7"}
    assert_consistent(path)


def _segments(path: Path) -> int:
    return int(rows(path, "SELECT count(DISTINCT segid) FROM chunks_fts_idx")[0][0])


def test_without_room_for_a_copy_the_file_stays_as_it_is_and_says_so(
    store: Store, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(20):
        store.remember(words(number), uri=f"{number}")
    for number in range(10):
        store.forget(f"{number}")
    monkeypatch.setattr("vstore.config.REWRITE_ROOM", 1e12)
    report = store.compact()
    assert report.bytes_after == report.bytes_before
    (remark,) = report.remarks
    assert "was not made smaller" in remark and "free space" in remark


def test_what_another_process_is_writing_is_waited_for_and_then_left(
    store: Store, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The step that takes long is left out; the store is whole."""
    monkeypatch.setattr("vstore.config.BUSY_TIMEOUT_MS", 50)
    for number in range(20):
        store.remember(words(number), uri=f"{number}")
    for number in range(15):
        store.forget(f"{number}")
    rewrite, other = Database.rewrite, Database(path, latest(), create=False)

    def while_somebody_writes(self: Database) -> None:
        with other.write():
            rewrite(self)

    monkeypatch.setattr(Database, "rewrite", while_somebody_writes)
    with Store(path, TOY) as mine:
        assert "another process is writing" in mine.compact().remarks[0]
    other.close()
    assert_consistent(path)


# --- forgetting -------------------------------------------------------------------------------------------------------

SECRET = "Zanzibar's xylophone7719 opens the vault of Ueberlingen."
PARTS = (
    "zanzibar",
    "pelargonium",
    "xylophone7719",
    "xylophon",
    "ueberlingen",
    "secretnote",
    "kestreltag",
    "plovermeta",
)


def fill(store: Store) -> None:
    for number in range(30):
        store.remember(f"note {number} about red kites and barns", uri=f"note {number}", title=f"Note {number}")
    store.remember(
        f"{SECRET} {'Red kites. ' * 300}",
        uri="secretnote",
        title="The pelargonium case",
        tags=["kestreltag"],
        metadata={"plovermeta": "xylophone7719"},
    )
    for _ in range(2):
        store.search("xylophone7719 opens the vault")
        store.search("Pelargonium case")
        store.search("red kites")
    store.feedback("Zanzibar's XYLOPHONE7719", "secretnote")
    store.flush()


def residue(path: Path, traces: list[bytes]) -> list[tuple[str, bytes]]:
    """Which of these are in which of the store's files."""
    files = [path.with_name(path.name + suffix) for suffix in ("", "-wal", "-shm")]
    content = {file.name: file.read_bytes().lower() for file in files if file.exists()}
    return [(name, trace) for name, data in content.items() for trace in traces if trace.lower() in data]


def traces_of_the_secret(path: Path) -> list[bytes]:
    """Words, ids of stems in the forward index, the compressed text, vectors and codes of the secret document."""
    ids = [row[0] for row in rows(path, "SELECT c.id FROM chunks AS c JOIN documents AS d ON d.id = c.document_id "
                                        "WHERE d.uri = 'secretnote'")]  # fmt: skip
    marks = ", ".join(map(str, ids))
    blobs = [row[0] for row in rows(path, f"SELECT vector FROM vectors_g1 WHERE chunk_id IN ({marks})")]
    blobs += [row[0] for row in rows(path, f"SELECT body FROM chunk_terms WHERE chunk_id IN ({marks})")]
    blobs += [row[0] for row in rows(path, "SELECT text FROM documents WHERE uri = 'secretnote'")]
    blobs += [row[0] for row in rows(path, "SELECT vector FROM queries WHERE text LIKE 'xylo%'")]
    codes = [row[0] for row in rows(path, f"SELECT code FROM codes_g1 WHERE chunk_id = {ids[0]}")]
    stem = stem_id("xylophone7719").to_bytes(4, "little")
    assert len(ids) > 1 and len(blobs) >= 2 * len(ids) + 2
    return [*(part.encode() for part in PARTS), *blobs, *codes, stem]


def check_gone(path: Path, erase: Callable[[Store], object]) -> None:
    with Store(path, TOY, log=True) as store:
        fill(store)
    traces = traces_of_the_secret(path)
    assert {trace for _, trace in residue(path, traces)} == set(traces)  # or not finding them would say nothing
    with Store(path, TOY, log=True) as store:
        erase(store)
        assert residue(path, traces) == []  # with the file still open
        store.search("anything else")
    assert residue(path, traces) == []
    assert_consistent(path)


def test_what_was_forgotten_is_in_no_byte_of_the_files(path: Path) -> None:
    check_gone(path, lambda store: store.forget("secretnote"))


def test_what_was_replaced_is_in_no_byte_of_the_files_but_in_what_was_asked(path: Path) -> None:
    with Store(path, TOY, log=True) as store:
        fill(store)
    traces = [trace for trace in traces_of_the_secret(path) if trace != b"secretnote"]
    with Store(path, TOY, log=True) as store:
        store.remember("Nothing to see here.", uri="secretnote")
        store.erase_searches()
    left = {trace for _, trace in residue(path, traces)}
    assert left == {b"zanzibar", b"xylophone7719", b"xylophon"}  # a judged query, for as long as its document is there


def test_what_has_expired_is_in_no_byte_of_the_files_once_the_store_is_compacted(path: Path, later: Later) -> None:
    def expire(store: Store) -> None:
        store.keep("secretnote", expires="1d")
        later(2 * DAY)
        assert store.compact().expired == 1

    check_gone(path, expire)


def test_compacting_says_where_something_may_be_left_of_what_had_expired(
    store: Store, path: Path, later: Later
) -> None:
    assert store.compact().remarks == ()  # nothing was erased
    store.remember("red kite", uri="a", expires="1d")
    model = store.index.save_adapter(Adapter(np.eye(64, dtype=np.float32), 0.1, 0.1), {}, {})
    later(2 * DAY)
    with Store(path, TOY) as other, other.index.snapshot() as snapshot:
        assert snapshot.chunk_count == 1
        report = store.compact()
    log, models, elsewhere = report.remarks
    assert report.expired == 1
    assert "-wal" in log and f"({model})" in models and "backups" in elsewhere


def test_each_query_is_taken_apart_once_however_many_documents_are_erased(
    store: Store, later: Later, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With a full log that is most of what forgetting takes, and the lock is held meanwhile."""
    for number in range(20):
        store.remember(f"note {number} about kites", uri=f"/notes/{number}")
    store.feedback("about barns", "/notes/0")
    store.feedback("note 13", "/notes/0")
    asked: list[str] = []

    def exact(tokenize: Any, text: str) -> str:
        asked.append(text)
        return original(tokenize, text)

    original = journal.exact
    monkeypatch.setattr(journal, "exact", exact)
    store.keep("/notes", expires="1d")
    store.keep("/notes/0")
    later(2 * DAY)
    assert store.compact().expired == 19
    assert [judgement.query for judgement in store.judgements()] == ["about barns"]
    assert (asked.count("about barns"), asked.count("note 13")) == (1, 1)
    for number in range(20):
        store.remember(f"note {number} about kites", uri=f"/notes/{number}")
    asked.clear()
    assert len(store.forget("/notes")) == 20
    assert asked.count("about barns") == 1


def test_copies_beside_a_store_are_named_whatever_its_name_is(tmp_path: Path) -> None:
    copy = tmp_path / "notes[1].before-restore-20260101-000000.db"
    copy.write_bytes(b"")
    with Store(tmp_path / "notes[1].db", TOY) as store:
        store.remember("red kite", uri="a")
        copies, _ = store.forget("a").beyond
    assert copy.name in copies


def test_of_many_documents_each_transaction_forgets_one_at_least(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(3):
        store.remember(f"red kite {number}", uri=f"/birds/{number}")
    monkeypatch.setattr("vstore.config.WRITE_HOLD_S", 0.0)
    assert len(store.forget("/birds")) == 3
    assert store.stats().documents == 0


def test_forgetting_says_where_something_may_be_left(store: Store, path: Path, tmp_path: Path) -> None:
    store.remember("red kite", uri="a")
    model = store.index.save_adapter(Adapter(np.eye(64, dtype=np.float32), 0.1, 0.1), {}, {})
    copy = tmp_path / "memory.before-restore-20260101-000000.db"
    copy.write_bytes(b"")
    store.remember("red barn", uri="b")
    with Store(path, TOY) as other, other.index.snapshot() as snapshot:
        assert snapshot.chunk_count == 2
        log, models, copies, elsewhere = store.forget("a").beyond
    assert "-wal" in log and "another process reads" in log
    assert f"({model})" in models
    assert copy.name in copies
    assert "backups" in elsewhere
    copy.unlink()
    assert len(store.forget("b").beyond) == 1  # nothing was trained since, and nobody reads

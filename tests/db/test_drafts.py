"""A document of many chunks is written in short transactions, and still whole or not at all."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from datetime import datetime, timedelta, timezone
from itertools import pairwise
from pathlib import Path
from typing import Any

import apsw
import pytest
from db.material import assert_consistent, chunk_ids, cut, document, embed, open_space, put, rows, write
from db.processes import python
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from toy import ToyEmbedder

from vstore import Store, config, processes
from vstore.db import drafts
from vstore.db.changes import Stored
from vstore.db.connection import Database
from vstore.db.expiry import DRAFT
from vstore.db.index import SqliteIndex
from vstore.errors import NotFoundError, StoreError, StoreFullError, VectorMissingError, VstoreError
from vstore.maintenance import check
from vstore.storage import Index
from vstore.types import Scope

LONG = [f"part {number} of the log book" for number in range(6)]
CHANGED = ["a new beginning", *LONG[:2], "part 2 as it was told later", *LONG[4:]]
Meanwhile = Callable[[int], None]


@pytest.fixture(autouse=True)
def one_chunk_a_transaction(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(config, "ADDED_AT_ONCE", 1)
    monkeypatch.setattr(config, "WRITTEN_AT_ONCE", 2)
    monkeypatch.setattr(config, "WRITE_HOLD_S", 0.0)


@contextmanager
def after_each_commit(meanwhile: Meanwhile) -> Iterator[None]:
    """Have something done after each transaction, with its number, counted from 1."""
    usual, commits = Database.write, 0

    @contextmanager
    def observed(self: Database) -> Iterator[apsw.Connection]:
        nonlocal commits
        with usual(self) as connection:
            yield connection
        commits += 1
        patch.setattr(Database, "write", usual)
        meanwhile(commits)
        patch.setattr(Database, "write", observed)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Database, "write", observed)
        yield


def texts(index: Index, uri: str) -> list[str]:
    """What another reader sees of a document: the texts of its chunks in their order; none where there is none."""
    with index.snapshot() as snapshot:
        found = [document for document in snapshot.documents(Scope(), 99) if document.uri == uri]
        ids = [chunk_id for document in found for chunk_id in snapshot.chunk_ids(document.id)]
        chunks = snapshot.chunks(ids)
        return [chunks[id_].text for id_ in ids]


def drafts_of(path: Path) -> list[tuple[Any, ...]]:
    return rows(path, f"SELECT uri FROM documents WHERE expires_at = {DRAFT}")


# --- whole or not at all ----------------------------------------------------------------------------------------------


def test_a_new_document_is_seen_after_its_last_transaction_and_not_before(index: SqliteIndex, path: Path) -> None:
    put(index, "short", "another text")
    seen = []
    with closing(SqliteIndex(path)) as other:
        with after_each_commit(lambda commit: seen.append((commit, len(texts(other, "long"))))):
            assert put(index, "long", *LONG) == "added"
        # One finds that it is long, one makes the draft, six add a chunk each, one shows it.
        assert seen == [(n, 0) for n in range(1, 9)] + [(9, 6)]
    assert_consistent(path)


def test_the_old_version_is_seen_until_the_new_one_is_and_no_mixture(index: SqliteIndex, path: Path) -> None:
    put(index, "long", *LONG)
    seen = []
    with closing(SqliteIndex(path)) as other:
        with after_each_commit(lambda _: seen.append(texts(other, "long"))):
            assert put(index, "long", *CHANGED) == "updated"
        assert seen[:4] == [LONG] * 4  # until the draft and its two new chunks are there
        assert seen[4:] == [CHANGED] * 4  # while the two old ones and the draft are erased
    assert_consistent(path)


def test_a_search_finds_no_part_of_a_draft_in_any_mode_and_all_else(path: Path) -> None:
    with Store(path, ToyEmbedder(16)) as store, Store(path, ToyEmbedder(16)) as other:
        for number in range(3):
            store.remember(f"short note {number} about part and log", uri=f"note{number}")
        found: list[set[str]] = []

        def search(_: int) -> None:
            for mode in ("hybrid", "dense", "lexical"):
                found.append({hit.document.uri for hit in other.search("part of the log book", 50, mode=mode)})
            assert other.stats().documents == len(other.documents()) == 3
            assert (other.stats().chunks, other.stats().expired) == (3, 0)
            assert other.stats().collections == {"default": 3}

        with after_each_commit(lambda commit: search(commit) if commit < 9 else None):
            write(store.index, *long_document(), open_space(store.index, ToyEmbedder(16)))
        assert found == [{"note0", "note1", "note2"}] * 24
        assert "long" in {hit.document.uri for hit in other.search("part of the log book", 50)}


def long_document() -> tuple[Any, Any, Any]:
    text, chunks = cut(LONG)
    return document("long", text), chunks, embed(chunks, ToyEmbedder(16))


# --- the same as at once ----------------------------------------------------------------------------------------------


versions = st.lists(st.sampled_from([f"text {letter}" for letter in "abcdefgh"]), min_size=1, max_size=9)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(old=versions, new=versions, titles=st.tuples(*[st.sampled_from(("", "Title", "Other"))] * 2))
def test_in_parts_it_comes_to_the_same_as_at_once(
    tmp_path_factory: pytest.TempPathFactory, old: list[str], new: list[str], titles: tuple[str, str]
) -> None:
    states = []
    for at_once in (0, 100):
        config.WRITTEN_AT_ONCE = at_once  # type: ignore[misc]  # the fixture puts it back
        path = tmp_path_factory.mktemp("parts") / "memory.db"
        with closing(SqliteIndex(path)) as index:
            put(index, "a", *old, title=titles[0])
            (born,) = rows(path, "SELECT id, created_at FROM documents")
            kept = {id_ for (id_,) in rows(path, "SELECT id FROM chunks")}
            put(index, "a", *new, title=titles[1])
            assert rows(path, "SELECT id, created_at FROM documents") == [born]
            states.append([contents(path), still_there(path, kept)])
        assert_consistent(path)
    assert states[0] == states[1]


def contents(path: Path) -> list[Any]:
    sql = (
        "SELECT d.uri, d.title, d.content_hash, d.text, d.expires_at, d.pinned, "
        "c.ordinal, c.start, c.heading, c.text, c.content_hash, t.length, t.head, t.body, v.crc32 "
        "FROM documents AS d JOIN chunks AS c ON c.document_id = d.id "
        "JOIN chunk_terms AS t ON t.chunk_id = c.id JOIN vectors_g1 AS v ON v.chunk_id = c.id ORDER BY c.ordinal"
    )
    words = "SELECT term, doc, cnt FROM chunks_vocabulary ORDER BY term"
    return [rows(path, sql), rows(path, words)]


def still_there(path: Path, ids: set[int]) -> list[Any]:
    return [(id_ in ids) and id_ for (id_,) in rows(path, "SELECT id FROM chunks ORDER BY ordinal")]


def test_what_was_judged_and_set_of_a_document_stays_with_its_new_version(path: Path) -> None:
    with Store(path, ToyEmbedder(16)) as store:
        index = store.index
        put(index, "long", *LONG)
        ids = chunk_ids(path, "long")
        store.feedback("kept", ids[LONG[0]])
        store.feedback("removed, relevant", ids[LONG[3]])
        store.feedback("removed, not relevant", ids[LONG[3]], relevant=False)
        until = datetime.now(timezone.utc) + timedelta(days=3)
        store.keep("long", expires=until, pinned=True)
        put(index, "long", *CHANGED)
        judged = {judgement.query: (judgement.uri, judgement.chunk_id) for judgement in store.judgements()}
        assert judged == {"kept": ("long", ids[LONG[0]]), "removed, relevant": ("long", None)}
        (found,) = store.documents()
        assert found.pinned and found.expires_at is not None
        assert abs((found.expires_at - until).total_seconds()) < 0.01


def test_times_and_lifetime_of_a_new_document_are_those_it_came_with(index: SqliteIndex) -> None:
    born = datetime(2020, 2, 3, tzinfo=timezone.utc)
    until = datetime(2099, 2, 3, tzinfo=timezone.utc)
    put(index, "long", *LONG, created_at=born, expires_at=until, pinned=True)
    with index.snapshot() as snapshot:
        (found,) = snapshot.documents(Scope(), 9)
    assert (found.created_at, found.expires_at, found.pinned) == (born, until, True)


def test_a_small_version_in_the_place_of_a_large_one_is_written_in_parts_too(index: SqliteIndex, path: Path) -> None:
    """To remove many chunks takes as long as to write them."""
    put(index, "long", *LONG)
    removed = []
    with after_each_commit(lambda _: removed.append(rows(path, "SELECT count(*) FROM chunks")[0][0])):
        assert put(index, "long", "all is said") == "updated"
    steps = [one - other for one, other in pairwise(removed)]
    assert max(steps) == 1  # a chunk a transaction
    assert (removed[-1], texts(index, "long")) == (1, ["all is said"])


def test_chunks_that_stay_in_their_place_are_not_written_again(index: SqliteIndex, path: Path) -> None:
    """Or a log book that grows by a line would be rewritten whole, under the lock."""
    put(index, "long", *LONG)
    connection = index._database.connection()
    put(index, "long", *LONG, "one more part")
    assert rows(path, "SELECT count(*) FROM chunks") == [(7,)]
    before = connection.total_changes()
    put(index, "long", *LONG, "one more part", "and one")
    written = connection.total_changes() - before
    put(index, "other", "one text")
    fresh = connection.total_changes() - before - written
    assert written <= fresh + 2  # a document of one chunk costs as much


# --- more than may change place at once -------------------------------------------------------------------------------


@pytest.fixture
def three_placed_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(config, "PLACED_AT_ONCE", 3)


MOVED = ["a new beginning", *LONG]  # all that is kept has another place
REWRITTEN = [f"part {number} of another log book" for number in range(5)]


@pytest.mark.usefixtures("three_placed_at_once")
@pytest.mark.parametrize("new", [MOVED, REWRITTEN, CHANGED], ids=["moved", "rewritten", "changed"])
def test_where_too_many_chunks_would_change_place_a_new_document_takes_the_place_whole(
    index: SqliteIndex, path: Path, new: list[str]
) -> None:
    put(index, "long", *LONG)
    ((first, born),) = rows(path, "SELECT id, created_at FROM documents")
    seen, changes = [], []
    with closing(SqliteIndex(path)) as other:

        def look(_: int) -> None:
            seen.append(texts(other, "long"))
            changes.append(index._database.connection().total_changes())

        with after_each_commit(look):
            assert put(index, "long", *new) == "updated"
    assert [one for n, one in enumerate(seen) if n == 0 or one != seen[n - 1]] == [LONG, new]
    shown = seen.index(new)
    assert changes[shown] - changes[shown - 1] == 2  # the rows of two documents, and of no chunk
    ((second, still),) = rows(path, "SELECT id, created_at FROM documents")
    assert second != first
    assert still == born
    assert_consistent(path)


@pytest.mark.usefixtures("three_placed_at_once")
def test_vectors_of_what_a_new_document_takes_over_are_not_computed_again(index: SqliteIndex, path: Path) -> None:
    put(index, "long", *LONG)
    ids = chunk_ids(path, "long")
    before = dict(rows(path, "SELECT chunk_id, crc32 FROM vectors_g1"))
    text, chunks = cut(MOVED)
    write(index, document("long", text), chunks, embed(chunks[:1]), open_space(index))
    after = dict(rows(path, "SELECT chunk_id, crc32 FROM vectors_g1"))
    now = chunk_ids(path, "long")
    assert [after[now[one]] for one in LONG] == [before[ids[one]] for one in LONG]


@pytest.mark.usefixtures("three_placed_at_once")
@pytest.mark.parametrize("lifetime", ["set before", "set anew", "over"])
def test_a_new_document_inherits_what_was_judged_and_set(path: Path, lifetime: str) -> None:
    soon = datetime.now(timezone.utc) + timedelta(days=3)
    later = soon + timedelta(days=3)
    with Store(path, ToyEmbedder(16)) as store:
        index = store.index
        put(index, "long", *LONG)
        ids = chunk_ids(path, "long")
        store.feedback("kept", ids[LONG[0]])
        store.feedback("kept, not relevant", ids[LONG[1]], relevant=False)
        store.feedback("removed, relevant", ids[LONG[3]])
        store.feedback("removed, not relevant", ids[LONG[3]], relevant=False)
        store.feedback("all of it", "long")
        if lifetime == "over":
            with index._database.write() as connection:
                connection.execute("UPDATE documents SET expires_at = 1")
        else:
            store.keep("long", expires=soon, pinned=True)
        put(index, "long", *CHANGED, **({"expires_at": later} if lifetime == "set anew" else {}))
        now = chunk_ids(path, "long")
        assert set(now.values()).isdisjoint(ids.values())
        judged = {one.query: (one.uri, one.chunk_id, one.grade) for one in store.judgements()}
        assert judged == {
            "kept": ("long", now[LONG[0]], 1.0),
            "kept, not relevant": ("long", now[LONG[1]], 0.0),
            "removed, relevant": ("long", None, 1.0),
            "all of it": ("long", None, 1.0),
        }
        (found,) = store.documents()
        expected = {"set before": soon, "set anew": later, "over": None}[lifetime]
        assert found.pinned == (lifetime != "over")
        if expected is None or found.expires_at is None:
            assert found.expires_at is expected
        else:
            assert abs((found.expires_at - expected).total_seconds()) < 0.01


@pytest.mark.usefixtures("three_placed_at_once")
def test_a_whole_new_version_takes_the_place_of_whatever_somebody_else_wrote_meanwhile(
    index: SqliteIndex, path: Path
) -> None:
    """Of what it does not have, nothing is needed."""
    put(index, "long", *LONG)
    other = SqliteIndex(path)
    with (
        closing(other),
        after_each_commit(lambda commit: put(other, "long", *LONG[:5], "end") if commit == 4 else None),
    ):
        assert put(index, "long", *REWRITTEN) == "updated"
    assert texts(index, "long") == REWRITTEN
    assert drafts_of(path) == []
    assert_consistent(path)


def test_two_long_versions_are_compared_without_holding_the_lock(
    index: SqliteIndex, monkeypatch: pytest.MonkeyPatch
) -> None:
    """That takes the longer, the more chunks there are."""
    put(index, "long", *LONG)
    connection, load, held = index._database.connection(), Stored.load, []

    def observed(*arguments: Any) -> Stored:
        held.append(connection.txn_state() == apsw.SQLITE_TXN_WRITE)
        return load(*arguments)

    monkeypatch.setattr(Stored, "load", observed)
    put(index, "long", *CHANGED)
    put(index, "long", *CHANGED, "one line more")
    assert held == [False, False]


# --- others meanwhile -------------------------------------------------------------------------------------------------


def test_a_document_changed_by_somebody_else_meanwhile_is_reported_and_theirs_stays(
    index: SqliteIndex, path: Path
) -> None:
    put(index, "long", *LONG)
    with closing(SqliteIndex(path)) as other:
        theirs = after_each_commit(lambda commit: put(other, "long", "their version") if commit == 2 else None)
        with theirs, pytest.raises(VectorMissingError, match="changed by somebody else meanwhile; add it again"):
            put(index, "long", *CHANGED)
    assert texts(index, "long") == ["their version"]
    assert drafts_of(path) == []
    assert_consistent(path)


def test_the_same_version_written_by_two_is_there_once(index: SqliteIndex, path: Path) -> None:
    other = SqliteIndex(path)
    with closing(other), after_each_commit(lambda commit: put(other, "long", *LONG) if commit == 4 else None):
        assert put(index, "long", *LONG) == "unchanged"
    assert texts(index, "long") == LONG
    assert drafts_of(path) == []
    assert rows(path, "SELECT count(*) FROM chunks") == [(6,)]


def test_other_writers_get_their_turn_while_a_long_document_is_written(index: SqliteIndex, path: Path) -> None:
    other = SqliteIndex(path)
    with closing(other), after_each_commit(lambda commit: put(other, f"note {commit}", "-") if commit < 8 else None):
        put(index, "long", *LONG)
    assert texts(index, "long") == LONG
    assert rows(path, "SELECT count(*) FROM documents") == [(8,)]


def test_a_switch_of_models_meanwhile_leaves_nothing_and_the_document_is_embedded_anew(path: Path) -> None:
    base, trained = ToyEmbedder(16), ToyEmbedder(12, "trained")
    with Store(path, base) as store:
        store.remember("a first note", uri="note")
        other = SqliteIndex(path)

        def switch(commit: int) -> None:
            if commit != 5:
                return
            model_id = other.begin_encoder(trained.fingerprint, trained.dimension, {})
            space = other.space_of(model_id)
            while lacking := other.lacking(space, 10):
                vectors = trained.embed_documents([chunk.text for chunk in lacking])
                other.put_vectors(space, dict(zip([chunk.id for chunk in lacking], vectors, strict=True)))
            other.complete_encoder(model_id, {})
            other.activate(model_id)

        with after_each_commit(switch), pytest.raises(StoreError, match="switched to another model"):
            write(store.index, *long_document(), open_space(store.index, base))
        other.close()
    assert drafts_of(path) == []
    assert_consistent(path, space=2)


# --- forgetting -------------------------------------------------------------------------------------------------------


def test_a_long_document_is_forgotten_in_short_transactions_and_gone_after_the_first(
    index: SqliteIndex, path: Path
) -> None:
    put(index, "long", *LONG)
    put(index, "short", "another text")
    seen, chunks = [], []
    with closing(SqliteIndex(path)) as other:

        def look(_: int) -> None:
            seen.append(texts(other, "long"))
            chunks.append(rows(path, "SELECT count(*) FROM chunks")[0][0])

        with after_each_commit(look):
            assert index.forget("default", "long") == 6
    assert seen == [[]] * len(seen)
    assert chunks[:7] == [7, 6, 5, 4, 3, 2, 1]
    assert drafts_of(path) == []
    assert texts(index, "short") == ["another text"]
    assert_consistent(path)


def test_nothing_of_a_long_document_that_was_forgotten_is_in_the_file(path: Path) -> None:
    with Store(path, ToyEmbedder(16)) as store:
        put(store.index, "long", *(f"{text} zanzibar" for text in LONG))
        store.feedback("where", "long")
        store.remember("another text", uri="short")
        store.forget("long")
        assert store.judgements() == []
    files = [path.with_name(path.name + suffix) for suffix in ("", "-wal")]
    assert not any(b"zanzibar" in file.read_bytes() for file in files if file.exists())


# --- what is left behind ----------------------------------------------------------------------------------------------


KILLED = """
import json, os, sys
from pathlib import Path
from db.material import put
from vstore import config
from vstore.db.connection import Database
from vstore.db.index import SqliteIndex
config.ADDED_AT_ONCE, config.WRITTEN_AT_ONCE, config.WRITE_HOLD_S = 1, 2, 0.0
path, left, old, new = Path(sys.argv[1]), int(sys.argv[2]), json.loads(sys.argv[3]), json.loads(sys.argv[4])
index = SqliteIndex(path)
if old:
    put(index, "long", *old)
put(index, "short", "another text")
commits, write = 0, Database.write
def counted(self):
    global commits
    if commits == left:
        os._exit(0)
    commits += 1
    return write(self)
Database.write = counted
put(index, "long", *new)
"""


@pytest.mark.parametrize(
    ("kind", "commits", "cleaner"), [("new", 4, "ingest"), ("update", 3, "forget"), ("update", 5, "compact")]
)
def test_what_a_killed_process_left_is_hidden_and_goes_with_the_next_one(
    path: Path, kind: str, commits: int, cleaner: str
) -> None:
    python(KILLED, path, commits, json.dumps(LONG if kind == "update" else []), json.dumps(CHANGED))
    assert len(drafts_of(path)) == 1
    assert_consistent_with_a_draft(path)
    with Store(path, ToyEmbedder(16)) as store:
        uris = {hit.document.uri for hit in store.search("part of the log book", 50)}
        assert uris == ({"short"} if kind == "new" else {"short", "long"})
        if cleaner == "ingest":
            (path.parent / "more.txt").write_text("one more file")
            store.add(path.parent / "more.txt")
        elif cleaner == "forget":
            store.forget("short")
        else:
            assert store.compact().expired == 0
    assert drafts_of(path) == []
    assert_consistent(path)
    if kind == "update" and commits == 5:  # the new version was there already
        with closing(SqliteIndex(path)) as index:
            assert texts(index, "long") == CHANGED


def assert_consistent_with_a_draft(path: Path) -> None:
    report = check(path, deep=True)
    assert [one.name for one in report.failed] == []


def test_a_draft_of_a_process_that_lives_is_left_alone(index: SqliteIndex, path: Path) -> None:
    with Store(path, ToyEmbedder(16)) as other:
        other.remember("a short text", uri="short")
        with after_each_commit(lambda commit: other.compact() if commit == 3 else None):
            assert put(index, "long", *LONG) == "added"
    assert texts(index, "long") == LONG


def test_a_draft_that_is_a_day_old_goes_wherever_its_process_runs(
    index: SqliteIndex, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(processes, "name", lambda: "another-host:1")
    put(index, "short", "another text")
    with pytest.raises(ZeroDivisionError):
        interrupted(index)
    monkeypatch.undo()
    drafts.sweep(index._database)
    assert len(drafts_of(path)) == 1
    with index._database.write() as connection:
        day = 1000 * config.STALE_PARTIAL_S
        connection.execute(f"UPDATE documents SET created_at = created_at - {day} WHERE expires_at = {DRAFT}")
    drafts.sweep(index._database)
    assert drafts_of(path) == []


def interrupted(index: SqliteIndex) -> None:
    """Begin a draft and lose sight of it, as a process does that is killed."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(drafts, "_erase", lambda *_: None)
        patch.setattr(drafts, "_publish", lambda *_: 1 / 0)
        put(index, "long", *LONG)


def test_a_draft_that_this_process_gave_up_is_erased_by_its_next_ingest(index: SqliteIndex, path: Path) -> None:
    with pytest.raises(ZeroDivisionError):
        interrupted(index)
    assert len(drafts_of(path)) == 1
    with index.bulk():
        assert drafts_of(path) == []


def test_an_error_on_the_way_leaves_nothing(index: SqliteIndex, path: Path) -> None:
    space = open_space(index)
    text, chunks = cut(LONG)
    vectors = embed(chunks[:4])
    with pytest.raises(VectorMissingError, match="chunk 4 of long came without a vector"):
        write(index, document("long", text), chunks, vectors, space)
    assert rows(path, "SELECT count(*) FROM documents") == rows(path, "SELECT count(*) FROM chunks") == [(0,)]
    assert rows(path, "SELECT count(*) FROM collections") == [(0,)]


def test_a_draft_that_was_erased_meanwhile_is_an_error_and_not_half_a_document(index: SqliteIndex, path: Path) -> None:
    def erase(commit: int) -> None:
        if commit == 4:
            with closing(SqliteIndex(path)) as other:
                ((name,),) = drafts_of(path)
                other.forget("default", name)

    refused = pytest.raises(StoreError, match="erased by another process meanwhile; add it again")
    with after_each_commit(erase), refused:
        put(index, "long", *LONG)
    assert rows(path, "SELECT count(*) FROM documents") == [(0,)]


def test_a_store_too_full_to_sweep_is_still_written_to(
    index: SqliteIndex, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(ZeroDivisionError):
        interrupted(index)

    def full(*_: object) -> None:
        raise StoreFullError("no space left")

    monkeypatch.setattr(drafts, "_erase", full)
    with index.bulk():
        put(index, "short", "another text")
    assert texts(index, "short") == ["another text"]


def test_threads_write_long_documents_side_by_side(index: SqliteIndex, path: Path) -> None:
    put(index, "short", "another text")  # the space is there
    errors: list[VstoreError] = []

    def work(number: int) -> None:
        try:
            put(index, f"long {number}", *(f"{text}, copy {number}" for text in LONG))
        except VstoreError as error:
            errors.append(error)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    assert rows(path, "SELECT count(*) FROM documents") == [(5,)]
    assert drafts_of(path) == []
    assert_consistent(path)


def test_forgetting_again_erases_what_a_killed_call_had_left(path: Path) -> None:
    """Nothing is found any more, and some of its bytes may be there."""
    with Store(path, ToyEmbedder(16)) as store:
        put(store.index, "long", *(f"{text} zanzibar" for text in LONG))
        store.feedback("where", "long")
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(drafts, "_erase", lambda *_: None)
            store.forget("long")
        assert len(drafts_of(path)) == 1
        assert store.judgements() == []
        with pytest.raises(NotFoundError):
            store.forget("long")
    assert drafts_of(path) == []
    files = [path.with_name(path.name + suffix) for suffix in ("", "-wal")]
    assert not any(b"zanzibar" in file.read_bytes() for file in files if file.exists())

"""Notes add up in the file, the log stays bounded and holds nothing of what was forgotten."""

from __future__ import annotations

import threading
import time
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
from db.material import TOY, chunk_ids, put, rows

from vstore import config
from vstore.db.index import SqliteIndex
from vstore.errors import StoreBusyError
from vstore.searches import Asked, Note

LOG = "SELECT text, collection, first_asked, last_asked, times FROM queries ORDER BY id"
ANSWERS = "SELECT q.text, a.rank, a.chunk_id FROM answers AS a JOIN queries AS q ON q.id = a.query ORDER BY q.id, rank"


def asked(text: str, *ids: int, collection: str = "", at: int = 1, slow: bool = False, embedded: bool = False) -> Note:
    question = (TOY.fingerprint, TOY.embed_queries([text])[0]) if embedded else None
    return Note(at, timings={"total": 5.0}, asked=Asked(text, collection, ids, question), slow=slow)


def texts(path: Path) -> list[str]:
    return [row[0] for row in rows(path, LOG)]


def slow_texts(path: Path) -> list[str]:
    return [row[0] for row in rows(path, "SELECT query FROM slow_queries ORDER BY id")]


# --- adding up --------------------------------------------------------------------------------------------------------


def test_counters_and_times_add_up_over_several_writes(index: SqliteIndex) -> None:
    note = Note(1, ("searches", "mode:hybrid"), {"total": 9.0, "fuse": 1.1, "terms": 0.002})
    index.record([note, note])
    index.record([note, Note(2, ("error:QueryError",)), Note(3, ("searches", "mode:lexical", "degraded", "empty"))])
    found = index.search_statistics()
    assert (found.searches, found.degraded, found.empty, found.slow) == (4, 1, 1, 0)
    assert (found.modes, found.errors) == ({"hybrid": 3, "lexical": 1}, {"QueryError": 1})
    # 0.002 ms is no work; 9 ms is in the bucket from 7.94 to 10, 1.1 in the one from 1 to 1.26.
    assert [(latency.stage, latency.searches, latency.at_most) for latency in found.latencies] == [
        ("total", 3, 10.0),
        ("fuse", 3, 1.26),
    ]
    assert found.latencies[0].p50 == pytest.approx(7.94 + 2.06 / 2)


def test_asking_again_counts_and_keeps_only_the_latest_answers(index: SqliteIndex, path: Path) -> None:
    put(index, "a", "red", "green", "blue")
    red, green, blue = sorted(chunk_ids(path, "a").values())
    index.record([asked("colour", red, green, at=10), asked("colour", collection="default", at=11)])
    index.record([asked("colour", blue, red, at=12)])
    assert rows(path, LOG) == [("colour", "", 10, 12, 2), ("colour", "default", 11, 11, 1)]
    assert rows(path, ANSWERS) == [("colour", 1, blue), ("colour", 2, red)]


def test_a_query_is_kept_with_its_vector_as_vectors_are_stored(index: SqliteIndex, path: Path) -> None:
    put(index, "a", "red")
    index.record([asked("red", embedded=True), asked("red", embedded=False), asked("unembedded")])
    ((space, blob), nothing) = rows(path, "SELECT space, vector FROM queries ORDER BY id")
    assert nothing == (None, None)
    assert space == 1
    assert np.array_equal(np.frombuffer(blob, dtype="<f4"), TOY.embed_queries(["red"])[0])
    assert blob == rows(path, "SELECT vector FROM vectors_g1")[0][0]


def test_a_vector_of_a_space_that_the_file_does_not_have_is_left_out(index: SqliteIndex, path: Path) -> None:
    index.record([asked("red", embedded=True)])
    assert rows(path, "SELECT text, space, vector FROM queries") == [("red", None, None)]


def test_the_log_is_bounded_and_what_was_asked_longest_ago_leaves_first(
    index: SqliteIndex, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(config, "MAX_LOGGED_QUERIES", 3)
    index.record([asked(text, at=at) for at, text in enumerate("abc")])
    index.record([asked("a", at=5), asked("d", at=6)])
    assert texts(path) == ["a", "c", "d"]


def test_slow_queries_are_bounded_and_the_newest_come_first(
    index: SqliteIndex, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(config, "MAX_SLOW_QUERIES", 2)
    index.record([asked("one", slow=True), asked("fast"), asked("two", slow=True), asked("three", at=1500, slow=True)])
    assert slow_texts(path) == ["two", "three"]
    newest = index.search_statistics().slow_queries[0]
    assert (newest.text, newest.timings, newest.asked_at.timestamp()) == ("three", {"total": 5.0}, 1.5)


def test_erasing_leaves_nothing_of_the_searches_and_everything_else(index: SqliteIndex, path: Path) -> None:
    put(index, "a", "red")
    (chunk,) = chunk_ids(path, "a").values()
    index.record([Note(1, ("searches",), {"total": 2.0}), asked("red", chunk, slow=True)])
    index.erase_searches()
    for table in ("queries", "answers", "slow_queries", "search_counters", "search_latencies"):
        assert rows(path, f"SELECT count(*) FROM {table}") == [(0,)], table
    assert rows(path, "SELECT text FROM chunks") == [("red",)]


# --- forgetting -------------------------------------------------------------------------------------------------------


def test_forgetting_erases_queries_that_are_part_of_the_text_and_no_others(index: SqliteIndex, path: Path) -> None:
    put(index, "a", "The Code of\n the vault is 7719.", "Ask Mia. 保险库密码")
    put(index, "b", "Mia likes vaults.")
    inside = ["code OF the  vault", "7719", "7719. Ask mia", "VAULT IS", "¿vault, is 7719?", "险库密"]
    outside = ["vault code", "Mia likes", "the code of the bank vault", "code the vault", "7720", "771", "库险"]
    index.record([asked(text, slow=True) for text in [*inside, *outside]])
    index.forget("default", "a")
    assert texts(path) == outside
    assert slow_texts(path) == outside


def test_what_was_forgotten_cannot_be_read_from_the_bytes_of_the_file(path: Path) -> None:
    with closing(SqliteIndex(path)) as index:
        put(index, "a", "The vault opens with xylophone7719.")
        index.record([asked("Xylophone7719", slow=True)])
    assert b"xylophone7719" in path.read_bytes().lower()
    with closing(SqliteIndex(path)) as index:
        index.forget("default", "a")
    assert b"xylophone7719" not in path.read_bytes().lower()


def test_forgetting_what_is_not_there_erases_nothing(index: SqliteIndex, path: Path) -> None:
    put(index, "a", "red")
    index.record([asked("red")])
    assert index.forget("other", "a") == 0
    assert texts(path) == ["red"]


def test_answers_go_with_their_chunks_and_the_query_stays(index: SqliteIndex, path: Path) -> None:
    put(index, "a", "red")
    put(index, "b", "green")
    first, second = chunk_ids(path, "a")["red"], chunk_ids(path, "b")["green"]
    index.record([asked("any colour", first, second)])
    index.forget("default", "a")
    assert rows(path, ANSWERS) == [("any colour", 2, second)]
    assert rows(path, "PRAGMA foreign_key_check") == []


def test_a_query_answered_with_what_was_forgotten_meanwhile_is_counted_but_not_kept(
    index: SqliteIndex, path: Path
) -> None:
    put(index, "a", "The vault opens with 7719.")
    (chunk,) = chunk_ids(path, "a").values()
    index.forget("default", "a")
    late = Note(1, ("searches",), {"total": 5.0}, Asked("vault 7719?", "", (chunk,)), slow=True)
    index.record([late, asked("unrelated")])
    assert texts(path) == ["unrelated"]
    assert slow_texts(path) == []
    found = index.search_statistics()
    assert (found.searches, found.latencies[0].searches) == (1, 2)


# --- in passing -------------------------------------------------------------------------------------------------------


def test_a_note_does_not_wait_for_a_long_write_and_later_writes_wait_as_ever(index: SqliteIndex, path: Path) -> None:
    with closing(SqliteIndex(path)) as other, other._database.write():
        started = time.perf_counter()
        with pytest.raises(StoreBusyError):
            index.record([asked("red")])
        assert time.perf_counter() - started < 1.0  # BUSY_TIMEOUT_MS is 5 seconds
    connection = index._database.connection()
    assert list(connection.execute("PRAGMA synchronous")) == [(2,)]  # FULL
    assert texts(path) == []
    with closing(SqliteIndex(path)) as other:
        held = threading.Event()

        def hold() -> None:
            with other._database.write():
                held.set()
                time.sleep(5 * config.JOURNAL_BUSY_MS / 1000)  # longer than a note would wait

        holder = threading.Thread(target=hold)
        holder.start()
        held.wait()
        assert put(index, "a", "one") == "added"
        holder.join()


def test_a_note_inside_a_bulk_leaves_the_bulk_as_fast_as_it_is(index: SqliteIndex) -> None:
    with index.bulk():
        index.record([asked("red")])
        assert list(index._database.connection().execute("PRAGMA synchronous")) == [(1,)]  # NORMAL


# --- reading the log --------------------------------------------------------------------------------------------------


def test_the_log_is_read_with_the_last_asked_first(index: SqliteIndex, monkeypatch: pytest.MonkeyPatch) -> None:
    index.record([asked("a", at=1000), asked("b", at=2000), asked("b", collection="work", at=2000)])
    index.record([asked("a", at=3000)])
    with index.snapshot() as snapshot:
        found = snapshot.logged_queries()
        assert [(one.text, one.collection, one.times) for one in found] == [
            ("a", "", 2),
            ("b", "work", 1),
            ("b", "", 1),
        ]
        first, last = found[0].first_asked, found[0].last_asked
        assert first is not None and last is not None
        assert (first.timestamp(), last.timestamp()) == (1.0, 3.0)
        monkeypatch.setattr(config, "MAX_LOGGED_QUERIES", 2)
        assert snapshot.logged_queries() == found[:2]


def test_an_empty_log_has_no_queries(index: SqliteIndex) -> None:
    with index.snapshot() as snapshot:
        assert snapshot.logged_queries() == []

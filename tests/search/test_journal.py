"""Searches are noted in memory and written in passing; they never wait or fail for it, and what is off is not kept."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from db.processes import python
from toy import ToyEmbedder

from vstore import Rerank, Results, Store, config
from vstore.db.connection import Database
from vstore.db.migrate import latest
from vstore.errors import FilterError, ModelUnavailableError, QueryError, StoreBusyError, StoreError
from vstore.search.journal import Journal
from vstore.searches import Note
from vstore.types import Query


@pytest.fixture(autouse=True)
def configuration(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A configuration file of this test's own, that does not exist yet."""
    for name in ("VSTORE_LOG", "VSTORE_METRICS", "VSTORE_SLOW_MS"):
        monkeypatch.delenv(name, raising=False)
    path = tmp_path / "config.toml"
    monkeypatch.setenv("VSTORE_CONFIG", str(path))
    return path


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A store with three texts in two collections."""
    path = tmp_path / "memory.db"
    with Store(path, ToyEmbedder()) as store:
        store.remember("Green tea at seventy degrees.", uri="tea")
        store.remember("Black coffee, freshly ground.", uri="coffee")
        store.remember("Bread and butter.", uri="bread", collection="kitchen")
    return path


def opened(path: Path, **more: Any) -> Store:
    return Store(path, ToyEmbedder(), **more)


def rows(path: Path, sql: str) -> list[tuple[Any, ...]]:
    with closing(Database(path, latest(), create=False)) as database, database.read() as connection:
        return list(connection.execute(sql))


def logged(path: Path) -> list[tuple[Any, ...]]:
    return rows(path, "SELECT text, collection, times FROM queries ORDER BY id")


# --- what is noted ----------------------------------------------------------------------------------------------------


def test_searches_are_counted_by_what_became_of_them(path: Path) -> None:
    with opened(path) as store:
        store.search("tea")
        store.search("tea", mode="lexical")
        store.search("zebra", mode="lexical")
        with pytest.raises(QueryError):
            store.search(" ")
        with pytest.raises(FilterError):
            store.search("tea", where={"year": {"$near": 1}})
        found = store.search_stats()
    assert (found.searches, found.degraded, found.empty, found.slow) == (3, 0, 1, 0)
    assert found.modes == {"hybrid": 1, "lexical": 2}
    assert found.errors == {"FilterError": 1, "QueryError": 1}
    assert {latency.stage: latency.searches for latency in found.latencies}["total"] == 3
    assert {latency.stage: latency.searches for latency in found.latencies}["embed"] == 1


def test_a_degraded_search_is_counted_as_such_and_logged_without_a_vector(path: Path) -> None:
    class NoModel(ToyEmbedder):
        def embed_queries(self, texts: list[str]) -> np.ndarray:
            raise ModelUnavailableError("no source has it")

    with Store(path, NoModel()) as store:
        assert store.search("tea").degraded
        found = store.search_stats()
    assert (found.degraded, found.modes) == (1, {"lexical": 1})
    assert rows(path, "SELECT text, space FROM queries") == [("tea", None)]


def test_the_log_has_query_collection_answers_and_vector(path: Path) -> None:
    with opened(path) as store:
        shown = [hit.chunk_id for hit in store.search("green tea")]
        store.search("green tea", collection="kitchen")
        store.search("green tea", collection=["kitchen", "default"])
        question = store.search("green tea", mode="dense").question
    assert logged(path) == [("green tea", "", 3), ("green tea", "kitchen", 1)]
    answers = "SELECT rank, chunk_id FROM answers JOIN queries ON id = query WHERE collection = '' ORDER BY rank"
    assert rows(path, answers) == list(enumerate(shown, start=1))
    assert question is not None
    assert rows(path, "SELECT DISTINCT space, vector FROM queries") == [(1, question[1].tobytes())]


def test_no_more_answers_are_logged_than_a_reader_looks_at(tmp_path: Path) -> None:
    with opened(tmp_path / "many.db") as store:
        for number in range(config.SHOWN + 3):
            store.remember(f"tea number {number}")
        assert len(store.search("tea", 100)) == config.SHOWN + 3
    assert rows(tmp_path / "many.db", "SELECT count(*), max(rank) FROM answers") == [(config.SHOWN, config.SHOWN)]


def test_of_a_long_query_only_the_beginning_is_kept(path: Path) -> None:
    with opened(path) as store:
        store.search("tea " * 5_000)
    assert logged(path) == [(("tea " * 500), "", 1)]


def test_a_query_that_is_no_unicode_is_neither_logged_nor_in_the_way_of_others(path: Path) -> None:
    with opened(path) as store:
        store.search("tea \ud800", mode="dense")
        store.search("tea")
    assert logged(path) == [("tea", "", 1)]


def test_results_do_not_show_the_vector(path: Path) -> None:
    with opened(path) as store:
        results = store.search("tea")
    assert results.question is not None
    assert "question" not in results.to_dict()
    assert "question" not in repr(results)


def test_slow_searches_are_kept_with_their_times(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Slow(ToyEmbedder):
        def embed_queries(self, texts: list[str]) -> np.ndarray:
            time.sleep(0.06)
            return super().embed_queries(texts)

    monkeypatch.setenv("VSTORE_SLOW_MS", "50")
    with Store(path, Slow()) as store:
        store.search("tea", mode="lexical")
        results = store.search("tea")
        (slow,) = store.search_stats().slow_queries
    assert (slow.text, slow.timings) == ("tea", results.timings)
    assert 60 <= slow.timings["embed"] <= slow.timings["total"]
    monkeypatch.setenv("VSTORE_SLOW_MS", "0")
    with Store(path, Slow()) as store:
        store.search("tea")
        assert store.search_stats().slow == 1


# --- what is off ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "variables", "file"),
    [
        ({"log": False, "metrics": False}, {}, ""),
        ({}, {"VSTORE_LOG": "off", "VSTORE_METRICS": "0"}, ""),
        ({}, {}, "log = false\nmetrics = 'Off'"),
        ({}, {}, "log = "),  # nobody knows what was meant
    ],
    ids=["arguments", "environment", "file", "file that cannot be read"],
)
def test_with_both_off_nothing_is_written_at_all(
    path: Path,
    configuration: Path,
    monkeypatch: pytest.MonkeyPatch,
    arguments: dict[str, bool],
    variables: dict[str, str],
    file: str,
) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    configuration.write_text(file)
    before = path.read_bytes()
    with opened(path, **arguments) as store:
        for _ in range(config.JOURNAL_PENDING + 1):
            store.search("tea")
        with pytest.raises(QueryError):
            store.search("")
        assert store.search_stats().searches == 0
        assert store._index._database.connection().total_changes() == 0
    assert path.read_bytes() == before


def test_a_setting_that_a_search_does_not_need_does_not_fail_it(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VSTORE_DB", "~nobody there/x.db")
    with opened(path) as store:
        assert len(store.search("tea")) == 3
        with pytest.raises(QueryError, match="empty"):
            store.search("")


def test_without_the_log_no_text_is_kept_of_slow_queries_either(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VSTORE_SLOW_MS", "1")
    with opened(path, log=False) as store:
        store.search("xylophone " * 3_000)
        found = store.search_stats()
    assert (found.searches, found.slow, found.slow_queries, found.logged) == (1, 1, (), 0)
    assert b"xylophone" not in path.read_bytes()


def test_without_metrics_only_the_log_is_kept(path: Path) -> None:
    with opened(path, metrics=False) as store:
        store.search("tea")
        with pytest.raises(QueryError):
            store.search("")
        found = store.search_stats()
    assert (found.searches, found.errors, found.latencies, found.logged) == (0, {}, (), 1)


def test_arguments_win_over_the_settings(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VSTORE_LOG", "off")
    monkeypatch.setenv("VSTORE_METRICS", "off")
    with opened(path, log=True) as store:
        store.search("tea")
    assert logged(path) == [("tea", "", 1)]


# --- when it is written -----------------------------------------------------------------------------------------------


def test_notes_are_written_at_close_when_many_wait_and_now_and_then(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    count = "SELECT coalesce(sum(value), 0) FROM search_counters WHERE name = 'searches'"
    with opened(path) as store:
        for _ in range(config.JOURNAL_PENDING - 1):
            store.search("tea", mode="lexical")
        assert rows(path, count) == [(0,)]
        store.search("tea", mode="lexical")
        assert rows(path, count) == [(100,)]
        store.search("tea", mode="lexical")
    assert rows(path, count) == [(101,)]
    monkeypatch.setattr(config, "JOURNAL_INTERVAL_S", 0.0)
    with opened(path) as store:
        store.search("tea", mode="lexical")
        assert rows(path, count) == [(102,)]


def test_while_another_writes_searches_go_on_and_are_noted_later(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(config, "JOURNAL_INTERVAL_S", 0.0)
    with opened(path) as store, closing(Database(path, latest(), create=False)) as other:
        with other.write():
            started = time.perf_counter()
            for _ in range(3):
                assert len(store.search("tea")) == 3
            assert time.perf_counter() - started < 2.0  # BUSY_TIMEOUT_MS is 5 seconds
        store.search("coffee")
        assert logged(path) == [("tea", "", 3), ("coffee", "", 1)]


def test_closing_does_not_wait_for_another_writer(path: Path) -> None:
    with closing(Database(path, latest(), create=False)) as other:
        store = opened(path)
        store.search("tea")
        with other.write():
            started = time.perf_counter()
            store.close()
            assert time.perf_counter() - started < 1.0
    assert logged(path) == []


def test_what_cannot_be_written_is_bounded_and_the_newest_are_kept(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(config, "JOURNAL_KEPT", 3)
    monkeypatch.setattr(config, "JOURNAL_INTERVAL_S", 0.0)
    with closing(Database(path, latest(), create=False)) as other, opened(path) as store:
        with other.write():
            for number in range(5):
                store.search(f"tea {number}", mode="lexical")
        assert store.search_stats().searches == 3
    assert logged(path) == [("tea 2", "", 1), ("tea 3", "", 1), ("tea 4", "", 1)]


def test_searches_of_a_store_that_may_not_be_written_to_work(path: Path) -> None:
    with opened(path) as store:
        connection = store._index._database.connection()
        connection.execute("PRAGMA query_only = ON")
        assert len(store.search("tea")) == 3
        assert store.search_stats().searches == 0
        connection.execute("PRAGMA query_only = OFF")
        assert store.search_stats().searches == 1


def test_a_full_disk_does_not_fail_a_search(path: Path) -> None:
    script = """
import resource, sys
from toy import ToyEmbedder
from vstore import Rerank, Results, Store, config
config.JOURNAL_INTERVAL_S = 0.0
store = Store(sys.argv[1], ToyEmbedder())
resource.setrlimit(resource.RLIMIT_FSIZE, (1, resource.RLIM_INFINITY))
print(len(store.search("tea")), end=" ")
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
print(store.search_stats().searches)
store.close()
"""
    assert python(script, path) == "3 1"


def test_a_search_after_the_store_was_closed_fails_for_that_reason_alone(path: Path) -> None:
    store = opened(path)
    store.search("tea")
    store.close()
    with pytest.raises(StoreError, match="was closed; open a new Store"):
        store.search("tea")
    store.close()
    assert logged(path) == [("tea", "", 1)]


def test_no_search_of_many_threads_is_lost_or_counted_twice(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(config, "JOURNAL_PENDING", 7)
    with opened(path) as store:

        def ask(name: str) -> None:
            for _ in range(25):
                store.search(f"tea {name}", mode="lexical")

        threads = [threading.Thread(target=ask, args=[name]) for name in "abcd"]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert store.search_stats().searches == 100
    assert sorted(logged(path)) == [(f"tea {name}", "", 25) for name in "abcd"]


# --- what must not stay -----------------------------------------------------------------------------------------------


def test_forgetting_reaches_queries_that_are_not_written_yet(path: Path) -> None:
    with opened(path) as store:
        store.search("GREEN  tea", mode="lexical")
        store.search("coffee", mode="lexical")
        store.forget("tea")
    assert logged(path) == [("coffee", "", 1)]


def test_queries_that_could_not_be_written_before_forgetting_are_dropped(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with opened(path) as store:
        store.search("green tea", mode="lexical")
        with closing(Database(path, latest(), create=False)) as other, other.write():
            store._journal.settle()
        found = store.search_stats()
    assert (found.searches, found.logged) == (1, 0)


@pytest.mark.parametrize("end", ["settle", "drop"])
def test_texts_that_another_thread_fails_to_write_meanwhile_do_not_come_back(end: str) -> None:
    class Busy:
        """Keeps a writer waiting, and then has no room for its notes; later it takes some."""

        def __init__(self) -> None:
            self.asked, self.answer = threading.Event(), threading.Event()
            self.kept: list[Note] = []

        def record(self, notes: Sequence[Note]) -> None:
            if not self.answer.is_set():
                self.asked.set()
                self.answer.wait()
                raise StoreBusyError("somebody else is writing")
            self.kept += notes

    notebook = Busy()
    journal = Journal(notebook, log=True, metrics=True)
    journal.note(
        Query("green tea", 1, "lexical", "rrf"), Results("green tea", (), "lexical", "rrf", timings={"total": 1})
    )
    writer, ender = threading.Thread(target=journal.flush), threading.Thread(target=getattr(journal, end))
    writer.start()
    notebook.asked.wait()
    ender.start()
    ender.join(timeout=0.1)  # it must not be done before the other one is
    notebook.answer.set()
    writer.join()
    ender.join()
    written = len(notebook.kept)
    assert journal.flush()
    assert len(notebook.kept) == written


def test_a_search_does_not_wait_for_the_notes_of_another_thread(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(config, "JOURNAL_PENDING", 1)
    with opened(path) as store:
        with store._journal._writing:
            assert len(store.search("tea")) == 3
            assert logged(path) == []
        store.search("coffee")
        assert logged(path) == [("tea", "", 1), ("coffee", "", 1)]


def test_a_stage_may_search_the_same_store(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its notes, due in the middle of the outer search, are written after that."""
    monkeypatch.setattr(config, "JOURNAL_PENDING", 1)

    class ByHits:
        def score(self, query: str, texts: list[str]) -> list[float]:
            return [len(store.search(text, mode="lexical")) for text in texts]

    with opened(path) as store:
        assert len(store.search("tea", stages=[Rerank(ByHits())])) == 3
        assert store.search_stats().searches == 4


def test_erasing_takes_what_waits_in_memory_too(path: Path) -> None:
    with opened(path) as store:
        store.search("tea")
        store.search_stats()
        store.search("coffee")
        store.erase_searches()
        found = store.search_stats()
    assert (found.searches, found.logged, found.latencies) == (0, 0, ())

"""`meanwhile`, and the search that ranks by keywords while its text is embedded."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from threading import Event, current_thread
from typing import Any, TypeVar

import numpy as np
import pytest
from toy import ToyEmbedder

from vstore import Store, config
from vstore.db.snapshot import SqliteSnapshot
from vstore.search import pipeline
from vstore.search.meanwhile import meanwhile

T = TypeVar("T")

SECONDS = 20.0  # that an event is waited for before the test fails


def test_the_call_is_made_while_the_block_runs() -> None:
    begun, answered = Event(), Event()

    def call() -> bool:
        begun.set()
        return answered.wait(SECONDS)

    with meanwhile(call) as outcome:
        assert begun.wait(SECONDS)
        answered.set()
    assert outcome.result() is True


def test_what_the_call_raises_is_raised_to_who_asks_for_its_result() -> None:
    with meanwhile(lambda: 1 // 0) as outcome:
        pass
    with pytest.raises(ZeroDivisionError):
        outcome.result()


def test_a_block_that_raises_ends_no_earlier_than_the_call() -> None:
    begun, ended = Event(), Event()

    def call() -> None:
        begun.set()
        Event().wait(0.05)
        ended.set()

    with pytest.raises(ValueError, match="the block"), meanwhile(call):
        assert begun.wait(SECONDS)
        raise ValueError("the block")
    assert ended.is_set()


def test_without_a_thread_the_call_is_made_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(ThreadPoolExecutor, "submit", refuse)
    with meanwhile(lambda: current_thread().name) as outcome:
        assert outcome.result() == current_thread().name


@pytest.fixture
def store(tmp_path: Path) -> Store:
    with Store(tmp_path / "memory.db", ToyEmbedder()) as made:
        made.remember("red apples")
        made.remember("green pears")
    return made


def test_a_hybrid_search_ranks_by_keywords_while_the_model_embeds_in_the_callers_thread(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    ranked = Event()
    by_bm25 = SqliteSnapshot.lexical

    def lexical(self: SqliteSnapshot, *args: Any, **kwargs: Any) -> Any:
        found = by_bm25(self, *args, **kwargs)
        ranked.set()
        return found

    class Patient(ToyEmbedder):
        def embed_queries(self, texts: list[str]) -> np.ndarray:
            assert ranked.wait(SECONDS), "nothing was ranked meanwhile"
            self.thread = current_thread()
            return super().embed_queries(texts)

    monkeypatch.setattr(SqliteSnapshot, "lexical", lexical)
    patient = Patient()
    with Store(store.path, patient) as opened:
        hits = opened.search("red").hits
    assert [hit.text for hit in hits] == ["red apples", "green pears"]
    assert patient.thread is current_thread()


@pytest.mark.parametrize("where", [None, {"even": True}])
@pytest.mark.parametrize("query", ["red 7 number", '"red number" 3', "number"])
def test_legs_at_work_together_find_what_they_find_in_turn(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, query: str, where: dict[str, bool] | None
) -> None:
    """With codes in memory, lists of postings and a filter, so that both legs have much to ask the file."""
    for name, value in {
        "EXACT_SCAN_CHUNKS": 0,
        "CODES_FROM_SEARCH": 1,
        "CODE_CANDIDATES": 9,
        "KEYWORD_EXACT": 0,
    }.items():
        monkeypatch.setattr(config, name, value)
    monkeypatch.setattr(config, "KEYWORD_SCOPE", 0)
    with Store(tmp_path / "memory.db", ToyEmbedder()) as opened:
        for number in range(60):
            opened.remember(f"red number {number % 9} of {number}", uri=f"{number}", metadata={"even": number % 2 == 0})
        together = [opened.search(query, where=where) for _ in range(5)]
        monkeypatch.setattr(pipeline, "meanwhile", in_turn)
        expected = opened.search(query, where=where)
    assert len(expected) == 10
    for results in together:
        assert [(hit.chunk_id, hit.score, hit.why) for hit in results] == [
            (hit.chunk_id, hit.score, hit.why) for hit in expected
        ]


@contextmanager
def in_turn(call: Callable[[], T]) -> Iterator[Future[T]]:
    """Like `meanwhile`, without a thread."""
    outcome: Future[T] = Future()
    outcome.set_result(call())
    yield outcome


def test_a_search_that_is_interrupted_while_it_embeds_leaves_a_store_that_searches(store: Store) -> None:
    class Interrupted(ToyEmbedder):
        calls = 0

        def embed_queries(self, texts: list[str]) -> np.ndarray:
            self.calls += 1
            if self.calls == 1:
                raise KeyboardInterrupt
            return super().embed_queries(texts)

    with Store(store.path, Interrupted()) as opened:
        with pytest.raises(KeyboardInterrupt):
            opened.search("red")
        assert opened.search("red").hits[0].text == "red apples"
        opened.remember("blue plums")  # no transaction was left open
        assert opened.search("blue").hits[0].text == "blue plums"

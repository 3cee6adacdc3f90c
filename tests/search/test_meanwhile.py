"""`meanwhile`, and the search that ranks by keywords while its text is embedded."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from contextvars import ContextVar
from pathlib import Path
from threading import Event, Thread, current_thread
from typing import Any

import numpy as np
import pytest
from toy import ToyEmbedder

from vstore import Store, config
from vstore.db.snapshot import SqliteSnapshot
from vstore.errors import ModelDamagedError
from vstore.search import pipeline
from vstore.search.meanwhile import meanwhile

SECONDS = 20.0  # that an event is waited for before the test fails


def test_the_call_is_made_while_its_caller_goes_on() -> None:
    begun, answered = Event(), Event()

    def call() -> bool:
        begun.set()
        return answered.wait(SECONDS)

    outcome = meanwhile(call)
    assert begun.wait(SECONDS)
    answered.set()
    assert outcome.result(SECONDS) is True


@pytest.mark.parametrize("error", [ZeroDivisionError, KeyboardInterrupt])
def test_what_the_call_raises_is_raised_to_who_asks_for_its_outcome(error: type[BaseException]) -> None:
    def call() -> None:
        raise error

    outcome = meanwhile(call)
    with pytest.raises(error):
        outcome.result(SECONDS)


def test_the_call_sees_what_its_callers_context_holds() -> None:
    """Who a request is from, say, or what it is traced under."""
    request: ContextVar[str] = ContextVar("request")
    request.set("number 7")
    assert meanwhile(request.get).result(SECONDS) == "number 7"


def test_without_a_thread_the_call_is_made_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_: Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(Thread, "start", refuse)
    assert meanwhile(current_thread).result(0.0) is current_thread()


@pytest.fixture
def store(tmp_path: Path) -> Store:
    with Store(tmp_path / "memory.db", ToyEmbedder()) as made:
        made.remember("red apples", uri="a")
        made.remember("green pears", uri="b")
    return made


class Patient(ToyEmbedder):
    """Embeds a query when it is told to, or after a while."""

    def __init__(self, *until: Event) -> None:
        super().__init__()
        self.until, self.begun = until, Event()

    def embed_queries(self, texts: list[str]) -> np.ndarray:
        self.begun.set()
        for event in self.until:
            assert event.wait(SECONDS), "that never happened"
        return super().embed_queries(texts)


def test_a_hybrid_search_ranks_by_keywords_while_the_model_embeds(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each waits for the other to have begun, so that neither way to do one after the other ends."""
    ranked = Event()
    patient = Patient(ranked)
    by_bm25 = SqliteSnapshot.lexical

    def lexical(self: SqliteSnapshot, *args: Any, **kwargs: Any) -> Any:
        assert patient.begun.wait(SECONDS), "the model waits for keywords"
        found = by_bm25(self, *args, **kwargs)
        ranked.set()
        return found

    monkeypatch.setattr(SqliteSnapshot, "lexical", lexical)
    with Store(store.path, patient) as opened:
        hits = opened.search("red").hits
    assert [hit.text for hit in hits] == ["red apples", "green pears"]


def test_a_model_that_takes_its_time_holds_up_no_snapshot(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was written while it was at work is found, and what was removed is not."""
    monkeypatch.setattr(config, "SNAPSHOT_PATIENCE_S", 0.01)
    written = Event()
    patient = Patient(written)
    with Store(store.path, patient) as opened, ThreadPoolExecutor(1) as pool:
        search = pool.submit(opened.search, "red")
        assert patient.begun.wait(SECONDS)
        Event().wait(0.1)  # so that patience is at an end
        with Store(store.path, ToyEmbedder()) as other:
            other.remember("red cherries", uri="c")
            other.forget("a")
        written.set()
        assert [hit.text for hit in search.result(SECONDS)] == ["red cherries", "green pears"]


@pytest.mark.parametrize("where", [None, {"even": True}])
@pytest.mark.parametrize("query", ["red 7 number", '"red number" 3', "number"])
def test_what_is_found_meanwhile_is_what_is_found_in_turn(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, query: str, where: dict[str, bool] | None
) -> None:
    """With codes in memory that leave out most chunks, and lists of postings."""
    small = {"POOL_DEPTH": 5, "CODE_CANDIDATES": 5, "CODE_OVERSAMPLING": 1, "CODES_WEIGHED": 2, "CODES_FROM_SEARCH": 1}
    none = dict.fromkeys(("EXACT_SCAN_CHUNKS", "KEYWORD_EXACT", "KEYWORD_SCOPE"), 0)
    for name, value in {**small, **none, "KEYWORD_CANDIDATES": 10}.items():
        monkeypatch.setattr(config, name, value)
    with Store(tmp_path / "memory.db", ToyEmbedder()) as opened:
        for number in range(60):
            opened.remember(f"red number {number % 9} of {number}", uri=f"{number}", metadata={"even": number % 2 == 0})
        together = opened.search(query, 5, where=where)
        monkeypatch.setattr(config, "SNAPSHOT_PATIENCE_S", 0.0)
        slow = Event()
        monkeypatch.setattr(opened._serving, "_embedder", Patient(slow))
        threading.Timer(0.05, slow.set).start()
        in_turn = opened.search(query, 5, where=where)
    assert len(together) == 5
    assert [(hit.chunk_id, hit.score, hit.why) for hit in together] == [
        (hit.chunk_id, hit.score, hit.why) for hit in in_turn
    ]


def test_an_interrupt_while_a_model_hangs_ends_the_search_and_leaves_a_store_that_works(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The wait is interrupted as Ctrl-C does it: in the thread that searches, with the model still at work."""
    hangs = Event()
    patient = Patient(hangs)

    def interrupted(*_: Any) -> None:
        assert patient.begun.wait(SECONDS)
        raise KeyboardInterrupt

    with Store(store.path, patient) as opened:
        with monkeypatch.context() as patch:
            patch.setattr(pipeline, "wait", interrupted)
            with pytest.raises(KeyboardInterrupt):
                opened.search("red")
        opened.remember("blue plums")  # no transaction was left open
        hangs.set()
        assert opened.search("blue").hits[0].text == "blue plums"


def test_a_model_may_use_the_store_that_it_searches_for(store: Store) -> None:
    class Curious(ToyEmbedder):
        def embed_queries(self, texts: list[str]) -> np.ndarray:
            opened.remember(f"asked: {texts[0]}", uri="log")
            assert opened.search(texts[0], mode="lexical")
            return super().embed_queries(texts)

    with Store(store.path, Curious()) as opened:
        assert opened.search("red").hits[0].text == "red apples"
        assert opened.get("log").text == "asked: red"


def test_a_model_that_fails_at_its_text_is_not_asked_for_its_tokens(store: Store) -> None:
    class Unfit(ToyEmbedder):
        def embed_queries(self, texts: list[str]) -> np.ndarray:
            raise ModelDamagedError("its weights make no sense")

        @property
        def tokenizer(self) -> object:
            raise ModelDamagedError("nor does its tokenizer")

    with Store(store.path, Unfit()) as opened:
        results = opened.search("red", context=1)
    assert (results.mode, results.hits[0].text) == ("lexical", "red apples")

"""A night with the encoder: mined, trained, embedded anew beside what serves, then switched to or cleared away."""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timezone
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from db.material import assert_consistent
from embed import tiny
from refine.forking import Forks
from refine.test_encoder import needs_torch
from refine.world import COURTESY, TOPICS, TOY, fill, questions

from vstore import Store, config
from vstore.errors import InputError
from vstore.judgements import Judgement
from vstore.refine import encoder, loop, reencode
from vstore.refine.decide import Decision
from vstore.refine.guard import split
from vstore.refine.loop import gathered, run
from vstore.refine.queries import AskedQuery

NOW = datetime(2026, 1, 1, tzinfo=timezone.utc)
BASE = 1  # the id of the first space's base model
pytestmark = needs_torch


def make_base(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A BERT small enough for a test that knows the words of the toy world."""
    monkeypatch.setattr(tiny, "WORDS", [*tiny.WORDS, *TOPICS, *COURTESY])
    monkeypatch.setattr(tiny, "HIDDEN", 32)
    monkeypatch.setattr(tiny, "WIDE", 64)
    sizes = {"vocab_size": len(tiny.WORDS), "hidden_size": 32, "intermediate_size": 64}
    return tiny.make_folder(folder, config=sizes)


@pytest.fixture
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A store with documents and a log of questions, made with that model."""
    monkeypatch.setenv("VSTORE_MODELS", str(tmp_path / "models"))
    monkeypatch.setenv("VSTORE_CONFIG", str(tmp_path / "none.toml"))
    base = make_base(tmp_path / "base", monkeypatch)
    with Store(tmp_path / "memory.db", str(base), metrics=False) as store:
        fill(store, 80)
        for question in questions(80):
            store.search(question)
    return tmp_path / "memory.db"


@pytest.fixture
def store(path: Path, tmp_path: Path) -> Iterator[Store]:
    with Store(path, str(tmp_path / "base"), metrics=False) as opened:
        yield opened


@pytest.fixture
def yes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Held-out queries are asked, but whatever they say is taken for a yes: what is tested here is the switch."""
    monkeypatch.setattr(loop, "decide", lambda evidence: Decision(True, "promoted: for this test"))


def test_a_night_with_the_encoder_ends_in_a_decision_on_held_out_queries(store: Store) -> None:
    record = run(store, trainer="encoder")
    assert record.status in ("promoted", "kept")
    (tried,) = record.report["candidates"]
    assert tried["recipe"]["trainer"] == "encoder"
    assert tried["recipe"]["examples"] > 20
    assert {check["name"] for check in tried["checks"]} >= {"enough", "differs"}
    assert record.report["comparison"]["queries"] == len(split(gathered(store)).held_out)
    if record.status == "kept":
        assert [model.status for model in store.models()] == ["discarded", "active"]


def test_what_people_said_is_gone_over_more_often_than_what_the_teacher_said() -> None:
    said = Judgement("one", "default", "uri", 1, 1, 1.0, NOW)
    judged, unjudged = AskedQuery("one", judgements=(said,)), AskedQuery("two")
    only_wrong = AskedQuery("three", judgements=(replace(said, grade=0.0),))
    assert reencode.epochs([judged, unjudged]) == config.ENCODER_JUDGED_EPOCHS
    assert reencode.epochs([judged, unjudged, only_wrong]) == config.ENCODER_EPOCHS


def test_a_promoted_encoder_serves_from_the_store_alone_and_can_be_undone(
    store: Store, path: Path, tmp_path: Path, yes: None
) -> None:
    question = questions(1, seed=9)[0]
    with Store(path, metrics=False) as other:  # with the model that the store was made with, which is a folder
        before = [hit.chunk_id for hit in other.search(question)]
        record = run(store, trainer="encoder")
        assert (record.status, record.decision) == ("promoted", "promoted: for this test")
        newest, base = store.models()
        assert (newest.id, newest.kind, newest.parent, newest.active) == (record.model, "base", base.id, True)
        after = [hit.chunk_id for hit in other.search(question)]
        assert other.stats().space is not None and "refined" in other.stats().space.model
        other.remember("amberstone birchmill", uri="later")  # into the new space
        assert other.stats().chunks_without_vector == 0
        assert store.roll_back() == base.id
        found = [hit.chunk_id for hit in other.search(question) if hit.document.uri != "later"]
        assert set(found[:5]) == set(before[:5])  # one document more moves the weight of words a little
        assert other.stats().chunks_without_vector == 0
    assert after
    assert_consistent(path)
    assert not list((tmp_path / "models" / "training").glob("*")), "what a training left is cleared away"


def test_a_refused_encoder_leaves_nothing_behind(
    store: Store, path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loop, "decide", lambda evidence: Decision(False, "kept what serves: for this test"))
    assert run(store, trainer="encoder").status == "kept"
    assert [(model.status, model.active) for model in store.models()] == [("discarded", False), ("active", True)]
    assert not list((tmp_path / "models" / "training").glob("*"))
    assert store.index.lacking(store.index.active_space(), 10) == []
    assert_consistent(path)


def test_a_night_that_is_too_short_for_training_goes_on_in_the_next_one(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, yes: None
) -> None:
    whole = encoder.train
    monkeypatch.setattr(encoder, "train", partial(_at_once, whole))
    record = run(store, trainer="encoder")
    assert (record.status, record.decision) == (
        "kept", "kept what serves: training needs more time; give it more, or run again to go on",
    )  # fmt: skip
    (left,) = (tmp_path / "models" / "training").glob("*")
    plan = (left / "plan.json").read_text()
    assert not any(topic in plan for topic in TOPICS), "neither texts nor queries lie about on the disk"
    store.search("amberstone birchmill fjordwater")  # the log has grown by the next night
    trained: list[int] = []
    monkeypatch.setattr(encoder, "train", partial(_counting, whole, trained))
    assert run(store, trainer="encoder").status == "promoted"
    assert trained == [len(json.loads(plan))]


def _at_once(train: Any, *arguments: Any, **options: Any) -> Any:
    """Training that has no time left."""
    return train(*arguments, **{**options, "deadline": time.monotonic()})


def _counting(train: Any, counts: list[int], *arguments: Any, **options: Any) -> Any:
    counts.append(len(arguments[1]))
    return train(*arguments, **options)


def test_a_plan_with_a_query_that_may_not_be_learned_from_any_more_is_dropped(
    store: Store, monkeypatch: pytest.MonkeyPatch, yes: None
) -> None:
    whole = encoder.train
    monkeypatch.setattr(encoder, "train", partial(_at_once, whole))
    run(store, trainer="encoder")
    store.erase_searches()
    for question in questions(90, seed=5):
        store.search(question)
    seen: list[set[str]] = []

    def watching(base: Any, examples: Any, *more: Any, **options: Any) -> Any:
        seen.append({example.query for example in examples})
        return whole(base, examples, *more, **options)

    monkeypatch.setattr(encoder, "train", watching)
    assert run(store, trainer="encoder").status == "promoted"
    assert seen[0] <= {query.text for query in split(gathered(store)).train}


def test_an_embedder_of_the_callers_own_cannot_be_trained(tmp_path: Path) -> None:
    with Store(tmp_path / "own.db", TOY, metrics=False) as store:
        fill(store, 80)
        for question in questions(60):
            store.search(question)
        with pytest.raises(InputError, match="not ToyEmbedder; use the trainer adapter"):
            run(store, trainer="encoder")
        assert store.index.runs()[0].status == "failed"


# Says how a night ended and how long it took.
NIGHT = """
import os, sys, time
os.environ["VSTORE_MODELS"], os.environ["VSTORE_CONFIG"] = sys.argv[3:]
from vstore import Store, config
from vstore.refine import loop
from vstore.refine.decide import Decision
config.ENCODER_BATCH, config.ENCODER_LEARNING_RATE, config.ENCODER_CHECKPOINT_STEPS = 8, 3e-3, 2
loop.decide = lambda evidence: Decision(True, "promoted: for this test")
began = time.monotonic()
with Store(sys.argv[1], sys.argv[2], metrics=False) as store:
    status = loop.run(store, trainer="encoder").status
print(status, time.monotonic() - began, flush=True)
"""
MOMENTS = 30


@pytest.mark.skipif(not hasattr(os, "fork"), reason="forks a process that has torch loaded")
def test_after_kill_9_at_any_moment_a_whole_model_serves_and_a_later_night_ends(
    path: Path, tmp_path: Path, forks: Forks
) -> None:
    """The moments spread over a night of some seconds: lessons, mining, training, vectors, comparison."""
    base, killed = str(tmp_path / "base"), 0

    def night(kill_after: float = 0.0) -> tuple[str, float]:
        """How a night ended, and the seconds it took."""
        variables = (os.environ["VSTORE_MODELS"], os.environ["VSTORE_CONFIG"])
        said, code = forks.run(NIGHT, path, base, *variables, kill_after=kill_after)
        if code == -signal.SIGKILL and not said:
            return "killed", 0.0
        status, seconds = said[0].split()
        return status, float(seconds)

    status, seconds = night()
    assert status == "promoted"
    with Store(path, base, metrics=False) as store:
        store.index.activate(BASE)  # not rolled back, after which no night promotes the same again
    for moment in range(MOMENTS):
        status, took = night(seconds * (moment + 0.5) / MOMENTS)
        killed += status == "killed"
        if status != "killed":  # what else the machine does has changed since a night was timed
            seconds = min(seconds, took)
        assert_consistent(path)
        with Store(path, base, metrics=False) as store:
            assert len(store.search(questions(1)[0], k=5)) == 5
            assert store.stats().chunks_without_vector == 0
            store.index.activate(BASE)
    assert killed >= MOMENTS // 3  # what a killed night had done the next one need not do again, and ends earlier
    assert night()[0] == "promoted"
    assert_consistent(path)

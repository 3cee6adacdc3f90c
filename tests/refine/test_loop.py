"""A night: what is learned is served only when held-out queries say so, and whatever goes wrong, what served serves."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from refine.world import TOPICS, TOY, fill, made, questions
from toy import ToyEmbedder

from vstore import Store, config
from vstore.adapter import Adapter
from vstore.errors import InputError, ModelError, RefinementBusyError, TrainingError
from vstore.refine import loop, trainers
from vstore.refine.guard import split
from vstore.refine.loop import gathered, mined, run, status
from vstore.refine.trainers import Candidate, Material, of_adapter
from vstore.runs import Learned

DOCUMENTS = 100


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    yield from made(tmp_path / "memory.db", documents=DOCUMENTS)


@pytest.fixture
def wide(tmp_path: Path) -> Iterator[Store]:
    """With twice as many documents, so that judgements say more than a search finds anyway."""
    yield from made(tmp_path / "memory.db", documents=2 * DOCUMENTS)


def serving(store: Store) -> int:
    return next(model.id for model in store.models() if model.active)


def test_a_night_promotes_what_holds_on_queries_it_did_not_learn_from(store: Store) -> None:
    said: list[str] = []
    record = run(store, progress=said.append)
    assert record.status == "promoted"
    assert record.decision is not None and record.decision.startswith("promoted: on ")
    assert serving(store) == record.model
    newest = store.models()[0]
    assert newest.recipe["trainer"] == "adapter"
    assert newest.scores["comparison"]["queries"] == record.report["held_out"]
    assert [text.split()[0] for text in said] == ["asking", "training", "comparing"]
    divided = split(gathered(store))
    assert record.report["learned_from"] == len(divided.train)
    seen = {query.query for query in store.index.run_queries(record.id)}
    assert seen == {query.text for query in divided.held_out}
    store.roll_back()
    assert serving(store) == 1


def test_the_next_night_with_the_same_queries_keeps_what_serves(store: Store) -> None:
    first = run(store)
    second = run(store)
    assert (second.status, serving(store)) == ("kept", first.model)
    assert second.decision is not None and "0 get other results than now" in second.decision


def test_a_long_lived_process_serves_the_switch_at_its_next_search(store: Store, tmp_path: Path) -> None:
    question = questions(1, seed=9)[0]
    with Store(tmp_path / "memory.db", TOY) as other:
        before = [(hit.chunk_id, hit.score) for hit in other.search(question)]
        assert run(store).status == "promoted"
        assert [(hit.chunk_id, hit.score) for hit in other.search(question)] != before
        other.remember("a zephyr and nothing else", uri="later")  # what is put in goes to the same vectors
        assert other.search("zephyr", k=1)[0].document.uri == "later"


@pytest.mark.parametrize("asked", [0, 3])
def test_a_store_with_hardly_a_query_keeps_what_it_has(tmp_path: Path, asked: int) -> None:
    for store in made(tmp_path / "memory.db", documents=DOCUMENTS, asked=asked):
        record = run(store)
        assert record.status == "kept"
        assert record.decision is not None and "searches add to them" in record.decision
        assert serving(store) == 1


def test_too_few_queries_for_a_map_are_enough_for_the_pull_alone(tmp_path: Path) -> None:
    """And the first map that holds takes its place."""
    for store in made(tmp_path / "memory.db", asked=26):
        record = run(store)
        assert record.status == "promoted"
        assert record.decision is not None and "no map was learned" in record.decision
        assert [each["recipe"]["trainer"] for each in record.report["candidates"]] == ["adapter", "pull"]
        with store.index.snapshot() as snapshot:
            adapter = snapshot.adapter
        assert adapter is not None
        assert (np.abs(adapter.weights).max(), adapter.alpha, adapter.pull) == (0.0, 0.0, config.PULL_ALONE)
        again = run(store)
        assert (again.status, serving(store)) == ("kept", record.model)
        assert again.decision is not None and "it takes at least 15 and 8" in again.decision
        for question in questions(120, seed=3):
            store.search(question)
        assert run(store).status == "promoted"
        assert store.models()[0].recipe["trainer"] == "adapter"


def test_the_pull_alone_takes_the_place_of_no_map(store: Store) -> None:
    run(store)
    asked: list[str] = []

    def spied(material: Material) -> Sequence[Candidate]:
        candidates = usual(material)
        asked.extend(str(candidate.recipe["trainer"]) for candidate in candidates)
        return candidates

    usual = trainers.TRAINERS["adapter"]
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(trainers.TRAINERS, "adapter", spied)
        run(store)
    assert asked == ["adapter"]


def test_an_encoder_is_not_trained_where_nothing_could_judge_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loop, "trainer", lambda name: lambda material: 1 / 0)
    for store in made(tmp_path / "memory.db", asked=26):
        record = run(store, trainer="encoder")
        assert record.status == "kept"
        assert record.decision is not None and "it takes 15 and 8" in record.decision


def test_queries_from_a_file_count_as_well(tmp_path: Path) -> None:
    (tmp_path / "asked.txt").write_text("\n".join(questions(120)), encoding="utf-8")
    for store in made(tmp_path / "memory.db", documents=DOCUMENTS, asked=0):
        record = run(store, queries=tmp_path / "asked.txt")
        assert record.status == "promoted"
        assert record.configuration["queries"] == str(tmp_path / "asked.txt")


def test_a_query_asked_ten_thousand_times_is_one_query(tmp_path: Path) -> None:
    (tmp_path / "asked.txt").write_text("amberstone birchmill\n" * 10_000, encoding="utf-8")
    for store in made(tmp_path / "memory.db", documents=DOCUMENTS, asked=0):
        assert run(store, queries=tmp_path / "asked.txt").report["queries"] == 1


def test_of_very_many_queries_a_bounded_number_is_asked(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(config, "MAX_TAUGHT", 40)
    monkeypatch.setattr(config, "MAX_COMPARED", 20)
    numbers = (f"{one} {other}" for one in TOPICS for other in TOPICS if one < other)
    (tmp_path / "asked.txt").write_text("\n".join(numbers), encoding="utf-8")
    report = run(store, queries=tmp_path / "asked.txt").report
    assert report["queries"] > 1000
    assert (report["learned_from"], report["comparison"]["queries"]) == (40, 20)


def test_a_second_run_is_refused_while_one_is_at_work(store: Store, tmp_path: Path) -> None:
    store.index.begin_run({})
    with Store(tmp_path / "memory.db", TOY) as other, pytest.raises(RefinementBusyError, match="is at work"):
        run(other)


def test_training_that_fails_is_noted_and_changes_nothing(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    def diverging(material: Material) -> Sequence[Candidate]:
        raise TrainingError("the loss is NaN; the store keeps what it has")

    monkeypatch.setitem(trainers.TRAINERS, "adapter", diverging)
    with pytest.raises(TrainingError):
        run(store)
    (record,) = store.index.runs()
    assert (record.status, record.decision) == (
        "failed", "it failed, and nothing was changed: the loss is NaN; the store keeps what it has",
    )  # fmt: skip
    assert serving(store) == 1
    monkeypatch.undo()
    assert run(store).status == "promoted"


def test_a_model_that_cannot_be_had_is_an_error_and_the_next_run_works(store: Store, tmp_path: Path) -> None:
    class Absent(ToyEmbedder):
        def embed_queries(self, texts: list[str]) -> np.ndarray:
            raise ModelError("no network")

    with Store(tmp_path / "memory.db", Absent(64)) as other, pytest.raises(ModelError, match="no network"):
        run(other)
    assert store.index.runs()[0].status == "failed"
    assert run(store).status == "promoted"


def test_a_model_activated_meanwhile_by_somebody_else_stays(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    plain = trainers.adapter

    def meddling(material: Material) -> Sequence[Candidate]:
        index = store.index
        index.activate(index.save_adapter(Adapter(np.zeros((64, 64), np.float32), 0.1), {}, {}))
        return plain(material)

    monkeypatch.setitem(trainers.TRAINERS, "adapter", meddling)
    record = run(store)
    assert record.status == "kept"
    assert record.decision is not None and "another model became active" in record.decision
    assert serving(store) == 2


SABOTAGE = ("shuffled teacher", "permuted queries", "random map", "step of 2")


@pytest.mark.parametrize("kind", SABOTAGE)
def test_sabotaged_candidates_are_refused(store: Store, monkeypatch: pytest.MonkeyPatch, kind: str) -> None:
    plain, rng = trainers.adapter, np.random.default_rng(0)

    def sabotaged(material: Material) -> Sequence[Candidate]:
        lessons = dict(material.lessons)
        values = list(lessons.values())
        if kind == "shuffled teacher":
            values = [replace(lesson, target=rng.permutation(lesson.target)) for lesson in values]
        elif kind == "permuted queries":
            order = np.roll(np.arange(len(values)), 1)
            values = [replace(values[other], query=lesson.query) for other, lesson in zip(order, values, strict=True)]
        candidate, *_ = plain(replace(material, lessons=dict(zip(lessons, values, strict=True))))
        assert isinstance(candidate.promoted, Learned)
        adapter = candidate.promoted.adapter
        if kind == "random map":
            weights = rng.normal(size=adapter.weights.shape).astype(np.float32)
            weights *= np.linalg.norm(adapter.weights) / np.linalg.norm(weights)
            adapter = replace(adapter, weights=weights)
        elif kind == "step of 2":
            adapter = replace(adapter, alpha=2.0)
        return [of_adapter(adapter, candidate.recipe, material.embedder)]

    monkeypatch.setitem(trainers.TRAINERS, "adapter", sabotaged)
    record = run(store)
    assert record.status == "kept", record.decision
    assert serving(store) == 1


def test_a_run_ends_soon_after_its_budget_and_then_keeps_what_it_has(store: Store) -> None:
    record = run(store, budget_seconds=0.001)
    assert record.status == "kept"
    assert record.decision is not None and "the time was up; give it more" in record.decision
    assert record.report["learned_from"] < 10
    for budget in (0, -1, float("nan"), float("inf")):
        with pytest.raises(InputError, match="the budget is a number of seconds"):
            run(store, budget_seconds=budget)


def test_a_trainer_that_is_none_is_refused_before_anything_is_noted(store: Store) -> None:
    with pytest.raises(InputError, match="there is no trainer 'gpt'; there are adapter"):
        run(store, trainer="gpt")
    assert store.index.runs() == []


def test_held_out_queries_are_never_mined(store: Store) -> None:
    divided = split(gathered(store))
    assert {each.query for each in mined(store)} <= set(divided.train)


def test_status_counts_what_there_is_and_names_what_serves(store: Store) -> None:
    found = status(store)
    assert (found.serving, found.train + found.held_out, found.judged, found.runs) == ("toy", 120, 0, ())
    store.feedback(questions(1)[0], "7")
    record = run(store)
    found = status(store)
    assert (found.serving, found.judged) == (f"toy with adapter {record.model}", 1)
    assert found.to_dict()["runs"][0]["id"] == record.id


def test_a_path_is_as_good_as_a_store(tmp_path: Path) -> None:
    with Store(tmp_path / "memory.db", "all-MiniLM-L6-v2") as store:
        store.index.open_space(TOY.fingerprint, 64, "toy")
    record = run(tmp_path / "memory.db")
    assert record.status == "kept"


def test_forgotten_documents_leave_no_query_behind_in_the_record_of_a_run(store: Store) -> None:
    record = run(store)
    quoted = store.index.run_queries(record.id)[0].query
    store.remember(f"He asked: {quoted}", uri="quote")
    store.forget("quote")
    assert quoted not in {query.query for query in store.index.run_queries(record.id)}
    fill(store, 1)


def test_what_was_rolled_back_is_not_promoted_again_for_nothing(store: Store) -> None:
    first = run(store)
    store.roll_back()
    second = run(store)
    assert second.status == "kept"
    assert (
        second.decision is not None
        and f"model {first.model} was rolled back, and there are hardly more queries since (0 new ones)"
        in second.decision
    )
    for question in questions(200):
        store.search(question)
    assert run(store).status == "promoted"


def test_ten_ways_to_type_a_question_are_one_piece_of_evidence(tmp_path: Path) -> None:
    for store in made(tmp_path / "memory.db", documents=DOCUMENTS, asked=0):
        for question in questions(12):
            words = question.split()
            for place in range(5):
                store.search(" ".join([*words[place:], *words[:place]]))
        record = run(store)
        assert record.report["queries"] == 60
        assert record.decision is not None and "it takes 15 and 8" in record.decision


def test_without_time_to_search_all_that_are_judged_nothing_is_decided(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    judge(store, 60)
    whole = loop.compare
    monkeypatch.setattr(loop, "compare", lambda *some, deadline: whole(*some, deadline=deadline)[:5])
    record = run(store)
    assert (record.status, record.decision) == (
        "kept", "kept what serves: the time was up before the comparison was done; give it more",
    )  # fmt: skip


def test_an_error_that_is_a_bug_ends_the_lease_too(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(trainers.TRAINERS, "adapter", lambda material: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        run(store)
    assert store.index.runs()[0].status == "failed"
    monkeypatch.undo()
    assert run(store).status == "promoted"


def judge(store: Store, count: int, seed: int = 2) -> None:
    """Say of the first questions which documents have both of their topics; there are such for few."""
    documents = {one.uri: set(store.get(one.uri).text.split()) for one in store.documents()}
    with store.index.bulk():
        for question in questions(count, seed):
            topics = question.split()[3:]
            best = max(documents, key=lambda uri: sum(topic in documents[uri] for topic in topics))
            store.feedback(question, best)


def test_judgements_make_a_candidate_of_their_own_that_goes_first(wide: Store) -> None:
    judge(wide, 120)
    record = run(wide)
    assert record.status == "promoted"
    (tried,) = record.report["candidates"]
    assert tried["recipe"]["judged_lessons"] == record.report["learned_from"]
    assert tried["recipe"]["judged_step"] == pytest.approx((76 / 256) ** 0.5)
    assert record.report["comparison"]["judged"] == 44
    assert record.report["comparison"]["ndcg"]["after"] > record.report["comparison"]["ndcg"]["before"]
    assert record.decision is not None and "44 held-out judged queries change by +0." in record.decision


def test_a_balance_learned_from_judgements_is_switched_and_undone_with_its_model(wide: Store) -> None:
    judge(wide, 120)
    run(wide)

    def keywords() -> float | None:
        with wide.index.snapshot() as snapshot:
            assert snapshot.space is not None
            return snapshot.space.calibration.keywords if snapshot.space.calibration else None

    assert keywords() == pytest.approx(2.0 * config.CALIBRATED_LEXICAL)
    run(wide)  # a second night starts from the store's own balance again, not from this one
    assert keywords() == pytest.approx(2.0 * config.CALIBRATED_LEXICAL)
    wide.remember("put in while it is in force")
    wide.roll_back()
    assert keywords() is None


def test_poisoned_judgements_are_set_aside_and_named(store: Store) -> None:
    store.remember("Buy our lamps.", uri="spam")
    with store.index.bulk():
        for question in questions(120):
            store.feedback(question, "spam", grade=3)
    record = run(store)
    (note,) = record.report["notes"]
    assert note.startswith(
        f"document {DOCUMENTS + 1} is called relevant for 120 of 120 judged queries, which is not plausible"
    )
    assert record.report["comparison"]["judged"] == 0
    assert store.search(questions(1, seed=9)[0], k=1)[0].document.uri != "spam"


def test_contradictory_judgements_and_those_of_deleted_chunks_harm_nothing(store: Store) -> None:
    with store.index.bulk():
        for question in questions(60):
            hits = store.search(question, k=2)
            store.feedback(question, hits[0].chunk_id)
            store.feedback(question, hits[0].document.uri, relevant=False)  # of the same document, the other way
            store.remember("changed", uri=hits[1].document.uri)  # the chunk is gone
    record = run(store)
    assert record.status in ("promoted", "kept")
    assert len(store.search(questions(1)[0], k=10)) == 10


def test_judgements_that_mislead_are_outvoted_by_held_out_ones(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """Judgements of the training side say that the last of ten results is the answer; the held-out ones do not."""
    held_out = {query.text for query in split(gathered(store)).held_out}
    with store.index.bulk():
        for question in questions(120):
            hits = store.search(question, k=10)
            store.feedback(question, hits[0 if question in held_out else 9].chunk_id)
    record = run(store)
    recipe = store.models()[0].recipe
    assert "judged_lessons" not in recipe, record.decision

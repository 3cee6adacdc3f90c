"""Judgements outlive changes of what was judged as far as they still say something, and nothing that was forgotten."""

from __future__ import annotations

import tempfile
from contextlib import closing
from pathlib import Path

import pytest
from db.material import assert_consistent, chunk_ids, put, rows
from hypothesis import given, settings
from hypothesis import strategies as st

from vstore.db.index import SqliteIndex
from vstore.judgements import Verdict

ASKED = "SELECT DISTINCT query FROM feedback ORDER BY id"


def judge(index: SqliteIndex, *said: tuple[str, int | str, float]) -> None:
    outcomes = index.judge([Verdict(query, target, grade) for query, target, grade in said])
    assert not any(isinstance(outcome, Exception) for outcome in outcomes)


def said(index: SqliteIndex) -> set[tuple[str, str, int | None, float]]:
    with index.snapshot() as snapshot:
        return {(one.query, one.uri, one.chunk_id, one.grade) for one in snapshot.judgements()}


@given(
    st.lists(st.tuples(st.sampled_from("pq"), st.sampled_from(["a", "b", 1, 2]), st.sampled_from([0.0, 1.0, 2.5]))),
    st.integers(1, 5),
)
@settings(max_examples=40, deadline=None)
def test_the_file_says_what_a_dictionary_would(sequence: list[tuple[str, int | str, float]], at_once: int) -> None:
    expected: dict[tuple[str, int | str], float] = {}
    with tempfile.TemporaryDirectory() as folder, closing(SqliteIndex(Path(folder, "memory.db"))) as index:
        put(index, "a", "red")
        put(index, "b", "green")
        for start in range(0, len(sequence), at_once):
            judge(index, *sequence[start : start + at_once])
        for query, target, grade in sequence:
            expected[query, target] = grade
        with index.snapshot() as snapshot:
            found = [((one.query, one.chunk_id or one.uri), one.grade) for one in snapshot.judgements()]
    assert sorted(found, key=str) == sorted(expected.items(), key=str)


# --- when documents change --------------------------------------------------------------------------------------------


def test_a_chunk_that_stays_in_a_changed_document_keeps_its_judgement(index: SqliteIndex, path: Path) -> None:
    put(index, "a", "red", "green")
    red = chunk_ids(path, "a")["red"]
    judge(index, ("colour", red, 2.0))
    put(index, "a", "blue", "red", version="2")
    assert said(index) == {("colour", "a", red, 2.0)}


def test_the_judgement_of_a_chunk_that_is_gone_stays_with_its_document(index: SqliteIndex, path: Path) -> None:
    put(index, "a", "red", "green")
    judge(index, ("colour", chunk_ids(path, "a")["red"], 2.0))
    put(index, "a", "blue", version="2")
    assert said(index) == {("colour", "a", None, 2.0)}
    assert_consistent(path)


def test_of_several_chunks_that_are_gone_the_best_judgement_stays(index: SqliteIndex, path: Path) -> None:
    put(index, "a", "red", "green", "blue")
    ids = chunk_ids(path, "a")
    judge(index, ("q", ids["red"], 1.0), ("q", ids["green"], 3.0), ("q", ids["blue"], 2.0), ("other", ids["red"], 1.0))
    put(index, "a", "white", version="2")
    assert said(index) == {("q", "a", None, 3.0), ("other", "a", None, 1.0)}


def test_a_later_judgement_of_the_document_replaces_what_its_old_chunks_left(index: SqliteIndex, path: Path) -> None:
    put(index, "a", "red", "green")
    ids = chunk_ids(path, "a")
    judge(index, ("q", ids["red"], 1.0), ("q", ids["green"], 3.0))
    put(index, "a", "white", version="2")
    judge(index, ("q", "a", 0.0))
    assert said(index) == {("q", "a", None, 0.0)}


def test_that_a_chunk_was_no_answer_says_nothing_about_what_replaced_it(index: SqliteIndex, path: Path) -> None:
    put(index, "a", "red", "green")
    judge(index, ("q", chunk_ids(path, "a")["red"], 0.0), ("r", "a", 0.0))
    put(index, "a", "green", "blue", version="2")
    assert said(index) == {("r", "a", None, 0.0)}


# --- forgetting -------------------------------------------------------------------------------------------------------


def test_the_judgements_of_a_forgotten_document_go_with_it(index: SqliteIndex, path: Path) -> None:
    put(index, "a", "red")
    put(index, "b", "green")
    judge(index, ("colour", "a", 1.0), ("colour", chunk_ids(path, "a")["red"], 1.0), ("colour", "b", 1.0))
    index.forget("default", "a")
    assert said(index) == {("colour", "b", None, 1.0)}
    assert_consistent(path)


def test_queries_that_are_part_of_a_forgotten_text_go_wherever_they_were_judged(index: SqliteIndex, path: Path) -> None:
    put(index, "a", "The Code of\n the vault is 7719.")
    put(index, "b", "Mia likes vaults.")
    judge(index, ("CODE of  the vault", "b", 1.0), ("7719", "b", 0.0), ("who likes vaults", "b", 1.0))
    index.forget("default", "a")
    assert rows(path, ASKED) == [("who likes vaults",)]


def test_a_forgotten_text_cannot_be_read_from_the_bytes_of_judgements(path: Path) -> None:
    with closing(SqliteIndex(path)) as index:
        put(index, "a", "The vault opens with xylophone7719.")
        put(index, "b", "green")
        judge(index, ("Xylophone7719", "b", 1.0))
    assert b"xylophone7719" in path.read_bytes().lower()
    with closing(SqliteIndex(path)) as index:
        index.forget("default", "a")
    assert b"xylophone7719" not in path.read_bytes().lower()


# --- reading ----------------------------------------------------------------------------------------------------------


def test_judgements_come_newest_first_also_within_a_millisecond(
    index: SqliteIndex, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(index, "a", "red")
    times = iter((2, 1, 3))
    monkeypatch.setattr("vstore.db.feedback.now", lambda: next(times))
    judge(index, ("one", "a", 1.0), ("two", "a", 1.0))
    judge(index, ("before", "a", 1.0))
    judge(index, ("one", "a", 0.0), ("after", "a", 1.0))
    with index.snapshot() as snapshot:
        found = snapshot.judgements()
    assert [one.query for one in found] == ["after", "one", "two", "before"]
    assert [round(one.given_at.timestamp() * 1000) for one in found] == [3, 3, 2, 1]


def test_finding_and_ordering_judgements_reads_an_index(path: Path, index: SqliteIndex) -> None:
    for sql in (
        "DELETE FROM feedback WHERE query = 'q' AND document_id = 1 AND chunk_id IS NULL",
        "SELECT id FROM feedback ORDER BY given_at DESC, id DESC LIMIT -1 OFFSET 9",
    ):
        ((*_, plan),) = rows(path, f"EXPLAIN QUERY PLAN {sql}")
        assert "USING" in plan and "INDEX feedback_" in plan, plan


def test_the_judgements_of_one_query_are_those_of_all_that_are_about_it(index: SqliteIndex) -> None:
    put(index, "a", "red")
    put(index, "b", "green")
    judge(index, ("one", "a", 1.0), ("two", "a", 2.0), ("one", "b", 0.0), ("one ", 1, 3.0))
    with index.snapshot() as snapshot:
        every = snapshot.judgements()
        assert snapshot.judgements("one") == [judgement for judgement in every if judgement.query == "one"]
        assert len(snapshot.judgements("one")) == 2 and snapshot.judgements("three") == []

"""A reranker decides the order of the first candidates alone, and its mistakes are told apart from vstore's."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from toy import ToyEmbedder

from vstore import Rerank, Store
from vstore.errors import InputError
from vstore.search.stages import Facts
from vstore.types import Candidate, Contribution, StoredChunk, StoredDocument

NOW = datetime(2026, 1, 1, tzinfo=timezone.utc)


class Judge:
    """Answers with what it was made with, and keeps what it was asked."""

    def __init__(self, answer: Callable[[list[str]], Any]) -> None:
        self.answer = answer
        self.asked: list[tuple[str, list[str]]] = []

    def score(self, query: str, texts: list[str]) -> Sequence[float]:
        self.asked.append((query, texts))
        answer: Sequence[float] = self.answer(texts)
        return answer


def ranked(*scores: float) -> tuple[list[Candidate], Facts]:
    """Candidates with the chunk ids 1, 2, 3 ..., each with its id as its text."""
    candidates, chunks = [], {}
    for number, score in enumerate(scores, start=1):
        document = StoredDocument(number, "default", "", "", "text/plain", {}, (), NOW, NOW)
        candidates.append(Candidate(number, (Contribution("dense", score),)))
        chunks[number] = StoredChunk(number, document, 0, 0, 0, "", str(number))
    return candidates, Facts(chunks=chunks, query="q")


def ids(candidates: list[Candidate]) -> list[int]:
    return [candidate.chunk_id for candidate in candidates]


def test_the_model_decides_the_order_and_places_share_the_range_of_the_scores() -> None:
    """Three places from 10 to 4 are worth 10, 7 and 4."""
    candidates, facts = ranked(10.0, 9.0, 4.0)
    staged = Rerank(Judge(lambda _: [0.1, -5.0, 0.3]))(candidates, facts)
    assert [(one.chunk_id, one.score) for one in staged] == [(3, 10.0), (1, 7.0), (2, 4.0)]
    assert [one.why[-1] for one in staged] == [
        Contribution("rerank", 6.0, 1, 0.3),
        Contribution("rerank", -3.0, 2, 0.1),
        Contribution("rerank", -5.0, 3, -5.0),
    ]


def test_what_was_not_judged_stays_behind() -> None:
    candidates, facts = ranked(10.0, 9.0, 8.0, 7.0)
    judge = Judge(lambda texts: range(len(texts)))
    staged = Rerank(judge, depth=2)(candidates, facts)
    assert ids(staged) == [2, 1, 3, 4]
    assert staged[2:] == candidates[2:]
    assert judge.asked == [("q", ["1", "2"])]


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 3)), min_size=1, max_size=20))
def test_coarse_grades_keep_the_fused_order_within_a_grade(rows: list[tuple[int, int]]) -> None:
    rows.sort(key=lambda row: -row[0])
    candidates, facts = ranked(*(float(score) for score, _ in rows))
    staged = Rerank(Judge(lambda _: [grade for _, grade in rows]))(candidates, facts)
    expected = sorted(range(len(rows)), key=lambda place: (-rows[place][1], place))
    assert ids(staged) == [place + 1 for place in expected]
    assert staged[0].score >= candidates[0].score
    assert staged[-1].score == pytest.approx(candidates[-1].score)


def test_one_candidate_and_none_are_left_as_they_are() -> None:
    judge = Judge(lambda texts: [3.0] * len(texts))
    candidates, facts = ranked(10.0)
    assert [one.score for one in Rerank(judge)(candidates, facts)] == [10.0]
    assert Rerank(judge)([], Facts()) == []
    assert len(judge.asked) == 1


def test_numpy_scores_will_do() -> None:
    candidates, facts = ranked(10.0, 9.0)
    staged = Rerank(Judge(lambda _: np.array([1.0, 2.0], dtype=np.float32)))(candidates, facts)
    assert ids(staged) == [2, 1]


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        ([1.0], r"scorer Judge must return one number for each of 2 texts, not an array of shape \(1,\)"),
        ([[1.0, 0.0], [0.0, 1.0]], r"not an array of shape \(2, 2\)"),
        ([1.0, float("nan")], "Judge returned NaN or infinity"),
        ([1.0, float("inf")], "Judge returned NaN or infinity"),
        (["good", "bad"], "Judge must return numbers"),
        (None, r"not an array of shape \(\)"),
    ],
    ids=["too few", "too many a text", "NaN", "infinity", "words", "nothing"],
)
def test_scores_that_make_no_sense_are_refused(answer: object, message: str) -> None:
    candidates, facts = ranked(10.0, 9.0)
    with pytest.raises(InputError, match=message):
        Rerank(Judge(lambda _: answer))(candidates, facts)


def test_a_scorer_that_fails_is_named_and_its_error_kept() -> None:
    def fail(_: list[str]) -> list[float]:
        raise RuntimeError("out of memory")

    candidates, facts = ranked(10.0, 9.0)
    with pytest.raises(InputError, match=r"the scorer Judge failed.*out of memory") as caught:
        Rerank(Judge(fail))(candidates, facts)
    assert isinstance(caught.value.__cause__, RuntimeError)


def test_a_scorer_without_a_score_and_an_odd_depth_are_refused() -> None:
    with pytest.raises(InputError, match=r"a scorer has a method score\(query, texts\)"):
        Rerank(object())  # type: ignore[arg-type]  # the mistake under test
    for depth in (0, 101, 1.5, True):
        with pytest.raises(InputError, match="depth is a number of candidates, from 1 to 100"):
            Rerank(Judge(lambda texts: texts), depth=depth)  # type: ignore[arg-type]  # the mistake under test


def test_the_scorer_reads_title_heading_and_text(tmp_path: Path) -> None:
    judge = Judge(lambda texts: [1.0] * len(texts))
    with Store(tmp_path / "memory.db", ToyEmbedder()) as store:
        store.remember("# Tools\n\nhammer", title="List", media_type="text/markdown")
        store.remember("nails")
        results = store.search("hammer and nails", stages=[Rerank(judge)])
    (asked,) = judge.asked
    assert asked[0] == "hammer and nails"
    assert sorted(asked[1]) == ["List\nTools\nhammer", "nails"]
    assert {hit.why[-1].source for hit in results} == {"rerank"}

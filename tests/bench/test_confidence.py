"""The benchmark of confidence: its figures by hand, and no question on both sides."""

from __future__ import annotations

import numpy as np
import pytest

from bench.confidence import Case, Kind, _calibration_error, _require_disjoint, _take_away, fit, weighted
from bench.datasets import Question
from vstore.search.confidence import probability


def case(kind: Kind, best: float, text: str = "", others: float = 0.0) -> Case:
    """A search whose first result has this cosine and is relevant if there is an answer; the second never is."""
    features, relevant = np.array([(best, 0.0), (others, 0.0)]), np.array([kind == "answerable", False])
    return Case(kind, "c", text or f"{kind} {best}", features, relevant)


def test_answerable_questions_weigh_as_much_as_all_others_together() -> None:
    cases = [case("answerable", 0.5), case("near", 0.4), case("near", 0.3), case("off", 0.1), case("answerable", 0.6)]
    assert [weight for _, weight in weighted(cases)] == [0.25, 0.125, 0.125, 0.25, 0.25]
    assert [weight for _, weight in weighted(cases[:1])] == [1.0]


def test_the_calibration_error_is_the_mean_gap_between_what_is_said_and_what_is_so() -> None:
    said, so = np.array([0.95, 0.95, 0.15, 1.0]), np.array([True, False, False, True])
    # one bin of three: |0.95 + 0.95 + 1.0 - 2| = 0.9; another of one: |0.15 - 0|; of four in all
    assert _calibration_error(said, so, np.ones(4)) == pytest.approx((0.9 + 0.15) / 4)
    assert _calibration_error(said, so, np.array([0.0, 0.0, 2.0, 0.0])) == pytest.approx(0.15)


def test_what_is_taken_away_leaves_its_questions_without_an_answer_and_most_of_the_documents() -> None:
    questions = [Question(str(n), "", None, {f"d{n}": 1.0, f"e{n}": 2.0, "common": 0.0}) for n in range(40)]
    removed, unanswered = _take_away(questions, 100)
    assert len(unanswered) == 10
    assert removed == {f"{letter}{n}" for n in unanswered for letter in "de"}
    removed, unanswered = _take_away(questions, 20)
    assert (len(removed), len(unanswered)) == (4, 2)


def test_a_fitted_scale_tells_likely_from_unlikely_results_and_says_how_often() -> None:
    """Of the results with cosine 0.6 three in four are relevant, of those with 0.2 one in four."""
    likely = [case("answerable", 0.6)] * 3 + [case("off", 0.6)]
    unlikely = [case("answerable", 0.2)] + [case("off", 0.2)] * 3
    cases = [(one, 1.0) for one in likely + unlikely]
    scale = fit(cases, "dense")
    assert scale.cosine > 0.0
    assert scale.keywords == 0.0
    found = [probability(scale.best_intercept + scale.best * (scale.intercept + scale.cosine * c)) for c in (0.6, 0.2)]
    assert found == pytest.approx([0.75, 0.25], abs=0.01)
    assert 0.24 < scale.threshold <= 0.75


def test_a_question_on_both_sides_is_refused() -> None:
    one, other = case("near", 0.1, "what is tea?"), case("off", 0.2, "what is bread?")
    _require_disjoint([(one, 1.0)], [(other, 1.0)])
    with pytest.raises(RuntimeError, match="both fitted on and reported, such as 'what is tea"):
        _require_disjoint([(one, 1.0), (other, 1.0)], [(one, 1.0)])

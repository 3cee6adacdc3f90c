"""The decision follows from the evidence, each missing piece of which is a no with a sentence of its own."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from vstore import config
from vstore.refine.decide import Evidence, better, decide, reduction, standard_error


def series(mean: float, n: int = 40, spread: float = 0.05) -> np.ndarray:
    """n divergences around a mean, always the same ones."""
    values = np.random.default_rng(1).normal(size=n)
    return mean * (1.0 + spread * (values - values.mean()) / values.std())


GOOD = Evidence(
    taught_base=series(1.0),
    taught_candidate=series(0.6),
    base=series(1.0),
    serving=series(1.0),
    candidate=series(0.9),
    halfway=series(0.94),
    changed=30,
    compared=40,
)


def refusal(**changes: object) -> tuple[str, str]:
    """The name of the question that was answered with no, and the sentence."""
    decision = decide(replace(GOOD, **changes))  # type: ignore[arg-type]
    assert not decision.promote
    assert [check.passed for check in decision.checks] == [True] * (len(decision.checks) - 1) + [False]
    return decision.checks[-1].name, decision.sentence


def test_a_candidate_that_learned_and_generalises_is_promoted_in_a_sentence() -> None:
    decision = decide(GOOD)
    assert decision.promote
    assert decision.sentence == (
        "promoted: on 40 queries it has never seen it takes away 10.0% of the distance to the teacher (p = 5e-05)"
    )
    assert {check.name for check in decision.checks} == {
        "enough", "differs", "teachable", "learned", "generalises", "step", "improves",
    }  # fmt: skip


def test_too_little_evidence_is_a_no() -> None:
    few = config.GATE_HELD_OUT - 1
    name, sentence = refusal(base=series(1.0, few), candidate=series(0.5, few), serving=series(1.0, few))
    assert name == "enough"
    assert sentence.startswith(f"kept what serves: 40 queries to learn from and {few} held-out ones found something")
    assert refusal(taught_base=series(1.0, config.GATE_TRAIN - 1))[0] == "enough"


def test_a_candidate_that_changes_no_result_is_refused() -> None:
    assert refusal(changed=0) == ("differs", "kept what serves: of 40 held-out queries 0 get other results than now")


def test_where_there_is_nothing_to_learn_or_the_model_cannot_read_nothing_is_learned() -> None:
    name, sentence = refusal(base=series(0.2))
    assert name == "teachable"
    assert "ranks 0.20 nats from the teacher; below 0.33 there is nothing to learn but noise" in sentence
    assert "above 3 it can hardly read these queries" in refusal(base=series(6.0))[1]


def test_the_fewer_the_queries_the_better_they_must_be_fitted() -> None:
    """1.75 / sqrt(16) is .44, and 1.75 / sqrt(100) is less than the .2 that is wanted in any case."""
    assert refusal(taught_base=series(1.0, 16), taught_candidate=series(0.58, 16))[0] == "learned"
    assert decide(replace(GOOD, taught_base=series(1.0, 16), taught_candidate=series(0.55, 16))).promote
    assert decide(replace(GOOD, taught_base=series(1.0, 100), taught_candidate=series(0.79, 100))).promote
    assert refusal(taught_base=series(1.0, 100), taught_candidate=series(0.81, 100))[0] == "learned"


def test_a_candidate_that_does_not_fit_its_own_lessons_is_refused_whatever_held_out_queries_say() -> None:
    """So does one whose teacher was mixed up: part of any map helps all queries alike."""
    assert refusal(taught_candidate=series(0.85))[0] == "learned"


def test_what_does_not_hold_for_unseen_queries_is_refused() -> None:
    name, sentence = refusal(candidate=series(1.1))
    assert name == "generalises"
    assert "on 40 queries it has never seen it adds 10.0% of the distance to the teacher" in sentence
    noisy = np.where(np.arange(40) % 2, 0.2, 1.79)  # smaller on average, but not beyond chance
    assert refusal(candidate=noisy)[0] == "generalises"


def test_a_step_that_is_too_long_is_refused() -> None:
    assert refusal(halfway=series(0.85))[0] == "step"
    assert decide(replace(GOOD, halfway=None)).promote


def test_what_is_hardly_better_than_what_serves_is_not_worth_a_switch() -> None:
    assert refusal(serving=series(0.905))[0] == "improves"


def test_judged_queries_that_lose_are_a_veto_and_undecided_ones_are_not() -> None:
    name, sentence = refusal(gains=(-0.2, -0.1, -0.3, -0.2))
    assert name == "judged"
    assert "4 held-out judged queries change by -0.2000 NDCG@10 (standard error 0.0408)" in sentence
    decision = decide(replace(GOOD, gains=(0.3, -0.2, 0.0, -0.15)))
    assert decision.promote
    assert "4 held-out judged queries change by -0.0125 NDCG@10" in decision.sentence


def test_equal_evidence_gives_equal_decisions() -> None:
    assert decide(GOOD) == decide(GOOD)


def test_the_figures_by_hand() -> None:
    assert reduction(np.array([1.0, 3.0]), np.array([0.5, 1.0])) == pytest.approx(1 - 0.75 / 2)
    assert reduction(np.zeros(2), np.ones(2)) == reduction(np.zeros(0), np.zeros(0)) == 0.0
    # Five differences of one sign: 2 of 32 assignments are as extreme, so the two-sided p is 1/16.
    assert better(np.full(5, 2.0), np.full(5, 1.0)) == pytest.approx(1 / 32, abs=0.004)
    assert better(np.full(5, 1.0), np.full(5, 2.0)) == pytest.approx(31 / 32, abs=0.004)
    assert standard_error([1.0, 3.0]) == pytest.approx(1.0)
    assert standard_error([1.0]) == float("inf")

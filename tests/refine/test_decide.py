"""The decision follows from the evidence, each missing piece of which is a no with a sentence of its own."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

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
        "promoted: on 40 queries never seen it takes away 10.0% of the distance to the teacher (p = 5e-05)"
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
    assert "ranks 0.20 nats from the teacher, and learns from 0.33 to 3; nearer there is nothing to learn" in sentence
    assert "6.00 nats from the teacher, and learns from 0.33 to 3; farther it can" in refusal(base=series(6.0))[1]


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
    assert "on 40 queries never seen it adds 10.0% of the distance to the teacher" in sentence
    noisy = np.where(np.arange(40) % 2, 0.2, 1.79)  # smaller on average, but not beyond chance
    assert refusal(candidate=noisy)[0] == "generalises"


def test_queries_that_were_left_out_in_turn_add_to_the_evidence() -> None:
    """Five of eight held-out queries gain, which may be chance; with forty more that all gain it is not."""
    few: dict[str, Any] = {"base": np.ones(8), "serving": np.ones(8), "halfway": np.full(8, 0.99)}
    unsure = np.array([0.9] * 5 + [1.1] * 3)
    assert refusal(**few, candidate=unsure)[0] == "generalises"
    left_out = (series(0.9), series(0.95))
    decision = decide(replace(GOOD, **few, candidate=unsure, crossfitted=left_out))
    assert decision.promote
    assert "on 48 queries never seen, 40 of them by others like it, it takes away 8.8% of" in decision.sentence


def test_held_out_queries_that_lose_beyond_chance_are_a_veto() -> None:
    """Eight losses of one sign are chance with probability 1 / 256 (.0035 as drawn), whatever other candidates show."""
    few = {"base": np.ones(8), "serving": np.ones(8), "halfway": np.full(8, 1.02)}
    name, sentence = refusal(**few, candidate=np.full(8, 1.01), crossfitted=(series(0.9), series(0.95)))
    assert name == "generalises"
    assert sentence.endswith("but not on the 8 held-out ones among them (p = 0.0035)")


def test_a_step_that_is_too_long_is_refused() -> None:
    assert refusal(halfway=series(0.85))[0] == "step"
    assert decide(replace(GOOD, halfway=None)).promote
    # Forty held-out queries say that the half is closer by .01, forty others that it is farther by .05.
    mixed = replace(GOOD, halfway=series(0.89), crossfitted=(series(0.9), series(0.95)))
    assert decide(mixed).promote
    (step,) = [check for check in decide(GOOD).checks if check.name == "step"]
    assert (step.passed, step.sentence) == (True, "half its step would be farther from the teacher")


def test_what_is_hardly_better_than_what_serves_is_not_worth_a_switch() -> None:
    assert refusal(serving=series(0.905))[0] == "improves"


UNTAUGHT = replace(GOOD, candidate=GOOD.base, halfway=None, untaught=True)


def test_a_step_that_learned_nothing_needs_a_store_in_which_it_helps() -> None:
    decision = decide(UNTAUGHT)
    assert decision.promote
    assert decision.sentence == (
        "promoted: the model alone ranks 1.00 nats from the teacher, and from 0.6 to 3 it helps to look a second time, "
        "near what came first; no map was learned"
    )
    assert [check.name for check in decision.checks] == ["enough", "differs", "without a map"]
    for distance in (0.5, 6.0):
        changes = {"base": series(distance), "taught_base": series(distance)}
        assert not decide(replace(UNTAUGHT, **changes)).promote


def test_no_query_taught_it_so_that_all_count_on_whichever_side_they_are() -> None:
    """A mean of .4 on one side and of 1 on the other is .7 over both."""
    near = replace(UNTAUGHT, base=series(0.4), taught_base=series(1.0))
    assert decide(near).checks[-1].figures == {"distance": pytest.approx(0.7)}
    few = replace(UNTAUGHT, base=series(1.0, 3), serving=series(1.0, 3), candidate=series(1.0, 3))
    assert decide(replace(few, taught_base=series(1.0, 20))).promote
    refused = decide(replace(few, taught_base=series(1.0, 19)))
    assert refused.sentence == "kept what serves: 22 queries found something; it takes at least 23"


def test_judged_queries_that_lose_are_a_veto_for_it_too() -> None:
    refused = decide(replace(UNTAUGHT, gains=(-0.2, -0.3, -0.1, -0.2)))
    assert (refused.promote, refused.checks[-1].name) == (False, "judged")


def test_judged_queries_that_lose_are_a_veto_and_undecided_ones_are_not() -> None:
    name, sentence = refusal(gains=(-0.2, -0.1, -0.3, -0.2))
    assert name == "judged"
    assert "4 held-out judged queries change by -0.2000 NDCG@10" in sentence
    undecided = (0.3, -0.2, 0.0, -0.15)
    decision = decide(replace(GOOD, gains=undecided))
    assert decision.promote
    assert "4 held-out judged queries change by -0.0125 NDCG@10" in decision.sentence


def test_a_single_judged_query_that_loses_much_is_a_veto() -> None:
    assert refusal(gains=(-1.0,))[0] == "judged"


def test_what_judgements_taught_may_not_lose_at_all() -> None:
    assert refusal(gains=(0.3, -0.2, 0.0, -0.15), may_not_lose=True)[0] == "judged"
    assert decide(replace(GOOD, gains=(0.3, -0.2, 0.0, -0.1), may_not_lose=True)).promote


def test_enough_judged_queries_that_gain_decide_whatever_the_rest_says() -> None:
    """Twenty gains of one sign are chance with probability 2 ** -20; nineteen queries are too few to decide."""
    bad = replace(GOOD, base=series(0.1), candidate=series(0.2), gains=(0.02,) * config.GATE_JUDGED)
    decision = decide(bad)
    assert decision.promote
    assert decision.sentence == "promoted: 20 held-out judged queries change by +0.0200 NDCG@10 (p = 5e-05)"
    assert not decide(replace(bad, gains=bad.gains[1:])).promote
    assert not decide(replace(bad, gains=(0.001,) * 30)).promote  # too little to be worth it
    assert not decide(replace(bad, gains=(0.02, -0.019) * 15)).promote  # by chance


def test_equal_evidence_gives_equal_decisions() -> None:
    assert decide(GOOD) == decide(GOOD)


def test_the_figures_by_hand() -> None:
    assert reduction(np.array([1.0, 3.0]), np.array([0.5, 1.0])) == pytest.approx(1 - 0.75 / 2)
    assert reduction(np.zeros(2), np.ones(2)) == reduction(np.zeros(0), np.zeros(0)) == 0.0
    # Five differences of one sign: 2 of 32 assignments are as extreme, so the two-sided p is 1/16.
    assert better(np.full(5, 2.0), np.full(5, 1.0)) == pytest.approx(1 / 32, abs=0.004)
    assert better(np.full(5, 1.0), np.full(5, 2.0)) == pytest.approx(31 / 32, abs=0.004)
    # Eight further queries lend their spread of .12: for two gains of variance 1 (1 * 2 + .0144 * 8) / 10 / 2.
    assert standard_error([1.0, 3.0]) == pytest.approx(((2.0 + 8 * 0.0144) / 10 / 2) ** 0.5)
    assert standard_error([1.0]) == pytest.approx((8 * 0.0144 / 9) ** 0.5)

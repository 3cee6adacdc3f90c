"""The figures are right by hand, and hold their bounds for any ranking."""

from __future__ import annotations

import math
import random
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vstore.errors import InputError
from vstore.metrics import bootstrap_interval, ndcg, paired_randomisation_test, recall, reciprocal_rank

GRADED = {"a": 3.0, "b": 2.0, "d": 1.0, "unwanted": -1.0, "seen": 0.0}

ids = st.sampled_from("abcdefghij")
rankings = st.lists(ids, unique=True)
judged = st.dictionaries(ids, st.integers(min_value=-1, max_value=3).map(float))
cutoffs = st.integers(min_value=1, max_value=12)
scores = st.lists(st.floats(min_value=0, max_value=1), min_size=1, max_size=30)


def test_ndcg_divides_linear_gains_by_those_of_the_ideal_order() -> None:
    # gained 2/1 + 0 + 3/2; ideal 3/1 + 2/1.5849625 + 1/2
    assert ndcg(["b", "x", "a"], GRADED, 3) == pytest.approx(3.5 / 4.7618595)
    assert ndcg(["b", "x", "a"], GRADED, 1) == pytest.approx(2 / 3)


def test_ndcg_of_one_relevant_document_is_its_discount() -> None:
    assert [ndcg(["x", "y", "a"], {"a": 1}, k) for k in (2, 3)] == [0.0, 0.5]


def test_ndcg_compares_a_short_ranking_with_the_full_ideal() -> None:
    assert ndcg(["a"], {"a": 1, "b": 1}, 10) == pytest.approx(1 / (1 + 1 / math.log2(3)))


def test_a_negative_grade_gains_and_costs_nothing() -> None:
    assert ndcg(["unwanted", "a"], GRADED, 2) == ndcg(["seen", "a"], GRADED, 2) == ndcg(["new", "a"], GRADED, 2)


def test_recall_is_the_share_of_relevant_documents_within_the_cutoff() -> None:
    ranking = ["b", "seen", "x", "a"]
    assert [recall(ranking, GRADED, k) for k in (1, 3, 4)] == pytest.approx([1 / 3, 1 / 3, 2 / 3])


def test_reciprocal_rank_looks_at_the_first_relevant_document_only() -> None:
    assert reciprocal_rank(["x", "seen", "unwanted", "d", "a"], GRADED) == 0.25
    assert reciprocal_rank(["x", "seen"], GRADED) == 0.0


def test_without_a_relevant_document_every_figure_is_0() -> None:
    judgements = {"a": 0.0, "b": -1.0}
    assert (ndcg(["a"], judgements, 10), recall(["a"], judgements, 10), reciprocal_rank(["a"], judgements)) == (0, 0, 0)


@pytest.mark.parametrize("measure", [ndcg, recall])
def test_a_repeated_document_or_an_empty_cutoff_is_refused(
    measure: Callable[[list[str], dict[str, float], int], float],
) -> None:
    with pytest.raises(InputError, match="twice"):
        measure(["a", "a"], GRADED, 10)
    with pytest.raises(InputError, match="k must be at least 1, not 0"):
        measure(["a"], GRADED, 0)


@given(rankings, judged, cutoffs)
def test_every_figure_lies_between_0_and_1(ranking: list[str], judgements: dict[str, float], k: int) -> None:
    assert 0 <= ndcg(ranking, judgements, k) <= 1 + 1e-12
    assert 0 <= recall(ranking, judgements, k) <= 1
    assert 0 <= reciprocal_rank(ranking, judgements) <= 1


@given(judged.filter(lambda judgements: max(judgements.values(), default=0) > 0), cutoffs)
def test_the_ideal_ranking_scores_1(judgements: dict[str, float], k: int) -> None:
    ideal = sorted(judgements, key=lambda doc_id: -judgements[doc_id])
    assert ndcg(ideal, judgements, k) == pytest.approx(1)
    assert recall(ideal, judgements, len(ideal)) == 1
    assert reciprocal_rank(ideal, judgements) == 1


@given(rankings, judged, cutoffs, st.randoms(use_true_random=False))
def test_what_comes_after_the_cutoff_does_not_matter(
    ranking: list[str], judgements: dict[str, float], k: int, rng: random.Random
) -> None:
    tail = ranking[k:]
    rng.shuffle(tail)
    assert ndcg(ranking[:k] + tail, judgements, k) == ndcg(ranking, judgements, k)
    assert recall(ranking[:k] + tail, judgements, k) == recall(ranking, judgements, k)


@given(rankings, judged, cutoffs)
def test_a_deeper_cutoff_never_lowers_recall(ranking: list[str], judgements: dict[str, float], k: int) -> None:
    assert recall(ranking, judgements, k) <= recall(ranking, judgements, k + 1)


def test_interval_ends_are_quantiles_of_the_resampled_means() -> None:
    # two values resample to the means 0, 0.5 and 1 with probabilities 1/4, 1/2 and 1/4
    assert bootstrap_interval([0, 1], seed=1) == (0, 1)
    assert bootstrap_interval([0, 1], confidence=0.4, seed=1) == (0.5, 0.5)


def test_interval_of_a_large_sample_agrees_with_the_normal_approximation() -> None:
    values = [0.0, 1.0] * 200  # standard error of the mean: 0.5 / sqrt(400) = 0.025
    low, high = bootstrap_interval(values, seed=1)
    assert (low, high) == pytest.approx((0.5 - 1.96 * 0.025, 0.5 + 1.96 * 0.025), abs=0.004)


@given(scores)
def test_interval_contains_the_mean(values: list[float]) -> None:
    low, high = bootstrap_interval(values, resamples=400, seed=1)
    assert low - 1e-12 <= sum(values) / len(values) <= high + 1e-12


@given(scores, st.floats(min_value=0.1, max_value=0.8))
def test_more_confidence_never_narrows_the_interval(values: list[float], confidence: float) -> None:
    narrow = bootstrap_interval(values, confidence=confidence, resamples=100, seed=1)
    wide = bootstrap_interval(values, confidence=confidence + 0.1, resamples=100, seed=1)
    assert wide[0] <= narrow[0] <= narrow[1] <= wide[1]


@pytest.mark.parametrize(
    ("a", "b", "exact"),
    [
        ([1.0, 1.0, 1.0], [0.0, 0.0, 0.0], 2 / 8),  # only +++ and --- reach 3
        ([3.0, 2.0, 0.0], [0.0, 0.0, 1.0], 4 / 8),  # of the sums 6, 4, 2, 0 and their negatives, four reach 4
        ([1.0] * 10, [0.0] * 10, 2 / 1024),
        ([0.1, 0.2, 0.0], [0.0, 0.0, 0.3], 1.0),  # sums to 0 but for rounding, which every assignment reaches
    ],
)
def test_p_value_approaches_the_share_of_sign_assignments_at_least_as_extreme(
    a: list[float], b: list[float], exact: float
) -> None:
    assert paired_randomisation_test(a, b, resamples=20_000, seed=1) == pytest.approx(exact, abs=0.01)


@given(scores)
def test_identical_systems_have_p_value_1(values: list[float]) -> None:
    assert paired_randomisation_test(values, values, resamples=50, seed=1) == 1


@given(st.lists(st.tuples(st.floats(0, 1), st.floats(0, 1)), min_size=1, max_size=30))
def test_p_value_is_positive_and_does_not_depend_on_the_order_of_the_systems(pairs: list[tuple[float, float]]) -> None:
    a, b = [x for x, _ in pairs], [y for _, y in pairs]
    p = paired_randomisation_test(a, b, resamples=50, seed=1)
    assert 1 / 51 <= p <= 1
    assert p == paired_randomisation_test(b, a, resamples=50, seed=1)


def test_equal_seeds_repeat_and_other_seeds_draw_anew() -> None:
    values = [index / 40 for index in range(40)]
    assert bootstrap_interval(values, resamples=100, seed=1) == bootstrap_interval(values, resamples=100, seed=1)
    assert bootstrap_interval(values, resamples=100, seed=1) != bootstrap_interval(values, resamples=100, seed=2)


@pytest.mark.parametrize("values", [[], [math.nan], [0.5, math.inf]])
def test_statistics_refuse_no_values_and_values_that_are_not_finite(values: list[float]) -> None:
    with pytest.raises(InputError, match="finite"):
        bootstrap_interval(values, seed=1)
    with pytest.raises(InputError, match="finite"):
        paired_randomisation_test(values, values, seed=1)


def test_statistics_refuse_impossible_settings() -> None:
    with pytest.raises(InputError, match="2 and 1 values"):
        paired_randomisation_test([1, 0], [1], seed=1)
    with pytest.raises(InputError, match="confidence must lie between 0 and 1, not 95"):
        bootstrap_interval([1, 0], confidence=95, seed=1)
    with pytest.raises(InputError, match="resamples must be at least 1"):
        paired_randomisation_test([1], [0], resamples=0, seed=1)

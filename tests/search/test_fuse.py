"""Fusion is right by hand, and every score is the sum of what it is explained with."""

from __future__ import annotations

import math
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vstore.search.fuse import FUSIONS, Evidence, alone, best_first, idf_weight, reciprocal_ranks
from vstore.types import Candidate, Contribution, Ranking, Term

rankings = st.lists(st.integers(1, 30), unique=True, max_size=20)
shares = st.floats(min_value=0.05, max_value=0.95)


def ranking(leg: str, chunk_ids: Sequence[int]) -> Ranking:
    return Ranking(leg, tuple(chunk_ids), tuple(float(len(chunk_ids) - i) for i in range(len(chunk_ids))))


def evidence(
    lexical: Sequence[int] = (),
    dense: Sequence[int] = (),
    frequencies: Sequence[int] = (),
    words: int = 3,
    chunk_count: int = 100,
) -> Evidence:
    terms = [Term(f"word{i}", f"word{i}", frequency) for i, frequency in enumerate(frequencies)]
    return Evidence(ranking("lexical", lexical), ranking("dense", dense), terms, words, chunk_count)


# --- reciprocal rank fusion -------------------------------------------------------------------------------------------


def test_scores_by_hand() -> None:
    fused = reciprocal_ranks(evidence([1, 2], [2, 3]), 0.25)
    assert [candidate.chunk_id for candidate in fused] == [2, 3, 1]
    assert [candidate.score for candidate in fused] == pytest.approx([0.25 / 62 + 0.75 / 61, 0.75 / 62, 0.25 / 61])


def test_an_explanation_names_leg_rank_weight_and_the_score_of_the_leg() -> None:
    (first, *_) = reciprocal_ranks(evidence([1, 2], [2, 3]), 0.25)
    assert first.why == (
        Contribution("lexical", 0.25 / 62, rank=2, raw=1.0, weight=0.25),
        Contribution("dense", 0.75 / 61, rank=1, raw=2.0, weight=0.75),
    )


def test_an_empty_leg_leaves_all_weight_to_the_other() -> None:
    (only,) = reciprocal_ranks(evidence(lexical=[7]), 0.25)
    assert (only.chunk_id, only.score) == (7, 1 / 61)
    (only,) = reciprocal_ranks(evidence(dense=[7]), 0.25)
    assert (only.chunk_id, only.score, only.why[0].weight) == (7, 1 / 61, 1.0)


@pytest.mark.parametrize("name", FUSIONS)
def test_two_empty_legs_give_nothing(name: str) -> None:
    assert FUSIONS[name](evidence()) == []


def test_equal_scores_go_to_the_lower_id() -> None:
    assert [candidate.chunk_id for candidate in reciprocal_ranks(evidence([9, 4], [4, 9]), 0.5)] == [4, 9]
    assert [candidate.chunk_id for candidate in reciprocal_ranks(evidence([8], [3]), 0.5)] == [3, 8]


def test_the_fixed_weights_are_6_parts_keywords_and_4_parts_meaning() -> None:
    fused = {candidate.chunk_id: candidate.score for candidate in FUSIONS["rrf-fixed"](evidence([1], [2]))}
    assert fused == pytest.approx({1: 0.6 / 61, 2: 0.4 / 61})


@given(rankings, rankings, st.sampled_from(sorted(FUSIONS)), st.lists(st.integers(0, 100), max_size=5))
def test_every_score_is_the_sum_of_its_contributions_and_every_chunk_is_there_once(
    lexical: list[int], dense: list[int], name: str, frequencies: list[int]
) -> None:
    fused = FUSIONS[name](evidence(lexical, dense, frequencies))
    assert sorted(candidate.chunk_id for candidate in fused) == sorted({*lexical, *dense})
    for candidate in fused:
        assert candidate.score == math.fsum(part.points for part in candidate.why)
        legs = {"lexical": lexical, "dense": dense}
        assert [part.source for part in candidate.why] == [leg for leg in legs if candidate.chunk_id in legs[leg]]
        for part in candidate.why:
            assert legs[part.source].index(candidate.chunk_id) + 1 == part.rank
            assert part.weight is not None
            assert part.points == part.weight / (60 + part.rank)
    assert [(-c.score, c.chunk_id) for c in fused] == sorted((-c.score, c.chunk_id) for c in fused)


@given(rankings, rankings, shares)
def test_swapping_the_legs_with_their_weights_changes_no_order(
    lexical: list[int], dense: list[int], share: float
) -> None:
    """Neither the order in which chunks were met nor the name of the leg decides."""
    one = reciprocal_ranks(evidence(lexical, dense), share)
    other = reciprocal_ranks(evidence(dense, lexical), 1.0 - share)
    scores = [{c.chunk_id: c.score for c in fused} for fused in (one, other)]
    assert scores[0] == pytest.approx(scores[1])


@given(
    st.permutations([Candidate(i, (Contribution("x", points),)) for i, points in enumerate([3.0, 1.0, 3.0, 2.0, 1.0])])
)
def test_best_first_does_not_depend_on_the_order_it_is_given(candidates: list[Candidate]) -> None:
    assert [candidate.chunk_id for candidate in best_first(candidates)] == [0, 2, 3, 1, 4]


@given(rankings, rankings, shares, st.integers(1, 30))
def test_a_better_rank_in_one_leg_never_lowers_a_chunk(
    lexical: list[int], dense: list[int], share: float, chunk_id: int
) -> None:
    others = [other for other in lexical if other != chunk_id]
    positions = []
    for place in range(len(others) + 1):
        fused = reciprocal_ranks(evidence([*others[:place], chunk_id, *others[place:]], dense), share)
        positions.append([candidate.chunk_id for candidate in fused].index(chunk_id))
    assert positions == sorted(positions)


def test_one_leg_alone_keeps_its_own_scores() -> None:
    fused = alone(Ranking("dense", (5, 2), (0.9, 0.1)))
    assert [(candidate.chunk_id, candidate.score) for candidate in fused] == [(5, 0.9), (2, 0.1)]
    assert fused[1].why == (Contribution("dense", 0.1, rank=2, raw=0.1, weight=1.0),)
    assert alone(Ranking("dense")) == []


# --- the weight by rarity ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("frequencies", "chunk_count", "weight"),
    [
        ([9], 100, 0.35),  # idf = ln(10) = ln(100) / 2: the middle of the curve
        ([0], 100, 0.1 + 0.5 / (1 + 1 / 100)),  # idf = ln(100), e^(-2 * ln(10)) = 1 / 100
        ([99], 100, 0.1 + 0.5 / (1 + 100)),  # idf = 0
        ([0, 99], 100, 0.35),  # the mean of the two
        ([100], 100, 0.1 + 0.5 / (1 + 100 * (101 / 100) ** 2)),  # in every chunk: idf = ln(100 / 101)
        ([0], 2, 0.1 + 0.5 / (1 + 1 / 2)),
        ([], 100, 0.4),
        ([5], 1, 0.4),
        ([0], 0, 0.4),
    ],
)
def test_the_keyword_share_by_hand(frequencies: list[int], chunk_count: int, weight: float) -> None:
    assert idf_weight(evidence(frequencies=frequencies, chunk_count=chunk_count)) == pytest.approx(weight)


def test_queries_of_more_than_50_words_are_taken_for_pasted_text() -> None:
    assert idf_weight(evidence(frequencies=[0], words=51)) == 0.1
    assert idf_weight(evidence(frequencies=[0], words=50)) > 0.5


@st.composite
def frequencies_and_counts(draw: st.DrawFn) -> tuple[list[int], int]:
    chunk_count = draw(st.integers(0, 10**9))
    return draw(st.lists(st.integers(0, chunk_count), max_size=6)), chunk_count


@given(frequencies_and_counts(), st.integers(0, 200))
def test_the_keyword_share_stays_between_a_tenth_and_six_tenths(case: tuple[list[int], int], words: int) -> None:
    frequencies, chunk_count = case
    assert 0.1 <= idf_weight(evidence(frequencies=frequencies, chunk_count=chunk_count, words=words)) <= 0.6


@given(st.lists(st.integers(0, 999), min_size=1, max_size=5), st.integers(0, 4), st.integers(1, 500))
def test_a_rarer_word_never_lowers_the_keyword_share(frequencies: list[int], which: int, rarer_by: int) -> None:
    which %= len(frequencies)
    rarer = [max(0, f - rarer_by) if i == which else f for i, f in enumerate(frequencies)]
    before, after = (idf_weight(evidence(frequencies=f, chunk_count=1000)) for f in (frequencies, rarer))
    assert after >= before


def test_the_fusion_by_rarity_uses_that_share() -> None:
    fused = {c.chunk_id: c.score for c in FUSIONS["rrf-idf"](evidence([1], [2], frequencies=[9]))}
    assert fused == pytest.approx({1: 0.35 / 61, 2: 0.65 / 61})

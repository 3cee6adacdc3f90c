"""Fusion is right by hand, and every score is the sum of what it is explained with."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vstore.search.fuse import FUSIONS, Evidence, alone, best_first, idf_weight, reciprocal_ranks, trust
from vstore.types import Background, Candidate, Contribution, Ranking, Term

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
    """Two rankings and what the pipeline completes them with: no keywords, and a cosine of 0, for what a leg lacks."""
    terms = [Term(f"word{i}", f"word{i}", frequency) for i, frequency in enumerate(frequencies)]
    legs = ranking("lexical", lexical), ranking("dense", dense)
    both = dict.fromkeys([*lexical, *dense], 0.0)
    bm25, cosines = (both | dict(zip(leg.chunk_ids, leg.scores, strict=True)) for leg in legs)
    return Evidence(*legs, terms, words, chunk_count, bm25, cosines, Background(mean=0.0, deviation=1.0))


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
    legs = {"lexical": lexical, "dense": dense}
    assert sorted(candidate.chunk_id for candidate in fused) == sorted({*lexical, *dense})
    for candidate in fused:
        assert candidate.score == math.fsum(part.points for part in candidate.why)
        for part in candidate.why:
            known = candidate.chunk_id in legs[part.source]
            assert part.rank == (legs[part.source].index(candidate.chunk_id) + 1 if known else None)
    assert [(-c.score, c.chunk_id) for c in fused] == sorted((-c.score, c.chunk_id) for c in fused)


@given(rankings, rankings, st.sampled_from(["rrf", "rrf-fixed", "rrf-idf"]))
def test_reciprocal_ranks_explain_each_addend_by_weight_and_rank(
    lexical: list[int], dense: list[int], name: str
) -> None:
    constant = 40 if name == "rrf" else 60
    for candidate in FUSIONS[name](evidence(lexical, dense, [3])):
        legs = {"lexical": lexical, "dense": dense}
        assert [part.source for part in candidate.why] == [leg for leg in legs if candidate.chunk_id in legs[leg]]
        for part in candidate.why:
            assert part.points == part.weight / (constant + part.rank)


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


# --- calibrated -------------------------------------------------------------------------------------------------------


BACKGROUND = Background(mean=0.1, deviation=0.05)


def completed(
    bm25: dict[int, float],
    cosines: dict[int, float],
    frequencies: Sequence[int] = (9,),
    background: Background | None = BACKGROUND,
) -> Evidence:
    """Evidence from scores: each leg ranks what it scores above 0."""
    terms = [Term(f"word{i}", f"word{i}", frequency) for i, frequency in enumerate(frequencies)]
    legs = []
    for name, scores in (("lexical", bm25), ("dense", cosines)):
        best = sorted((chunk_id for chunk_id in scores if scores[chunk_id] > 0), key=lambda c: -scores[c])
        legs.append(Ranking(name, tuple(best), tuple(scores[chunk_id] for chunk_id in best)))
    return Evidence(legs[0], legs[1], terms, 3, 100, bm25, cosines, background)


def test_calibrated_scores_by_hand() -> None:
    """z = (0.3 - 0.1) / 0.05 = 4, so meaning gives 8; I = ln(91.5 / 9.5) = 2.265, so keywords give 2.5 * 4 / 1.505."""
    (both, only_dense) = FUSIONS["calibrated"](completed({1: 4.0, 2: 0.0}, {1: 0.3, 2: 0.2}))
    keywords = 2.5 * 4.0 / math.sqrt(math.log(91.5 / 9.5))
    assert (both.chunk_id, both.score) == (1, pytest.approx(8.0 + keywords))
    assert [(part.source, part.raw) for part in both.why] == [("lexical", 4.0), ("dense", 0.3)]
    assert (only_dense.chunk_id, only_dense.score) == (2, pytest.approx(2.0))


def test_calibrated_without_a_keyword_match_is_the_dense_order() -> None:
    fused = FUSIONS["calibrated"](completed({}, {1: 0.05, 2: 0.3, 3: 0.12}))
    assert [candidate.chunk_id for candidate in fused] == [2, 3, 1]


@pytest.mark.parametrize("background", [None, Background(mean=0.2, deviation=0.0)])
def test_calibrated_is_the_keyword_order_where_cosines_say_nothing(background: Background | None) -> None:
    fused = FUSIONS["calibrated"](completed({1: 1.0, 2: 3.0, 3: 0.0}, dict.fromkeys([1, 2, 3], 0.2), [9], background))
    assert [candidate.chunk_id for candidate in fused] == [2, 1, 3]


def test_a_word_the_store_has_never_seen_changes_nothing() -> None:
    """It raises no BM25, so it says nothing about what BM25 is by chance; a known word of the same IDF does."""
    known, unseen, seen = (
        FUSIONS["calibrated"](completed({1: 4.0}, {1: 0.1}, frequencies))[0].score
        for frequencies in ([9], [9, 0], [9, 9])
    )
    assert unseen == known
    assert seen / known == pytest.approx(math.sqrt(1 / 2))


def test_the_balance_scales_what_keywords_say_and_nothing_else() -> None:
    fused = {
        balance: FUSIONS["calibrated"](replace(completed({1: 4.0}, {1: 0.3}), balance=balance))[0]
        for balance in (2.5, 5.0)
    }
    points = {balance: [part.points for part in candidate.why] for balance, candidate in fused.items()}
    assert points[5.0] == pytest.approx([2 * points[2.5][0], points[2.5][1]])


# --- trust in the dense leg -------------------------------------------------------------------------------------------


def four_chunks(bm25: dict[int, float], deviations: dict[int, float]) -> Evidence:
    """Cosines are given as deviations from the mean; of four chunks in scope the first two of each leg are compared."""
    return completed(bm25, {chunk_id: 0.1 + 0.05 * z for chunk_id, z in deviations.items()})


def test_legs_that_agree_are_both_believed() -> None:
    """Meaning's first two, 1 and 2, hold 6 of the 7 points of keywords' first two, 1 and 3: more than half."""
    assert trust(four_chunks({1: 4.0, 2: 2.0, 3: 3.0}, {1: 1.6, 2: 1.4, 3: 0.2, 4: 0.1})) == 1.0


def test_trust_grows_with_the_larger_agreement_from_a_tenth_to_a_half() -> None:
    """Meaning's first two hold 1 of keywords' 8 points; keywords' first two 0.6 of meaning's 3 deviations, a fifth."""
    found = four_chunks({1: 1.0, 3: 5.0, 4: 3.0}, {1: 1.6, 2: 1.4, 3: 0.4, 4: 0.2})
    assert trust(found) == pytest.approx((0.6 / 3.0 - 0.1) / 0.4)
    words = four_chunks({1: 2.0, 3: 5.0, 4: 3.0}, {1: 1.6, 2: 1.4, 3: 0.1, 4: 0.2})  # a quarter; a tenth
    assert trust(words) == pytest.approx((2.0 / 8.0 - 0.1) / 0.4)


def test_where_the_legs_have_nothing_in_common_a_fifth_is_left() -> None:
    """So chunks without a matching word keep their order by meaning: 1 before 2, behind those that match."""
    blind = four_chunks({3: 5.0, 4: 3.0}, {1: 1.6, 2: 1.4, 3: -0.1, 4: -0.2})
    assert trust(blind) == 0.2
    assert [candidate.chunk_id for candidate in FUSIONS["calibrated"](blind)] == [3, 4, 1, 2]
    assert FUSIONS["calibrated"](blind)[2].why[0].weight == 0.2


@pytest.mark.parametrize(
    ("z", "expected"),
    [
        (2.0, 0.2),  # 2 log-ranks: not even 1.5 ln 4 = 2.08
        (2.5, 3.125 / (1.5 * math.log(4)) - 1.0),
        (3.0, 1.0),  # 4.5 log-ranks: more than twice that
    ],
)
def test_a_cosine_far_beyond_chance_needs_no_agreement(z: float, expected: float) -> None:
    found = four_chunks({3: 5.0, 4: 3.0}, {1: z, 2: 1.4, 3: -0.1, 4: -0.2})
    assert trust(found) == pytest.approx(expected)


def test_chance_is_that_of_the_scope_and_where_the_leg_is_cut_off_of_the_store() -> None:
    """The best of 50 chunks at z = 4 (8 log-ranks) is beyond 1.5 ln 50 = 5.9; where 100 came back there may be more."""
    for length, expected in ((50, 8.0 / (1.5 * math.log(50)) - 1.0), (100, 0.2)):
        cosines = {chunk_id: 0.1 for chunk_id in range(length)} | {0: 0.3}
        found = completed({length - 1: 5.0}, cosines)
        found = replace(found, chunk_count=1_000_000, terms=[Term("word", "word", 9)])
        assert trust(found) == pytest.approx(expected)


def test_without_a_matching_word_there_is_nothing_to_agree_with() -> None:
    assert trust(four_chunks({}, {1: 0.4, 2: 0.2, 3: 0.1, 4: -0.2})) == 1.0


def test_a_chunk_without_a_vector_agrees_with_nothing() -> None:
    assert trust(four_chunks({7: 5.0, 8: 3.0}, {1: 1.6, 2: 1.4, 3: -0.1, 4: -0.2})) == 0.2


scores = st.dictionaries(st.integers(1, 9), st.floats(0.01, 20.0), max_size=9)


@given(
    scores,
    st.dictionaries(st.integers(1, 9), st.floats(0.01, 1.0), min_size=1),
    st.sampled_from(["calibrated", "convex"]),
)
def test_more_of_either_evidence_never_costs_a_place(
    bm25: dict[int, float], cosines: dict[int, float], name: str
) -> None:
    """A chunk that is at least as good in both legs is not ranked below the other, but for ties."""
    everything = dict.fromkeys([*bm25, *cosines], 0.0)
    bm25, cosines = everything | bm25, everything | cosines
    fused = {candidate.chunk_id: candidate.score for candidate in FUSIONS[name](completed(bm25, cosines))}
    for a in fused:
        for b in fused:
            if bm25[a] >= bm25[b] and cosines[a] >= cosines[b]:
                assert fused[a] >= fused[b] - 1e-9


def test_convex_scales_both_legs_to_the_unit_interval() -> None:
    """Keywords 6, 3, 0 become 1, 1/2, 0; cosines .5, .3, .1 become 1, 1/2, 0; keywords weigh .35."""
    fused = FUSIONS["convex"](completed({1: 6.0, 2: 3.0, 3: 0.0}, {1: 0.1, 2: 0.3, 3: 0.5}))
    assert {c.chunk_id: c.score for c in fused} == pytest.approx({1: 0.35, 2: 0.5, 3: 0.65})


def test_adaptive_weights_are_each_legs_share_of_the_evidence() -> None:
    """The best cosine is 4 deviations up: 8. The best BM25 is 4: 2.5 * 4 / sqrt(I)."""
    lexical = 2.5 * 4.0 / math.sqrt(math.log(91.5 / 9.5))
    fused = FUSIONS["rrf"](completed({1: 4.0}, {2: 0.3}))
    weights = {candidate.chunk_id: candidate.why[0].weight for candidate in fused}
    assert weights == pytest.approx({1: lexical / (lexical + 8.0), 2: 8.0 / (lexical + 8.0)})


def test_keywords_get_six_tenths_at_most() -> None:
    fused = FUSIONS["rrf"](completed({1: 40.0}, {2: 0.3}))
    weights = {candidate.chunk_id: candidate.why[0].weight for candidate in fused}
    assert weights == pytest.approx({1: 0.6, 2: 0.4})


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

"""Confidence turns evidence into probabilities: by hand, in order, and honest about what it does not know."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vstore import config
from vstore.calibration import Calibration, Scale
from vstore.embed.runtime import OnnxEmbedder
from vstore.search.confidence import FITTED, KEYWORDS, Confidence, features, judge, probability, scale
from vstore.search.fuse import Evidence
from vstore.types import Background, Ranking, Space, Term

BY_HAND = Scale(intercept=-1.0, cosine=2.0, keywords=0.5, best_intercept=0.25, best=2.0, threshold=0.6)
# 9 chunks, a term that none has: the query's information is ln(9.5 / 0.5).
WHOLE = math.log(19.0)


def evidence(bm25: dict[int, float], cosines: dict[int, float], mean: float = 0.25) -> Evidence:
    lexical, dense = Ranking("lexical"), Ranking("dense")
    return Evidence(lexical, dense, [Term("x", "x", 0)], 1, 9, bm25, cosines, Background(mean, 0.1))


def logistic(x: float) -> float:
    return 1.0 / (1.0 + math.exp(-x))


def test_the_best_result_decides_whether_there_is_an_answer() -> None:
    found = judge(BY_HAND, evidence({1: 2.0 * WHOLE}, {1: 0.5, 2: 0.6}), [2, 1])
    # -1 + 2 * 0.5 + 0.5 * 2 = 1 and -1 + 2 * 0.6 = 0.2; the best, 1, gives 0.25 + 2 * 1
    assert found.chunks == pytest.approx({1: logistic(1.0), 2: logistic(0.2)})
    assert found.search == pytest.approx(logistic(2.25))
    assert found.answerable


def test_from_the_threshold_on_there_is_an_answer() -> None:
    at = evidence({}, {1: 0.5})  # log-odds 0, so the search has those of best_intercept
    sure, unsure = (Scale(-1.0, 2.0, 0.5, math.log(3.0), 2.0, threshold) for threshold in (0.75, 0.7501))
    assert judge(sure, at, [1]).search == pytest.approx(0.75, abs=1e-12)
    assert judge(Scale(-1.0, 2.0, 0.5, 0.0, 2.0, 0.5), at, [1]).answerable
    assert not judge(unsure, at, [1]).answerable


def test_nothing_found_is_no_answer() -> None:
    assert judge(BY_HAND, evidence({}, {}), []) == Confidence({}, 0.0, False)


def test_only_the_first_results_count_so_that_asking_for_more_changes_nothing() -> None:
    cosines = {chunk_id: 0.3 for chunk_id in range(config.SHOWN)} | {99: 0.9}
    shown = list(range(config.SHOWN))
    few, many = judge(BY_HAND, evidence({}, cosines), shown), judge(BY_HAND, evidence({}, cosines), [*shown, 99])
    assert few.search == many.search
    assert many.chunks[99] > many.chunks[0]


def test_a_chunk_without_a_vector_counts_as_an_average_one() -> None:
    assert features(evidence({1: WHOLE}, {2: 0.5}), [1, 2]) == [(0.25, pytest.approx(1.0)), (0.5, 0.0)]


def test_a_query_without_information_has_no_keyword_evidence() -> None:
    nothing = Evidence(Ranking("lexical"), Ranking("dense"), [], 0, 9, {1: 3.0}, {1: 0.5})
    assert features(nothing, [1]) == [(0.5, 0.0)]


@given(st.floats(-1e6, 1e6), st.floats(-1e6, 1e6))
def test_probabilities_keep_the_order_of_log_odds(one: float, other: float) -> None:
    low, high = sorted((one, other))
    assert 0.0 <= probability(low) <= probability(high) <= 1.0


@given(st.lists(st.tuples(st.floats(-1, 1), st.floats(0, 50)), min_size=1, max_size=20))
def test_more_evidence_is_never_less_confidence(pairs: list[tuple[float, float]]) -> None:
    cosines = {chunk_id: cosine for chunk_id, (cosine, _) in enumerate(pairs)}
    bm25 = {chunk_id: keywords for chunk_id, (_, keywords) in enumerate(pairs)}
    for fitted in (*((one.hybrid, one.dense) for one in FITTED.values()), (KEYWORDS,)):
        for curve in fitted:
            before = judge(curve, evidence(bm25, cosines), list(cosines))
            after = judge(curve, evidence({**bm25, 0: bm25[0] + 1.0}, {**cosines, 0: cosines[0] + 0.1}), list(cosines))
            assert after.chunks[0] >= before.chunks[0]
            assert after.search >= before.search


def test_keywords_mean_the_same_everywhere_and_cosines_only_where_they_were_fitted(minilm: OnnxEmbedder) -> None:
    own = Calibration(2.0, hybrid=BY_HAND, dense=BY_HAND)
    unknown, known = Space(1, "f" * 64, 8, "mine"), Space(1, minilm.fingerprint, 384, "all-MiniLM-L6-v2")
    assert [scale(mode, unknown) for mode in ("hybrid", "dense", "lexical")] == [None, None, KEYWORDS]
    assert scale("hybrid", known) == FITTED[minilm.fingerprint].hybrid
    assert scale("dense", Space(1, minilm.fingerprint, 384, "all-MiniLM-L6-v2", own)) == BY_HAND
    assert scale("lexical", None) == KEYWORDS

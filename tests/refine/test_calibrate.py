"""Judged queries choose how much keywords weigh only when it clearly pays, and shift confidence to what is so."""

from __future__ import annotations

import math
import random
import time
from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest
from refine.test_queries import said
from refine.world import COURTESY, TOPICS, TOY

from vstore import Store, config
from vstore.calibration import Calibration, Scale
from vstore.refine.calibrate import balanced, in_force, log_loss, lower_bound, odds, shift, surer
from vstore.refine.queries import AskedQuery
from vstore.storage import Snapshot

SCALE = Scale(-1.0, 2.0, 1.0, 0.5, 1.0, 0.3)


def plain(snapshot: Snapshot, calibration: Calibration) -> Snapshot:
    return snapshot.serving(None, calibration)


def judged(text: str, relevant: int, *others: int) -> AskedQuery:
    """Document numbers that are relevant, and others that are not."""
    grades = [(relevant, 1.0), *((other, 0.0) for other in others)]
    return AskedQuery(
        text, judgements=tuple(replace(said(text), document_id=one, grade=grade) for one, grade in grades)
    )


@pytest.fixture(autouse=True)
def as_many_queries_as_there_are_topics(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(config, "BALANCE_QUERIES", 40)


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    """Documents 1 to 40 are about one topic, with much else around it, and 41 to 80 are nothing but courtesy."""
    draw = random.Random(3)
    with Store(tmp_path_factory.mktemp("balance") / "memory.db", TOY, log=False, metrics=False) as store:
        for topic in TOPICS[:40]:
            store.remember(" ".join([topic, *draw.sample(TOPICS[40:], 5)]), uri=topic)
        for number in range(40):
            store.remember(" ".join([*draw.choices(COURTESY, k=4), f"n{number}"]), uri=f"noise {number}")
        yield store


def queries(count: int) -> list[AskedQuery]:
    """Each asks, in courteous words, after a topic that one document has; the toy model hears the courtesy."""
    draw = random.Random(4)
    return [
        judged(" ".join([*draw.sample(COURTESY, 4), topic]), number)
        for number, topic in enumerate(TOPICS[:count], start=1)
    ]


def test_the_weight_of_keywords_rises_where_judged_queries_clearly_gain(store: Store) -> None:
    chosen = balanced(store.index, TOY, plain, queries(40), deadline=time.monotonic() + 60.0)
    assert chosen == Calibration(2.0 * config.CALIBRATED_LEXICAL)


def test_the_weight_stays_where_nothing_gains_or_there_is_no_time(store: Store) -> None:
    assert balanced(store.index, TOY, plain, queries(40), deadline=time.monotonic()) is None
    never = [judged(query.text, 10**6) for query in queries(40)]  # documents that no search finds
    assert balanced(store.index, TOY, plain, never, deadline=time.monotonic() + 60.0) is None


def test_few_queries_choose_no_weight_whatever_they_gain(store: Store) -> None:
    assert balanced(store.index, TOY, plain, queries(39), deadline=time.monotonic() + 60.0) is None


def test_the_lower_bound_by_hand() -> None:
    """Two gains of .1: no variance of their own, but .12 ** 2 for eight further queries."""
    variance = (0.0 * 2 + 0.12**2 * 8) / 10
    assert lower_bound(np.array([0.1, 0.1])) == pytest.approx(0.1 - 1.3 * math.sqrt(variance / 2))


def test_a_store_without_a_calibration_has_the_default_balance(store: Store) -> None:
    assert in_force(store.index) == Calibration(config.CALIBRATED_LEXICAL)


def test_the_shift_makes_log_odds_right_on_average() -> None:
    """All were given even odds and three of four are relevant: the shift is ln 3."""
    pairs = [(0.0, True)] * 3 + [(0.0, False)]
    assert shift(pairs) == pytest.approx(math.log(3))
    assert log_loss(pairs) == pytest.approx(math.log(2))
    assert log_loss(pairs, math.log(3)) == pytest.approx(-(0.75 * math.log(0.75) + 0.25 * math.log(0.25)))
    steep = [(8.0, False)] * 50 + [(8.0, True)] * 50
    assert shift(steep) == pytest.approx(-8.0)


def test_confidence_is_shifted_to_what_was_judged_and_the_verdict_on_a_search_stays(store: Store) -> None:
    """Of the first two results of each query one was judged relevant and one was not."""
    asked = []
    for query in queries(30):
        first, second = (hit.document.id for hit in store.search(query.text, k=2))
        asked.append(judged(query.text, first, second))
    shifted = surer(store.index, TOY, asked, Calibration(2.5, SCALE, SCALE))
    assert shifted is not None
    pairs = odds(store.index, TOY, asked, shifted)
    assert len(pairs) == 60
    assert sum(1 / (1 + math.exp(-log_odds)) for log_odds, _ in pairs) == pytest.approx(30.0, abs=1e-3)
    by = shifted.intercept - SCALE.intercept
    best_before = SCALE.best_intercept + SCALE.best * 0.7
    assert shifted.best_intercept + shifted.best * (0.7 + by) == pytest.approx(best_before)
    assert surer(store.index, TOY, asked, Calibration(2.5)) is None
    assert surer(store.index, TOY, asked[: config.CONFIDENCE_PAIRS - 1], Calibration(2.5, SCALE, SCALE)) is None


def test_a_shift_that_does_not_predict_what_others_judged_is_not_made(store: Store) -> None:
    """In the first half of the queries nearly all was judged relevant, in the second hardly anything."""
    asked = []
    for number, query in enumerate(queries(40)):
        ids = [hit.document.id for hit in store.search(query.text, k=4)]
        grade = 1.0 if number < 20 else 0.0
        grades = [(one, grade if one != ids[0] else 1.0 - grade) for one in ids]
        said_of = tuple(replace(said(query.text), document_id=one, grade=value) for one, value in grades)
        asked.append(replace(query, judgements=said_of))
    assert surer(store.index, TOY, asked, Calibration(2.5, SCALE, SCALE)) is None

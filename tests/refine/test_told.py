"""The map that judgements teach is followed as far as judged queries that it was trained without rank better."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np
import pytest
from refine.test_queries import said
from refine.world import TOY, fill, questions

from vstore import Store, config
from vstore.adapter import Adapter
from vstore.refine.queries import AskedQuery
from vstore.refine.told import Told, told

UNTRAINED = Adapter(np.zeros((64, 64), dtype=np.float32), config.ADAPTER_ALPHA, 0.0)


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    with Store(tmp_path_factory.mktemp("told") / "memory.db", TOY, log=False, metrics=False) as store:
        fill(store, 100)
        yield store


def answered(text: str, document: int) -> AskedQuery:
    return AskedQuery(text, judgements=(replace(said(text), document_id=document),))


def genuine(store: Store, texts: Sequence[str]) -> list[AskedQuery]:
    """Each question is answered by the document that has most of its topics."""
    words = {one.id: set(store.get(one.uri).text.split()) for one in store.documents()}
    return [answered(text, max(words, key=lambda number: len(words[number] & set(text.split()[3:])))) for text in texts]


def found_anyway(store: Store, texts: Sequence[str]) -> list[AskedQuery]:
    """Each question is answered by the document that a search puts first as it is, so that a map can only do harm."""
    return [answered(text, store.search(text, k=1)[0].document.id) for text in texts]


def learned(store: Store, queries: Sequence[AskedQuery], *, seconds: float = 60.0) -> Told:
    return told(store.index, TOY, UNTRAINED, queries, seed=0, deadline=time.monotonic() + seconds)


def test_judgements_that_speak_for_other_queries_are_followed_all_the_way(store: Store) -> None:
    found = learned(store, genuine(store, questions(110)))
    assert found.lessons == 110
    assert found.step == pytest.approx(math.sqrt(110) / 16)


def test_judgements_by_which_nothing_gets_better_are_followed_least(store: Store) -> None:
    found = learned(store, found_anyway(store, questions(110)))
    assert found.step == pytest.approx(math.sqrt(110) / 16 / 3)


def test_few_judged_queries_do_not_choose_but_take_the_step_of_their_number(store: Store) -> None:
    found = learned(store, found_anyway(store, questions(config.JUDGED_CHECKED - 1)))
    assert found.step == pytest.approx(math.sqrt(config.JUDGED_CHECKED - 1) / 16)


def test_too_few_judged_queries_teach_no_map(store: Store) -> None:
    found = learned(store, genuine(store, questions(config.JUDGED_LESSONS - 1)))
    assert (found.lessons, found.step) == (config.JUDGED_LESSONS - 1, 0.0)
    assert found.adapter is UNTRAINED

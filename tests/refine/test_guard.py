"""Nothing that is judged by is learned from, however one tries."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from refine.test_queries import said

from vstore import config
from vstore.errors import LeakError
from vstore.refine.guard import Split, folds, guard, split
from vstore.refine.queries import AskedQuery

HELD_OUT = (AskedQuery("How do public clients log in?", "work"), AskedQuery("rotate the signing keys"))
TRAIN = (AskedQuery("water boils at which temperature"), AskedQuery("fault E-4471"))

CHEATS = {
    "another case": AskedQuery("how do PUBLIC clients log in", "work"),
    "reordered": AskedQuery("log in: how do clients, public"),
    "another collection": AskedQuery("How do public clients log in?", "home"),
    "a word appended": AskedQuery("How do public clients log in today?"),
    "white space": AskedQuery("rotate  the\u00a0signing\tkeys "),
    "other letters for the same": AskedQuery("rotate the signing k\u0435\uff59s"),
    "inflected": AskedQuery("rotating the signed key"),
    "an invisible character": AskedQuery("rot\u200bate the signing keys"),
    "a judgement of a held-out query": AskedQuery("what else", judgements=(said("Rotate the signing keys!"),)),
}


def test_sides_with_nothing_in_common_pass() -> None:
    assert Split(TRAIN, HELD_OUT).train == TRAIN


@pytest.mark.parametrize("cheat", CHEATS.values(), ids=CHEATS)
def test_a_held_out_query_in_disguise_is_found(cheat: AskedQuery) -> None:
    for attempt in (guard, Split, replace_train):
        with pytest.raises(LeakError, match="nearly"):
            attempt((*TRAIN, cheat), HELD_OUT)


def replace_train(train: tuple[AskedQuery, ...], held_out: tuple[AskedQuery, ...]) -> Split:
    return replace(Split(TRAIN, held_out), train=train)


def test_a_judgement_cannot_be_on_both_sides() -> None:
    shared = said("keys of the piano")
    with pytest.raises(LeakError, match="keys of the piano"):
        Split(
            (AskedQuery("piano tuner", judgements=(shared,)),), (AskedQuery("black and white", judgements=(shared,)),)
        )


def test_a_third_query_that_connects_both_sides_is_enough() -> None:
    train = (AskedQuery("signing keys rotate"), AskedQuery("signing keys"))
    with pytest.raises(LeakError):
        guard(train, [AskedQuery("signing keys store")])
    guard(train[:1], [AskedQuery("signing keys store")])


def test_a_held_out_text_may_not_be_learned_from_either() -> None:
    divided = Split(TRAIN, HELD_OUT)
    divided.admit(["The signing keys are rotated every ninety days, by hand, and kept in the vault of the bank."])
    with pytest.raises(LeakError, match="Signing keys: rotate!"):
        divided.admit(["something else", "Signing keys: rotate!"])
    assert divided.leaks(["something else", "Signing keys: rotate!"]) == {"Signing keys: rotate!"}


TEXTS = st.text(st.sampled_from("abcde "), min_size=1, max_size=12).filter(str.strip)


@given(st.lists(TEXTS, max_size=30), st.randoms())
def test_every_split_passes_the_guard_in_any_order_and_loses_no_query(texts: list[str], order: random.Random) -> None:
    queries = [AskedQuery(text) for text in texts]
    divided = split(queries)
    assert sorted(query.text for query in (*divided.train, *divided.held_out)) == sorted(texts)
    order.shuffle(queries)
    again = split(queries)
    assert set(again.train) == set(divided.train)
    assert set(again.held_out) == set(divided.held_out)


def test_the_share_of_held_out_queries_is_as_configured() -> None:
    divided = split([AskedQuery(f"question number {number}") for number in range(5_000)])
    assert len(divided.held_out) / 5_000 == pytest.approx(config.HELD_OUT_SHARE, abs=0.02)


def test_large_clusters_are_held_out_no_more_often_than_small_ones() -> None:
    groups = [AskedQuery(f"case{number} matter {word}") for number in range(400) for word in ("", "x1", "x2", "x3")]
    divided = split(groups)
    assert len(divided.held_out) / len(groups) == pytest.approx(config.HELD_OUT_SHARE, abs=0.06)


def test_queries_added_later_move_only_what_they_resemble() -> None:
    before = split([AskedQuery(f"question number {number}") for number in range(1_000)])
    after = split([AskedQuery(f"question number {number}") for number in (*range(1_000), "7 again")])
    moved = set(before.train) & set(after.held_out) | set(before.held_out) & set(after.train)
    assert {query.text for query in moved} <= {"question number 7"}


def test_the_split_of_a_query_is_the_same_in_every_run_and_release() -> None:
    """These sides were written down once; a change here would turn held-out queries into training ones."""
    held_out = {query.text for query in split([AskedQuery(f"question number {n}") for n in range(12)]).held_out}
    assert held_out == {f"question number {n}" for n in (1, 7, 8, 10)}


def test_near_duplicates_are_in_one_fold_and_folds_are_of_like_size() -> None:
    queries = [AskedQuery(f"question number {number}") for number in range(900)]
    numbers = folds(queries, 3)
    assert sorted(set(numbers)) == [0, 1, 2]
    assert all(240 < numbers.count(number) < 360 for number in range(3))
    again = folds([*queries, *(AskedQuery(query.text.upper()) for query in queries)], 3)
    assert again == numbers * 2

"""Texts are found in a long one exactly where searching for each of them would find them, and much sooner."""

from __future__ import annotations

import random
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vstore.db import mentions
from vstore.db.mentions import occurring

# Few letters, so that needles occur; the last ones grow, shrink or count as white space when they are folded.
letters = st.text("abAB \n\u3000ßİ索😀", max_size=60)


@given(st.lists(letters, max_size=12), letters)
def test_the_same_needles_are_found_as_by_looking_for_each(needles: list[str], text: str) -> None:
    folded = " ".join(text.casefold().split())
    expected = {needle for needle in needles if needle.strip() and " ".join(needle.casefold().split()) in folded}
    assert occurring(needles, text) == expected


@pytest.mark.parametrize("width", range(1, 40))
def test_needles_of_every_length_are_found_across_the_border_of_two_blocks(
    width: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mentions, "_BLOCK", 50)
    generator = random.Random(7)
    text = "".join(generator.choice("abcdefghij") for _ in range(173))
    inside = {text[start : start + width] for start in range(len(text) - width + 1)}
    outside = {f"{needle[:-1]}z" for needle in inside}
    assert occurring(inside | outside, text) == inside


def test_a_needle_whose_ends_occur_but_not_the_whole_is_not_found() -> None:
    text = "how do I set the clock ... and how long does it take"
    assert occurring(["how do I set a table; how long does it take"], text) == set()


def test_a_full_log_takes_less_than_a_fifth_of_the_time_of_looking_for_each_in_a_megabyte() -> None:
    generator = random.Random(3)
    words = ["".join(generator.choices("etaoinshrdlu", k=generator.randint(2, 9))) for _ in range(20_000)]
    text = " ".join(generator.choices(words, k=170_000))
    asked = [" ".join(generator.choices(words, k=5)) for _ in range(2_000)]
    started = time.perf_counter()
    expected = {query for query in asked if query in text}
    each = time.perf_counter() - started
    started = time.perf_counter()
    assert occurring(asked, text) == expected
    assert time.perf_counter() - started < each / 5

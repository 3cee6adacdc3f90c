"""What counts as the same query, and that clusters depend on nothing else."""

from __future__ import annotations

import random
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vstore.refine.alike import clusters, content_words

SAME = {
    "case": ("How do public clients log in?", "HOW DO PUBLIC CLIENTS LOG IN"),
    "white space": ("rotate the signing keys", "  rotate\tthe\n signing   keys "),
    "punctuation": ("rotate the signing keys", "rotate (the) signing: keys!"),
    "order": ("rotate the signing keys", "signing keys, rotate"),
    "function words": ("what is the capital of France", "capital France"),
    "inflection": ("configured proxies for running queries", "configure proxy for run query"),
    "accents": ("résumé of the café owner", "resume cafe owner"),
    "full width": ("\uff52otate signing \uff4b\uff45\uff59\uff53", "rotate signing keys"),
    "ligatures": ("\ufb01nd the o\ufb03ce", "find the office"),
    "Cyrillic letters that look Latin": ("r\u043et\u0430te signing k\u0435ys", "rotate signing keys"),
    "invisible characters": ("rot\u200bate sign\u00ading keys", "rotate signing keys"),
}


def together(*texts: str) -> bool:
    return len(set(clusters([content_words(text) for text in texts]))) == 1


@pytest.mark.parametrize(("one", "other"), SAME.values(), ids=SAME)
def test_the_same_query_has_the_same_content_words(one: str, other: str) -> None:
    assert content_words(one) == content_words(other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("rotate signing keys", "rotate signing keys weekly"),
        ("proxy settings", "proxy settings npm"),
        ("谁是超级碗比赛中年龄最大的四分卫", "谁曾是超级碗比赛中年龄最大的四分卫"),
        (
            "Why does the nightly backup of the customer database on the second server time out since Monday",
            "Why does the nightly backup of the customer database on the second server time out since Friday",
        ),
    ],
    ids=["a word more", "a word more than two", "Chinese", "one word of many exchanged"],
)
def test_near_duplicates_are_together(one: str, other: str) -> None:
    assert content_words(one) != content_words(other)
    assert together(one, other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("report number 17", "report number 18"),
        ("report number 10", "report number 100"),
        ("kubernetes", "kubernetes networking"),
        ("rotate signing keys", "rotate backup tapes"),
        ("???", "!!!"),
        ("", "keys"),
    ],
)
def test_different_queries_are_apart(one: str, other: str) -> None:
    assert not together(one, other)


def test_near_duplicates_of_one_query_are_together_through_it() -> None:
    assert together("signing keys rotate", "signing keys", "signing keys store")
    assert not together("signing keys rotate", "signing keys store")


@settings(max_examples=50)
@given(st.lists(st.frozensets(st.sampled_from("abcdefghijkl"), min_size=1), min_size=1, max_size=12), st.randoms())
def test_neither_order_nor_more_texts_take_a_cluster_apart(texts: list[frozenset[str]], order: random.Random) -> None:
    labels = clusters(texts)
    pairs = {(i, j) for i in range(len(texts)) for j in range(i) if labels[i] == labels[j]}
    shuffled = order.sample(range(len(texts)), len(texts))
    again = clusters([texts[place] for place in shuffled])
    assert pairs == {
        (max(a, b), min(a, b))
        for x, a in enumerate(shuffled)
        for y, b in enumerate(shuffled)
        if x < y and again[x] == again[y]
    }
    fewer = clusters(texts[:-1])
    assert all((i, j) in pairs for i in range(len(fewer)) for j in range(i) if fewer[i] == fewer[j])


@pytest.mark.parametrize("form", ["status of ticket {0} for customer c{1}", "show me the {0} report of today please"])
def test_a_hundred_thousand_queries_take_seconds(form: str) -> None:
    """Also when they all have the same form, which must not make them one."""
    texts = [form.format(number, number % 97) for number in range(100_000)]
    started = time.process_time()
    found = clusters([content_words(text) for text in texts])
    assert time.process_time() - started < 10
    assert len(set(found)) == 100_000

"""Queries made of the corpus are learned from alone, never judged by, and never like a held-out one."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from refine.world import COURTESY, TOPICS, TOY, made

from vstore import Store, config
from vstore.refine.corpus import made_up
from vstore.refine.guard import Split, guard, split
from vstore.refine.loop import gathered, run
from vstore.refine.queries import AskedQuery


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    yield from made(tmp_path / "memory.db", asked=60)


def test_they_are_the_rarest_words_of_chunks_and_the_same_for_a_seed(store: Store) -> None:
    queries = made_up(store.index, Split((), ()), 50, seed=1)
    assert len(queries) == 50
    for query in queries:
        words = query.text.split()
        assert len(words) == config.MADE_UP_WORDS
        assert sum(word in TOPICS for word in words) == 4, "all topics of a document are rarer than any courtesy"
        assert sum(word in COURTESY for word in words) == 1
        assert store.search(query.text, k=1, mode="lexical")[0].text.count(words[0]) == 1
    assert made_up(store.index, Split((), ()), 50, seed=1) == queries
    assert made_up(store.index, Split((), ()), 50, seed=2) != queries


def test_none_is_like_a_held_out_query(store: Store) -> None:
    all_of_them = made_up(store.index, Split((), ()), 200, seed=1)
    held_out = (AskedQuery(all_of_them[0].text.upper()), AskedQuery(f"{all_of_them[1].text} again"))
    rest = made_up(store.index, Split((), held_out), 200, seed=1)
    guard(rest, held_out)
    assert {query.text for query in all_of_them} - {query.text for query in rest} >= {
        query.text for query in all_of_them[:2]
    }


def test_none_is_made_of_a_page_from_the_web(store: Store) -> None:
    """A stranger would choose what is learned."""
    for number in range(3):
        store.remember(f"zebrafish quagga numbat {number}", metadata={"via": "hand" if number else "web"})
    words = {query.text for query in made_up(store.index, Split((), ()), 10_000, seed=1)}
    assert {text.split()[-1] for text in words if "zebrafish" in text} == {"numbat"}
    assert sum("zebrafish" in text for text in words) == 1, "both of them have the same words"
    for document in store.documents():
        store.remember(store.get(document.uri).text, uri=document.uri, metadata={"via": "web"})
    assert made_up(store.index, Split((), ()), 10_000, seed=1) == ()


def test_a_night_learns_from_them_and_judges_by_real_queries(store: Store) -> None:
    record = run(store, made_up=True)
    divided = split(gathered(store))
    assert record.report["made_up"] > 100
    assert record.report["learned_from"] == len(divided.train)
    assert {query.query for query in store.index.run_queries(record.id)} == {query.text for query in divided.held_out}
    assert "made_up" not in run(store).report


def test_an_empty_store_has_none(tmp_path: Path) -> None:
    with Store(tmp_path / "empty.db", TOY) as store:
        assert made_up(store.index, Split((), ()), 5, seed=0) == ()

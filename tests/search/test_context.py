"""Context: what stands around the hits, each chunk once, within a budget of tokens."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from toy import ToyEmbedder

from vstore import Hit, Store, config
from vstore.embed.runtime import OnnxEmbedder
from vstore.errors import QueryError
from vstore.search.context import counter

ANIMALS = ["ant", "bee", "cat", "dog", "eel", "fox"]
# Two sections of three chunks each: a paragraph of 599 characters leaves no room for another one in a chunk of 1,000.
PARAGRAPHS = {animal: " ".join([animal] * 150) for animal in ANIMALS}
TEXT = "# First\n\n{ant}\n\n{bee}\n\n{cat}\n\n## Second\n\n{dog}\n\n{eel}\n\n{fox}\n".format(**PARAGRAPHS)
TOKENS = 120  # of a paragraph: 599 characters at CHARS_PER_TOKEN


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    with Store(tmp_path_factory.mktemp("context") / "memory.db", ToyEmbedder()) as opened:
        opened.remember(TEXT, uri="animals", media_type="text/markdown")
        opened.remember("dog kennel", uri="kennel")
        yield opened


def animals(hit: Hit) -> list[str]:
    """The animals that the context of a hit speaks of, in the order of the text."""
    words = hit.context.text.split() if hit.context else []
    return [word for word in dict.fromkeys(words) if word in ANIMALS]


def test_one_chunk_on_each_side_makes_one_passage(store: Store) -> None:
    (hit,) = store.search("bee", k=1, context=1)
    assert hit.context is not None
    assert animals(hit) == ["ant", "bee", "cat"]
    assert hit.context.text == TEXT[hit.context.start : hit.context.end]
    assert hit.context.start <= hit.start < hit.end <= hit.context.end
    assert [store.get(chunk_id).text for chunk_id in hit.context.chunk_ids] == [
        PARAGRAPHS[animal] for animal in ("ant", "bee", "cat")
    ]


def test_a_heading_between_two_chunks_comes_along(store: Store) -> None:
    (hit,) = store.search("cat", k=1, context=1)
    assert animals(hit) == ["bee", "cat", "dog"]
    assert hit.context is not None
    assert "\n\n## Second\n\n" in hit.context.text


def test_the_ends_of_a_document_have_neighbours_on_one_side(store: Store) -> None:
    assert animals(store.search("ant", k=1, context=1)[0]) == ["ant", "bee"]
    assert animals(store.search("fox", k=1, context=9)[0]) == ANIMALS


@pytest.mark.parametrize("animal", ANIMALS)
def test_a_section_is_all_under_the_same_heading(store: Store, animal: str) -> None:
    expected = ANIMALS[:3] if animal in ANIMALS[:3] else ANIMALS[3:]
    assert animals(store.search(animal, k=1, context="section", where={"@uri": "animals"})[0]) == expected


def test_a_section_ends_after_so_many_chunks_on_each_side(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(config, "MAX_CONTEXT", 1)
    assert animals(store.search("ant", k=1, context="section")[0]) == ["ant", "bee"]


def test_without_context_there_is_none(store: Store) -> None:
    results = store.search("bee", k=7)
    assert [hit.context for hit in results] == [None] * 7
    assert "context" not in results.timings


def test_no_chunk_is_given_twice(store: Store) -> None:
    """The cat stands beside the bee and the dog; the bee is the better hit."""
    bee, dog = store.search("bee dog", k=2, mode="lexical", where={"@uri": "animals"}, context=1)
    assert (animals(bee), animals(dog)) == (["ant", "bee", "cat"], ["dog", "eel"])
    ant, bee = store.search("ant bee", k=2, mode="lexical", context=1)
    assert (animals(ant), animals(bee)) == (["ant", "bee"], ["cat"])
    ant, bee = store.search("ant bee", k=2, mode="lexical", context="section")
    assert (animals(ant), bee.context) == (["ant", "bee", "cat"], None)


@pytest.mark.parametrize(
    ("budget", "expected"),
    [(TOKENS - 1, []), (TOKENS, ["bee"]), (2 * TOKENS, ["ant", "bee"]), (3 * TOKENS, ["ant", "bee", "cat"])],
)
def test_the_budget_is_spent_from_the_inside_out(store: Store, budget: int, expected: list[str]) -> None:
    (hit,) = store.search("bee", k=1, context=2, context_tokens=budget)
    assert animals(hit) == expected


def test_the_budget_is_for_all_hits_the_best_first(store: Store) -> None:
    ant, fox = store.search("ant fox", k=2, mode="lexical", context=1, context_tokens=3 * TOKENS)
    assert (animals(ant), animals(fox)) == (["ant", "bee"], ["fox"])


@given(
    query=st.lists(st.sampled_from(ANIMALS), min_size=1, max_size=6).map(" ".join),
    span=st.integers(1, 6) | st.just("section"),
    budget=st.integers(1, 8 * TOKENS),
    k=st.integers(1, 7),
)
def test_every_context_is_one_stretch_of_its_document_and_all_fit_the_budget(
    store: Store, query: str, span: Any, budget: int, k: int
) -> None:
    contexts = [
        (hit, hit.context) for hit in store.search(query, k, context=span, context_tokens=budget) if hit.context
    ]
    given_ids = [chunk_id for _, context in contexts for chunk_id in context.chunk_ids]
    assert len(given_ids) == len(set(given_ids))
    assert sum(counter(None)(store.get(chunk_id).text) for chunk_id in given_ids) <= budget
    for hit, context in contexts:
        assert context.text == store.get(hit.document.uri).text[context.start : context.end]
        assert list(context.chunk_ids) == list(range(context.chunk_ids[0], context.chunk_ids[-1] + 1))


def test_tokens_are_the_models_own_where_it_has_a_tokenizer(minilm: OnnxEmbedder) -> None:
    assert counter(minilm)("The cat sat down.") == 5
    assert counter(ToyEmbedder())("The cat sat down.") == counter(None)("The cat sat down.") == 4


@pytest.mark.parametrize("context", [-1, 101, 1.5, True, "page", None])
def test_context_that_makes_no_sense_is_refused(store: Store, context: Any) -> None:
    with pytest.raises(QueryError, match="context is up to 100 chunks on each side of a hit, or 'section'"):
        store.search("ant", context=context)


@pytest.mark.parametrize("tokens", [0, -1, 2.5, "all"])
def test_a_budget_that_makes_no_sense_is_refused(store: Store, tokens: Any) -> None:
    with pytest.raises(QueryError, match="context_tokens is a number of tokens, at least 1"):
        store.search("ant", context=1, context_tokens=tokens)


def test_results_as_data_say_where_the_context_is_from(store: Store) -> None:
    first = store.search("ant", k=1, context=1).to_dict()["hits"][0]
    assert first["context"] == {"chunk_ids": [1, 2], "start": 9, "end": 1209, "text": TEXT[9:1209]}
    assert first["duplicates"] == []

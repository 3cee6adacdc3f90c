"""`Store.why` names where a document was lost and a change that really brings it back."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator, Mapping
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from toy import ToyEmbedder

from vstore import Store, config
from vstore.db import phrases
from vstore.errors import InputError, ModelUnavailableError, NotFoundError, QueryError, SpaceMismatchError
from vstore.search.fuse import FUSIONS
from vstore.search.remedy import least_k

WORDS = [f"word{number}" for number in range(200)]


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store(tmp_path / "memory.db", ToyEmbedder()) as opened:
        yield opened


def found(store: Store, query: str, change: Mapping[str, Any], **options: Any) -> list[str]:
    """The uris that a search with the change returns."""
    return [hit.document.uri for hit in store.search(**{"query": query, **options, **change})]


def ladder(store: Store, rungs: int = 30) -> None:
    """Documents 0, 1, 2 ...: each has one more word beside the same three, so that all rankings run upwards."""
    for number in range(rungs):
        filler = " ".join(f"filler{number}x{i}" for i in range(number))
        store.remember(f"red green blue {filler}", uri=f"{number}")


# --- where it was lost ------------------------------------------------------------------------------------------------


def test_a_result_is_said_to_be_one(store: Store) -> None:
    ladder(store)
    third = store.search("red green blue")[2]
    answer = store.why("red green blue", uri=third.document.uri)
    assert (answer.rank, answer.lost, answer.change, answer.new_rank) == (3, None, {}, 3)
    assert (answer.sentence, answer.chunk.id, answer.score) == ("it is found, as number 3", third.chunk_id, third.score)


@pytest.mark.parametrize("mode", ["hybrid", "lexical", "dense"])
def test_below_the_cut_the_smallest_k_is_named(store: Store, mode: str) -> None:
    ladder(store)
    uris = found(store, "red green blue", {"k": 30}, mode=mode)
    answer = store.why("red green blue", uri=uris[16], mode=mode, k=5)
    assert (answer.rank, answer.lost, answer.place) == (None, "cut", 17)
    assert (answer.change, answer.new_rank) == ({"k": 17}, 17)
    assert answer.score < answer.bar == store.search("red green blue", 5, mode=mode)[-1].score


def test_facts_are_those_of_each_leg_alone(store: Store) -> None:
    ladder(store)
    answer = store.why("red green blue violet", uri="20", k=5)
    lexical, dense = answer.standings
    assert (answer.matched, answer.missing) == (("red", "green", "blue"), ("violet",))
    for standing in (lexical, dense):
        hits = store.search("red green blue violet", 30, mode=standing.leg, diversity=False, collapse=False)
        assert hits[standing.rank - 1].document.uri == "20"
        assert hits[standing.rank - 1].score == pytest.approx(standing.score, abs=1e-9)
    cosines = np.array([hit.score for hit in store.search("red green blue violet", 30, mode="dense")])
    assert dense.deviations == pytest.approx((dense.score - cosines.mean()) / cosines.std(), abs=1e-6)


def test_each_filter_in_the_way_is_named_and_the_others_kept(store: Store) -> None:
    store.remember("the gate is locked", uri="gate", collection="house", tags=["door"], metadata={"year": 2020, "a": 1})
    store.remember("the gate is open", uri="other", metadata={"year": 2022})
    options: dict[str, Any] = {
        "collection": ["default", "none"],
        "tags": ("door", "night", "iron"),
        "since": "2001-01-01",
        "until": date(2002, 1, 1),
        "where": {"year": {"$gte": 2019, "$lt": 2020}, "$and": [{"a": 1}, {"$or": [{"a": 2}, {"a": 3}]}]},
    }
    answer = store.why("gate", uri="gate", **options)
    assert answer.lost == "filters"
    assert answer.excluded_by == {
        "collection": ["default", "none"],
        "until": date(2002, 1, 1),
        "tags": ("night", "iron"),
        "where": {"$and": [{"year": {"$lt": 2020}}, {"$or": [{"a": 2}, {"a": 3}]}]},
    }
    kept = {"$and": [{"year": {"$gte": 2019}}, {"a": 1}]}
    assert answer.change == {"collection": None, "until": None, "tags": ("door",), "where": kept}
    assert found(store, "gate", answer.change, **options) == ["gate"]
    assert "the tag 'night' and 'iron'" in answer.sentence
    data = json.loads(json.dumps(answer.to_dict()))
    assert data["excluded_by"]["until"] == "2002-01-01"
    assert data["change"]["tags"] == ["door"]


def test_since_alone_is_named(store: Store) -> None:
    store.remember("the gate is locked", uri="gate")
    answer = store.why("gate", uri="gate", since="2999-01-01")
    assert (answer.excluded_by, answer.change) == ({"since": "2999-01-01"}, {"since": None})


def test_infinity_in_a_filter_is_text_in_json(store: Store) -> None:
    store.remember("the gate is locked", uri="gate", metadata={"year": 2020})
    data = store.why("gate", uri="gate", where={"year": {"$gt": float("inf")}}).to_dict()
    assert json.loads(json.dumps(data, allow_nan=False))["excluded_by"] == {"where": {"year": {"$gt": "inf"}}}


def test_a_filter_and_a_cut_are_both_undone(store: Store) -> None:
    ladder(store)
    store.remember("red one two three four five six seven", uri="far", collection="other")
    answer = store.why("red green blue", uri="far", collection="default", k=3)
    place = found(store, "red green blue", {"k": 31}).index("far") + 1
    assert place > 3
    assert answer.change == {"collection": None, "k": place}


def test_a_near_copy_names_its_original(store: Store) -> None:
    for uri in ("first", "second", "third"):
        store.remember("the gate is locked at night", uri=uri)
    store.remember("the gate opens in the morning", uri="other")
    answer = store.why("gate locked at night", uri="second", k=2)
    original = store.search("gate locked at night", 1)[0]
    (move,) = answer.moves
    assert (answer.lost, answer.change) == ("collapse", {"collapse": False})
    assert (move.stage, move.before, move.after, move.behind) == ("collapse", 2, 3, original.chunk_id)
    assert f"near-copy of chunk {original.chunk_id}" in answer.reason


def test_diversity_names_the_crowding_document(store: Store) -> None:
    paragraphs = ["lamp " * 170 + f"extra{number}" for number in range(12)]
    store.remember("\n\n".join(paragraphs), uri="long")
    for number in range(8):
        store.remember("lamp " * 40 + f"note{number}", uri=f"short{number}")
        store.remember(f"table{number}", uri=f"far{number}")
    straight = [hit.chunk_id for hit in store.search("lamp", 8, mode="dense", diversity=False)]
    spread = [hit.chunk_id for hit in store.search("lamp", 8, mode="dense")]
    lost = next(chunk_id for chunk_id in straight if chunk_id not in spread)
    answer = store.why("lamp", 8, chunk_id=lost, mode="dense")
    assert (answer.lost, answer.change) == ("diversity", {"diversity": False})
    assert "long crowds the first places" in answer.reason
    assert answer.moves[0].before == straight.index(lost) + 1 <= 8 < answer.moves[0].after


def test_a_lexical_search_without_a_common_word_needs_meaning(store: Store) -> None:
    ladder(store)
    store.remember("a stone wall", uri="wall")
    answer = store.why("red violet", uri="wall", mode="lexical", k=31)
    assert answer.lost == "candidates"
    assert "keywords: no word in common" in answer.reason
    assert answer.change == {"mode": "hybrid"}
    assert "wall" in found(store, "red violet", answer.change, k=31)


def test_out_of_both_lists_k_must_reach_one_of_them(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(config, "POOL_DEPTH", 5)
    ladder(store)
    worst = found(store, "red green blue", {"k": 30})[-1]
    answer = store.why("red green blue", uri=worst, k=3)
    assert (answer.lost, answer.place, answer.score) == ("candidates", None, None)
    assert worst in found(store, "red green blue", answer.change)


# --- when k does not help ---------------------------------------------------------------------------------------------


class NoModel(ToyEmbedder):
    def embed_queries(self, texts: list[str]) -> np.ndarray:
        raise ModelUnavailableError("there is none")


def test_without_a_model_words_of_the_document_are_named(store: Store) -> None:
    ladder(store)
    store.remember("a stone wall and a stone gate", uri="wall")
    with Store(store.path, NoModel()) as without:
        answer = without.why("red violet", uri="wall")
        assert (answer.mode, [standing.leg for standing in answer.standings]) == ("lexical", ["lexical"])
        assert "there is none" in answer.degraded
        assert set(answer.change) == {"query"}
        assert answer.change["query"].startswith("red violet ")
        assert "wall" in found(without, "red violet", answer.change)
        assert without.why("red violet", uri="wall", mode="lexical").change == answer.change
        with pytest.raises(ModelUnavailableError):
            without.why("red violet", uri="wall", mode="dense")


def test_a_chunk_without_a_vector_is_found_by_its_words(store: Store) -> None:
    ladder(store)
    lonely = store.remember("a stone wall", uri="wall")
    with store._index._database.write() as connection:
        connection.execute("DELETE FROM vectors_g1 WHERE chunk_id = (SELECT max(id) FROM chunks)")
        connection.execute("DELETE FROM codes_g1 WHERE chunk_id = (SELECT max(id) FROM chunks)")
    answer = store.why("red violet", uri=lonely.uri)
    assert "meaning: no vector" in answer.reason
    assert set(answer.change) == {"query"}
    assert "wall" in found(store, "red violet", answer.change)
    assert store.why("stone", uri="wall", mode="dense", k=3).change == {"mode": "hybrid"}


def test_beyond_the_largest_k_rare_words_of_the_document_help(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(config, "POOL_DEPTH", 5)
    monkeypatch.setattr(config, "MAX_K", 10)
    ladder(store)
    answer = store.why("red green blue", uri="29", k=5)
    assert "below the first 10" in answer.reason
    assert answer.standings[0].rank is None
    assert answer.standings[0].score > 0.0
    assert answer.change["query"].startswith("red green blue filler29x")
    assert "29" in found(store, "red green blue", answer.change, k=5)


def test_behind_many_chunks_that_hold_a_phrase_the_quote_marks_go(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(config, "POOL_DEPTH", 5)
    for number in range(12):
        store.remember(f"red green, and filler{number} besides", uri=f"{number}")
    store.remember("green red", uri="turned")
    answer = store.why('"red green"', 3, uri="turned", mode="lexical")
    assert answer.change == {"query": "red green"}
    assert found(store, '"red green"', answer.change, k=3, mode="lexical")[answer.new_rank - 1] == "turned"


def test_the_chunks_that_hold_a_phrase_are_read_once(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    ladder(store)
    original, asked = phrases.holding, []
    monkeypatch.setattr(phrases, "holding", lambda *arguments: (asked.append(arguments), original(*arguments))[1])
    assert store.why('"red green" violet', 2, uri="25", fusion="rrf").change
    assert len(asked) == 1


def test_nothing_to_name_is_said(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """Twenty documents that cannot be told apart, and a search that may return ten."""
    monkeypatch.setattr(config, "POOL_DEPTH", 5)
    monkeypatch.setattr(config, "MAX_K", 10)
    for number in range(20):
        store.remember("red", uri=f"{number:02}")
    answer = store.why("red", uri="19")
    assert (answer.change, answer.new_rank) == (None, None)
    assert answer.sentence.endswith("no change to the search was found that brings it back")


# --- what may be asked ------------------------------------------------------------------------------------------------


def test_what_is_not_there_is_an_error_that_says_how_to_look(store: Store) -> None:
    store.remember("the gate", uri="gate")
    with pytest.raises(NotFoundError, match="vstore list"):
        store.why("gate", uri="wall")
    with pytest.raises(NotFoundError, match="no chunk 99"):
        store.why("gate", chunk_id=99)
    targets: list[dict[str, Any]] = [{}, {"uri": "gate", "chunk_id": 1}, {"chunk_id": "1"}, {"chunk_id": 1.5}]
    for target in targets:
        with pytest.raises(InputError, match=r"uri=.*chunk_id="):
            store.why("gate", **target)
    with pytest.raises(QueryError, match="empty"):
        store.why(" ", uri="gate")


def test_a_uri_in_several_collections_is_the_one_searched(store: Store) -> None:
    for collection in ("a", "b"):
        store.remember("the gate", uri="gate", collection=collection)
    assert store.why("gate", uri="gate", collection="b").document.collection == "b"
    for collection in (None, ["a", "b"], "c"):
        with pytest.raises(NotFoundError, match=r"2 documents \(in a, b\)"):
            store.why("gate", uri="gate", collection=collection)
    assert store.why("gate", chunk_id=2, collection="a").change == {"collection": None}


def test_vectors_of_another_model_are_refused_as_in_a_search(store: Store) -> None:
    store.remember("the gate", uri="gate")
    with Store(store.path, ToyEmbedder(flavour="other")) as other:
        with pytest.raises(SpaceMismatchError):
            other.why("wall", uri="gate")
        answer = other.why("wall", uri="gate", mode="lexical")
        assert [standing.leg for standing in answer.standings] == ["lexical"]
        assert answer.change == {"query": "wall gate"}


def test_the_query_is_embedded_once(store: Store) -> None:
    asked: list[str] = []

    class Counting(ToyEmbedder):
        def embed_queries(self, texts: list[str]) -> np.ndarray:
            asked.extend(texts)
            return super().embed_queries(texts)

    ladder(store)
    with Store(store.path, Counting()) as counting:
        counting.why("red green blue", uri="25", k=3)
    assert asked == ["red green blue"]


# --- the promise ------------------------------------------------------------------------------------------------------


def fill(store: Store, rng: random.Random) -> None:
    """Short documents of random words, long ones about one word, and near-copies across collections."""
    texts = [" ".join(rng.choices(WORDS, k=rng.randint(3, 30))) for _ in range(250)]
    texts += [f"{rng.choice(WORDS)} " * 100 + " ".join(rng.choices(WORDS, k=300)) for _ in range(15)]
    texts += rng.choices(texts[:4], k=40)
    with store._index.bulk():
        for number, text in enumerate(texts):
            store.remember(
                text,
                uri=f"{number}",
                collection=rng.choice(["home", "work", "club"]),
                tags=rng.sample(["red", "green", "blue"], rng.randint(0, 3)),
                metadata={"year": rng.randint(2000, 2020), "lang": rng.choice(["de", "en"])},
            )


def a_question(rng: random.Random, text: str) -> dict[str, Any]:
    """A search with random options for words of the text or any others."""
    options: dict[str, Any] = {
        "query": " ".join(rng.choices(rng.choice([text.split(), [*WORDS, "unseen"]]), k=rng.randint(1, 5))),
        "k": rng.choice([1, 3, 10, 120]),
        "mode": rng.choice(["hybrid", "hybrid", "lexical", "dense"]),
        "fusion": rng.choice(sorted(FUSIONS)),
        "diversity": rng.random() < 0.8,
        "collapse": rng.random() < 0.8,
    }
    filters = {
        "collection": rng.choice(["home", ["work", "club"]]),
        "tags": rng.sample(["red", "green", "blue"], 2),
        "since": rng.choice(["2001-01-01", "2999-01-01"]),
        "until": rng.choice(["2001-01-01", "2999-01-01"]),
        "where": {"year": {"$gte": 2005, "$lt": 2015}, "lang": "de"},
    }
    return options | {name: value for name, value in filters.items() if rng.random() < 0.25}


def test_the_named_change_brings_back_a_hundred_random_misses(store: Store) -> None:
    rng = random.Random(20)
    fill(store, rng)
    chunks = store.stats().chunks
    assert chunks > 300
    lost, returned = [], 0
    while len(lost) < 100:
        chunk_id = rng.randint(1, chunks) if rng.random() < 0.7 else rng.randint(chunks - 39, chunks)
        content = store.get(chunk_id)
        options = a_question(rng, content.text)
        by_chunk = rng.random() < 0.5
        target: dict[str, Any] = {"chunk_id": chunk_id} if by_chunk else {"uri": content.document.uri}
        answer = store.why(**options, **target)

        assert (answer.rank is None) == (rank(store, options, target) is None)
        if answer.rank is None:
            lost.append(answer.lost)
            returned += rank(store, {**options, **(answer.change or {})}, target) == answer.new_rank
    assert set(lost) == {"filters", "candidates", "cut", "collapse"}
    assert returned == 100


def rank(store: Store, options: Mapping[str, Any], target: Mapping[str, Any]) -> int | None:
    """The rank at which a search returns the chunk or the document."""
    for number, hit in enumerate(store.search(**options), start=1):
        if target in ({"chunk_id": hit.chunk_id}, {"uri": hit.document.uri}):
            return number
    return None


def test_no_smaller_k_would_do(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """Against every k, with lists of five so that each of them is another search."""
    monkeypatch.setattr(config, "POOL_DEPTH", 5)
    rng = random.Random(21)
    for number in range(60):
        store.remember(" ".join(rng.choices(WORDS[:30], k=rng.randint(3, 12))), uri=f"{number}")
    checked = 0
    for _ in range(20):
        query, uri = " ".join(rng.choices(WORDS[:30], k=3)), f"{rng.randrange(60)}"
        least = next(k for k in range(3, 61) if uri in found(store, query, {"k": k}))
        change = store.why(query, 3, uri=uri).change
        if "mode" not in change:
            assert change.get("k", 3) == least
            checked += least > 3
    assert checked >= 5


@given(st.integers(1, 10), st.lists(st.integers(0, 2), min_size=150, max_size=150), st.integers(1, 150))
def test_the_least_k_is_the_first_that_works(k: int, growth: list[int], reach: int) -> None:
    """Against every k, for any list that grows by up to two places ahead of the chunk for each further k."""
    ahead = np.cumsum([1, *growth])
    works = [n for n in range(k, 151) if n >= reach and ahead[n] <= n]

    def place(k: int) -> int | None:
        return int(ahead[k]) if k >= reach else None

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(config, "K_STEPS", 150)
        assert least_k(place, k, reach, 150) == next(((n, ahead[n]) for n in works), None)
    assert least_k(place, k, reach, 150) in [None, *((n, ahead[n]) for n in works)]

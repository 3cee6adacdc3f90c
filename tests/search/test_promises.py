"""What every search promises, over random stores, modes, fusions, filters, phrases and stages together."""

from __future__ import annotations

import json
import math
import tempfile
import zlib
from datetime import datetime, timezone
from pathlib import Path
from typing import Any, get_args

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from toy import ToyEmbedder

from vstore import Frequency, History, Recency, Rerank, Results, Store, config
from vstore.search.confidence import FITTED
from vstore.search.fuse import FUSIONS
from vstore.search.wording import quoted
from vstore.types import Mode, Scope

WORDS = ["red", "green", "blue", "tea", "C++", "maxOpen", "検索"]
LATER = datetime(2100, 1, 1, tzinfo=timezone.utc)


class ByChecksum:
    """A scorer with an opinion of its own, the same each time; some texts are equal to it."""

    def score(self, query: str, texts: list[str]) -> list[float]:
        return [zlib.crc32(text.encode()) % 7 for text in texts]


words = st.lists(st.sampled_from(WORDS), min_size=1, max_size=5).map(" ".join)
notes = st.lists(
    st.tuples(words, st.sampled_from(["", "red tea"]), st.sampled_from("ab"), st.integers(1, 3)), max_size=40
)
queries = st.lists(words | words.map('"{}"'.format), min_size=1, max_size=3).map(" ".join)
stages = st.lists(
    st.sampled_from([History(), Frequency(), Recency(0.0001, now=LATER), Rerank(ByChecksum(), 5)]), max_size=2
)
options = st.fixed_dictionaries(
    {
        "mode": st.sampled_from(get_args(Mode)),
        "fusion": st.sampled_from(sorted(FUSIONS)),
        "collection": st.sampled_from([None, "a"]),
        "diversity": st.booleans(),
        "collapse": st.booleans(),
        "stages": stages,
    }
)


@pytest.fixture(autouse=True)
def calibrated(monkeypatch: pytest.MonkeyPatch) -> None:
    """The scores of the toy embedder, which nobody fitted, count as those of the default model."""
    monkeypatch.setitem(FITTED, ToyEmbedder().fingerprint, FITTED[config.DEFAULT_MODEL_FINGERPRINT])


@settings(max_examples=60, deadline=None)
@given(notes, st.lists(queries, max_size=3), queries, st.integers(1, 60), options)
def test_whatever_is_asked_the_promises_hold(
    kept: list[tuple[str, str, str, int]], asked_before: list[str], query: str, k: int, options: dict[str, Any]
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "memory.db")
        with Store(path, ToyEmbedder()) as store:
            for number, (text, title, collection, times) in enumerate(kept):
                paragraphs = "\n\n".join(f"{text} " * 40 for _ in range(times))  # times 3: of several chunks
                store.remember(paragraphs, uri=f"{number}", title=title, collection=collection)
            for text in asked_before:
                store.search(text)
        with Store(path, ToyEmbedder(), log=False, metrics=False) as store:
            results = store.search(query, k, explain=True, **options)
            plain = store.search(query, config.MAX_K, **{**options, "stages": ()})
            assert_honest(results)
            assert min(k, len(plain)) <= len(results) <= k
            if not any(isinstance(stage, History) for stage in options["stages"]):  # it may recall what was no match
                assert len(results) == min(k, len(plain))
            assert ranking(store.search(query, k, **options)) == ranking(results)
            assert ranking(store.search(query, 60, **options))[:k] == ranking(results)
            assert len({store.search(query, depth, **options).confidence for depth in (10, 60, 100)}) == 1
            if not (options["stages"] or options["diversity"] or options["collapse"]):
                assert [hit.score for hit in results] == sorted((hit.score for hit in results), reverse=True)
                assert_holders_first(store, query, results, options["collection"])


def ranking(results: Results) -> list[tuple[int, float, float | None]]:
    return [(hit.chunk_id, hit.score, hit.confidence) for hit in results]


def assert_honest(results: Results) -> None:
    """No chunk twice, scores that their reasons add up to, probabilities, and data that any JSON parser reads."""
    assert len({hit.chunk_id for hit in results}) == len(results)
    for hit in results:
        assert math.isclose(hit.score, math.fsum(part.points for part in hit.why), abs_tol=1e-9)
        assert hit.confidence is not None
        assert 0.0 <= hit.confidence <= 1.0
    assert results.confidence is not None
    assert 0.0 <= results.confidence <= 1.0
    assert results.answerable is not None
    data = json.loads(json.dumps(results.to_dict(), allow_nan=False))
    assert [hit["chunk_id"] for hit in data["hits"]] == [hit.chunk_id for hit in results]


def assert_holders_first(store: Store, query: str, results: Results, collection: str | None) -> None:
    """No chunk without all of the query's phrases stands before one with them."""
    phrases, _ = quoted(query)
    if phrases:
        with store._index.snapshot() as snapshot:
            holding = snapshot.holding(phrases, Scope((collection,) if collection else ()))
        places = [hit.chunk_id in holding for hit in results]
        assert places == sorted(places, reverse=True)

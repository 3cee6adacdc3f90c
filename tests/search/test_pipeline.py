"""What happens between a question and its results, through the public API."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from toy import ToyEmbedder

from vstore import Store, config
from vstore.errors import ModelDamagedError
from vstore.search.fuse import FUSIONS

COLOURS = ["red", "green", "blue", "yellow", "black", "white"]


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store(tmp_path / "memory.db", ToyEmbedder()) as opened:
        for number in range(40):
            words = " ".join(COLOURS[(number + step) % 6] for step in range(1 + number % 4))
            opened.remember(f"{words} number {number}", uri=f"{number}", metadata={"even": number % 2 == 0})
        yield opened


def exact(store: Store, query: str, uris: list[str]) -> np.ndarray:
    """Cosines by hand, of the very texts."""
    embedder = ToyEmbedder()
    vectors = embedder.embed_documents([store.get(uri).text for uri in uris])
    return vectors @ embedder.embed_queries([query])[0]


def test_a_dense_search_is_the_order_of_exact_cosines(store: Store) -> None:
    results = store.search("red blue number 7", k=40, mode="dense")
    cosines = exact(store, "red blue number 7", [hit.document.uri for hit in results])
    assert len(results) == 40
    assert np.allclose([hit.score for hit in results], cosines, atol=1e-5)
    assert np.all(np.diff(cosines) <= 1e-5)


@pytest.mark.parametrize("fusion", ["calibrated", "convex"])
def test_both_legs_score_every_candidate(store: Store, fusion: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """With pools of five each leg misses some of the other's candidates, and completion scores them all the same."""
    monkeypatch.setattr(config, "POOL_DEPTH", 5)
    results = store.search("red blue number", k=5, fusion=fusion)
    assert any(part.rank is None for hit in results for part in hit.why)
    for hit in results:
        (dense,) = (part for part in hit.why if part.source == "dense")
        assert dense.raw == pytest.approx(exact(store, "red blue number", [hit.document.uri])[0], abs=1e-5)
        assert "number" in hit.text
        (lexical,) = (part for part in hit.why if part.source == "lexical")
        assert lexical.raw > 0.0


@pytest.mark.parametrize("fusion", sorted(FUSIONS))
def test_a_filter_changes_the_candidates_and_not_the_scores_of_a_leg(store: Store, fusion: str) -> None:
    everything = store.search("green number 12", k=40, fusion=fusion)
    even = store.search("green number 12", k=40, fusion=fusion, where={"even": True})
    raw = {hit.chunk_id: {part.source: part.raw for part in hit.why} for hit in everything}
    assert len(even) == 20
    for hit in even:
        assert hit.document.metadata["even"] is True
        for part in hit.why:
            assert part.raw == pytest.approx(raw[hit.chunk_id][part.source], abs=1e-9)


def test_a_model_that_fails_at_its_first_text_leaves_keywords(store: Store, tmp_path: Path) -> None:
    class Unfit(ToyEmbedder):
        def embed_queries(self, texts: list[str]) -> np.ndarray:
            raise ModelDamagedError("its weights make no sense")

    with Store(tmp_path / "memory.db", Unfit()) as unfit:
        results = unfit.search("red")
        assert (results.mode, len(results) > 0) == ("lexical", True)
        assert "its weights make no sense" in results.degraded
        with pytest.raises(ModelDamagedError):
            unfit.search("red", mode="dense")


def test_timings_name_every_stage(store: Store) -> None:
    timings = store.search("red").timings
    assert set(timings) == {
        "embed",
        "terms",
        "lexical",
        "dense",
        "complete",
        "fuse",
        "stages",
        "fetch",
        "confidence",
        "total",
    }
    in_turn = sum(ms for stage, ms in timings.items() if stage not in {"total", "terms", "lexical"})
    assert timings["total"] >= in_turn, "keywords alone are ranked beside something else"
    assert set(store.search("red", mode="lexical").timings) == {
        "embed",
        "terms",
        "lexical",
        "stages",
        "fetch",
        "confidence",
        "total",
    }


def test_the_same_question_gives_the_same_answer(store: Store) -> None:
    first = [(hit.chunk_id, hit.score) for hit in store.search("white black", k=40)]
    assert first == [(hit.chunk_id, hit.score) for hit in store.search("white black", k=40)]


def test_chunks_without_a_usable_word_in_common_come_by_meaning(store: Store) -> None:
    results = store.search("?!", k=3)
    assert (results.mode, results.degraded, len(results)) == ("hybrid", None, 3)
    assert {part.source for hit in results for part in hit.why} == {"dense"}

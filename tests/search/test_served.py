"""Searches go through the adapter that is active when they begin, and nothing else does."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
from db.material import rows
from db.processes import start
from toy import ToyEmbedder

from vstore import History, Store, config
from vstore.adapter import Adapter
from vstore.calibration import Calibration, Scale
from vstore.db.index import SqliteIndex
from vstore.errors import SpaceMismatchError
from vstore.results import Results
from vstore.search import confidence
from vstore.search.fuse import FUSIONS
from vstore.types import Mode

DIMENSION = 64
NOTHING = np.zeros((DIMENSION, DIMENSION), np.float32)
WORDS = ["harbour", "lantern", "copper", "violin", "meadow", "orbit", "thistle", "granite", "saffron", "ember"]
QUERY = "harbour lantern copper"
FINGERPRINT = ToyEmbedder().fingerprint


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "memory.db"


@pytest.fixture
def store(path: Path) -> Iterator[Store]:
    draw = random.Random(1)
    with Store(path, ToyEmbedder()) as opened:
        for number in range(60):
            opened.remember(" ".join(draw.sample(WORDS, 4)), uri=f"{number}", title=f"n{number}")
        yield opened


def towards(word: str, alpha: float = 1.0, pull: float = 0.0) -> Adapter:
    """A map that adds the direction of a word to the vector of QUERY."""
    query, goal = ToyEmbedder().embed_queries([QUERY, word])
    return Adapter(np.outer(query, goal).astype(np.float32), alpha, pull)


def activate(path: Path, adapter: Adapter) -> None:
    with closing(SqliteIndex(path)) as index:
        index.activate(index.save_adapter(adapter, {}, {}))


def scores(results: Results) -> dict[int, float]:
    return {hit.chunk_id: hit.score for hit in results}


@pytest.mark.parametrize("mode", ["hybrid", "dense", "lexical"])
@pytest.mark.parametrize(
    "adapter",
    [Adapter(NOTHING, 1.0), Adapter(np.eye(DIMENSION, dtype=np.float32), 0.0)],
)
def test_an_adapter_that_moves_nothing_changes_nothing(store: Store, path: Path, adapter: Adapter, mode: Mode) -> None:
    before = scores(store.search(QUERY, mode=mode))
    activate(path, adapter)
    after = scores(store.search(QUERY, mode=mode))
    assert list(after) == list(before)
    assert after == pytest.approx(before, rel=1e-6)


def test_the_dense_leg_ranks_by_the_adapted_vector(store: Store, path: Path) -> None:
    """Expected cosines by hand, of the very texts."""
    activate(path, towards("violin"))
    query, goal = ToyEmbedder().embed_queries([QUERY, "violin"])
    adapted = (query + goal) / np.linalg.norm(query + goal)
    results = store.search(QUERY, k=60, mode="dense")
    texts = [f"{hit.document.title}\n{hit.text}" for hit in results]
    expected = ToyEmbedder().embed_documents(texts) @ adapted
    assert np.allclose([hit.score for hit in results], expected, atol=1e-5)
    assert "violin" in results[0].text


def test_the_fused_ranking_and_its_reasons_are_those_of_the_adapted_vector(store: Store, path: Path) -> None:
    before = store.search(QUERY)
    activate(path, towards("violin"))
    after = store.search(QUERY)
    assert [hit.chunk_id for hit in after] != [hit.chunk_id for hit in before]
    cosines = {hit.chunk_id: hit.score for hit in store.search(QUERY, k=60, mode="dense")}
    for hit in after:
        (dense,) = (part for part in hit.why if part.source == "dense")
        assert dense.raw == pytest.approx(cosines[hit.chunk_id], abs=1e-6)


def test_a_pull_scores_the_candidates_again_from_where_they_draw_the_query(store: Store, path: Path) -> None:
    """Expected cosines by hand, from what the search without a pull finds first."""
    first = store.search(QUERY, k=60)
    scores = np.array([hit.score for hit in first])
    weights = np.exp((scores[:10] - scores[0]) / (scores[0] - scores[-1]) / config.ADAPTER_TEACHER)
    vectors = ToyEmbedder().embed_documents([f"{hit.document.title}\n{hit.text}" for hit in first])
    query = ToyEmbedder().embed_queries([QUERY])[0] + 0.8 * weights @ vectors[:10] / weights.sum()
    expected = dict(zip([hit.chunk_id for hit in first], vectors @ query / np.linalg.norm(query), strict=True))

    activate(path, Adapter(NOTHING, 0.0, pull=0.8))
    after = store.search(QUERY, k=60)
    assert [hit.chunk_id for hit in after] != [hit.chunk_id for hit in first]
    for hit in after:
        (dense,) = (part for part in hit.why if part.source == "dense")
        assert dense.raw == pytest.approx(expected[hit.chunk_id], abs=1e-5)
        assert hit.score == pytest.approx(sum(part.points for part in hit.why))


@pytest.mark.parametrize("mode", ["dense", "lexical"])
def test_one_leg_alone_is_not_pulled(store: Store, path: Path, mode: Mode) -> None:
    before = scores(store.search(QUERY, mode=mode))
    activate(path, Adapter(NOTHING, 0.0, pull=0.8))
    assert scores(store.search(QUERY, mode=mode)) == pytest.approx(before, rel=1e-6)


@pytest.mark.parametrize("fusion", sorted(FUSIONS))
def test_every_fusion_can_be_pulled_and_phrases_still_come_first(store: Store, path: Path, fusion: str) -> None:
    activate(path, Adapter(NOTHING, 0.0, pull=0.8))
    text = store.search(QUERY, k=60)[20].text
    phrase = " ".join(text.split()[:2])
    results = store.search(f'"{phrase}" ember', k=60, fusion=fusion)
    holding = [phrase in hit.text for hit in results]
    assert len(results) == 60
    assert holding == sorted(holding, reverse=True)
    assert holding[0]


def test_an_empty_store_and_an_empty_scope_can_be_searched(store: Store, path: Path) -> None:
    activate(path, Adapter(NOTHING, 0.0, pull=0.8))
    assert len(store.search(QUERY, where={"no": "such"})) == 0
    assert len(store.search("nothing known here", k=60)) == 60
    for number in range(60):
        store.forget(f"{number}")
    assert len(store.search(QUERY)) == 0


def test_keyword_searches_read_no_adapter(store: Store, path: Path) -> None:
    before = scores(store.search(QUERY, mode="lexical"))
    activate(path, towards("violin"))
    assert scores(store.search(QUERY, mode="lexical")) == before


def test_why_explains_the_search_that_is_served(store: Store, path: Path) -> None:
    activate(path, towards("violin"))
    hit = store.search(QUERY, mode="dense")[3]
    explained = store.why(QUERY, chunk_id=hit.chunk_id, mode="dense")
    (dense,) = (standing for standing in explained.standings if standing.leg == "dense")
    assert (explained.rank, dense.rank) == (4, 4)
    assert dense.score == pytest.approx(hit.score, abs=1e-6)


def test_a_chunk_has_the_same_confidence_with_and_without_an_adapter(
    store: Store, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its curves were fitted to the model's own cosines, which an adapter leaves as they are."""
    scale = Scale(-2.0, 4.0, 1.0, 0.0, 1.0, 0.5)
    monkeypatch.setitem(confidence.FITTED, FINGERPRINT, Calibration(2.5, hybrid=scale, dense=scale))
    before = {hit.chunk_id: hit.confidence for hit in store.search(QUERY, k=60)}
    activate(path, towards("violin", pull=0.2))
    after = {hit.chunk_id: hit.confidence for hit in store.search(QUERY, k=60)}
    assert list(after) != list(before)
    assert after == pytest.approx(before)
    assert None not in after.values()


def test_the_log_keeps_the_vector_as_the_model_made_it(store: Store, path: Path) -> None:
    activate(path, towards("violin"))
    store.search(QUERY)
    store.close()
    ((blob,),) = rows(path, "SELECT vector FROM queries WHERE text = ?", (QUERY,))
    assert np.array_equal(np.frombuffer(blob, dtype="<f4"), ToyEmbedder().embed_queries([QUERY])[0])


def test_past_queries_are_compared_with_the_vector_as_the_model_made_it(store: Store, path: Path) -> None:
    store.search(f"{QUERY} copper", k=3)
    store.search_stats()  # writes the log
    activate(path, towards("violin", alpha=20.0))  # which leaves a cosine of 0.05 to what was asked before
    results = store.search(QUERY, stages=[History()])
    assert any(part.source == "history" for hit in results for part in hit.why)


def test_the_wrong_model_is_told_before_the_adapter_meets_its_vectors(store: Store, path: Path) -> None:
    activate(path, towards("violin"))
    with Store(path, ToyEmbedder(32)) as other, pytest.raises(SpaceMismatchError):
        other.search(QUERY, mode="dense")


def test_the_next_search_of_another_process_sees_the_switch_and_the_return(store: Store, path: Path) -> None:
    script = """
import sys
from toy import ToyEmbedder
from vstore import Store
with Store(sys.argv[1], ToyEmbedder(), log=False, metrics=False) as store:
    for line in sys.stdin:
        print(*[hit.chunk_id for hit in store.search(line.strip(), mode="dense")], flush=True)
"""
    process = start(script, path)
    assert process.stdin is not None and process.stdout is not None

    def elsewhere() -> list[int]:
        process.stdin.write(f"{QUERY}\n")
        process.stdin.flush()
        return [int(chunk_id) for chunk_id in process.stdout.readline().split()]

    before = elsewhere()
    activate(path, towards("violin"))
    adapted = elsewhere()
    assert adapted == [hit.chunk_id for hit in store.search(QUERY, mode="dense")] != before
    activate(path, towards("ember"))
    assert elsewhere() == [hit.chunk_id for hit in store.search(QUERY, mode="dense")] != adapted
    with closing(SqliteIndex(path)) as index:
        index.roll_back()
        index.roll_back()
    assert elsewhere() == before
    assert process.communicate()[1] == ""

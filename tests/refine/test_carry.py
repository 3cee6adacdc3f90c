"""A calibration is carried over to another model's cosines without anybody judging anything."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
from toy import ToyEmbedder

from vstore import Store, config
from vstore.calibration import Calibration, Scale
from vstore.db.index import SqliteIndex
from vstore.ingest.backfill import fill, switch
from vstore.refine.carry import carried_over
from vstore.types import Embedder, Query, Space

WORDS = [f"word{number}" for number in range(40)]
QUERIES = [Query(" ".join(WORDS[start : start + 3]), 10, "hybrid", "calibrated") for start in range(30)]
OLD = ToyEmbedder(32)
KNOWN = Calibration(2.5, hybrid=Scale(-5.0, 5.0, 2.0, 1.5, 1.0, 0.3), dense=Scale(-5.0, 7.0, 0.0, 2.0, 1.1, 0.4))


class Squeezed:
    """Another model with the same opinions, whose cosines are all higher: 0.75 + 0.25 times those of the first."""

    name, dimension = "squeezed", 33
    fingerprint = "5" * 64

    def embed_documents(self, texts: list[str]) -> np.ndarray:
        rows = 0.5 * OLD.embed_documents(texts)
        return np.concatenate([rows, np.full((len(texts), 1), np.sqrt(0.75), dtype=np.float32)], axis=1)

    embed_queries = embed_documents


class Contrary(ToyEmbedder):
    """A model that puts queries far from what the first one finds close."""

    def embed_queries(self, texts: list[str]) -> np.ndarray:
        return -super().embed_queries(texts)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    with closing(SqliteIndex(tmp_path / "memory.db")) as index:
        index.open_space(OLD.fingerprint, OLD.dimension, OLD.name, KNOWN)
    rng = np.random.default_rng(0)
    with Store(tmp_path / "memory.db", OLD) as store:
        for number in range(60):
            store.remember(" ".join(rng.choice(WORDS, 8)), uri=str(number))
    return tmp_path / "memory.db"


@pytest.fixture
def index(path: Path) -> Iterator[SqliteIndex]:
    with closing(SqliteIndex(path)) as opened:
        yield opened


def beside(index: SqliteIndex, embedder: Embedder) -> tuple[int, Space]:
    model_id = index.begin_encoder(embedder.fingerprint, embedder.dimension, {})
    space = index.space_of(model_id)
    assert fill(index, space, embedder)
    return model_id, space


def confidences(path: Path, embedder: Embedder) -> list[tuple[float, bool, list[float]]]:
    with Store(path, embedder, log=False) as store:
        found = [store.search(query.text) for query in QUERIES[:5]]
    return [(result.confidence, result.answerable, [hit.confidence for hit in result]) for result in found]


def test_the_new_model_is_as_sure_as_the_old_one(path: Path, index: SqliteIndex) -> None:
    before = confidences(path, OLD)
    model_id, space = beside(index, Squeezed())
    calibration = carried_over(index, OLD, Squeezed(), space, QUERIES)
    assert calibration is not None and calibration.keywords == KNOWN.keywords
    # c' = 0.25 c + 0.75, so c = 4 c' - 3
    assert calibration.hybrid.cosine == pytest.approx(20.0, rel=1e-3)
    assert calibration.hybrid.intercept == pytest.approx(-20.0, rel=1e-3)
    assert calibration.dense.intercept == pytest.approx(-26.0, rel=1e-3)
    kept = ("keywords", "best_intercept", "best", "threshold")
    assert [getattr(calibration.dense, name) for name in kept] == [getattr(KNOWN.dense, name) for name in kept]
    index.complete_encoder(model_id, {}, calibration)
    assert switch(index, model_id, Squeezed())
    after = confidences(path, Squeezed())
    for (was, answerable, hits), (becomes, again, others) in zip(before, after, strict=True):
        assert becomes == pytest.approx(was, abs=1e-3) and again == answerable
        assert others == pytest.approx(hits, abs=1e-3)


def test_too_few_queries_carry_nothing_over(index: SqliteIndex) -> None:
    _, space = beside(index, Squeezed())
    assert carried_over(index, OLD, Squeezed(), space, QUERIES[: config.CARRIED_PAIRS // 20 - 1]) is None
    assert carried_over(index, OLD, Squeezed(), space, []) is None


def test_models_that_disagree_carry_nothing_over(index: SqliteIndex) -> None:
    contrary = Contrary(32)
    contrary.fingerprint = "c" * 64
    _, space = beside(index, contrary)
    assert carried_over(index, OLD, contrary, space, QUERIES) is None


def test_a_space_without_a_calibration_has_none_to_carry(tmp_path: Path) -> None:
    with Store(tmp_path / "other.db", OLD) as store:
        store.remember("word1 word2")
    with closing(SqliteIndex(tmp_path / "other.db")) as index:
        _, space = beside(index, Squeezed())
        assert carried_over(index, OLD, Squeezed(), space, QUERIES) is None

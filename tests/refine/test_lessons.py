"""Lessons are what the search without an adapter ranks, or what people judged, with the vectors that are stored."""

from __future__ import annotations

import random
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from toy import ToyEmbedder

from vstore import Store, config
from vstore.adapter import Adapter
from vstore.db.index import SqliteIndex
from vstore.filters import parse
from vstore.refine.lessons import distilled, judged
from vstore.types import Query, Scope

WORDS = ["harbour", "lantern", "copper", "violin", "meadow", "orbit", "thistle", "granite", "saffron", "ember"]
TOY = ToyEmbedder()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    draw = random.Random(1)
    with Store(tmp_path / "memory.db", TOY) as store:
        for number in range(80):
            store.remember(" ".join(draw.sample(WORDS, 4)), uri=f"{number}", title=f"n{number}")
    return tmp_path / "memory.db"


@pytest.fixture
def index(path: Path) -> Iterator[SqliteIndex]:
    opened = SqliteIndex(path)
    yield opened
    opened.close()


def query(text: str, scope: Scope | None = None) -> Query:
    return Query(text, 10, "hybrid", config.DEFAULT_FUSION, scope or Scope())


def test_the_target_follows_the_scores_of_the_search_itself(index: SqliteIndex, path: Path) -> None:
    (lesson,) = distilled(index, TOY, [query("harbour lantern")])
    with Store(path, TOY) as store:
        hits = store.search("harbour lantern", k=config.ADAPTER_DEPTH, diversity=False, collapse=False)
    scores = np.array([hit.score for hit in hits])
    weights = np.exp((scores - scores[0]) / (scores[0] - scores[-1]) / config.ADAPTER_TEACHER)
    assert lesson.target == pytest.approx(weights / weights.sum(), rel=1e-4)
    texts = [f"{hit.document.title}\n{hit.text}" for hit in hits]
    assert np.allclose(lesson.candidates, TOY.embed_documents(texts), atol=1e-6)
    assert np.array_equal(lesson.query, TOY.embed_queries(["harbour lantern"])[0])


def test_quotes_are_no_part_of_what_is_embedded(index: SqliteIndex) -> None:
    (lesson,) = distilled(index, TOY, [query('"harbour" lantern')])
    assert np.array_equal(lesson.query, TOY.embed_queries(["harbour  lantern"])[0])


def test_the_active_adapter_is_no_teacher(index: SqliteIndex) -> None:
    (before,) = distilled(index, TOY, [query("harbour lantern")])
    assert before is not None
    weights = np.random.default_rng(0).normal(size=(TOY.dimension, TOY.dimension)).astype(np.float32)
    index.activate(index.save_adapter(Adapter(weights, 1.0, 0.5), {}, {}))
    (after,) = distilled(index, TOY, [query("harbour lantern")])
    assert after is not None
    assert np.array_equal(after.target, before.target)
    assert np.array_equal(after.candidates, before.candidates)


def test_a_query_that_finds_nothing_teaches_nothing(index: SqliteIndex) -> None:
    nowhere = Scope(where=parse({"no": "such"}))
    assert [bool(lesson) for lesson in distilled(index, TOY, [query("harbour", nowhere), query("harbour")])] == [
        False,
        True,
    ]
    assert judged(index, TOY, [(query("harbour", nowhere), {})]) == [None]


def test_no_query_is_asked_after_the_deadline(index: SqliteIndex) -> None:
    assert distilled(index, TOY, [query("harbour")] * 5, deadline=time.monotonic()) == [None] * 5


def test_judged_chunks_share_the_target_by_grade_against_all_that_was_found(index: SqliteIndex) -> None:
    with index.snapshot() as snapshot:
        ids = [snapshot.chunk_ids(number)[0] for number in (1, 2, 3)]
        vectors = snapshot.vectors(ids)
    good, better, bad = ids
    (lesson,) = judged(index, TOY, [(query("harbour lantern"), {good: 1.0, better: 3.0, bad: 0.0})])
    assert lesson.target[:3].tolist() == [0.25, 0.75, 0.0]
    assert not lesson.target[3:].any()
    assert np.array_equal(lesson.candidates[:3], [vectors[chunk_id] for chunk_id in ids])
    assert config.ADAPTER_DEPTH <= len(lesson.target) <= config.ADAPTER_DEPTH + 3


def test_judgements_that_name_nothing_relevant_teach_nothing(index: SqliteIndex) -> None:
    gone = 10**6
    assert judged(index, TOY, [(query("harbour"), {1: 0.0}), (query("harbour"), {gone: 1.0})]) == [None, None]

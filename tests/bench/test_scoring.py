"""A collection is ingested, searched and scored through the public API, and the table shows what was found."""

from __future__ import annotations

import json
import zlib
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from bench.collections import measure, table_head, table_rows
from bench.datasets import Collection, Question
from bench.scoring import Summary, System, compare_with_legs, documents_in_order, summarise

LEXICAL, DENSE, HYBRID = System("lexical"), System("dense"), System("hybrid", "rrf-fixed")


class WordEmbedder:
    """Each word adds 1 in a place of its own: texts are close when they share words."""

    name = "words"
    dimension = 512
    fingerprint = "words-512"

    def embed_documents(self, texts: list[str]) -> NDArray[np.float32]:
        vectors = np.full((len(texts), self.dimension), 1e-3, dtype=np.float32)
        for row, text in enumerate(texts):
            for word in text.lower().split():
                vectors[row, zlib.crc32(word.strip(".?").encode()) % self.dimension] += 1
        return np.asarray(vectors / np.linalg.norm(vectors, axis=1, keepdims=True), dtype=np.float32)

    embed_queries = embed_documents


def collection(folder: Path, rows: list[dict[str, str]], questions: list[Question]) -> Collection:
    corpus = folder.resolve() / "corpus.jsonl"
    corpus.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return Collection("mill", "test", corpus, tuple(questions))


def test_every_system_is_scored_on_every_question(tmp_path: Path) -> None:
    rows = [
        {"_id": "gate", "title": "", "text": "The sluice gate opens at high tide."},
        {"_id": "wheel", "title": "", "text": "The wheel turns twelve times a minute."},
        {"_id": "stone", "title": "", "text": "Granite millstones were dressed in spring."},
    ]
    questions = [
        Question("q1", "sluice gate", None, {"gate": 1.0}),
        Question("q2", "the wheel", None, {"stone": 1.0, "wheel": 2.0}),
    ]
    outcome = measure(collection(tmp_path, rows, questions), WordEmbedder(), [LEXICAL, DENSE, HYBRID])
    assert (outcome.documents, outcome.skipped) == (3, ())
    assert list(outcome.verdicts) == [LEXICAL, DENSE, HYBRID]
    for verdict in outcome.verdicts.values():
        assert verdict.queries["q1"] == {"NDCG@10": 1.0, "recall@100": 1.0, "MRR": 1.0}
    # keywords find "wheel" (grade 2) first and the stone, which shares no word, not at all: 2 / (2 + 1 / log2(3))
    q2 = outcome.verdicts[LEXICAL].queries["q2"]
    assert q2 == {"NDCG@10": pytest.approx(2 / 2.6309298), "recall@100": 0.5, "MRR": 1.0}
    assert outcome.verdicts[DENSE].queries["q2"]["recall@100"] == 1.0


def test_a_question_with_a_group_is_answered_from_its_own_documents(tmp_path: Path) -> None:
    rows = [
        {"_id": f"{day}-{number}", "title": "", "text": f"The budget was raised {number} times.", "group": day}
        for day in ("monday", "friday")
        for number in (1, 2)
    ]
    questions = [Question("q", "budget", "friday", {"friday-1": 1.0, "friday-2": 1.0})]
    outcome = measure(collection(tmp_path, rows, questions), WordEmbedder(), [LEXICAL, DENSE, HYBRID])
    assert [verdict.queries["q"]["NDCG@10"] for verdict in outcome.verdicts.values()] == [1.0, 1.0, 1.0]


def test_a_document_counts_at_the_place_of_its_best_chunk() -> None:
    uris = ["/data/c.jsonl#b", "/data/c.jsonl#a#1", "/data/c.jsonl#b", "/data/c.jsonl#c", "/data/c.jsonl#a#1"]
    assert documents_in_order(uris, "/data/c.jsonl") == ["b", "a#1", "c"]


def scores(*values: float) -> Mapping[str, dict[str, float]]:
    return {f"q{row}": {"NDCG@10": value, "recall@100": value, "MRR": 1.0} for row, value in enumerate(values)}


def test_a_summary_is_the_mean_with_an_interval_around_it() -> None:
    summary = summarise(scores(0.2, 0.4, 0.9))
    assert summary["NDCG@10"].mean == pytest.approx(0.5)
    assert 0.2 <= summary["NDCG@10"].low < 0.5 < summary["NDCG@10"].high <= 0.9
    assert summary["MRR"] == Summary(1.0, 1.0, 1.0)


def test_a_hybrid_is_compared_with_the_better_leg() -> None:
    by_system = {LEXICAL: scores(0.1, 0.2, 0.3), DENSE: scores(0.4, 0.5, 0.6), HYBRID: scores(0.5, 0.6, 0.7)}
    comparison = compare_with_legs(by_system)[HYBRID]
    # all three queries gain 0.1, so of the 8 sign assignments two are as extreme
    assert comparison.leg == "dense"
    assert comparison.difference == pytest.approx(0.1)
    assert comparison.p == pytest.approx(0.25, abs=0.01)


def test_the_table_has_a_line_for_each_system_with_as_many_cells_as_the_head(tmp_path: Path) -> None:
    rows = [{"_id": "gate", "title": "", "text": "The sluice gate opens at high tide."}]
    questions = [Question("q1", "sluice", None, {"gate": 1.0})]
    outcome = measure(collection(tmp_path, rows, questions), WordEmbedder(), [LEXICAL, DENSE, HYBRID])
    lines = list(table_rows(outcome))
    full = "1.000 [1.000, 1.000]"
    assert lines[0] == f"| mill | 1 | lexical | {full} | {full} | {full} |  |"
    assert lines[2] == f"| mill | 1 | hybrid rrf-fixed | {full} | {full} | {full} | +0.000 (lexical, p = 1) |"
    assert {line.count("|") for line in [*table_head(), *lines]} == {8}

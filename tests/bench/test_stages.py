"""The benchmark of optional stages never reports a question it has logged; its log is what a store would keep."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest
from db.material import rows
from toy import ToyEmbedder

from bench.stages import NOW, Bm25, Sentences, divide, measure, prepare
from vstore import Store, config
from vstore.db.clock import from_datetime
from vstore.types import Embedder

TOPICS = ["red fox", "green field", "blue sea", "black night", "white snow", "grey stone", "red barn", "blue sky"]


def collection(folder: Path, splits: dict[str, list[int]]) -> Path:
    """A document and a question for each topic, in the layout of BEIR."""
    (folder / "qrels").mkdir(parents=True)
    documents = [{"_id": f"d{n}", "title": "", "text": f"The {topic} is here."} for n, topic in enumerate(TOPICS)]
    queries = [{"_id": f"q{n}", "text": f"where is the {topic}?"} for n, topic in enumerate(TOPICS)]
    for name, lines in (("corpus", documents), ("queries", queries)):
        (folder / f"{name}.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    for split, numbers in splits.items():
        judged = "".join(f"q{n}\td{n}\t1\n" for n in numbers)
        (folder / "qrels" / f"{split}.tsv").write_text(f"query-id\tcorpus-id\tscore\n{judged}", encoding="utf-8")
    return folder


def test_other_splits_are_logged_where_there_are_any(tmp_path: Path) -> None:
    asked, reported = divide(collection(tmp_path / "c", {"train": [0, 1], "dev": [2, 3], "test": [3, 4, 5]}))
    assert [question.id for question in asked] == ["q0", "q1", "q2"]
    assert [question.id for question in reported.questions] == ["q3", "q4", "q5"]


def test_half_of_the_only_split_is_logged_and_the_other_reported(tmp_path: Path) -> None:
    asked, reported = divide(collection(tmp_path / "c", {"test": list(range(8))}))
    logged, judged = {question.id for question in asked}, {question.id for question in reported.questions}
    assert logged | judged == {f"q{n}" for n in range(8)}
    assert logged
    assert judged
    assert not logged & judged


def test_every_stage_is_measured_on_every_reported_question(tmp_path: Path) -> None:
    embedder: Embedder = ToyEmbedder()
    folder = collection(tmp_path / "c", {"train": [0, 1, 2], "test": [3, 4, 5, 6]})
    found = list(measure(folder, embedder, Sentences(embedder)))
    assert [row.stage for row in found] == ["recency", "frequency", "history", "rerank by BM25", "rerank by sentences"]
    assert {(row.collection, row.questions, row.logged) for row in found} == {("c", 4, 3)}
    for row in found:
        assert row.difference == pytest.approx(row.staged - row.default)
        assert row.low <= row.difference <= row.high
    assert len({row.default for row in found}) == 1


def test_the_log_holds_each_question_with_its_first_answers_and_documents_have_an_age(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(config, "SHOWN", 2)
    embedder, path = ToyEmbedder(), tmp_path / "memory.db"
    with Store(path, embedder, log=False, metrics=False) as store:
        for topic in TOPICS:
            store.remember(topic)
        answers = {text: store.search(text) for text in ("red", "blue")}
    prepare(path, embedder, answers)
    expected = {(text, rank, answers[text][rank - 1].chunk_id) for text in answers for rank in (1, 2)}
    sql = "SELECT q.text, a.rank, a.chunk_id FROM queries AS q JOIN answers AS a ON a.query = q.id WHERE q.space = 1"
    assert set(rows(path, sql)) == expected
    oldest, newest = rows(path, "SELECT min(updated_at), max(updated_at) FROM documents")[0]
    assert from_datetime(NOW) - 365 * 86_400_000 <= oldest < newest <= from_datetime(NOW)


def test_bm25_by_hand() -> None:
    """Lengths 2 and 2, so that a word counts 2.2 / 2.2 where it is; it is in one of two texts: ln(1 + 1.5 / 1.5)."""
    assert Bm25().score("Red?", ["red fox", "blue sea"]) == pytest.approx([math.log(2.0), 0.0])


def test_sentences_score_a_text_by_its_best_one() -> None:
    embedder = ToyEmbedder()
    alone, among = Sentences(embedder).score("red fox", ["blue sea.", "Blue sea. Red fox! Green field."])
    assert among == pytest.approx(1.0, abs=1e-6)
    assert alone < 0.5

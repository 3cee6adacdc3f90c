"""Collections in the BEIR layout are read as they are written."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from bench.datasets import find_collections, fitting_and_reported, load_collection
from vstore.errors import InputError, NotFoundError


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Three queries: q1 has two relevant documents, q2 none above 0, q3 is not judged."""
    folder = tmp_path / "meetings"
    (folder / "qrels").mkdir(parents=True)
    (folder / "corpus.jsonl").write_text('{"_id": "d#1", "title": "", "text": "Tide times."}\n', encoding="utf-8")
    queries = [
        {"_id": "q1", "text": "when does it \u2028 turn?", "group": "monday"},
        {"_id": "q2", "text": "who left?"},
        {"_id": "q3", "text": "why?"},
    ]
    lines = "".join(json.dumps(query, ensure_ascii=False) + "\n" for query in queries)
    (folder / "queries.jsonl").write_text(lines + "\n", encoding="utf-8")
    judged = 'query-id\tcorpus-id\tscore\nq1\td#1\t2\nq1\t"d2\t1\nq1\td3\t-1\nq2\td#1\t0\n'
    (folder / "qrels" / "test.tsv").write_text(judged, encoding="utf-8")
    return folder


def test_questions_without_a_relevant_document_are_left_out(folder: Path) -> None:
    (question,) = load_collection(folder, "test").questions
    assert (question.id, question.text, question.group) == ("q1", "when does it \u2028 turn?", "monday")
    assert question.judgements == {"d#1": 2.0, '"d2': 1.0, "d3": -1.0}


def test_the_corpus_is_named_as_the_store_will_name_it(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder.parent)
    assert load_collection(Path("meetings"), "test").corpus == (folder / "corpus.jsonl").resolve()


def test_a_split_that_is_not_there_is_named_with_those_that_are(folder: Path) -> None:
    with pytest.raises(NotFoundError, match=r"no split 'dev': choose one of test$"):
        load_collection(folder, "dev")


def test_judgements_of_a_question_that_does_not_exist_are_refused(folder: Path) -> None:
    with (folder / "qrels" / "test.tsv").open("a", encoding="utf-8") as file:
        file.write("q9\td#1\t1\n")
    with pytest.raises(InputError, match="'q9'"):
        load_collection(folder, "test")


def test_all_means_every_folder_with_a_corpus(folder: Path) -> None:
    (folder.parent / "notes").mkdir()
    assert find_collections(folder.parent, ["all"]) == find_collections(folder.parent, ["meetings"]) == [folder]
    with pytest.raises(NotFoundError, match=r"notes has no corpus\.jsonl"):
        find_collections(folder.parent, ["meetings", "notes"])


def test_numbers_are_chosen_on_the_train_split_where_there_is_one(folder: Path) -> None:
    judged = "query-id\tcorpus-id\tscore\nq3\td#1\t1\n"
    for split in ("dev", "train"):
        (folder / "qrels" / f"{split}.tsv").write_text(judged.replace("q3", "q2" if split == "dev" else "q3"))
    fitting, reported = fitting_and_reported(folder)
    assert [(part.split, [question.id for question in part.questions]) for part in (fitting, reported)] == [
        ("train", ["q3"]),
        ("test", ["q1"]),
    ]


def test_without_one_the_test_split_is_halved_by_question(folder: Path) -> None:
    """CRC-32 of "q1" is 0x26235a72 and of "q4" 0x5649aefd: even and odd."""
    with (folder / "queries.jsonl").open("a", encoding="utf-8") as file:
        file.write('{"_id": "q4", "text": "where?"}\n')
    with (folder / "qrels" / "test.tsv").open("a", encoding="utf-8") as file:
        file.write("q4\td#1\t1\n")
    fitting, reported = fitting_and_reported(folder)
    assert [[question.id for question in part.questions] for part in (fitting, reported)] == [["q1"], ["q4"]]

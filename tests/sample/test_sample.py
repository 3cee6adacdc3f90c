"""The bundled corpus is what its documentation says, and every demonstration question has its answer in it."""

import csv
import hashlib
import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import get_args

import pytest
import yaml

from vstore.sample import DEMO_QUERIES, DemoQuery, corpus_folder
from vstore.sample.queries import Kind

MAX_BYTES = 250_000


@pytest.fixture(scope="module")
def corpus() -> Iterator[Path]:
    with corpus_folder() as folder:
        yield folder


@pytest.fixture(scope="module")
def files(corpus: Path) -> dict[str, bytes]:
    """Contents by relative path; installers may have put compiled code beside the samples."""
    found = (path for path in sorted(corpus.rglob("*")) if path.is_file() and "__pycache__" not in path.parts)
    return {path.relative_to(corpus).as_posix(): path.read_bytes() for path in found}


def tickets(files: dict[str, bytes]) -> list[dict[str, str]]:
    return [json.loads(line) for line in files["tickets/tickets.jsonl"].decode().splitlines()]


def front_matter(content: bytes) -> dict[str, object]:
    _, header, _ = content.decode().split("---\n", 2)
    parsed: dict[str, object] = yaml.safe_load(header)
    return parsed


def test_there_are_at_least_sixty_files_of_every_named_kind(files: dict[str, bytes]) -> None:
    assert len(files) >= 60
    kinds = Counter((name.split("/")[0], name.rsplit(".", 1)[1]) for name in files)
    expected = {
        ("notes", "md"): 20,
        ("minutes", "md"): 8,
        ("chat", "txt"): 5,
        ("code", "py"): 5,
        ("code", "js"): 2,
        ("code", "sql"): 1,
        ("data", "csv"): 4,
        ("articles", "md"): 3,
        ("howto", "md"): 8,
        ("letters", "txt"): 8,
        ("web", "html"): 1,
        ("config", "json"): 1,
        ("tickets", "jsonl"): 1,
        ("docs", "rst"): 1,
    }
    assert {kind: kinds[kind] for kind in expected if kinds[kind] < expected[kind]} == {}


def test_every_file_is_utf8_text_without_nul(files: dict[str, bytes]) -> None:
    for name, content in files.items():
        assert content.decode("utf-8").strip(), name
        assert b"\0" not in content, name


def test_no_two_files_are_the_same(files: dict[str, bytes]) -> None:
    assert len({hashlib.sha256(content).digest() for content in files.values()}) == len(files)


def test_the_corpus_is_small_enough_to_ship(files: dict[str, bytes]) -> None:
    assert sum(map(len, files.values())) < MAX_BYTES


@pytest.mark.parametrize("folder", ["notes", "minutes", "articles"])
def test_markdown_has_front_matter_with_title_tags_and_date(files: dict[str, bytes], folder: str) -> None:
    for name, content in files.items():
        if name.startswith(f"{folder}/"):
            assert front_matter(content).keys() == {"title", "tags", "date"}, name


def test_one_article_is_long(files: dict[str, bytes]) -> None:
    text = files["articles/history-of-the-mill.md"].decode()
    assert len(text.split()) > 2_000
    assert text.count("\n## ") >= 10


def test_tables_are_regular(files: dict[str, bytes]) -> None:
    for name, content in files.items():
        if name.endswith(".csv"):
            header, *rows = csv.reader(content.decode().splitlines())
            assert len(rows) >= 6, name
            assert {len(row) for row in rows} == {len(header)}, name


def test_tickets_have_distinct_ids_and_text(files: dict[str, bytes]) -> None:
    rows = tickets(files)
    assert len({row["id"] for row in rows}) == len(rows) >= 15
    assert all(row["title"] and row["text"] for row in rows)


def test_configuration_is_json(files: dict[str, bytes]) -> None:
    assert json.loads(files["config/gateway.json"])["name"] == "Puffin"


def test_some_text_is_accented_and_one_note_is_chinese(files: dict[str, bytes]) -> None:
    text = b"\n".join(files.values()).decode()
    assert "Zürich" in text
    assert "résumé" in text
    assert "潮汐磨坊" in files["notes/chinese-panel.md"].decode()


@pytest.mark.parametrize("query", DEMO_QUERIES, ids=lambda query: query.text)
def test_every_answer_exists(files: dict[str, bytes], query: DemoQuery) -> None:
    name, _, row = query.answer.partition("#")
    assert name in files
    assert not row or row in {ticket["id"] for ticket in tickets(files)}
    assert query.note.endswith(".")


def test_there_are_enough_questions_of_each_kind() -> None:
    kinds = Counter(query.kind for query in DEMO_QUERIES)
    assert set(kinds) == set(get_args(Kind))
    assert kinds["keywords"] >= 3
    assert kinds["meaning"] >= 3
    assert kinds["both"] >= 3
    assert len({query.text for query in DEMO_QUERIES}) == len(DEMO_QUERIES)


@pytest.mark.parametrize(
    ("rare", "only"),
    [
        ("E-4471", "tickets/tickets.jsonl"),
        ("77-3114", "letters/foundry-quote.txt"),
        ("unixepoch", "code/schema.sql"),
    ],
)
def test_rare_tokens_occur_in_one_file_only(files: dict[str, bytes], rare: str, only: str) -> None:
    assert [name for name, content in files.items() if rare in content.decode()] == [only]


@pytest.mark.parametrize(
    ("shared", "names"),
    [
        ("24-063", ["letters/baker-complaint.txt", "notes/sieve-test.md"]),
        ("5512", ["letters/claim-smashed-glass.txt", "notes/shelduck-ring.md"]),
        ("3072", ["notes/mackerel-dinghy.md", "tickets/tickets.jsonl"]),
    ],
)
def test_numbers_that_need_both_occur_in_the_answer_and_one_other_file(
    files: dict[str, bytes], shared: str, names: list[str]
) -> None:
    assert [name for name, content in files.items() if shared in content.decode()] == names


@pytest.mark.parametrize("word", ["cardiac", "arrest", "newborn", "infant", "marriage", "celebrat", " pet ", " pets "])
def test_words_of_the_questions_about_meaning_occur_nowhere(files: dict[str, bytes], word: str) -> None:
    assert [name for name, content in files.items() if word in content.decode().lower()] == []

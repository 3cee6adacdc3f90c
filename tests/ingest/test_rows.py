"""JSONL: a row is a document, and a row that is not one costs no other row."""

from __future__ import annotations

import json
from datetime import datetime, timezone
from pathlib import Path

from vstore.config import MAX_BAD_ROWS
from vstore.ingest.read import read_file
from vstore.ingest.sandbox import Sandbox
from vstore.ingest.walk import Skipped
from vstore.types import Document


def read(path: Path, *lines: object) -> list[Document | Skipped]:
    path = path / "corpus.jsonl"
    path.write_text("\n".join(line if isinstance(line, str) else json.dumps(line) for line in lines), encoding="utf-8")
    return list(read_file(path, Sandbox(), "c"))


def test_fields_with_a_meaning_and_the_rest_as_metadata(tmp_path: Path) -> None:
    row = {"_id": "d1", "title": "T", "text": "body", "year": 1999, "metadata": {"url": "x"}, "tags": ["a", "b"]}
    [document] = read(tmp_path, row)
    assert isinstance(document, Document)
    assert document.uri == f"{tmp_path.resolve().as_posix()}/corpus.jsonl#d1"
    assert (document.title, document.text, document.tags) == ("T", "body", ("a", "b"))
    assert document.metadata == {"year": 1999, "url": "x"}
    changed = (tmp_path / "corpus.jsonl").stat().st_mtime
    assert document.modified_at == datetime.fromtimestamp(changed, timezone.utc)


def test_ids_may_be_numbers_or_missing(tmp_path: Path) -> None:
    documents = read(tmp_path, {"id": 7, "text": "a"}, "", {"text": "b"})
    assert [item.uri.rpartition("#")[2] for item in documents if isinstance(item, Document)] == ["7", "3"]


def test_a_row_without_text_is_rendered_and_one_with_a_title_only_is_that(tmp_path: Path) -> None:
    first, second = read(tmp_path, {"id": 1, "q": "why", "a": {"b": 2}}, {"id": 2, "title": "only", "text": ""})
    assert isinstance(first, Document) and isinstance(second, Document)
    assert first.text == "q: why\na.b: 2"
    assert second.text == "only"


def test_unusable_rows_are_reported_by_line_and_the_others_read(tmp_path: Path) -> None:
    items = read(
        tmp_path,
        {"_id": "x", "text": "one"},
        '{"text": ',
        {"_id": "x", "text": "again"},
        {"_id": "y", "text": 5},
        {"_id": True, "text": "a"},
        {"_id": "z", "text": "  "},
        "[1]",
        "[" * 100_000,
        {"_id": "last", "text": "two"},
    )
    assert [item.text for item in items if isinstance(item, Document)] == ["one", "two"]
    reasons = [item.reason for item in items if isinstance(item, Skipped)]
    assert reasons[0].startswith("line 2: not JSON")
    assert reasons[1] == "line 3: the id 'x' is already that of line 1"
    assert [reason.split(":")[0] for reason in reasons[2:]] == ["line 4", "line 5", "line 6", "line 7", "line 8"]


def test_a_file_of_another_format_is_given_up_soon(tmp_path: Path) -> None:
    items = read(tmp_path, *["not json"] * 1_000)
    assert len(items) == MAX_BAD_ROWS + 1
    assert isinstance(items[-1], Skipped) and "not read" in items[-1].reason


def test_a_row_has_the_same_hash_until_something_stored_changes(tmp_path: Path) -> None:
    def hashes(*rows: object) -> list[str]:
        return [item.content_hash for item in read(tmp_path, *rows) if isinstance(item, Document)]

    base = {"_id": "a", "title": "t", "text": "x", "n": 1}
    [same] = hashes(base)
    assert hashes({"_id": "0", "text": "first"}, dict(reversed(base.items())))[1] == same
    for change in ({"title": "u"}, {"text": "y"}, {"n": 2}, {"tags": ["z"]}):
        assert hashes({**base, **change}) != [same]


def test_values_json_has_no_word_for_become_null_and_surrogates_are_replaced(tmp_path: Path) -> None:
    [document] = read(tmp_path, r'{"_id": "a\ud800", "text": "t\u0000", "n": NaN, "m": {"k": [Infinity, "\udfff"]}}')
    assert isinstance(document, Document)
    assert document.uri.endswith("#a\ufffd")
    assert document.text == "t\ufffd"
    assert document.metadata == {"n": None, "m": {"k": [None, "\ufffd"]}}

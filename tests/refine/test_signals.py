"""Files of queries and of judgements are read whatever wrote them, and say where they are wrong."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from toy import ToyEmbedder

from vstore import Store, config
from vstore.errors import InputError
from vstore.judgements import Verdict
from vstore.refine.signals import add_judgements, read_judgements, read_queries
from vstore.searches import LoggedQuery


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "given.jsonl"


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store(tmp_path / "memory.db", ToyEmbedder(), log=False, metrics=False) as opened:
        opened.remember("Green tea at seventy degrees.", uri="tea")
        opened.remember("Coffee at ninety degrees.", uri="coffee")
        yield opened


# --- queries ----------------------------------------------------------------------------------------------------------


def test_plain_lines_are_queries_counted_in_the_order_of_their_first_occurrence(file: Path) -> None:
    file.write_text("green tea\n\n  coffee \ngreen tea\n3 {cups}\n", encoding="utf-8")
    assert read_queries(file) == [LoggedQuery("green tea", "", 2), LoggedQuery("coffee"), LoggedQuery("3 {cups}")]


def test_rows_of_jsonl_may_name_a_collection_and_hold_more(file: Path) -> None:
    rows = [{"query": "tea", "collection": "work", "id": 7}, {"query": "tea"}, {"query": "tea", "collection": None}]
    file.write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    assert read_queries(str(file)) == [LoggedQuery("tea", "work"), LoggedQuery("tea", "", 2)]


@pytest.mark.parametrize("text", ["größe\n索引", '{"query": "größe"}\n{"query": "索引"}'])
def test_a_byte_order_mark_and_line_ends_of_windows_are_no_part_of_a_query(file: Path, text: str) -> None:
    file.write_bytes(b"\xef\xbb\xbf" + text.replace("\n", "\r\n").encode() + b"\r\n")
    assert [query.text for query in read_queries(file)] == ["größe", "索引"]


def test_only_line_feeds_end_a_row(file: Path) -> None:
    file.write_text('{"query": "one\u2028line\u0085here"}\n{"query": "two\\nlines"}', encoding="utf-8")
    assert [query.text for query in read_queries(file)] == ["one\u2028line\u0085here", "two\nlines"]


@pytest.mark.parametrize("content", [b"", b"\n \r\n", b"\xef\xbb\xbf"])
def test_a_file_without_lines_has_no_queries(file: Path, content: bytes) -> None:
    file.write_bytes(content)
    assert read_queries(file) == []
    assert read_judgements(file).verdicts == {}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b'{"query": "tea"}\n\nplain', r"given\.jsonl, line 3: not JSON"),
        (b'{"query": "tea"}\n["tea"]', r"line 2: not a JSON object"),
        (b'{"query": "tea"}\n{"text": "tea"}', r"line 2: a query is a text with words"),
        (b'{"query": "tea"}\n{"query": " "}', r"line 2: a query is a text with words"),
        (b'{"query": "tea", "collection": 3}', r"line 1: a collection has a name, not 3"),
        (b"{" + b'"a": ' * 3, r"line 1: not JSON"),
        (b"[" * 100_000, None),  # no object, so a plain line: an odd query, but one
        (b'{"a": ' + b"[" * 100_000, r"line 1: not JSON"),
        (b"tea\ncaf\xe9", r"line 2: not UTF-8; save the file as UTF-8"),
        ("tea".encode("utf-16"), r"line 1: not UTF-8"),
        ("tea".encode("utf-16-le"), r"line 1: not a text, it has a NUL"),
    ],
)
def test_the_first_unusable_line_is_named(file: Path, content: bytes, message: str | None) -> None:
    file.write_bytes(content)
    if message is None:
        assert read_queries(file) == [LoggedQuery("[" * config.MAX_LOGGED_CHARS)]
        return
    with pytest.raises(InputError, match=message):
        read_queries(file)


def test_what_is_no_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"none\.jsonl: cannot be read: No such file"):
        read_queries(tmp_path / "none.jsonl")
    with pytest.raises(InputError, match="not a regular file"):
        read_judgements(tmp_path)


def test_one_query_10_000_times_is_one_query(file: Path) -> None:
    file.write_text("tea\n" * 10_000, encoding="utf-8")
    assert read_queries(file) == [LoggedQuery("tea", "", 10_000)]


# --- judgements -------------------------------------------------------------------------------------------------------


def test_rows_judge_a_document_or_a_chunk(file: Path) -> None:
    rows = [
        {"query": "hot", "uri": "tea", "grade": 2},
        {"query": "hot", "uri": None, "chunk_id": 7, "grade": 0.5, "collection": "work", "by": "Mia"},
    ]
    file.write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    found = read_judgements(file)
    assert found.verdicts == {1: Verdict("hot", "tea", 2.0), 2: Verdict("hot", 7, 0.5, "work")}
    assert found.problems == {}


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ("plain", "not JSON"),
        ("3", "not a JSON object"),
        ('{"uri": "tea", "grade": 1}', "a query is a text with words"),
        ('{"query": "\\ud800", "uri": "tea", "grade": 1}', "a query is a text with words"),
        ('{"query": "hot", "grade": 1}', 'by "uri", a text, or by "chunk_id", a number'),
        ('{"query": "hot", "uri": "tea", "chunk_id": 1, "grade": 1}', 'by "uri", a text, or by "chunk_id", a number'),
        ('{"query": "hot", "uri": 5, "grade": 1}', 'by "uri", a text, or by "chunk_id", a number'),
        ('{"query": "hot", "chunk_id": "5", "grade": 1}', 'by "uri", a text, or by "chunk_id", a number'),
        ('{"query": "hot", "chunk_id": true, "grade": 1}', "not True"),
        ('{"query": "hot", "uri": "tea"}', 'a row has no "grade"'),
        ('{"query": "hot", "uri": "tea", "grade": "high"}', "a grade is a number from 0"),
        ('{"query": "hot", "uri": "tea", "grade": NaN}', "a grade is a number from 0"),
        ('{"query": "hot", "uri": "tea", "grade": 1, "collection": []}', "a collection has a name"),
    ],
)
def test_an_unusable_row_is_skipped_and_named_by_its_line(file: Path, row: str, reason: str) -> None:
    good = '{"query": "hot", "uri": "tea", "grade": 1}'
    file.write_text(f"{good}\n\n{row}\n{good}\n", encoding="utf-8")
    found = read_judgements(file)
    assert sorted(found.verdicts) == [1, 4]
    assert list(found.problems) == [3]
    assert reason in found.problems[3]


def test_a_file_that_is_not_utf_8_gives_nothing(store: Store, file: Path) -> None:
    file.write_bytes(b'{"query": "hot", "uri": "tea", "grade": 1}\n{"query": "hei\xdf", "uri": "tea", "grade": 1}\n')
    with pytest.raises(InputError, match="line 2: not UTF-8"):
        add_judgements(store, file)
    assert store.judgements() == []


def test_a_store_takes_the_good_rows_and_reports_the_others_in_order(store: Store, file: Path) -> None:
    rows = ["{", '{"query": "hot", "uri": "tea", "grade": 3}', '{"query": "hot", "uri": "juice", "grade": 1}', "["]
    file.write_text("\n".join(rows), encoding="utf-8")
    report = add_judgements(store, file)
    assert report.judged == 1
    assert list(report.problems) == [1, 3, 4]
    assert report.problems[3] == "the store has no document 'juice'; see what it has with: vstore list"
    assert report.to_dict()["problems"][1] == {"line": 3, "reason": report.problems[3]}
    assert [(one.query, one.uri, one.grade) for one in store.judgements()] == [("hot", "tea", 3.0)]


def test_100_000_rows_are_read_and_judged_and_the_last_ones_are_kept(store: Store, file: Path) -> None:
    with file.open("w", encoding="utf-8") as out:
        for number in range(100_000):
            uri = "tea" if number % 2 else "coffee"
            out.write(json.dumps({"query": f"question {number // 2}", "uri": uri, "grade": number % 4}) + "\n")
    assert len(read_queries(file)) == 50_000
    assert add_judgements(store, file).judged == 100_000
    kept = store.judgements()
    assert len(kept) == config.MAX_JUDGEMENTS
    assert (kept[0].query, kept[-1].query) == ("question 49999", "question 40000")

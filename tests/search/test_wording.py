"""Which parts of a query are quoted, and what is said about words that nothing has."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vstore.search.wording import quoted, unmatched
from vstore.types import Term


@pytest.mark.parametrize(
    ("query", "phrases", "text"),
    [
        ('"connection refused" nginx', ("connection refused",), "connection refused  nginx"),
        ("say “so it is” and „so ist es“ and «c'est ça»", ("so it is", "so ist es", "c'est ça"), None),
        ("„so ist es” here", ("so ist es",), None),
        ('"a" "b" "a"', ("a", "b"), None),
        ('查找"全文"功能', ("全文",), "查找 全文 功能"),
        ('print("hello world")', ("hello world",), "print( hello world )"),
        ('"""docstring"""', ("docstring",), None),
        ('a 15" screen or a 13" one', (), 'a 15" screen or a 13" one'),
        ('a 15" screen, "fast ssd"', ("fast ssd",), 'a 15" screen,  fast ssd'),
        ('one " alone', (), 'one " alone'),
        ("don't 'quote this' or `that`", (), "don't 'quote this' or `that`"),
        ('nothing "" or " " or "?!"', (), 'nothing "" or " " or "?!"'),
        ("“opened only", (), "“opened only"),
        ('“mixed" up”', ('mixed" up',), None),
    ],
)
def test_quoted_phrases_are_taken_and_their_marks_removed(
    query: str, phrases: tuple[str, ...], text: str | None
) -> None:
    found, unquoted = quoted(query)
    assert found == phrases
    assert text is None or unquoted == text


@given(st.text(alphabet='ab1 "“”„«»', max_size=40))
def test_removing_marks_never_loses_or_reorders_a_word(query: str) -> None:
    phrases, text = quoted(query)
    assert [c for c in text if c.isalnum()] == [c for c in query if c.isalnum()]
    assert all(phrase in query and any(c.isalnum() for c in phrase) for phrase in phrases)
    assert phrases or text == query


@pytest.mark.parametrize("mark", ['"', "“", "„", "«", '1"', "“„", '"a'])
def test_many_marks_take_no_time(mark: str) -> None:
    started = time.perf_counter()
    quoted(mark * 100_000)
    assert time.perf_counter() - started < 2.0


KNOWN, UNKNOWN = Term("red", "red", 3), Term("zzz", "zzz", 0)


def test_a_remark_says_when_keywords_had_nothing_to_go_by() -> None:
    assert unmatched([KNOWN, UNKNOWN], "hybrid") == unmatched([], "dense") == ()
    assert unmatched([UNKNOWN], "hybrid") == ("no chunk has a word of the query; searched by meaning alone",)
    assert unmatched([UNKNOWN], "lexical") == ("no chunk has a word of the query",)
    assert unmatched([], "lexical") == ("the query has no word for keywords to match",)

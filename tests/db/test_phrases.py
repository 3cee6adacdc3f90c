"""Which chunks hold a phrase word for word."""

from __future__ import annotations

import tempfile
from contextlib import closing
from pathlib import Path

import pytest
from db.material import put
from hypothesis import given, settings
from hypothesis import strategies as st

from vstore.db.index import SqliteIndex
from vstore.filters import parse
from vstore.types import Ranking, Scope


def holding(index: SqliteIndex, *phrases: str, scope: Scope = Scope()) -> tuple[int, ...]:  # noqa: B008 - it is frozen
    with index.snapshot() as snapshot:
        return snapshot.holding(phrases, scope)


@pytest.mark.parametrize(
    ("written", "phrase"),
    [
        ("the Connection was refused: connection refused.", "connection refused"),
        ("CONNECTION -- (refused)\n", "connection refused"),
        ("connection refused", "Connection... REFUSED!"),
        ("Mon Résumé complet", "resume complet"),
        ("error E-4471 again", "E-4471"),
        ("error e 4471 again", "E-4471"),
        ("call get_user_name now", "get user name"),
        ("call maxOpenConns()", "maxOpenConns"),
        ("in C++, mostly", "C++"),
        ("the ﬁle system", "file system"),
        ("the file system", "ﬁle system"),
        ("a soft\u00adhyphen here", "softhyphen here"),
        ("我们使用全文检索引擎", "全文检索"),
        ("我们使用全文检索引擎", "文"),
        ("我们使用全。文检索引擎", "全文"),
        ("表itgc索引", "itgc索"),
        ("표준 한국어 검색", "국어 검"),
        ("हिन्दी भाषा", "हिन्दी भाषा"),
        ("ab\0cd", "ab cd"),
    ],
)
def test_a_chunk_that_has_the_words_in_order_holds_the_phrase(index: SqliteIndex, written: str, phrase: str) -> None:
    put(index, "a", "nothing of the kind", written)
    assert holding(index, phrase) == (2,)


@pytest.mark.parametrize(
    ("written", "phrase"),
    [
        ("tested running", "test runs"),
        ("refused connection", "connection refused"),
        ("connection was refused", "connection refused"),
        ("reconnection refused", "connection refused"),
        ("call maxOpenConns()", "open conns"),
        ("in C, C# and C++17", "C++"),
        ("in C++", "C"),
        ("全文的检索", "全文检索"),
        ("नदी", "नद"),
        ("some words", "\U000e0041"),
    ],
)
def test_other_endings_orders_and_gaps_do_not_hold_it(index: SqliteIndex, written: str, phrase: str) -> None:
    put(index, "a", written)
    assert holding(index, phrase) == ()


def test_titles_hold_phrases_but_none_reaches_from_the_title_into_the_text(index: SqliteIndex) -> None:
    put(index, "a", "refused by the server", title="Connection")
    put(index, "b", "by the server", title="Connection refused")
    assert holding(index, "connection refused") == (2,)


def test_every_phrase_must_be_there_in_any_order_and_place(index: SqliteIndex) -> None:
    put(index, "a", "red green blue grey", "blue grey", "red green", "grey blue red green")
    assert holding(index, "blue grey", "red green") == (1,)


def test_only_chunks_in_scope_hold_a_phrase(index: SqliteIndex) -> None:
    for number in range(6):
        put(index, f"{number}", "red green", metadata={"n": number}, collection="x" if number % 2 else "y")
    assert holding(index, "red green", scope=Scope(("x",), parse({"n": {"$gte": 3}}))) == (4, 6)
    assert holding(index, "red green", scope=Scope(among=(2, 5, 99))) == (2, 5)


def test_a_phrase_of_thousands_of_words_is_compared_to_its_end(index: SqliteIndex) -> None:
    long = " ".join(f"word{number}" for number in range(3_000))
    put(index, "a", f"before {long} after", f"{long[:-1]}")
    assert holding(index, long) == (1,)


words = st.lists(
    st.sampled_from(
        ["red", "Running", "runs", "C++", "C", "全文", "検索", "字", "itgc索引", "ﬁle", "é", "नदी", "a_b", "don't"]
    ),
    min_size=1,
    max_size=8,
)


@given(words, st.data())
@settings(max_examples=60, deadline=None)
def test_every_stretch_of_a_text_is_found_as_a_phrase(written: list[str], data: st.DataObject) -> None:
    start = data.draw(st.integers(0, len(written) - 1))
    end = data.draw(st.integers(start + 1, len(written)))
    with tempfile.TemporaryDirectory() as folder, closing(SqliteIndex(Path(folder, "memory.db"))) as index:
        put(index, "a", " ".join(written))
        assert holding(index, ", ".join(written[start:end])) == (1,)


SCRIPTS = [(0x20, 0x24F), (0x391, 0x3C9), (0x410, 0x44F), (0x5D0, 0x5EA), (0x3041, 0x3096), (0x4E00, 0x4EFF)]
SCRIPTS += [(0xAC00, 0xACFF), (0xFB00, 0xFB06), (0xFF01, 0xFF5E), (0x200B, 0x200D), (0x2070, 0x2089)]
LETTERS = "".join(chr(code) for first, last in SCRIPTS for code in range(first, last + 1) if chr(code).isprintable())


@given(st.text(LETTERS, min_size=1, max_size=12).filter(lambda text: any(map(str.isalnum, text))))
@settings(max_examples=60, deadline=None)
def test_whatever_is_written_is_found_as_a_phrase(phrase: str) -> None:
    with tempfile.TemporaryDirectory() as folder, closing(SqliteIndex(Path(folder, "memory.db"))) as index:
        put(index, "a", f"before {phrase} after")
        assert holding(index, phrase) == (1,)


def test_rankings_keep_to_the_chunks_of_a_scope(index: SqliteIndex) -> None:
    put(index, "a", "red", "red red", "red red red")
    with index.snapshot() as snapshot:
        terms = snapshot.terms("red")
        assert set(snapshot.lexical(terms, Scope(among=(1, 3)), 10).chunk_ids) == {1, 3}
        assert snapshot.lexical(terms, Scope(among=()), 10) == Ranking("lexical")
        vector = snapshot.vectors([1])[1]
        assert set(snapshot.dense(vector, Scope(among=(1, 3)), 10).chunk_ids) == {1, 3}
        assert snapshot.background(vector, Scope(among=())) is None

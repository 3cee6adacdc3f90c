"""What is added to the words that SQLite's tokenizer finds, and that queries get the same additions."""

from __future__ import annotations

import time
import unicodedata

import apsw
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from vstore.db.analysis import exact, exact_tokenizer, extra_text, fold, query_text, stems, tokenizer, tokens

TOKENIZE = tokenizer(apsw.Connection(":memory:"))


@pytest.fixture(scope="module")
def tokenize() -> apsw.FTS5Tokenizer:
    return TOKENIZE


@pytest.mark.parametrize(
    ("text", "extra"),
    [
        ("plain words, snake_case and kebab-case", ""),
        ("maxOpenConns", "max Open Conns"),
        ("_maxOpen get_maxIdle_now", "max Open max Idle"),
        ("parseHTTPResponse2", "parse HTTP Response 2"),
        ("HTTPServer", "HTTP Server"),
        ("XMLHttpRequest", "XML Http Request"),
        ("parseURLs", "parse URLs"),
        ("userID toJSON", "user ID to JSON"),
        ("kMaxSize JButton iPhone", "Max Size Button Phone"),
        ("RNAs PDFs IDs GPUs HTTPSs", ""),
        ("mRNA siRNA kHz PhD iPad McKay", ""),
        ("HTTP Server UPPER lower", ""),
        ("索引", "索引 索 引"),
        ("全文検索", "全文 文検 検索 全 文 検 索"),
        ("字", "字"),
        ("한국어", "한국 국어 한 국 어"),
        ("itgc索引", "索引 索 引 itgc"),
        ("ﬁle", "file"),
        ("\uff21\uff22\uff23", "ABC"),
        ("zero\u200bwidth soft\u00adhyphen", "zerowidth softhyphen"),
        ("Résumé", ""),
    ],
)
def test_extra_words_are_added_by_hand_count(text: str, extra: str) -> None:
    assert extra_text(TOKENIZE, text) == extra


@pytest.mark.parametrize(
    ("query", "rewritten"),
    [
        ("plain words", "plain words"),
        ("maxOpenConns", "maxOpenConns"),
        ("itgc索引", "itgc 索引 "),
        ("全文検索", " 全文 文検 検索 "),
        ("査 b", " 査  b"),
        ("ﬁle", "file"),
    ],
)
def test_queries_are_rewritten_the_same_way(query: str, rewritten: str) -> None:
    assert query_text(query) == rewritten


@given(st.text(st.characters(categories=["L", "N", "P", "Z"])))
@example("\ufb4f\U00011660")  # a ligature, and a sign that SQLite takes for a part of the word and Python does not
def test_every_word_of_a_text_is_found_when_the_text_is_the_query(text: str) -> None:
    """At least one of the query's stems is among the indexed ones, unless the text has no word at all."""
    indexed = set(stems(TOKENIZE, text)) | set(stems(TOKENIZE, extra_text(TOKENIZE, text)))
    asked = set(stems(TOKENIZE, query_text(text)))
    assert not asked or asked & indexed


def test_a_very_long_word_is_not_cut_into_parts_and_takes_no_time() -> None:
    started = time.perf_counter()
    assert [extra_text(TOKENIZE, text) for text in ("aB" * 100, "a" * 1_000_000, "_" * 1_000_000)] == [""] * 3
    assert time.perf_counter() - started < 2.0


def test_tokens_are_words_and_their_stems_in_order(tokenize: apsw.FTS5Tokenizer) -> None:
    found = [(token.text, token.stem) for token in tokens(tokenize, "Running résumés, running\0x")]
    assert found == [("Running", "run"), ("résumés", "resum"), ("running", "run"), ("x", "x")]


@given(st.text())
def test_stems_are_those_of_the_tokens(text: str) -> None:
    assert stems(TOKENIZE, text) == [token.stem for token in tokens(TOKENIZE, text)]


@given(st.text())
def test_folding_twice_changes_nothing_more_for_words(text: str) -> None:
    folded = fold(text)
    assert all(unicodedata.category(character) != "Cf" for character in folded)
    assert fold(fold(folded)) == fold(folded)


# --- word for word ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("Connection, REFUSED!", "connection refused"),
        ("snake_case E-4471", "snake case e 4471"),
        ("tested running", "tested running"),
        ("Résumé", "resume"),
        ("maxOpenConns", "maxopenconns"),
        ("C++, C# and (F#).", "c++ c# and f#"),
        ("+1 #5 a+b C++11", "1 5 a b c 11"),
        ("全文。検索 itgc索引", "全 文 検 索 itgc 索 引"),
        ("हिन्दी भाषा", "हिन्दी भाषा"),
        ("ﬁle soft\u00adhyphen", "file softhyphen"),
        ("?!", ""),
    ],
)
def test_exact_words_are_as_written_but_for_case_and_accents(text: str, words: str) -> None:
    tokenize = exact_tokenizer(apsw.Connection(":memory:"))
    assert exact(tokenize, text) == f" {words} "


def test_many_signs_in_a_row_take_no_time() -> None:
    tokenize = exact_tokenizer(apsw.Connection(":memory:"))
    started = time.perf_counter()
    assert exact(tokenize, "a" + "+" * 1_000_000 + "b") == " a b "
    assert time.perf_counter() - started < 2.0

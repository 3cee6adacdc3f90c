"""Any text may be searched for, and the keyword leg ranks as FTS5 does."""

from __future__ import annotations

import math
import tempfile
import unicodedata
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
from db.material import put, rows
from hypothesis import given, settings
from hypothesis import strategies as st

from vstore import config
from vstore.db import lexical
from vstore.db.index import SqliteIndex
from vstore.filters import parse
from vstore.types import Ranking, Scope

EVERYTHING = Scope()


def search(index: SqliteIndex, query: str, scope: Scope = EVERYTHING, limit: int = 100) -> Ranking:
    with index.snapshot() as snapshot:
        return snapshot.lexical(snapshot.terms(query), scope, limit)


def found(index: SqliteIndex, query: str) -> set[str]:
    """The texts that a query finds."""
    with index.snapshot() as snapshot:
        ids = snapshot.lexical(snapshot.terms(query), Scope(), 100).chunk_ids
        return {chunk.text for chunk in snapshot.chunks(ids).values()}


# --- any text is a query ----------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def shared() -> Iterator[SqliteIndex]:
    with tempfile.TemporaryDirectory() as folder, closing(SqliteIndex(Path(folder, "memory.db"))) as index:
        put(index, "a", "and or not near the quick brown fox a b c x y col text title", title="Fox")
        put(index, "b", "C++ and C# in the alphabet", "索引と全文検索", "maxOpenConns")
        yield index


@given(st.text())
@settings(max_examples=150, deadline=None)
def test_any_text_can_be_searched_for(shared: SqliteIndex, text: str) -> None:
    ranking = search(shared, text)
    assert set(ranking.chunk_ids) <= {1, 2, 3, 4}


@pytest.mark.parametrize(
    "query",
    [
        *("a-b", "C++", "NEAR(", "NEAR(a b, 5)", "*", "fox*", "^fox", "AND", "OR", "NOT", "fox AND", "a AND NOT b"),
        *('"', '"fox', 'fo"x', "'", "col:x", "title : fox", "{title text}: fox", "- fox", "+fox", "(fox", "fox)"),
        *("", " ", "\0", "fox\0brown", "\ud800", "fox \udfff", "\u200b", "🦊", "\N{RIGHT-TO-LEFT OVERRIDE}fox"),
        *("text MATCH 'x'; DROP TABLE chunks; --", "?1", ":a", "@b", "$c", "%s", "{}", "\\", "a" * 100_000),
    ],
)
def test_the_syntax_of_fts5_is_text_like_any_other(shared: SqliteIndex, query: str) -> None:
    ranking = search(shared, query)
    words = {"fox", "brown", "near", "and", "or", "not", "a", "b", "c", "x", "text", "title", "col"}
    asked = {word for word in words if word in query.lower().replace("\0", " ")}
    assert bool(len(ranking)) == bool(asked & split(query))


def split(query: str) -> set[str]:
    """ASCII words of a query, lower case, one by one."""
    return set("".join(c.lower() if c.isascii() and c.isalnum() else " " for c in query).split())


def test_ten_thousand_words_can_be_searched_for(shared: SqliteIndex) -> None:
    assert search(shared, " ".join(f"word{number}" for number in range(10_000)) + " fox").chunk_ids == (1,)


def test_a_query_without_a_word_has_no_terms_and_finds_nothing(shared: SqliteIndex) -> None:
    with shared.snapshot() as snapshot:
        assert snapshot.terms(" ?! ") == ()
        assert snapshot.lexical((), Scope(), 10) == Ranking("lexical")


# --- terms ------------------------------------------------------------------------------------------------------------


def test_terms_are_distinct_in_order_and_have_counted_chunks(index: SqliteIndex) -> None:
    put(index, "a", "red runs", "red red", title="Fox")
    put(index, "b", "running blue")
    with index.snapshot() as snapshot:
        terms = snapshot.terms("Runs FOX red missing ran runs running")
    assert [(term.text, term.stem, term.document_frequency) for term in terms] == [
        ("Runs", "run", 2),
        ("FOX", "fox", 2),
        ("red", "red", 2),
        ("missing", "miss", 0),
        ("ran", "ran", 0),
    ]


def test_frequencies_follow_what_is_forgotten(index: SqliteIndex) -> None:
    put(index, "a", "red")
    put(index, "b", "red blue")
    index.forget("default", "a")
    with index.snapshot() as snapshot:
        assert [term.document_frequency for term in snapshot.terms("red blue")] == [1, 1]


def test_of_too_many_terms_the_rarest_are_searched(index: SqliteIndex, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(config, "MAX_QUERY_TERMS", 2)
    put(index, "a", "common", "common often", "common often seldom", "common often seldom rare")
    assert found(index, "common often seldom rare missing") == {"common often seldom", "common often seldom rare"}


# --- ranking ----------------------------------------------------------------------------------------------------------


def test_a_score_is_bm25_by_hand(index: SqliteIndex) -> None:
    put(index, "a", "red red blue", "blue green", "green", "grey")
    ranking = search(index, "red green")
    # idf = ln((N - n + 0.5) / (n + 0.5)); 7 tokens in 4 chunks
    average = 7 / 4
    red = math.log(3.5 / 1.5) * 2 * 2.2 / (2 + 1.2 * (0.25 + 0.75 * 3 / average))
    # green is in half of the chunks, so that its idf is ln(1) = 0, for which FTS5 takes a millionth
    short, long = (1e-6 * 2.2 / (1 + 1.2 * (0.25 + 0.75 * n / average)) for n in (1, 2))
    assert ranking.chunk_ids == (1, 3, 2)
    assert ranking.scores == pytest.approx((red, short, long))


words = st.lists(st.sampled_from(["red", "green", "blue", "grey", "pink", "black", "white"]), min_size=1, max_size=12)


@given(st.lists(words.map(" ".join), min_size=1, max_size=12), words.map(" ".join))
@settings(max_examples=30, deadline=None)
def test_scores_are_those_of_fts5_and_ties_go_to_the_lower_id(bodies: list[str], query: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "memory.db")
        with closing(SqliteIndex(path)) as index:
            put(index, "a", *bodies)
            ranking = search(index, query)
            assert search(index, query, limit=3).chunk_ids == ranking.chunk_ids[:3]
        match = " OR ".join(sorted(set(query.split())))
        sql = "SELECT rowid, -rank FROM chunks_fts WHERE chunks_fts MATCH ? ORDER BY rank, rowid"
        expected = rows(path, sql, (match,))
    # FTS5 adds up the same points in the order of the words, so scores that are equal may differ in their last digit.
    found = list(zip(ranking.chunk_ids, ranking.scores, strict=True))
    assert dict(found) == pytest.approx(dict(expected), rel=1e-9)
    assert found == sorted(found, key=lambda one: (-one[1], one[0]))


def test_equal_chunks_are_ranked_by_id(index: SqliteIndex) -> None:
    put(index, "a", "grey", "grey", "red", "grey")
    assert search(index, "grey").chunk_ids == (1, 2, 4)


def test_a_filter_holds_before_the_limit(index: SqliteIndex) -> None:
    for number in range(30):
        put(index, f"{number}", "red", metadata={"n": number}, collection="x" if number % 2 else "y")
    scope = Scope(("x",), parse({"n": {"$gte": 26}}))
    assert search(index, "red", scope, limit=2).chunk_ids == (28, 30)


# --- what is found ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("written", ["resume", "Résumé", unicodedata.normalize("NFD", "Résumé"), "RESUMÉS"])
@pytest.mark.parametrize("asked", ["resume", "Résumé", unicodedata.normalize("NFD", "résumé"), "Resumes"])
def test_accents_case_and_plural_do_not_matter(index: SqliteIndex, written: str, asked: str) -> None:
    put(index, "a", f"my {written} is here", "other words")
    assert found(index, asked) == {f"my {written} is here"}


@pytest.mark.parametrize(
    ("written", "asked"),
    [
        ("我们使用全文检索引擎", "检索"),
        ("我们使用全文检索引擎", "全文检索"),
        ("我们使用全文检索引擎", "引"),
        ("日本語の全文検索エンジン", "の"),
        ("日本語の全文検索エンジン", "検索"),
        ("日本語の全文検索エンジン", "エンジン"),
        ("ガラスの靴", unicodedata.normalize("NFD", "ガラス")),
        (unicodedata.normalize("NFD", "ガラスの靴"), "ガラス"),
        ("ﾊﾝｶｸのｶﾅ", "ハンカク"),
        ("한국어로 검색합니다", "검색"),
        (unicodedata.normalize("NFD", "한국어로 검색합니다"), "검색"),
        ("見𠮷野家", "𠮷野"),
        ("表itgc索引", "itgc"),
        ("表itgc索引", "索引"),
        ("itgc索引", "itgc索引"),
        ("set maxOpenConns to 5", "maxOpenConns"),
        ("set maxOpenConns to 5", "maxopenconns"),
        ("set maxOpenConns to 5", "conns"),
        ("call _parseHTTPResponse", "response"),
        ("start the HTTPServer", "server"),
        ("two RNAs", "rnas"),
        ("call get_userName()", "user"),
        ("snake_case_name", "case"),
        ("kebab-case-name", "case"),
        ("the ﬁle", "file"),
        ("the file", "ﬁle"),
        ("\uff26\uff35\uff2c\uff2c width", "full"),
        ("zero\u200bwidth", "zerowidth"),
        ("zerowidth", "zero\u200bwidth"),
        ("ab\0cd", "cd"),
    ],
)
def test_what_is_written_is_found(index: SqliteIndex, written: str, asked: str) -> None:
    put(index, "a", "nothing of the kind", written)
    assert found(index, asked) == {written}


@pytest.mark.parametrize("asked", ["索引", "検文", "語", "ap"])
def test_what_is_not_written_is_not_found(index: SqliteIndex, asked: str) -> None:
    put(index, "a", "全文検索エンジン", "apple")
    assert found(index, asked) == set()


def test_words_of_title_and_heading_are_found_whole_and_in_parts(index: SqliteIndex) -> None:
    put(index, "a", "text", title="The maxOpenConns 索引設定")
    assert [found(index, asked) for asked in ("conns", "設定", "maxopenconns")] == [{"text"}] * 3


def test_no_piece_of_a_name_or_unit_is_found(index: SqliteIndex) -> None:
    put(index, "a", "mRNA, siRNA and PDFs at 5 kHz, for a PhD")
    assert [found(index, asked) for asked in ("m", "rna", "df", "fs", "hz", "ph")] == [set()] * 6


def test_a_pair_is_searched_as_a_pair_and_a_lone_character_alone(index: SqliteIndex) -> None:
    put(index, "a", "检查索具。引导人员", "检索引擎很快", "别的内容", "没有关系", "无关")
    with index.snapshot() as snapshot:
        assert snapshot.lexical(snapshot.terms("检索"), Scope(), 10).chunk_ids == (2,)
        assert set(snapshot.lexical(snapshot.terms("索"), Scope(), 10).chunk_ids) == {1, 2}


# --- common words -----------------------------------------------------------------------------------------------------


def read_few(patch: pytest.MonkeyPatch, postings: int) -> None:
    """Have so many postings read, by whichever way, where all together are more."""
    for bound in ("KEYWORD_EXACT", "KEYWORD_LISTED", "KEYWORD_POSTINGS"):
        patch.setattr(config, bound, postings)
    for share in ("KEYWORD_LISTED_SHARE", "KEYWORD_SHARE"):
        patch.setattr(config, share, 0.0)


both_ways = pytest.mark.parametrize("alike", [0, 1_400], ids=["walked", "listed"])


@both_ways
@pytest.mark.parametrize("narrow", [0, 100])
def test_in_a_scope_common_words_count_as_without_it(
    index: SqliteIndex, monkeypatch: pytest.MonkeyPatch, narrow: int, alike: int
) -> None:
    monkeypatch.setattr(config, "KEYWORD_ALIKE", alike)
    for number in range(6):
        put(index, str(number), "rare common" if number % 3 == 0 else "common often", "other", metadata={"n": number})
    scope = Scope(where=parse({"n": {"$gte": 1}}))
    whole = search(index, "rare common often", scope)
    read_few(monkeypatch, 1)
    monkeypatch.setattr(config, "KEYWORD_SCOPE", narrow)
    ranking = search(index, "rare common often", scope)
    assert ranking.chunk_ids == whole.chunk_ids  # not the chunks with `other` alone
    assert ranking.scores == pytest.approx(whole.scores, rel=1e-9)
    assert search(index, "rare common often", scope, limit=2).chunk_ids == whole.chunk_ids[:2]
    assert len(search(index, "rare common", Scope(where=parse({"n": 99})))) == 0


@given(
    st.lists(words.map(" ".join), min_size=1, max_size=12),
    words.map(" ".join),
    st.integers(1, 12),
    st.sampled_from([0, 1, 1_400]),
)
@settings(max_examples=50, deadline=None)
def test_reading_few_postings_neither_invents_scores_nor_shortens_a_ranking(
    bodies: list[str], query: str, limit: int, alike: int
) -> None:
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patched:
        patched.setattr(config, "KEYWORD_CANDIDATES", 1)
        with closing(SqliteIndex(Path(folder, "memory.db"))) as index:
            put(index, "a", *bodies)
            exact = search(index, query, limit=100).by_chunk()
            patched.setattr(config, "KEYWORD_ALIKE", alike)
            read_few(patched, 3)
            ranking = search(index, query, limit=limit)
    assert len(ranking) == min(limit, len(exact))
    assert ranking.by_chunk() == pytest.approx({chunk_id: exact[chunk_id] for chunk_id in ranking.chunk_ids}, rel=1e-9)
    found = list(zip(ranking.chunk_ids, ranking.scores, strict=True))
    assert found == sorted(found, key=lambda one: (-one[1], one[0]))


@both_ways
def test_common_words_score_what_rare_ones_find(
    index: SqliteIndex, monkeypatch: pytest.MonkeyPatch, alike: int
) -> None:
    monkeypatch.setattr(config, "KEYWORD_ALIKE", alike)
    read_few(monkeypatch, 2)
    put(index, "a", "rare", "rare common", "common common", "common", "other", "other", "other", "other", "other")
    assert search(index, "rare common", limit=2).chunk_ids == (2, 1)  # the postings of `rare` are 2, of `common` 3
    # Three are asked for, and `rare` has only two: then all postings are read.
    assert search(index, "rare common", limit=3).chunk_ids == (2, 1, 3)


def test_a_rare_word_with_few_chunks_does_not_make_all_common_ones_be_walked(
    index: SqliteIndex, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The word has 1 posting where 2 are asked for; the next one has 3, which will do without the last one's 4."""
    put(index, "a", "rare", "often", "often", "often always", "always", "always", "always", "never", "never", "never")
    with index.snapshot() as snapshot:
        terms = lexical.searched(snapshot.terms("always often rare"))
        rarest = [
            [term.text for term in lexical.rarest(snapshot._connection, terms, scope, limit, 2)]
            for scope, limit in ((None, 2), (None, 5), (np.arange(5), 2), (np.arange(3), 2))
        ]
    # Of 10 chunks 5 are in the third scope, so that of 4 postings 2 are to be expected there; of 3 in the last, 1.2.
    assert rarest == [["rare", "often"], ["rare", "often", "always"], ["rare", "often"], ["rare", "often", "always"]]


def listed(index: SqliteIndex, query: str, count: int, scope: np.ndarray | None = None) -> tuple[int, ...] | None:
    with index.snapshot() as snapshot:
        return lexical.likeliest(snapshot._connection, lexical.searched(snapshot.terms(query)), scope, count)


def test_the_likeliest_have_the_rarest_words_and_the_most_of_them(index: SqliteIndex) -> None:
    """With 16 chunks, `rare` weighs ln(14.5 / 2.5), `some` ln(13.5 / 3.5), `often` ln(12.5 / 4.5): 1.76, 1.35, 1.02."""
    bodies = ["some often", "rare", "often", "rare often", "some", "some often", "often"]  # 2.37, 1.76, 1.02, 2.78, ...
    put(index, "a", *bodies, *["other"] * 9)
    assert listed(index, "often rare some", 1) == (4,)
    assert listed(index, "often rare some", 2) == listed(index, "often rare some", 3) == (1, 4, 6)  # both with the same
    assert listed(index, "often rare some", 4) == (1, 2, 4, 6)
    assert listed(index, "often rare some", 99) == (1, 2, 3, 4, 5, 6, 7)
    assert listed(index, "often rare some", 2, np.array([2, 3, 5, 9])) == (2, 5)
    assert listed(index, "rare", 9, np.array([9])) == ()


def test_where_too_many_have_the_same_words_lists_do_not_tell(
    index: SqliteIndex, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(config, "KEYWORD_ALIKE", 2)
    put(index, "a", "rare", "often", "often", "often", *["other"] * 9)
    assert listed(index, "rare often", 1) == (1,)
    assert listed(index, "rare often", 2) is None
    assert listed(index, "rare often", 4) == (1, 2, 3, 4)
    monkeypatch.setattr(lexical, "holders", None)  # which is not even asked for a single word that many have
    assert listed(index, "often", 4) is None


def test_a_word_that_is_often_in_a_text_is_told_from_one_that_is_there_once(
    index: SqliteIndex, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By lists alone all seven would be the same, and the one that says it three times the last."""
    read_few(monkeypatch, 3)
    monkeypatch.setattr(config, "KEYWORD_ALIKE", 2)
    monkeypatch.setattr(config, "KEYWORD_CANDIDATES", 2)
    put(index, "a", *["often and so on"] * 6, "often often often on", *["other"] * 9)
    assert search(index, "often", limit=2).chunk_ids == (7, 1)


def test_an_exact_search_reads_all_postings(index: SqliteIndex, monkeypatch: pytest.MonkeyPatch) -> None:
    """Three chunks have `common` alone, too short to be beaten by the long ones that have `rare`."""
    read_few(monkeypatch, 1)
    monkeypatch.setattr(config, "KEYWORD_CANDIDATES", 2)
    put(index, "a", "rare", "rare", *["common"] * 3, *["other"] * 9)
    with index.snapshot() as snapshot:
        terms = snapshot.terms("rare common")
        assert set(snapshot.lexical(terms, Scope(), 2).chunk_ids) == {1, 2}
        assert set(snapshot.lexical(terms, Scope(), 5, exact=True).chunk_ids) == {1, 2, 3, 4, 5}
        monkeypatch.setattr(lexical, "scored", None)  # which nothing may come to
        assert set(snapshot.lexical(terms, Scope(), 2, exact=True).chunk_ids) == {1, 2}


def test_the_rarest_term_is_searched_however_common_it_is(index: SqliteIndex, monkeypatch: pytest.MonkeyPatch) -> None:
    read_few(monkeypatch, 1)
    put(index, "a", "often", "often always", "always", "always", "never", "never", "never", "never")
    assert search(index, "always often", limit=2).chunk_ids == (2, 1)


def test_a_large_store_has_more_postings_to_spare(index: SqliteIndex, monkeypatch: pytest.MonkeyPatch) -> None:
    read_few(monkeypatch, 1)
    monkeypatch.setattr(config, "KEYWORD_LISTED_SHARE", 0.5)
    put(index, "a", "red", "red", "blue", "blue", "grey", "grey", "grey", "grey")
    # Of 8 chunks half are 4 postings, which the two terms have, so that no chunk with either is missed.
    assert search(index, "red blue", limit=4).chunk_ids == (1, 2, 3, 4)

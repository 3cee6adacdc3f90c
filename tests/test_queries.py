"""Whatever is asked, a search answers: with `min(k, matching)` results, saying what it did."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from toy import ToyEmbedder

from vstore import Results, Store
from vstore.db import lexical
from vstore.embed.runtime import OnnxEmbedder
from vstore.types import Mode

MODES: tuple[Mode, ...] = ("hybrid", "dense", "lexical")
NOTES = [
    "The gateway said connection refused, so nginx was restarted.",
    "Nginx refused the connection after the restart.",
    "Tested while running: the Résumé parser reads C++ and C#.",
    "The error E-4471 comes from maxOpenConns in the HTTPServer.",
    "全文检索引擎使用倒排索引。",
    "שלום עולם, the greeting of the demo.",
]


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    """One chunk for each of NOTES; the first three in the collection "log"."""
    with Store(tmp_path / "memory.db", ToyEmbedder()) as opened:
        for number, text in enumerate(NOTES):
            opened.remember(text, uri=f"{number}", collection="log" if number < 3 else "default")
        yield opened


def uris(results: Results) -> list[str]:
    return [hit.document.uri for hit in results]


# --- quoted phrases ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(
    ("query", "found"),
    [
        ('"connection refused" nginx', {"0"}),
        ("“Connection, refused”", {"0"}),
        ("„refused the connection“", {"1"}),
        ("«nginx» restart", {"0", "1"}),
        ('"nginx" "after the restart"', {"1"}),
        ('"resume"', {"2"}),
        ('"C++"', {"2"}),
        ('"E-4471"', {"3"}),
        ('"检索引"', {"4"}),
    ],
)
def test_chunks_with_every_quoted_phrase_come_first_and_others_follow(
    store: Store, mode: Mode, query: str, found: set[str]
) -> None:
    results = store.search(query, mode=mode)
    assert set(uris(results)[: len(found)]) == found
    assert (results.query, results.mode) == (query, mode)
    (remark,) = results.remarks
    assert remark.startswith(f"only {len(found)} chunk")
    assert remark.endswith("word for word; others follow")
    assert len(results) == (len(NOTES) if mode != "lexical" else len(store.search(query.strip('"“”„«»'), mode=mode)))
    assert [hit.score for hit in results] == sorted((hit.score for hit in results), reverse=True)
    assert store.search(query, k=len(found), mode=mode).remarks == ()


@pytest.mark.parametrize("mode", MODES)
def test_what_holds_a_phrase_comes_first_even_if_no_ranking_offers_it(tmp_path: Path, mode: Mode) -> None:
    """Only the 64 rarest words are searched, and pairs of characters that follow each other."""
    with Store(tmp_path / "memory.db", ToyEmbedder()) as store:
        for number in range(70):
            store.remember(f"rare{number} and phrases of common words")
        held = store.remember("The common phrase.").id
        apart = store.remember("检 - 索").id
        rare = " ".join(f"rare{number}" for number in range(70))
        assert store.search(f'{rare} "the common phrase"', mode=mode)[0].document.id == held
        assert store.search('"检索"', mode=mode)[0].document.id == apart


def test_what_a_phrase_adds_to_a_score_is_among_its_reasons(store: Store) -> None:
    results = store.search('"refused the connection" restart', explain=True)
    assert [part.source for part in results[0].why].count("phrase") == 1
    assert all(part.source != "phrase" for hit in results[1:] for part in hit.why)
    assert results[0].score == pytest.approx(sum(part.points for part in results[0].why))


@pytest.mark.parametrize("mode", MODES)
def test_a_phrase_that_nothing_holds_is_searched_as_words_and_said_so(store: Store, mode: Mode) -> None:
    results = store.search('"tests run" parser', mode=mode)
    assert results.remarks == ('no chunk has "tests run" word for word; searched for the words',)
    plain = store.search("tests run  parser", mode=mode)
    assert "2" in uris(results)
    assert [(hit.chunk_id, hit.score) for hit in results] == [(hit.chunk_id, hit.score) for hit in plain]


def test_phrases_that_nothing_holds_together_are_named_together(store: Store) -> None:
    results = store.search('"connection refused" "the demo"')
    assert results.remarks == (
        'no chunk has all of "connection refused", "the demo" word for word; searched for the words',
    )
    assert len(results) == len(NOTES)


def test_a_remark_is_one_short_line(store: Store) -> None:
    (remark,) = store.search('"' + "no\nsuch\tphrase " * 1_000 + '" nginx').remarks
    assert len(remark) < 320
    assert "\n" not in remark
    assert remark.startswith('no chunk has "no such phrase no such')


def test_a_phrase_is_looked_for_in_the_collection_that_is_searched(store: Store) -> None:
    assert uris(store.search('"the gateway"', collection="log"))[0] == "0"
    other = store.search('"the gateway"', collection="default")
    assert len(other) == 3
    assert other.remarks == ('no chunk has "the gateway" word for word; searched for the words',)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("k", [5, 20, 30])
def test_a_search_with_a_phrase_is_never_short(tmp_path: Path, mode: Mode, k: int) -> None:
    """20 of 30 chunks hold it."""
    with Store(tmp_path / "memory.db", ToyEmbedder()) as store:
        for number in range(30):
            order = "red green" if number % 3 else "green red"
            store.remember(f"{order} number {number}")
        results = store.search('"red green" number', k=k, mode=mode)
    assert len(results) == k
    assert all(hit.text.startswith("red green") for hit in results[:20])
    assert len(results.remarks) == (k > 20)


def test_the_model_reads_a_query_without_its_quote_marks(store: Store) -> None:
    class Recording(ToyEmbedder):
        asked: list[str]

        def embed_queries(self, texts: list[str]) -> object:  # type: ignore[override] # the array is passed on
            self.asked = texts
            return super().embed_queries(texts)

    embedder = Recording()
    with Store(store.path, embedder) as again:
        again.search('"connection refused"')
    assert embedder.asked == ["connection refused"]


# --- nothing to go by -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("query", ["?!", "+-*/ <> && ||", "❤❤", "\u200b", '""', '" " “”', "\0\x07\x1b", "\u202e"])
def test_a_query_without_a_word_is_searched_by_meaning_or_finds_nothing(store: Store, query: str) -> None:
    hybrid = store.search(query)
    assert len(hybrid) == len(NOTES)
    assert hybrid.remarks == ("the query has no word for keywords to match; searched by meaning alone",)
    assert len(store.search(query, mode="dense")) == len(NOTES)
    lexical = store.search(query, mode="lexical")
    assert len(lexical) == 0
    assert lexical.remarks == ("the query has no word for keywords to match",)


def test_a_query_of_words_that_nothing_has_is_searched_by_meaning(store: Store) -> None:
    results = store.search("zzyzx 🦊", k=4)
    assert len(results) == 4
    assert results.remarks == ("no chunk has a word of the query; searched by meaning alone",)
    lexical = store.search("zzyzx 🦊", mode="lexical")
    assert (len(lexical), lexical.remarks) == (0, ("no chunk has a word of the query",))


@pytest.mark.parametrize("mode", MODES)
def test_stop_words_are_words_like_any_other(store: Store, mode: Mode) -> None:
    results = store.search("the of and after", mode=mode)
    assert results.remarks == ()
    assert len(results) == (len(NOTES) if mode != "lexical" else 5)
    assert "1" in uris(results)[:2]  # the only one with "after"


@pytest.mark.parametrize("mode", ["hybrid", "lexical"])
@pytest.mark.parametrize(
    ("query", "first"),
    [
        ("4471", "3"),
        ("conns", "3"),
        ("server", "3"),
        ("索引", "4"),
        ("排", "4"),
        ("שלום", "5"),
        ("\u202eשלום\u202c world", "5"),  # noqa: RUF001 - Hebrew, not a Latin look-alike
        ("nothing of it 🦊 but E-4471 🦊", "3"),
        ("\0parser\0\x1b[31m", "2"),
        ("maxOpenConns " + "x" * 90_000, "3"),
    ],
)
def test_one_rare_word_is_enough(store: Store, mode: Mode, query: str, first: str) -> None:
    results = store.search(query, mode=mode)
    assert uris(results)[0] == first
    assert results.remarks == ()


# --- a lot, a little, all the same ------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(
    "query",
    [
        " ".join(f"word{number}" for number in range(5_000)) + " gateway",
        "gateway " * 5_000,
        " ".join(f'"word{number}"' for number in range(5_000)) + " gateway",
        '"' + "gateway " * 5_000 + '"',
        "gateway " + '"' * 50_000,
        "g" * 100_000,
    ],
    ids=["words", "one word", "phrases", "one phrase", "marks", "one token"],
)
def test_long_queries_are_answered(store: Store, mode: Mode, query: str) -> None:
    results = store.search(query, mode=mode)
    if "gateway" in query:
        assert "0" in uris(results)
    else:
        assert len(results) == (0 if mode == "lexical" else len(NOTES))


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("chunks", [0, 1, 2])
@pytest.mark.parametrize("query", ["red", '"red"', '"red green"', "?"])
def test_a_store_with_hardly_anything_gives_what_it_has(tmp_path: Path, mode: Mode, chunks: int, query: str) -> None:
    with Store(tmp_path / "memory.db", ToyEmbedder()) as store:
        for number in range(chunks):
            store.remember(f"red number {number}")
        results = store.search(query, mode=mode)
    assert len(results) == (0 if query == "?" and mode == "lexical" else chunks)
    assert results.mode == mode


@pytest.mark.parametrize("mode", MODES)
def test_identical_texts_are_all_results(tmp_path: Path, mode: Mode) -> None:
    with Store(tmp_path / "memory.db", ToyEmbedder()) as store:
        for number in range(25):
            store.remember("the same words everywhere", uri=f"{number}")
        for query in ("same words", '"same words"', "words that differ"):
            assert [len(store.search(query, k=k, mode=mode)) for k in (1, 10, 100)] == [1, 10, 25]


# --- with the real model ----------------------------------------------------------------------------------------------

CHINESE = {
    "cat": "小猫在窗台上晒太阳。",
    "train": "高速列车从北京开往上海。",
    "bread": "面包师每天清晨烤制新鲜面包。",
    "river": "长江是亚洲最长的河流。",
    "library": "图书馆晚上九点关门。",
}


@pytest.fixture(scope="module")
def real(minilm: OnnxEmbedder, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    with Store(tmp_path_factory.mktemp("real") / "memory.db", minilm) as store:
        for uri, text in CHINESE.items():
            store.remember(text, uri=uri)
        store.remember("The gateway restarts nginx when the upstream connection is refused.", uri="gateway")
        store.remember("Our bakery sells fresh bread every morning.", uri="bakery")
        yield store


@pytest.mark.parametrize("mode", ["hybrid", "lexical"])
@pytest.mark.parametrize(
    ("query", "uri"),
    [("列车", "train"), ("面包", "bread"), ("长江", "river"), ("关门", "library"), ("太阳", "cat"), ("猫", "cat")],
)
def test_short_chinese_queries_find_their_sentence(real: Store, mode: Mode, query: str, uri: str) -> None:
    assert uris(real.search(query, mode=mode))[0] == uri


@pytest.mark.parametrize(
    "query",
    [
        *("🦊", "?!", "\0\x07", "\ud800", "\u202eabc", "the of and", "x" * 90_000, "ทดสอบภาษาไทย", "ፈተና", "ᚠᚢᚦ"),
        " ".join(f"word{number}" for number in range(5_000)),
    ],
)
def test_the_model_reads_anything(real: Store, query: str) -> None:
    assert len(real.search(query, k=7)) == len(real.search(query, k=7, mode="dense")) == 7


def test_misspelt_queries_are_found_by_meaning(real: Store) -> None:
    results = real.search("loafs of breadd and rols")
    assert uris(results)[0] == "bakery"
    assert results.remarks == ("no chunk has a word of the query; searched by meaning alone",)


def test_times_of_a_query_that_is_ranked_twice_add_up(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each ranking by keywords takes a twentieth of a second here."""
    original = lexical.rank

    def slow(*arguments: Any, **options: Any) -> Any:
        time.sleep(0.05)
        return original(*arguments, **options)

    monkeypatch.setattr(lexical, "rank", slow)
    timings = store.search('"connection refused"', mode="lexical").timings
    assert 100.0 <= timings["lexical"] <= timings["total"]
    assert sum(timings.values()) - timings["total"] <= timings["total"]

"""`Store.feedback` keeps what was said about a chunk or a document, the latest each, and refuses what means nothing."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from toy import ToyEmbedder

from vstore import Judgement, Store, config
from vstore.errors import InputError, NotFoundError, QueryError
from vstore.judgements import Verdict, query_text


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store(tmp_path / "memory.db", ToyEmbedder(), log=False, metrics=False) as opened:
        opened.remember("Green tea at seventy degrees.", uri="tea")
        opened.remember("Coffee at ninety degrees.", uri="coffee")
        yield opened


def said(store: Store) -> list[tuple[str, str, bool, float]]:
    """Query, uri, whether it is about a chunk, and grade; the newest first."""
    return [(one.query, one.uri, one.chunk_id is not None, one.grade) for one in store.judgements()]


def chunk_of(store: Store, uri: str) -> int:
    return next(hit.chunk_id for hit in store.search("degrees") if hit.document.uri == uri)


# --- what is kept -----------------------------------------------------------------------------------------------------


def test_a_chunk_or_a_document_is_judged_plainly_or_in_degrees(store: Store) -> None:
    chunk = chunk_of(store, "tea")
    given = store.feedback("hot drinks", chunk)
    assert isinstance(given, Judgement)
    assert (given.uri, given.collection, given.chunk_id, given.grade) == ("tea", "default", chunk, 1.0)
    store.feedback("hot drinks", "tea", grade=2.5)
    store.feedback("hot drinks", "coffee", relevant=False)
    assert said(store) == [
        ("hot drinks", "coffee", False, 0.0),
        ("hot drinks", "tea", False, 2.5),
        ("hot drinks", "tea", True, 1.0),
    ]
    assert store.judgements()[2] == given


def test_the_latest_of_contradictory_judgements_wins(store: Store) -> None:
    chunk = chunk_of(store, "tea")
    for grade in (3, 0, 1, 0):
        store.feedback("hot", "tea", grade=grade)
        store.feedback("hot", chunk, grade=3 - grade)
    assert said(store) == [("hot", "tea", True, 3.0), ("hot", "tea", False, 0.0)]


def test_white_space_around_a_query_makes_no_other_query(store: Store) -> None:
    store.feedback("hot", "tea")
    store.feedback(" hot\n", "tea", relevant=False)
    assert said(store) == [("hot", "tea", False, 0.0)]


def test_a_long_query_is_cut_as_in_the_log(store: Store) -> None:
    assert store.feedback("x" * 5_000, "tea").query == "x" * config.MAX_LOGGED_CHARS


def test_a_file_is_judged_by_its_path(store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "note.md").write_text("Cocoa at sixty degrees.", encoding="utf-8")
    store.add(tmp_path / "note.md")
    monkeypatch.chdir(tmp_path)
    for path in (tmp_path / "note.md", "note.md", "./note.md"):
        assert store.feedback("cocoa", path).uri == (tmp_path / "note.md").resolve().as_posix()
    assert len(store.judgements()) == 1


def test_the_oldest_judgements_leave_first(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(config, "MAX_JUDGEMENTS", 3)
    for query in "abc":
        store.feedback(query, "tea")
    store.feedback("a", "tea")
    store.feedback("d", "tea")
    assert [judgement.query for judgement in store.judgements()] == ["d", "a", "c"]


def test_a_judgement_is_plain_types_for_json(store: Store) -> None:
    given = store.feedback("hot", "tea")
    assert given.to_dict() == {
        "query": "hot",
        "collection": "default",
        "uri": "tea",
        "chunk_id": None,
        "grade": 1.0,
        "given_at": given.given_at.isoformat(),
    }


# --- what is refused --------------------------------------------------------------------------------------------------


def test_what_the_store_does_not_have_is_not_judged(store: Store) -> None:
    with pytest.raises(NotFoundError, match="no chunk 4711; it may have been forgotten"):
        store.feedback("hot", 4711)
    with pytest.raises(NotFoundError, match="no document 'juice'"):
        store.feedback("hot", "juice")
    with pytest.raises(NotFoundError, match="no document 'tea' in the collection 'work'"):
        store.feedback("hot", "tea", collection="work")
    with pytest.raises(NotFoundError, match="no chunk 1 in the collection 'work'"):
        store.feedback("hot", 1, collection="work")
    assert store.judgements() == []


def test_a_document_of_two_collections_is_judged_in_the_one_that_is_named(store: Store) -> None:
    store.remember("Mint tea.", uri="tea", collection="work")
    with pytest.raises(NotFoundError, match="2 collections have a document 'tea'; say which one"):
        store.feedback("hot", "tea")
    assert store.feedback("hot", "tea", collection="work").collection == "work"
    assert [(one.uri, one.collection) for one in store.judgements()] == [("tea", "work")]


@pytest.mark.parametrize("query", ["", " \n", None, 3, "\ud800"])
def test_a_query_without_words_is_refused(query: Any) -> None:
    with pytest.raises(QueryError, match="a query is a text with words"):
        query_text(query)


@pytest.mark.parametrize("grade", [-0.1, 3.1, float("nan"), float("inf"), True, "2", 10**400])
def test_a_grade_out_of_range_is_refused(grade: Any) -> None:
    with pytest.raises(InputError, match="a grade is a number from 0"):
        Verdict.of("hot", "tea", grade=grade)


@pytest.mark.parametrize(
    ("target", "message"), [(0, "from 1 on"), (2**63, "from 1 on"), ("", "not ''"), (True, "True")]
)
def test_a_target_that_can_be_nothing_is_refused(target: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        Verdict.of("hot", target)


def test_a_path_that_can_be_none_is_refused(store: Store) -> None:
    with pytest.raises(InputError, match="cannot be used as a path"):
        store.feedback("hot", "a\0b")


def test_a_grade_in_the_place_of_relevant_is_refused() -> None:
    with pytest.raises(InputError, match=r"a grade goes into grade=\.\.\."):
        Verdict.of("hot", "tea", 3)  # type: ignore[arg-type]  # that is the mistake


def test_relevant_and_grade_may_not_disagree() -> None:
    with pytest.raises(InputError, match="give one of the two"):
        Verdict.of("hot", "tea", relevant=False, grade=2)
    assert Verdict.of("hot", "tea", relevant=False, grade=0).grade == 0.0


# --- many at once -----------------------------------------------------------------------------------------------------


def test_many_verdicts_are_judged_like_one_by_one_and_each_says_what_came_of_it(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(config, "JUDGED_AT_ONCE", 2)
    verdicts = [Verdict("hot", name, 1.0) for name in ("tea", "juice", "a\0b", "coffee", "tea")]
    tea, juice, odd, coffee, again = store.judge(verdicts)
    assert (type(tea), type(juice), type(odd)) == (Judgement, NotFoundError, InputError)
    assert store.judgements() == [again, coffee]
    assert store.judge([]) == []

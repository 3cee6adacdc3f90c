"""Document frequencies in memory are those of the keyword index, whoever writes to it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest
from db.material import put
from hypothesis import given, settings
from hypothesis import strategies as st

from vstore import config
from vstore.db.index import SqliteIndex
from vstore.db.snapshot import Resident
from vstore.db.terms import holders, pack, stem_id


@pytest.fixture(autouse=True)
def all_are_common(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(config, "FREQUENCY_COMMON", 1)


@pytest.fixture
def index(path: Path) -> Iterator[SqliteIndex]:
    with closing(SqliteIndex(path)) as opened:
        put(opened, "a", "red green", "red", "blue", title="Red")  # the title is in every chunk
        put(opened, "b", "red red", "green")
        yield opened


def asked(index: SqliteIndex, text: str = "red green blue white") -> tuple[list[int], int]:
    """The frequencies of these words, and how many of them took counting."""
    counted: list[str] = []
    with index.snapshot() as snapshot:
        snapshot._connection.exec_trace = lambda _, sql, __: counted.append(sql) or True
        terms = snapshot.terms(text)
        snapshot._connection.exec_trace = None
    return [term.document_frequency for term in terms], sum("chunks_vocabulary" in sql for sql in counted)


def test_a_common_word_is_counted_once(index: SqliteIndex) -> None:
    assert asked(index) == ([4, 2, 1, 0], 4)
    assert asked(index) == ([4, 2, 1, 0], 1)  # a word that nothing has is looked up each time


def test_rare_words_are_not_kept(index: SqliteIndex, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(config, "FREQUENCY_COMMON", 3)
    asked(index)
    assert asked(index) == ([4, 2, 1, 0], 3)


def test_new_chunks_are_added_without_counting_again(index: SqliteIndex, path: Path) -> None:
    asked(index)
    with closing(SqliteIndex(path)) as other:
        put(other, "c", "green red green", "blue", title="Green")
    assert asked(index) == ([5, 4, 2, 0], 1)


@pytest.mark.parametrize(
    "change",
    [
        lambda index: index.forget("default", "b"),
        lambda index: put(index, "a", "white", title="Red"),
        lambda index: (index.forget("default", "a"), put(index, "c", "red", "red", "white")),
    ],
)
def test_when_chunks_go_all_are_counted_again(index: SqliteIndex, change: Callable[[SqliteIndex], object]) -> None:
    asked(index)
    change(index)
    found, counted = asked(index)
    assert counted == 4
    index._resident.frequencies._counts.clear()
    assert asked(index)[0] == found


def test_more_new_chunks_than_it_pays_to_read_are_counted(index: SqliteIndex, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(config, "FREQUENCIES_FOLLOWED", 1)
    asked(index)
    put(index, "c", "red", "red")
    assert asked(index) == ([6, 2, 1, 0], 4)


def test_a_transaction_that_began_earlier_sees_what_was_there_then(index: SqliteIndex, path: Path) -> None:
    with index.snapshot() as early:
        with closing(SqliteIndex(path)) as other:
            put(other, "c", "red")
            other._resident = index._resident  # as another thread of the same process
            assert asked(other)[0] == [5, 2, 1, 0]
        assert [term.document_frequency for term in early.terms("red green")] == [4, 2]
    assert asked(index)[0] == [5, 2, 1, 0]


words = st.lists(st.sampled_from(["red", "green", "blue", "white"]), min_size=1, max_size=4).map(" ".join)
steps = st.lists(
    st.one_of(
        st.tuples(st.just("put"), st.sampled_from("abc"), st.lists(words, min_size=1, max_size=3)),
        st.tuples(st.just("forget"), st.sampled_from("abc"), st.just([])),
        st.tuples(st.just("ask"), st.just(""), st.just([])),
    ),
    max_size=8,
)


@given(steps)
@settings(max_examples=40, deadline=None)
def test_whatever_happens_they_are_those_of_a_process_that_knows_nothing(
    tmp_path_factory: pytest.TempPathFactory, happened: list[tuple[str, str, list[str]]]
) -> None:
    with closing(SqliteIndex(tmp_path_factory.mktemp("frequencies") / "memory.db")) as index:
        for step, uri, bodies in happened:
            if step == "put":
                put(index, uri, *bodies)
            elif step == "forget":
                index.forget("default", uri)
            else:
                asked(index)
        known = asked(index)[0]
        index._resident = Resident()
        assert asked(index)[0] == known


def test_a_chunk_with_a_word_in_head_and_body_is_one() -> None:
    red, green, blue = (stem_id(stem) for stem in ("red", "green", "blue"))
    blobs = pack([[red, red], [red, green, green, green], [], [blue, red], [], []])
    rows = [(blobs[0], blobs[1]), (blobs[2], blobs[3]), (blobs[4], blobs[5])]
    assert holders([red, green], rows) == {red: 2, green: 1}
    assert holders([], rows) == {}
    assert holders([red], []) == {}

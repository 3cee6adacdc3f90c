"""A document is written and forgotten whole; what did not change keeps its id and its vector."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from db.material import assert_consistent, chunk_ids, cut, digest, document, embed, open_space, put, rows, write
from toy import ToyEmbedder

from vstore import config
from vstore.db.index import SqliteIndex
from vstore.db.migrate import latest
from vstore.errors import InputError, SpaceMismatchError
from vstore.types import Chunk, Cut, Scope, StoredDocument


def dump(path: Path) -> list[list[tuple[Any, ...]]]:
    """Everything that is stored, for comparisons."""
    tables = ("collections", "documents", "chunks", "chunk_terms", "vectors_g1", "codes_g1", "chunks_fts_data")
    return [rows(path, f"SELECT * FROM {table} ORDER BY 1") for table in tables]


def stored(index: SqliteIndex) -> list[StoredDocument]:
    with index.snapshot() as snapshot:
        return snapshot.documents(Scope(), 100)


def vectors(path: Path) -> dict[str, bytes]:
    sql = "SELECT c.text, v.vector FROM chunks AS c JOIN vectors_g1 AS v ON v.chunk_id = c.id"
    return dict(rows(path, sql))


def keyword_hits(path: Path, word: str) -> list[int]:
    return [row[0] for row in rows(path, "SELECT rowid FROM chunks_fts (?) ORDER BY rowid", (word,))]


# --- what write says and keeps ----------------------------------------------------------------------------------------


def test_a_write_says_whether_it_added_updated_or_changed_nothing(index: SqliteIndex) -> None:
    assert put(index, "a", "one") == "added"
    assert put(index, "a", "one") == "unchanged"
    assert put(index, "a", "two") == "updated"
    assert put(index, "a", "two", collection="other") == "added"


def test_an_unchanged_document_is_not_touched(index: SqliteIndex, path: Path) -> None:
    put(index, "a", "one", "two")
    before = dump(path)
    assert put(index, "a", "one", "two") == "unchanged"
    assert dump(path) == before


def test_the_chunks_of_a_document_are_told_in_its_order(index: SqliteIndex, path: Path) -> None:
    put(index, "b", "zero")
    put(index, "a", "one", "two", "three")
    put(index, "a", "new", "three", "one")
    other, document_ = sorted(stored(index), key=lambda document: document.id)
    ids = {text: id_ for id_, text in rows(path, "SELECT id, text FROM chunks")}
    with index.snapshot() as snapshot:
        assert snapshot.chunk_ids(document_.id) == (ids["new"], ids["three"], ids["one"])
        assert snapshot.chunk_ids(other.id) == (ids["zero"],)
        assert snapshot.chunk_ids(99) == ()


def test_everything_about_a_document_comes_back(index: SqliteIndex, path: Path) -> None:
    changed = datetime(2026, 1, 31, 12, 0, 0, 123_000, tzinfo=timezone(timedelta(hours=1)))
    before = datetime.now(timezone.utc) - timedelta(milliseconds=1)
    put(
        index,
        "notes/ü.md",
        "Grüße\tan «alle»",
        title="Ein Titel",
        collection="work",
        media_type="text/markdown",
        metadata={"n": 1, "deep": {"list": [1, None, "é"]}},
        tags=("b", "a"),
        modified_at=changed,
    )
    (found,) = stored(index)
    assert (found.uri, found.title, found.collection) == ("notes/ü.md", "Ein Titel", "work")
    assert (found.media_type, found.tags) == ("text/markdown", ("b", "a"))
    assert found.metadata == {"n": 1, "deep": {"list": [1, None, "é"]}}
    assert found.updated_at == changed
    assert before <= found.created_at <= datetime.now(timezone.utc)
    with index.snapshot() as snapshot:
        (chunk,) = snapshot.chunks(list(chunk_ids(path, "notes/ü.md").values())).values()
        assert snapshot.text(found.id) == chunk.text == "Grüße\tan «alle»"
        assert chunk.document == found
        assert snapshot.text(found.id + 1) is None
        assert snapshot.chunks([chunk.id, 999]) == {chunk.id: chunk}


def test_an_update_keeps_the_time_of_creation_and_the_id(index: SqliteIndex) -> None:
    put(index, "a", "one")
    (first,) = stored(index)
    put(index, "a", "two", modified_at=datetime(2020, 1, 1, tzinfo=timezone.utc))
    (second,) = stored(index)
    assert (second.id, second.created_at) == (first.id, first.created_at)
    assert second.updated_at.year == 2020


def test_documents_are_listed_with_the_most_recently_changed_first(index: SqliteIndex) -> None:
    for day in (2, 3, 1):
        put(index, str(day), "text", modified_at=datetime(2026, 1, day, tzinfo=timezone.utc))
    assert [found.uri for found in stored(index)] == ["3", "2", "1"]


def test_content_hash_is_that_of_the_last_write_in_that_collection(index: SqliteIndex) -> None:
    put(index, "a", "one", title="t")
    assert index.content_hash("default", "a") == digest("t", "one", "")
    assert index.content_hash("other", "a") is None


@pytest.mark.parametrize(
    "after",
    [
        ["red", "green, changed", "blue"],
        ["blue", "red", "green"],
        ["red", "blue"],
        ["new", "red", "green", "blue", "newer"],
        ["red", "red", "green", "blue", "blue"],
    ],
    ids=["changed", "reordered", "removed", "inserted", "repeated"],
)
def test_chunks_that_are_in_both_versions_keep_id_and_vector(index: SqliteIndex, path: Path, after: list[str]) -> None:
    put(index, "a", "red", "green", "blue")
    ids_before, vectors_before = chunk_ids(path, "a"), vectors(path)
    put(index, "a", *after)
    found = rows(path, "SELECT text, id FROM chunks ORDER BY ordinal")
    assert [text for text, _ in found] == after
    for text in set(after) & set(ids_before):
        assert (text, ids_before[text]) in found
        assert vectors(path)[text] == vectors_before[text]
    assert_consistent(path)


def test_a_kept_chunk_needs_no_vector_and_a_second_copy_takes_the_first_ones(index: SqliteIndex, path: Path) -> None:
    put(index, "a", "red", "green")
    space = open_space(index)
    text, chunks = cut(["green", "red", "green"])
    assert [{chunk.content_hash for chunk in chunks}] == index.embedded_chunks([("default", "a")])
    assert write(index, document("a", text), chunks, {}, space) == "updated"
    assert rows(path, "SELECT count(DISTINCT vector), count(*) FROM vectors_g1") == [(2, 3)]
    assert_consistent(path)


def test_of_repeated_chunks_the_earliest_is_kept(index: SqliteIndex, path: Path) -> None:
    put(index, "a", "same", "same", "same")
    put(index, "a", "same")
    assert rows(path, "SELECT id, ordinal FROM chunks") == [(1, 0)]
    assert_consistent(path)


def test_embedded_chunks_are_those_of_that_document_only(index: SqliteIndex) -> None:
    names = [("default", "a"), ("other", "a")]
    assert index.embedded_chunks(names) == [frozenset(), frozenset()]
    put(index, "a", "red")
    put(index, "b", "green")
    assert index.embedded_chunks(names) == [{digest("red")}, frozenset()]


def test_a_changed_title_indexes_every_chunk_anew(index: SqliteIndex, path: Path) -> None:
    put(index, "a", "red", "green", title="Walrus")
    put(index, "a", "red", "green", title="Penguin")
    assert keyword_hits(path, "walrus") == []
    assert keyword_hits(path, "penguin") == [3, 4]
    assert_consistent(path)


def test_a_changed_title_that_the_chunk_hashes_do_not_see_is_indexed_with_the_old_vectors(
    index: SqliteIndex, path: Path
) -> None:
    space = open_space(index)
    text, chunks = cut(["red"])
    write(index, document("a", text, "Walrus"), chunks, embed(chunks), space)
    write(index, document("a", text, "Penguin"), chunks, {}, space)
    assert (keyword_hits(path, "walrus"), keyword_hits(path, "penguin")) == ([], [2])
    assert_consistent(path)


def test_a_changed_heading_that_the_chunk_hash_does_not_see_is_indexed_with_the_old_vector(
    index: SqliteIndex, path: Path
) -> None:
    space = open_space(index)
    for version, heading in enumerate(("Walrus", "Penguin")):
        chunk = Chunk(0, 0, 3, heading, "red", "what the embedder sees of it")
        (known,) = index.embedded_chunks([("default", "a")])
        given = {} if known else {chunk.content_hash: embed([chunk])[chunk.content_hash]}
        write(index, document("a", "red", version=str(version)), [chunk], given, space)
    assert (keyword_hits(path, "walrus"), keyword_hits(path, "penguin")) == ([], [2])
    assert rows(path, "SELECT heading FROM chunks") == [("Penguin",)]
    assert_consistent(path)


def test_an_id_is_never_given_twice(index: SqliteIndex, path: Path) -> None:
    put(index, "a", "red")
    index.forget("default", "a")
    put(index, "a", "green")
    assert chunk_ids(path, "a") == {"green": 2}
    assert [found.id for found in stored(index)] == [2]


def test_a_document_without_a_chunk_is_kept(index: SqliteIndex, path: Path) -> None:
    assert write(index, document("a", "  "), [], {}, open_space(index)) == "added"
    assert [found.uri for found in stored(index)] == ["a"]
    assert_consistent(path)


# --- several at once --------------------------------------------------------------------------------------------------


def cuts(*names: str) -> tuple[list[Cut], dict[str, Any]]:
    """Documents of one chunk each, and vectors for all of them."""
    found: list[Cut] = []
    for name in names:
        text, chunks = cut([f"text of {name}"])
        found.append((document(name, text), chunks))
    return found, embed([chunk for _, chunks in found for chunk in chunks])


def test_several_documents_are_written_in_one_transaction(index: SqliteIndex, path: Path) -> None:
    some, vectors = cuts("a", "b", "c")
    space = open_space(index)
    commits: list[None] = []
    index._database.connection().set_commit_hook(lambda: commits.append(None) or False)
    assert index.write(some, vectors, space) == ["added"] * 3
    assert len(commits) == 1
    assert index.write(some, vectors, space) == ["unchanged"] * 3
    assert_consistent(path)


def test_as_many_documents_are_written_as_were_prepared_and_one_at_least(
    index: SqliteIndex, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    some, vectors = cuts("a", "b", "c")
    monkeypatch.setattr(config, "PREPARED_AT_ONCE", 4)  # a document and its chunk are two
    assert index.write(some, vectors, open_space(index)) == ["added"] * 2
    monkeypatch.setattr(config, "PREPARED_AT_ONCE", 0)
    assert index.write(some[2:], vectors, open_space(index)) == ["added"]
    assert_consistent(path)


def test_a_text_that_is_no_unicode_is_named_and_those_before_it_are_written(index: SqliteIndex, path: Path) -> None:
    some, vectors = cuts("a", "b", "c")
    some[1] = (replace(some[1][0], text="half a \ud800"), some[1][1])
    assert index.write(some, vectors, open_space(index)) == ["added"]
    (error,) = index.write(some[1:], vectors, open_space(index))
    assert isinstance(error, InputError)
    assert index.write(some[2:], vectors, open_space(index)) == ["added"]
    assert {found.uri for found in stored(index)} == {"a", "c"}
    assert_consistent(path)


def test_documents_of_one_transaction_make_one_segment_of_the_keyword_index(
    index: SqliteIndex, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(config, "ADDED_AT_ONCE", 1)
    monkeypatch.setattr(config, "WRITE_HOLD_S", 60.0)
    some, vectors = cuts("a", "b", "c")
    assert index.write(some, vectors, open_space(index)) == ["added"] * 3
    assert rows(path, "SELECT count(DISTINCT segid) FROM chunks_fts_idx") == [(1,)]


def test_a_transaction_ends_when_its_time_is_up_and_has_one_document_at_least(
    index: SqliteIndex, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(config, "WRITE_HOLD_S", 0.0)
    some, vectors = cuts("a", "b")
    assert index.write(some, vectors, open_space(index)) == ["added"]
    assert [found.uri for found in stored(index)] == ["a"]


def test_one_that_cannot_be_stored_is_named_and_those_before_it_are_written(index: SqliteIndex, path: Path) -> None:
    some, vectors = cuts("a", "b", "c", "d")
    some[2] = (replace(some[2][0], metadata={"a": {1, 2}}), some[2][1])
    first, second, third = index.write(some, vectors, open_space(index))
    assert (first, second) == ("added", "added")
    assert isinstance(third, InputError)
    assert "metadata of c cannot be stored" in str(third)
    assert {found.uri for found in stored(index)} == {"a", "b"}
    assert index.write(some[3:], vectors, open_space(index)) == ["added"]
    assert_consistent(path)


@pytest.mark.parametrize("at_once", [1, 2, 32])
def test_of_a_vector_that_cannot_be_stored_its_document_is_told(
    index: SqliteIndex, path: Path, monkeypatch: pytest.MonkeyPatch, at_once: int
) -> None:
    monkeypatch.setattr(config, "ADDED_AT_ONCE", at_once)
    some, vectors = cuts("a", "b", "c", "d")
    vectors[some[1][1][0].content_hash] = np.zeros(16, dtype=np.float32)
    first, second = index.write(some, vectors, open_space(index))
    assert first == "added"
    assert isinstance(second, InputError)
    assert [found.uri for found in stored(index)] == ["a"]
    assert index.write(some[2:], vectors, open_space(index)) == ["added"] * 2
    assert_consistent(path)


def test_a_document_that_comes_twice_is_written_twice(index: SqliteIndex, path: Path) -> None:
    some, vectors = cuts("a", "b")
    again = replace(some[0][0], uri="b", content_hash="another"), some[0][1]
    left, outcomes = [*some, again], []
    while left:
        written = index.write(left, vectors, open_space(index))
        del left[: len(written)]
        outcomes += written
    assert outcomes == ["added", "added", "updated"]
    assert_consistent(path)


# --- what is refused --------------------------------------------------------------------------------------------------


def test_a_chunk_without_a_vector_is_refused_and_nothing_changes(index: SqliteIndex, path: Path) -> None:
    put(index, "a", "red", "green")
    before = dump(path)
    text, chunks = cut(["blue", "red"])
    with pytest.raises(InputError, match="chunk 0 of a came without a vector"):
        write(index, document("a", text), chunks, {}, open_space(index))
    assert dump(path) == before


@pytest.mark.parametrize(
    ("vector", "message"),
    [
        (np.full(16, np.nan), "NaN, infinity or length 0"),
        (np.array([np.inf] + [0.0] * 15), "NaN, infinity or length 0"),
        (np.zeros(16), "NaN, infinity or length 0"),
        (np.full(16, 1e-30), "NaN, infinity or length 0"),  # squares vanish in float32
        (np.full(16, 1e30), "NaN, infinity or length 0"),  # squares overflow in float32
        (np.ones(15), r"shape \(15,\) does not fit this store, which has 16 dimensions"),
        (np.ones((1, 16)), r"shape \(1, 16\) does not fit"),
        (np.ones(()), r"shape \(\) does not fit"),
    ],
)
def test_an_unusable_vector_is_refused_and_nothing_changes(
    index: SqliteIndex, path: Path, vector: Any, message: str
) -> None:
    put(index, "a", "red")
    before = dump(path)
    text, chunks = cut(["blue"])
    with pytest.raises(InputError, match=message):
        write(
            index, document("a", text), chunks, {chunks[0].content_hash: vector.astype(np.float32)}, open_space(index)
        )
    assert dump(path) == before


@pytest.mark.parametrize(
    "metadata", [{"a": {1, 2}}, {"a": float("nan")}, {"a": float("inf")}, {"a": b"bytes"}, {"a": "\ud800"}]
)
def test_metadata_that_is_no_json_is_refused_and_nothing_changes(
    index: SqliteIndex, path: Path, metadata: Mapping[str, Any]
) -> None:
    put(index, "a", "red")
    before = dump(path)
    with pytest.raises(InputError):
        put(index, "a", "blue", metadata=metadata)
    assert dump(path) == before


@pytest.mark.parametrize("part", ["uri", "text", "title", "collection", "media_type", "tags"])
def test_text_with_half_a_character_is_refused_and_nothing_changes(index: SqliteIndex, path: Path, part: str) -> None:
    put(index, "a", "red")
    before = dump(path)
    text, chunks = cut(["blue"])
    change: Any = {part: ("\udcff",) if part == "tags" else "\udcff"}
    bad = replace(document("a", text), **change)
    with pytest.raises(InputError, match="lone surrogate"):
        write(index, bad, chunks, embed(chunks), open_space(index))
    assert dump(path) == before


def test_vectors_of_a_space_that_is_not_active_are_refused_and_nothing_changes(index: SqliteIndex, path: Path) -> None:
    put(index, "a", "red")
    before = dump(path)
    other = ToyEmbedder(16, "other")
    with pytest.raises(SpaceMismatchError, match=r"vectors of toy \(.*\), but the model in use makes others"):
        open_space(index, other)
    space = open_space(index)
    text, chunks = cut(["blue"])
    for strange in (
        type(space)(2, other.fingerprint, 16, "other"),
        type(space)(1, other.fingerprint, 16, "toy"),
    ):
        with pytest.raises(SpaceMismatchError, match=r"switched to another model .*; repeat it"):
            write(index, document("a", text), chunks, embed(chunks), strange)
    assert dump(path) == before


# --- forgetting -------------------------------------------------------------------------------------------------------


def test_forget_removes_a_document_with_all_that_was_made_of_it(index: SqliteIndex, path: Path) -> None:
    put(index, "a", "red", "green")
    put(index, "b", "blue")
    assert index.forget("default", "a") == 2
    assert index.forget("default", "a") == 0
    assert [found.uri for found in stored(index)] == ["b"]
    assert rows(path, "SELECT text FROM chunks") == [("blue",)]
    assert keyword_hits(path, "red") == []
    assert_consistent(path)


def test_forget_removes_a_collection_with_its_last_document_only(index: SqliteIndex, path: Path) -> None:
    for uri, collection in (("a", "x"), ("b", "x"), ("a", "y")):
        put(index, uri, "red", collection=collection)
    index.forget("x", "a")
    assert rows(path, "SELECT name FROM collections ORDER BY name") == [("x",), ("y",)]
    index.forget("x", "b")
    assert rows(path, "SELECT name FROM collections ORDER BY name") == [("y",)]
    with index.snapshot() as snapshot:
        assert snapshot.statistics().collections == {"y": 1}


def test_forgetting_what_is_not_there_leaves_other_collections_alone(index: SqliteIndex, path: Path) -> None:
    put(index, "a", "red")
    before = dump(path)
    assert index.forget("default", "b") == index.forget("other", "a") == 0
    assert dump(path) == before


def test_what_was_forgotten_is_not_in_the_bytes_of_the_file(path: Path) -> None:
    index = SqliteIndex(path)
    for number in range(30):
        put(index, f"{number}", f"ordinary words number {number} " * 20)
        put(index, f"secret {number}", f"Zqxjkvbprivate{number} and wvxqzhidden " * 20, title="Mkzqxtitle")
    for number in range(30):
        index.forget("default", f"secret {number}")
    index.close()
    content = path.read_bytes().lower()
    assert b"ordinary words" in content
    assert [word for word in (b"zqxjkvb", b"wvxqz", b"mkzqx", b"secret") if word in content] == []


def test_statistics_count_by_hand(index: SqliteIndex) -> None:
    with index.snapshot() as snapshot:
        empty = snapshot.statistics()
        assert (empty.documents, empty.chunks, empty.chunks_without_vector, empty.space) == (0, 0, 0, None)
        assert (empty.collections, snapshot.chunk_count) == ({}, 0)
    put(index, "a", "red", "green", collection="x")
    put(index, "b", "blue", collection="y")
    put(index, "c", "grey", collection="y")
    with index.snapshot() as snapshot:
        full = snapshot.statistics()
        assert (full.documents, full.chunks, full.chunks_without_vector) == (3, 4, 0)
        assert (full.collections, full.schema, snapshot.chunk_count) == ({"x": 1, "y": 2}, latest(), 4)
        assert full.space == snapshot.space == open_space(index)


def test_one_document_in_two_collections_is_two(index: SqliteIndex, path: Path) -> None:
    put(index, "a", "red", collection="x")
    put(index, "a", "green", collection="y")
    index.forget("x", "a")
    (left,) = stored(index)
    with index.snapshot() as snapshot:
        assert snapshot.text(left.id) == "green"
    assert_consistent(path)

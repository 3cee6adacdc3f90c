"""After any sequence of writes and forgets the file says what a dictionary would, and its parts agree."""

from __future__ import annotations

import tempfile
from contextlib import closing
from pathlib import Path

import numpy as np
from db.material import assert_consistent, embed, put, rows
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from vstore.db.index import SqliteIndex
from vstore.types import Chunk, Scope

uris = st.sampled_from(["a", "b", "c"])
titles = st.sampled_from(["", "Walrus", "Walruses maxOpen"])
odd_text = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
bodies = st.one_of(st.sampled_from(["red", "green red", "索引と検索", "maxOpenConns", "the\0the ﬁle", "é é"]), odd_text)
writes = st.tuples(uris, titles, st.lists(bodies, max_size=4))
forgets = st.tuples(uris, st.none(), st.none())
steps = st.lists(st.one_of(writes, writes, forgets), max_size=8)


@given(steps)
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_the_file_says_what_a_dictionary_would(sequence: list[tuple[str, str | None, list[str] | None]]) -> None:
    expected: dict[str, tuple[str, list[str]]] = {}
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "memory.db")
        with closing(SqliteIndex(path)) as index:
            for uri, title, contents in sequence:
                if title is None or contents is None:
                    assert index.forget("default", uri) == len(expected.pop(uri, ("", []))[1])
                    continue
                outcome = "added" if uri not in expected else "updated"
                outcome = "unchanged" if expected.get(uri) == (title, contents) else outcome
                assert put(index, uri, *contents, title=title, version=str(len(contents))) == outcome
                expected[uri] = (title, contents)
            with index.snapshot() as snapshot:
                found = {d.uri: (d.title, snapshot.text(d.id)) for d in snapshot.documents(Scope(), 10)}
        assert found == {uri: (title, "\n\n".join(contents)) for uri, (title, contents) in expected.items()}
        assert chunks_by_document(path) == {uri: contents for uri, (_, contents) in expected.items() if contents}
        assert_consistent(path)
        assert_vectors_belong_to_their_texts(path)


def chunks_by_document(path: Path) -> dict[str, list[str]]:
    sql = "SELECT d.uri, c.text FROM chunks AS c JOIN documents AS d ON d.id = c.document_id ORDER BY c.ordinal"
    found: dict[str, list[str]] = {}
    for uri, text in rows(path, sql):
        found.setdefault(uri, []).append(text)
    return found


def assert_vectors_belong_to_their_texts(path: Path) -> None:
    if not rows(path, "SELECT 1 FROM spaces"):
        return
    for text, blob in rows(path, "SELECT c.text, v.vector FROM chunks AS c JOIN vectors_g1 AS v ON v.chunk_id = c.id"):
        expected = embed([Chunk(0, 0, len(text), "", text, "only")])["only"]
        assert np.array_equal(np.frombuffer(blob, dtype="<f4"), expected)

"""Documents, vectors and the consistency check that the tests of storage share."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from toy import ToyEmbedder

from vstore.db import documents
from vstore.db.connection import Database, run
from vstore.db.index import SqliteIndex
from vstore.db.migrate import latest, migrate
from vstore.errors import InputError
from vstore.types import Chunk, Document, Space, WriteOutcome

if TYPE_CHECKING:
    from vstore.types import FloatArray

TOY = ToyEmbedder(16)
ADD = "INSERT INTO collections (name, created_at) VALUES (?, 0)"
NAMES = "SELECT name FROM collections ORDER BY id"
GAP = "\n\n"  # between the chunks of a document's text


def digest(*parts: str) -> str:
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()


def cut(bodies: Sequence[str], title: str = "", headings: Sequence[str] = ()) -> tuple[str, list[Chunk]]:
    """A text made of the bodies, and one chunk for each."""
    chunks: list[Chunk] = []
    start = 0
    for ordinal, body in enumerate(bodies):
        heading = headings[ordinal] if headings else ""
        seen = "\n".join(part for part in (title, heading, body) if part)  # as `Chunker.embedding_text` gives it
        chunks.append(Chunk(ordinal, start, start + len(body), heading, body, digest(seen)))
        start += len(body) + len(GAP)
    return GAP.join(bodies), chunks


def document(uri: str, text: str, title: str = "", version: str = "", **more: Any) -> Document:
    return Document(uri, text, title, digest(title, text, version), **more)


def embed(chunks: Sequence[Chunk], embedder: ToyEmbedder = TOY) -> dict[str, FloatArray]:
    vectors = embedder.embed_documents([chunk.text for chunk in chunks])
    return {chunk.content_hash: vector for chunk, vector in zip(chunks, vectors, strict=True)}


def open_space(index: SqliteIndex, embedder: ToyEmbedder = TOY) -> Space:
    return index.open_space(embedder.fingerprint, embedder.dimension, embedder.name)


def write(
    index: SqliteIndex, document: Document, chunks: Sequence[Chunk], vectors: Mapping[str, FloatArray], space: Space
) -> WriteOutcome:
    """Write one document; what it is answered with is raised if it is an error."""
    (outcome,) = index.write([(document, list(chunks))], vectors, space)
    if isinstance(outcome, InputError):
        raise outcome
    return outcome


def put(index: SqliteIndex, uri: str, *bodies: str, title: str = "", version: str = "", **more: Any) -> str:
    """Write one document, embedding only what the index does not have."""
    space = open_space(index)
    text, chunks = cut(bodies, title)
    (here,) = index.embedded_chunks([(more.get("collection", "default"), uri)])
    vectors = embed([chunk for chunk in chunks if chunk.content_hash not in here])
    return write(index, document(uri, text, title, version, **more), chunks, vectors, space)


def put_vectors(index: SqliteIndex, vectors: Mapping[str, FloatArray], space: Space, **more: Any) -> None:
    """One document for each uri, with one chunk that has the given vector."""
    for uri, vector in vectors.items():
        text, chunks = cut([f"text of {uri}"])
        write(index, document(uri, text, **more), chunks, {chunks[0].content_hash: vector}, space)


def unit_vectors(seed: int, n: int, dimension: int) -> FloatArray:
    """Random directions, float32 (n, dimension)."""
    rows = np.random.default_rng(seed).normal(size=(n, dimension))
    return np.asarray(rows / np.linalg.norm(rows, axis=1, keepdims=True), dtype=np.float32)


def database(path: Path) -> Database:
    """A migrated file, for tests of what lies below the index."""
    opened = Database(path, latest(), create=True)
    migrate(opened)
    return opened


def add(opened: Database, name: str) -> None:
    """The smallest write there is: an empty collection."""
    with opened.write() as connection:
        run(connection, ADD, (name,))


def names(opened: Database) -> list[str]:
    with opened.read() as connection:
        return [row[0] for row in run(connection, NAMES)]


def rows(path: Path, sql: str, values: tuple[object, ...] = ()) -> list[tuple[Any, ...]]:
    """Ask the file over a connection of its own."""
    opened = Database(path, latest(), create=False)
    try:
        with opened.read() as connection:
            return run(connection, sql, values)
    finally:
        opened.close()


def chunk_ids(path: Path, uri: str) -> dict[str, int]:
    """text -> id of the chunks of a document whose chunks are all different."""
    sql = "SELECT c.text, c.id FROM chunks AS c JOIN documents AS d ON d.id = c.document_id WHERE d.uri = ?"
    return dict(rows(path, sql, (uri,)))


def assert_consistent(path: Path, space: int = 1) -> None:
    """Text, chunks, keywords and vectors of the file agree with each other."""
    opened = Database(path, latest(), create=False)
    try:
        with opened.write() as connection:
            assert run(connection, "PRAGMA integrity_check") == [("ok",)]
            assert run(connection, "PRAGMA foreign_key_check") == []
            run(connection, "INSERT INTO chunks_fts (chunks_fts, rank) VALUES ('integrity-check', 1)")
            ids = run(connection, "SELECT id FROM chunks ORDER BY id")
            tables = {"chunks_fts_docsize": "id", "chunk_terms": "chunk_id"}
            if run(connection, "SELECT 1 FROM spaces"):
                tables |= {f"vectors_g{space}": "chunk_id", f"codes_g{space}": "chunk_id"}
            for table, column in tables.items():
                assert run(connection, f"SELECT {column} FROM {table} ORDER BY 1") == ids, table
            document_ids = [row[0] for row in run(connection, "SELECT id FROM documents")]
            chunks = run(connection, 'SELECT document_id, ordinal, start, "end", text FROM chunks ORDER BY 1, 2')
        for document_id in document_ids:
            mine = [chunk[1:] for chunk in chunks if chunk[0] == document_id]
            assert [chunk[0] for chunk in mine] == list(range(len(mine)))
            text = text_of(opened, document_id)
            assert all(text[start:end] == body for _, start, end, body in mine)
    finally:
        opened.close()


def text_of(opened: Database, document_id: int) -> str:
    with opened.read() as connection:
        text = documents.text(connection, document_id)
    assert text is not None
    return text

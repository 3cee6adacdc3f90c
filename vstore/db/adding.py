"""Chunks that come in, written with everything derived from them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import apsw

from vstore.db import terms, vectors
from vstore.db.analysis import extra_text
from vstore.db.connection import run_many
from vstore.types import Chunk, Space

if TYPE_CHECKING:
    from vstore.types import FloatArray


class NewChunk(NamedTuple):
    """A chunk to be written, for a document that has this title."""

    document_id: int
    title: str
    chunk: Chunk
    vector: FloatArray


def add_chunks(
    connection: apsw.Connection, tokenize: apsw.FTS5Tokenizer, space: Space, new: Sequence[NewChunk]
) -> None:
    """Write chunks with all that is derived from them.

    Without RETURNING, here and wherever documents are written, and without INSERT ... SELECT: SQLite sets a savepoint
    for these, and at each the keyword index writes what it else collects until the transaction ends.
    """
    if not new:
        return
    words = [(one.title, one.chunk.heading, one.chunk.text) for one in new]
    words_and_extra = [(*texts, extra_text(tokenize, "\n".join(texts))) for texts in words]
    run_many(
        connection,
        'INSERT INTO chunks (document_id, ordinal, start, "end", heading, text, extra, content_hash)'
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
        [
            (document_id, chunk.ordinal, chunk.start, chunk.end, chunk.heading, chunk.text, extra, chunk.content_hash)
            for (document_id, _, chunk, _), (*_, extra) in zip(new, words_and_extra, strict=True)
        ],
    )
    last = connection.last_insert_rowid()  # of ids that AUTOINCREMENT gave out one after the other
    ids = range(last - len(new) + 1, last + 1)
    run_many(
        connection,
        "INSERT INTO chunks_fts (rowid, title, heading, text, extra) VALUES (?, ?, ?, ?, ?)",
        [(chunk_id, *texts) for chunk_id, texts in zip(ids, words_and_extra, strict=True)],
    )
    terms.put(connection, ids, terms.entries(tokenize, [(texts[:2], texts[2:]) for texts in words_and_extra]))
    vectors.put(connection, space, ids, [one.vector for one in new])

"""What comes in: prepared before the lock of writers is taken, and its chunks with all that is derived from them."""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import apsw

from vstore import config
from vstore.db import terms, vectors
from vstore.db.analysis import extra_text
from vstore.db.connection import run_many
from vstore.types import Chunk, Cut, Document, Space

if TYPE_CHECKING:
    from vstore.types import FloatArray

Texts = tuple[str, str, str]  # title, heading and text: all the words of a chunk


class NewChunk(NamedTuple):
    """A chunk to be written, for a document that has this title."""

    document_id: int
    title: str
    chunk: Chunk
    vector: FloatArray


class Words(NamedTuple):
    """What follows from the texts of a chunk: its further words, and its forward index."""

    extra: str
    entry: terms.Entry


def texts_of(title: str, chunk: Chunk) -> Texts:
    """The texts of a chunk in a document that has this title."""
    return title, chunk.heading, chunk.text


def derive(tokenize: apsw.FTS5Tokenizer, chunks: Iterable[Texts]) -> dict[Texts, Words]:
    """What follows from the texts of chunks. It takes as long as writing them, and needs no lock."""
    distinct = [*dict.fromkeys(chunks)]
    extras = [extra_text(tokenize, "\n".join(texts)) for texts in distinct]
    columns = [(texts[:2], (texts[2], extra)) for texts, extra in zip(distinct, extras, strict=True)]
    return dict(zip(distinct, map(Words, extras, terms.entries(tokenize, columns)), strict=True))


@dataclass(frozen=True, slots=True)
class Prepared:
    """What is made of documents before the lock of writers is taken: half of the work of writing them."""

    packed: list[bytes]  # the text of each, as `pack` makes it
    words: dict[Texts, Words]  # what follows from the texts of chunks with new vectors, but those of a long document

    @classmethod
    def of(cls, tokenize: apsw.FTS5Tokenizer, cuts: Sequence[Cut], new_vectors: Mapping[str, FloatArray]) -> Prepared:
        """The first of these documents: as many as PREPARED_AT_ONCE allows, and one at least; a long one alone."""
        packed: list[bytes] = []
        texts: list[Texts] = []
        for document, chunks in cuts:
            new = [texts_of(document.title, chunk) for chunk in chunks if chunk.content_hash in new_vectors]
            size = len(packed) + len(texts) + len(new)
            if packed and (size > config.PREPARED_AT_ONCE or len(chunks) > config.WRITTEN_AT_ONCE):
                break
            try:
                packed.append(pack(document))
            except UnicodeEncodeError:
                if not packed:
                    raise
                break  # those before it are written first
            texts += new if len(chunks) <= config.WRITTEN_AT_ONCE else ()  # of a long one they are derived in parts
        return cls(packed, derive(tokenize, texts))


def pack(document: Document) -> bytes:
    """The text of a document as it is stored; half a second for the longest."""
    return zlib.compress(document.text.encode("utf-8"))


def add_chunks(
    connection: apsw.Connection,
    tokenize: apsw.FTS5Tokenizer,
    space: Space,
    new: Sequence[NewChunk],
    derived: Mapping[Texts, Words],
) -> None:
    """Write chunks with all that is derived from them, which for some is known already.

    Without RETURNING, here and wherever documents are written, and without INSERT ... SELECT: SQLite sets a savepoint
    for these, and at each the keyword index writes what it else collects until the transaction ends.
    """
    if not new:
        return
    texts = [texts_of(one.title, one.chunk) for one in new]
    known = {**derived, **derive(tokenize, [one for one in texts if one not in derived])}
    words = [known[one] for one in texts]
    run_many(
        connection,
        'INSERT INTO chunks (document_id, ordinal, start, "end", heading, text, extra, content_hash)'
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
        [
            (document_id, chunk.ordinal, chunk.start, chunk.end, chunk.heading, chunk.text, extra, chunk.content_hash)
            for (document_id, _, chunk, _), (extra, _) in zip(new, words, strict=True)
        ],
    )
    last = connection.last_insert_rowid()  # of ids that AUTOINCREMENT gave out one after the other
    ids = range(last - len(new) + 1, last + 1)
    run_many(
        connection,
        "INSERT INTO chunks_fts (rowid, title, heading, text, extra) VALUES (?, ?, ?, ?, ?)",
        [(chunk_id, *one, extra) for chunk_id, one, (extra, _) in zip(ids, texts, words, strict=True)],
    )
    terms.put(connection, ids, [entry for _, entry in words])
    vectors.put(connection, space, ids, [one.vector for one in new])

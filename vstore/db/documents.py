"""Documents and chunks: written and removed whole, with everything derived from them."""

from __future__ import annotations

import json
import zlib
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import apsw

from vstore import arguments
from vstore.db import feedback
from vstore.db.adding import NewChunk
from vstore.db.changes import ONE_DOCUMENT, Change, Version
from vstore.db.clock import from_datetime, now, to_datetime
from vstore.db.connection import run
from vstore.db.expiry import LIVE, NO_DRAFT
from vstore.db.failures import decoding
from vstore.db.scope import compile_scope
from vstore.errors import InputError
from vstore.types import Chunk, Document, Scope, Space, StoredChunk, StoredDocument, WholeDocument

if TYPE_CHECKING:
    from vstore.types import FloatArray

COLUMNS = (
    "d.id, (SELECT name FROM collections WHERE id = d.collection_id), "
    "d.uri, d.title, d.media_type, d.metadata, d.tags, d.created_at, d.updated_at, d.expires_at, d.pinned"
)


class _Chunks(dict[int, StoredChunk]):
    """Chunks by id. What ranks was found in an index, so who misses one has met an index that is damaged."""

    def __missing__(self, chunk_id: int) -> StoredChunk:
        raise apsw.CorruptError(f"an index names chunk {chunk_id}, which is not there")


# --- reading ----------------------------------------------------------------------------------------------------------


def content_hash(connection: apsw.Connection, collection: str, uri: str) -> str | None:
    """See `Index.content_hash`."""
    sql = f"SELECT d.content_hash FROM documents AS d WHERE {ONE_DOCUMENT} AND {LIVE}"
    rows = run(connection, sql, (uri, collection, now()))
    return str(rows[0][0]) if rows else None


def embedded_chunks(connection: apsw.Connection, space: Space, collection: str, uri: str) -> frozenset[str]:
    """See `Index.embedded_chunks`."""
    sql = (
        "SELECT c.content_hash FROM chunks AS c JOIN documents AS d ON d.id = c.document_id "
        f"JOIN vectors_g{space.number} AS v ON v.chunk_id = c.id WHERE {ONE_DOCUMENT}"
    )
    return frozenset(str(row[0]) for row in run(connection, sql, (uri, collection)))


def find(connection: apsw.Connection, scope: Scope, limit: int, past: int | None = None) -> list[StoredDocument]:
    """See `Snapshot.documents`."""
    condition, values = compile_scope(scope, past) or ("1", ())
    sql = (
        f"SELECT {COLUMNS} FROM documents AS d WHERE {condition} AND {NO_DRAFT} "
        "ORDER BY d.updated_at DESC, d.id LIMIT ?"
    )
    return [_document(*row) for row in run(connection, sql, (*values, limit))]


@decoding
def text(connection: apsw.Connection, document_id: int) -> str | None:
    """The whole text of a document, or None when there is no such document."""
    rows = run(connection, "SELECT text FROM documents WHERE id = ?", (document_id,))
    if not rows:
        return None
    return zlib.decompress(rows[0][0]).decode("utf-8")


def chunks(connection: apsw.Connection, chunk_ids: Sequence[int], past: int | None = None) -> dict[int, StoredChunk]:
    """See `Snapshot.chunks`."""
    found = _chunks(connection, "chunks AS c WHERE c.id IN (SELECT value FROM json_each(?))", chunk_ids)
    if past is None:
        return found
    return _Chunks({id_: chunk for id_, chunk in found.items() if not _has_expired(chunk.document, past)})


def _has_expired(document: StoredDocument, past: int) -> bool:
    expires = document.expires_at
    return expires is not None and from_datetime(expires) <= past and not document.pinned


def chunk_ids(connection: apsw.Connection, document_id: int) -> tuple[int, ...]:
    """See `Snapshot.chunk_ids`."""
    rows = run(connection, "SELECT id FROM chunks WHERE document_id = ? ORDER BY ordinal", (document_id,))
    return tuple(row[0] for row in rows)


def neighbours(connection: apsw.Connection, chunk_ids: Sequence[int], reach: int) -> dict[int, StoredChunk]:
    """See `Snapshot.neighbours`."""
    source = (
        "chunks AS h JOIN chunks AS c ON c.document_id = h.document_id AND c.ordinal BETWEEN h.ordinal - ?2 "
        "AND h.ordinal + ?2 WHERE h.id IN (SELECT value FROM json_each(?1))"
    )
    return _chunks(connection, source, chunk_ids, reach)


@decoding
def _chunks(connection: apsw.Connection, source: str, chunk_ids: Sequence[int], *values: int) -> dict[int, StoredChunk]:
    """The chunks `c` that a FROM clause selects, by id."""
    sql = f'SELECT c.id, c.document_id, c.ordinal, c.start, c."end", c.heading, c.text FROM {source}'
    rows = run(connection, sql, (json.dumps(list(chunk_ids)), *values))
    sql = f"SELECT {COLUMNS} FROM documents AS d WHERE d.id IN (SELECT value FROM json_each(?))"
    ids = json.dumps(sorted({row[1] for row in rows}))
    by_id = {document[0]: _document(*document) for document in run(connection, sql, (ids,))}
    return _Chunks({id_: StoredChunk(id_, by_id[document_id], *place) for id_, document_id, *place in rows})


@decoding
def _next(connection: apsw.Connection, after: int) -> WholeDocument | None:
    """The first document with a higher id than this, live or expired, or None when there is no other."""
    sql = f"SELECT {COLUMNS}, d.content_hash, d.text FROM documents AS d WHERE d.id > ? ORDER BY d.id LIMIT 1"
    for *row, hash_, packed in run(connection, sql, (after,)):
        document = _document(*row)
        columns = 'id, ordinal, start, "end", heading, text, content_hash'
        parts = run(connection, f"SELECT {columns} FROM chunks WHERE document_id = ? ORDER BY ordinal", (document.id,))
        chunks = tuple(Chunk(*part[1:]) for part in parts)
        content = zlib.decompress(packed).decode("utf-8")
        return WholeDocument(document, hash_, content, chunks, tuple(part[0] for part in parts))
    return None


def whole_documents(connection: apsw.Connection, past: int | None) -> Iterator[WholeDocument]:
    """See `Snapshot.whole_documents`."""
    last = 0
    while found := _next(connection, last):
        last = found.document.id
        if past is None or not _has_expired(found.document, past):
            yield found


@decoding
def _document(*row: Any) -> StoredDocument:
    id_, collection, uri, title, media_type, metadata, tags, created, updated, expires, pinned = row
    return StoredDocument(
        id=id_,
        collection=collection,
        uri=uri,
        title=title,
        media_type=media_type,
        metadata=json.loads(metadata),
        tags=tuple(json.loads(tags)),
        created_at=to_datetime(created),
        updated_at=to_datetime(updated),
        expires_at=None if expires is None else to_datetime(expires),
        pinned=bool(pinned),
    )


# --- writing ----------------------------------------------------------------------------------------------------------


def replace(
    connection: apsw.Connection, change: Change, new_vectors: Mapping[str, FloatArray], space: Space, packed: bytes
) -> list[NewChunk]:
    """Make a change whose document's text is `packed`, but for what it adds, which is left to `add_chunks`.

    The caller holds the write transaction in which the change was found.
    """
    if change.outcome == "unchanged":
        return []
    document = change.document
    found = [change.vector(connection, space, chunk, new_vectors) for chunk in change.added]
    # The keyword index must be told the old words, title included, so chunks go before the document changes.
    feedback.release(connection, change.removed)
    remove_chunks(connection, change.removed)
    document_id = put_document(connection, document, packed)
    place_chunks(connection, change.moved)
    return [
        NewChunk(document_id, document.title, chunk, vector) for chunk, vector in zip(change.added, found, strict=True)
    ]


def forget(connection: apsw.Connection, collection: str, uri: str) -> int:
    """See `Index.forget`; the caller holds the write transaction."""
    document_id = Version.of(connection, collection, uri).document_id
    if document_id is None:
        return 0
    removed = chunk_ids(connection, document_id)
    remove_chunks(connection, removed)
    remove_document(connection, document_id)
    return len(removed)


def remove_document(connection: apsw.Connection, document_id: int) -> None:
    """Delete a document that has no chunks any more, and its collection with the last one."""
    sql = "DELETE FROM documents WHERE id = ? RETURNING collection_id"
    ((collection,),) = run(connection, sql, (document_id,))
    sql = "DELETE FROM collections WHERE id = ? AND id NOT IN (SELECT collection_id FROM documents)"
    run(connection, sql, (collection,))


def put_document(connection: apsw.Connection, document: Document, packed: bytes) -> int:
    """Write a document's row, whose text is `packed`, or write over it; its id.

    With neither RETURNING nor INSERT ... SELECT, for the reason that `add_chunks` gives.
    """
    moment = now()
    changed = from_datetime(document.modified_at) if document.modified_at else moment
    run(
        connection,
        "INSERT INTO collections (name, created_at) VALUES (?, ?) ON CONFLICT (name) DO NOTHING",
        (document.collection, moment),
    )
    run(
        connection,
        "INSERT INTO documents AS d"
        " (collection_id, uri, title, media_type, content_hash, metadata, tags, created_at, updated_at,"
        " expires_at, pinned, text)"
        " VALUES ((SELECT id FROM collections WHERE name = ?), ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
        " ON CONFLICT (collection_id, uri) DO UPDATE SET title = excluded.title, media_type = excluded.media_type,"
        " content_hash = excluded.content_hash, metadata = excluded.metadata, tags = excluded.tags,"
        " updated_at = excluded.updated_at, text = excluded.text, pinned = d.pinned OR excluded.pinned,"
        f" expires_at = coalesce(excluded.expires_at, CASE WHEN {LIVE} THEN d.expires_at END)",
        (
            document.collection,
            document.uri,
            document.title,
            document.media_type,
            document.content_hash,
            _json(document, "metadata", dict(document.metadata)),
            _json(document, "tags", list(document.tags)),
            from_datetime(document.created_at) if document.created_at else moment,
            changed,
            from_datetime(document.expires_at) if document.expires_at else None,
            document.pinned,
            packed,
            moment,
        ),
    )
    sql = f"SELECT d.id FROM documents AS d WHERE {ONE_DOCUMENT}"
    ((document_id,),) = run(connection, sql, (document.uri, document.collection))
    return int(document_id)


_ENCODER = json.JSONEncoder(ensure_ascii=False, allow_nan=False)  # json.dumps would make one for each value


def _json(document: Document, part: str, value: object) -> str:
    arguments.check_depth(value)  # SQLite's JSON has a limit, and Python's is another one in each version
    try:
        return _ENCODER.encode(value)
    except (TypeError, ValueError) as error:
        raise InputError(f"the {part} of {document.uri} cannot be stored as JSON ({error})") from error


def remove_chunks(connection: apsw.Connection, chunk_ids: Sequence[int]) -> None:
    """Delete chunks; terms, vectors and codes follow by foreign key, the keyword index has to be told the old text."""
    for chunk_id in chunk_ids:
        run(
            connection,
            "INSERT INTO chunks_fts (chunks_fts, rowid, title, heading, text, extra)"
            " SELECT 'delete', id, title, heading, text, extra FROM chunks_indexed WHERE id = ?",
            (chunk_id,),
        )
        run(connection, "DELETE FROM chunks WHERE id = ?", (chunk_id,))


def place_chunks(connection: apsw.Connection, moved: Sequence[tuple[int, Chunk]]) -> None:
    """Give chunks, by their ids, new places in their document. Negative ordinals first: no two share one on the way."""
    if not moved:
        return
    negative = "UPDATE chunks SET ordinal = -1 - ordinal WHERE id IN (SELECT value FROM json_each(?))"
    run(connection, negative, (json.dumps([chunk_id for chunk_id, _ in moved]),))
    for chunk_id, chunk in moved:
        sql = 'UPDATE chunks SET ordinal = ?, start = ?, "end" = ? WHERE id = ?'
        run(connection, sql, (chunk.ordinal, chunk.start, chunk.end, chunk_id))

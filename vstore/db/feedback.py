"""Judgements in the file: what people said about chunks and documents.

When a judged chunk is gone, because its document changed, its judgement stays as one of the document.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

import apsw

from vstore import config
from vstore.addresses import uris
from vstore.db.clock import from_datetime, now, to_datetime
from vstore.db.connection import run, trim
from vstore.db.expiry import LIVE
from vstore.db.failures import decoding
from vstore.errors import InputError, NotFoundError, VstoreError
from vstore.judgements import Judgement, Verdict

_PLACES = "documents AS d JOIN collections AS n ON n.id = d.collection_id"
_IN_COLLECTION = "(?2 IS NULL OR n.name = ?2)"
_LIVE = LIVE.replace("?", "?3")


def judge(connection: apsw.Connection, verdicts: Sequence[Verdict]) -> list[Judgement | VstoreError]:
    """See `Index.judge`; the caller holds the write transaction."""
    moment = now()
    outcomes: list[Judgement | VstoreError] = []
    for verdict in verdicts:
        try:
            outcomes.append(_judge(connection, verdict, moment))
        except (InputError, NotFoundError) as error:  # raised before anything is written; the caller is told
            outcomes.append(error)
    trim(connection, "feedback", "given_at", config.MAX_JUDGEMENTS)
    return outcomes


def _judge(connection: apsw.Connection, verdict: Verdict, moment: int) -> Judgement:
    document_id, collection, uri = _place(connection, verdict, moment)
    chunk_id = verdict.target if isinstance(verdict.target, int) else None
    judged = (verdict.query, document_id, chunk_id)
    if verdict.given_at is not None:
        moment = from_datetime(verdict.given_at)
        same = "query = ? AND document_id = ? AND chunk_id IS ?"
        sql = f"SELECT grade, given_at FROM feedback WHERE {same} AND given_at > ? ORDER BY given_at DESC LIMIT 1"
        for grade, later in run(connection, sql, (*judged, moment)):
            return Judgement(verdict.query, collection, uri, document_id, chunk_id, grade, to_datetime(later))
    # Not updated in place: the new row has a new id, which keeps judgements of the same millisecond in order.
    run(connection, "DELETE FROM feedback WHERE query = ? AND document_id = ? AND chunk_id IS ?", judged)
    sql = "INSERT INTO feedback (query, document_id, chunk_id, grade, given_at) VALUES (?, ?, ?, ?, ?)"
    run(connection, sql, (*judged, verdict.grade, moment))
    return Judgement(verdict.query, collection, uri, document_id, chunk_id, verdict.grade, to_datetime(moment))


def _place(connection: apsw.Connection, verdict: Verdict, moment: int) -> tuple[int, str, str]:
    """Id, collection and uri of the document that is judged, or whose chunk is. Raises NotFoundError."""
    target, collection = verdict.target, verdict.collection
    where = "" if collection is None else f" in the collection {collection!r}"
    columns = f"SELECT d.id, n.name, d.uri FROM {_PLACES}"
    if isinstance(target, int):
        sql = f"{columns} JOIN chunks AS c ON c.document_id = d.id WHERE c.id = ?1 AND {_IN_COLLECTION} AND {_LIVE}"
        for found in run(connection, sql, (target, collection, moment)):
            return found
        raise NotFoundError(f"there is no chunk {target}{where}; it may have been forgotten or replaced")
    for uri in uris(target):
        rows = run(
            connection, f"{columns} WHERE d.uri = ?1 AND {_IN_COLLECTION} AND {_LIVE}", (uri, collection, moment)
        )
        if len(rows) > 1:
            raise NotFoundError(f"{len(rows)} collections have a document {target!r}; say which one is meant")
        if rows:
            return rows[0]
    raise NotFoundError(f"the store has no document {target!r}{where}; see what it has with: vstore list")


@decoding
def judgements(connection: apsw.Connection, past: int | None = None, query: str | None = None) -> list[Judgement]:
    """See `Snapshot.judgements`; `past` is the time up to which documents have expired."""
    # Several rows for a query and a document are what is left of chunks that are gone. With max(), SQLite takes the
    # other columns from the row that has it.
    one, wanted = ("", ()) if query is None else ("AND f.query = ?", (query,))
    sql = (
        "SELECT f.query, n.name, d.uri, d.id, f.chunk_id, max(f.grade), f.given_at "
        f"FROM {_PLACES} JOIN feedback AS f ON f.document_id = d.id WHERE (? IS NULL OR {LIVE}) {one} "
        "GROUP BY f.query, f.document_id, f.chunk_id ORDER BY f.given_at DESC, f.id DESC"
    )
    return [
        Judgement(text, collection, uri, document_id, chunk_id, grade, to_datetime(given_at))
        for text, collection, uri, document_id, chunk_id, grade, given_at in run(connection, sql, (past, past, *wanted))
    ]


def judged_chunks(connection: apsw.Connection, document_id: int) -> set[int]:
    """Ids of the chunks of a document that were judged by themselves."""
    sql = "SELECT DISTINCT chunk_id FROM feedback WHERE document_id = ? AND chunk_id IS NOT NULL"
    return {chunk_id for (chunk_id,) in run(connection, sql, (document_id,))}


def hand_over(connection: apsw.Connection, old: int, new: int, chunks: Mapping[int, int]) -> None:
    """Give what was said of a document to the one that takes its place.

    `chunks` are ids of chunks of the new one, by those of the same chunks of the old one; the others are released.
    """
    release(connection, sorted(judged_chunks(connection, old) - chunks.keys()))
    for before, after in chunks.items():
        run(connection, "UPDATE feedback SET chunk_id = ? WHERE chunk_id = ?", (after, before))
    run(connection, "UPDATE feedback SET document_id = ? WHERE document_id = ?", (new, old))


def release(connection: apsw.Connection, chunk_ids: Sequence[int]) -> None:
    """Before these chunks are removed: make what was said of them a judgement of the document, or drop it.

    A document is relevant when a part of it was; that one part was not says nothing about what replaces it.
    """
    if not chunk_ids:
        return
    chosen = "chunk_id IN (SELECT value FROM json_each(?))"
    ids = (json.dumps(list(chunk_ids)),)
    run(connection, f"DELETE FROM feedback WHERE grade <= 0 AND {chosen}", ids)
    run(connection, f"UPDATE feedback SET chunk_id = NULL WHERE {chosen}", ids)


def erase(connection: apsw.Connection, document_id: int) -> None:
    """Drop all that was said of a document and its chunks."""
    run(connection, "DELETE FROM feedback WHERE document_id = ?", (document_id,))

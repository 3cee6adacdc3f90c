"""Documents of many chunks, written in short transactions, so that other writers need not wait for the whole.

Until all of it is there, a new version lies in the file as a draft: a document under a name of its own that expired
before all else, which hides it as everything that has expired is hidden. One short transaction then makes it the
document, or exchanges its chunks for those of the old version, which are erased step by step. What a killed process
left of either is erased by the next that ingests, forgets or compacts. Documents of many chunks are forgotten in the
same way, for FTS5 takes 10 ms and more to remove the words of one chunk for good.
"""

from __future__ import annotations

import json
import secrets
import time
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from itertools import islice
from typing import TYPE_CHECKING

import apsw

from vstore import config, processes
from vstore.db import documents, feedback, spaces
from vstore.db.adding import NewChunk, add_chunks, derive, texts_of
from vstore.db.analysis import tokenizer
from vstore.db.clock import from_datetime, now, to_datetime
from vstore.db.connection import Database, run
from vstore.db.expiry import DRAFT
from vstore.errors import StoreBusyError, StoreError, StoreFullError, VectorMissingError, VstoreError
from vstore.types import Chunk, Document, Space, WriteOutcome

if TYPE_CHECKING:
    from vstore.types import FloatArray

_DRAFTS = f"documents AS d WHERE d.expires_at = {DRAFT} AND d.pinned = 0"  # found by the index documents_expires
_at_work: set[str] = set()  # names of the drafts that threads of this process are writing


def write(
    database: Database,
    change: documents.Change,
    chunks: Sequence[Chunk],
    packed: bytes,
    new_vectors: Mapping[str, FloatArray],
    space: Space,
) -> WriteOutcome:
    """As `Index.write` does one document, in many transactions of which the last one changes what is found.

    `chunks` are all of the new version. The change may have been found in an earlier transaction: the last one looks
    again.
    """
    name = _new_name()
    _at_work.add(name)
    try:
        with database.bulk():
            try:
                _fill(database, name, change, packed, new_vectors, space)
                with _writing(database, space) as connection:
                    outcome = _publish(
                        connection, name, documents.Change.of(connection, change.document, chunks), packed
                    )
            except BaseException:
                with suppress(VstoreError):  # the first error says more, and who comes next erases what is left
                    _erase(database, name)
                raise
            with suppress(StoreBusyError, StoreFullError):  # the new version is there
                _erase(database, name)
            return outcome
    finally:
        _at_work.discard(name)


def forget(connection: apsw.Connection, collection: str, uri: str) -> int:
    """As `documents.forget`, but a document of many chunks becomes a draft that nobody is at work on, for `sweep`."""
    sql = (
        f"SELECT d.id, (SELECT count(*) FROM chunks AS c WHERE c.document_id = d.id) FROM documents AS d "
        f"WHERE {documents.ONE_DOCUMENT}"
    )
    for document_id, count in run(connection, sql, (uri, collection)):
        if count > config.WRITTEN_AT_ONCE:
            hide = "UPDATE documents SET uri = ?, expires_at = ?, pinned = 0, created_at = ? WHERE id = ?"
            run(connection, hide, (_new_name(), DRAFT, now(), document_id))
            return int(count)
    return documents.forget(connection, collection, uri)


def sweep(database: Database) -> None:
    """Erase the drafts that nobody is at work on any more."""
    with database.read() as connection:
        drafts = run(connection, f"SELECT d.uri, d.created_at FROM {_DRAFTS}")
    for name, began in drafts:
        if _is_abandoned(name, began):
            _erase(database, name)


def chunks(connection: apsw.Connection) -> int:
    """How many chunks drafts have."""
    sql = f"SELECT count(*) FROM chunks WHERE document_id IN (SELECT d.id FROM {_DRAFTS})"
    return int(run(connection, sql)[0][0])


def _new_name() -> str:
    return f"draft:{processes.name()}/{secrets.token_hex(8)}"


def _is_abandoned(name: str, began: int) -> bool:
    """Whether the process that a draft is named after has ended, or has no such draft; or it is too old to be one's."""
    owner = name.removeprefix("draft:").partition("/")[0]
    if owner == processes.name():
        return name not in _at_work
    return processes.is_gone(owner) or now() - began > 1000 * config.STALE_PARTIAL_S


@contextmanager
def _writing(database: Database, space: Space) -> Iterator[apsw.Connection]:
    with database.write() as connection:
        spaces.require_active(connection, space)
        yield connection


def _fill(
    database: Database,
    name: str,
    change: documents.Change,
    packed: bytes,
    new_vectors: Mapping[str, FloatArray],
    space: Space,
) -> None:
    """Make the draft, with all the chunks that the stored version does not have."""
    document = change.document
    with _writing(database, space) as connection:
        hidden = replace(document, uri=name, created_at=None, expires_at=to_datetime(DRAFT), pinned=False)
        draft = documents.put_document(connection, hidden, packed)
    left, tokenize = deque(change.added), tokenizer(database.connection())
    while left:
        soon = islice(left, config.PREPARED_AT_ONCE)
        words = derive(tokenize, [texts_of(document.title, chunk) for chunk in soon])
        with _writing(database, space) as connection:
            _require(connection, name)
            until = time.monotonic() + config.WRITE_HOLD_S
            while left and texts_of(document.title, left[0]) in words:
                some = [left.popleft() for _ in range(min(len(left), config.ADDED_AT_ONCE))]
                found = [change.vector(connection, space, chunk, new_vectors) for chunk in some]
                new = [NewChunk(draft, document.title, *one) for one in zip(some, found, strict=True)]
                add_chunks(connection, tokenize, space, new, words)
                if time.monotonic() >= until:
                    break


def _require(connection: apsw.Connection, name: str) -> int:
    """The id of a draft, which somebody may have erased who took its process for dead, or replaced with the store."""
    rows = run(connection, f"SELECT d.id FROM {_DRAFTS} AND d.uri = ?", (name,))
    if not rows:
        raise StoreError("what was being written was erased by another process meanwhile; add it again")
    return int(rows[0][0])


def _publish(connection: apsw.Connection, name: str, change: documents.Change, packed: bytes) -> WriteOutcome:
    """Put a draft in the place of the stored version, of which it then has what the new one does not."""
    draft, document = _require(connection, name), change.document
    if change.outcome == "unchanged":
        return "unchanged"
    there = run(connection, "SELECT ordinal FROM chunks WHERE document_id = ? ORDER BY ordinal", (draft,))
    if [chunk.ordinal for chunk in change.added] != [ordinal for (ordinal,) in there]:
        raise VectorMissingError(f"{document.uri} was changed by somebody else meanwhile; add it again")
    if change.old.document_id is None:
        _show(connection, draft, document)
    else:
        _exchange(connection, draft, change, change.old.document_id, packed)
    return change.outcome


def _show(connection: apsw.Connection, draft: int, document: Document) -> None:
    """Make a draft the document: this takes the same time for any number of chunks."""
    born = from_datetime(document.created_at) if document.created_at else now()
    expires = from_datetime(document.expires_at) if document.expires_at else None
    sql = "UPDATE documents SET uri = ?, created_at = ?, expires_at = ?, pinned = ? WHERE id = ?"
    run(connection, sql, (document.uri, born, expires, document.pinned, draft))


def _exchange(connection: apsw.Connection, draft: int, change: documents.Change, old: int, packed: bytes) -> None:
    """Give the document the draft's chunks, and the draft those that are removed, with the title they are found by."""
    feedback.release(connection, change.removed)
    sql = (
        "UPDATE documents SET (title, text) = (SELECT title, text FROM documents WHERE id = ?), created_at = ? "
        "WHERE id = ?"
    )
    run(connection, sql, (old, now(), draft))
    # Negative ordinals, so that no two share one in the draft.
    sql = (
        "UPDATE chunks SET document_id = ?, ordinal = -1 - ordinal WHERE id IN (SELECT value FROM json_each(?)) "
        "AND document_id = ?"
    )
    run(connection, sql, (draft, json.dumps(change.removed), old))
    documents.put_document(connection, change.document, packed)
    documents.place_chunks(connection, change.moved)
    run(connection, "UPDATE chunks SET document_id = ? WHERE document_id = ? AND ordinal >= 0", (old, draft))


def _erase(database: Database, name: str) -> None:
    """Erase a draft, if it is there, in short transactions."""
    more = True
    while more:
        with database.write() as connection:
            more = _erase_some(connection, name)


def _erase_some(connection: apsw.Connection, name: str) -> bool:
    """Remove chunks for as long as a transaction may take, and the draft with the last; whether there are more."""
    until = time.monotonic() + config.WRITE_HOLD_S
    for (draft,) in run(connection, f"SELECT d.id FROM {_DRAFTS} AND d.uri = ?", (name,)):
        for chunk_id in documents.chunk_ids(connection, draft):
            documents.remove_chunks(connection, [chunk_id])
            if time.monotonic() >= until:
                return True
        documents.remove_document(connection, draft)
    return False

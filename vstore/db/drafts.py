"""Documents of many chunks, written in short transactions, so that other writers need not wait for the whole.

Until all of it is there, a new version lies in the file as a draft: a document under a name of its own that expired
before all else, which hides it as everything that has expired is hidden. One short transaction then makes it the
document, or exchanges its chunks for those of the old version, or, where too many chunks would move, the two
documents. What is left over is erased step by step; what a killed process left is erased by the next that ingests,
forgets or compacts. Documents of many chunks are forgotten in the same way, for FTS5 takes 10 ms and more to remove the
words of one chunk for good.
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
from vstore.db.changes import Change, Version
from vstore.db.clock import from_datetime, now, to_datetime
from vstore.db.connection import Database, run
from vstore.db.expiry import DRAFT, LIVE
from vstore.errors import StoreBusyError, StoreError, StoreFullError, VectorMissingError, VstoreError
from vstore.types import Chunk, Document, Space, WriteOutcome

if TYPE_CHECKING:
    from vstore.types import FloatArray

_DRAFTS = f"documents AS d WHERE d.expires_at = {DRAFT} AND d.pinned = 0"  # found by the index documents_expires
_at_work: set[str] = set()  # names of the drafts that threads of this process are writing


def write(
    database: Database,
    document: Document,
    chunks: Sequence[Chunk],
    packed: bytes,
    new_vectors: Mapping[str, FloatArray],
    space: Space,
) -> WriteOutcome:
    """Write a document, of which the stored version or the new one has many chunks; `packed` is its text.

    Where little of it changes that is one transaction, else many, of which the last one changes what is found.
    """
    with database.read() as connection:  # to compare two long versions may take long, so not under the lock
        version = Version.of(connection, document.collection, document.uri)
        change = Change.of(connection, version, document, chunks)
    if change.placed > config.PLACED_AT_ONCE:
        change = change.with_nothing_kept()
    if change.size > config.WRITTEN_AT_ONCE:
        return _write_in_parts(database, change, packed, new_vectors, space)
    tokenize = tokenizer(database.connection())
    words = derive(tokenize, [texts_of(document.title, chunk) for chunk in change.added])
    with _writing(database, space) as connection:
        change = change.again(connection)
        added = documents.replace(connection, change, new_vectors, space, packed)
        add_chunks(connection, tokenize, space, added, words)
        return change.outcome


def _write_in_parts(
    database: Database,
    change: Change,
    packed: bytes,
    new_vectors: Mapping[str, FloatArray],
    space: Space,
) -> WriteOutcome:
    """A draft is filled and takes the place of the stored version, which is then erased as what was abandoned is."""
    with database.bulk():
        try:
            with _draft() as name:
                _fill(database, name, change, packed, new_vectors, space)
                with _writing(database, space) as connection:
                    outcome = _publish(connection, name, change, packed)
        except BaseException:
            with suppress(VstoreError):  # the first error says more, and who comes next erases what is left
                sweep(database)
            raise
        with suppress(StoreBusyError, StoreFullError):  # the new version is there
            sweep(database)
        return outcome


def forget(connection: apsw.Connection, collection: str, uri: str) -> int:
    """As `documents.forget`, but a document of many chunks becomes a draft that nobody is at work on, for `sweep`."""
    version = Version.of(connection, collection, uri)
    if version.document_id is None or version.count <= config.WRITTEN_AT_ONCE:
        return documents.forget(connection, collection, uri)
    feedback.erase(connection, version.document_id)
    _hide(connection, version.document_id)
    return version.count


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


@contextmanager
def _draft() -> Iterator[str]:
    """The name of a draft that a thread of this process is at work on."""
    name = _new_name()
    _at_work.add(name)
    try:
        yield name
    finally:
        _at_work.discard(name)


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
    change: Change,
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


def _require(connection: apsw.Connection, name: str, chunks: int = 0) -> int:
    """The id of a draft, which somebody may have erased who took its process for dead, or replaced with the store.

    It has to have at least as many chunks, if any are named: counting them takes the longer, the more there are.
    """
    for (draft,) in run(connection, f"SELECT d.id FROM {_DRAFTS} AND d.uri = ?", (name,)):
        sql = "SELECT count(*) FROM chunks WHERE document_id = ?"
        if not chunks or run(connection, sql, (draft,))[0][0] >= chunks:
            return int(draft)
    raise StoreError("what was being written was erased by another process meanwhile; add it again")


def _publish(connection: apsw.Connection, name: str, filled: Change, packed: bytes) -> WriteOutcome:
    """Put a draft in the place of the stored version, of which it has what was to be added when it was filled."""
    draft, change = _require(connection, name, len(filled.added)), filled.again(connection)
    if change.outcome == "unchanged":
        return "unchanged"
    old, is_whole = change.old.version.document_id, len(filled.added) == len(filled.chunks)
    if old is None and is_whole:
        _show(connection, draft, change.document)
    elif old is not None and change.added == filled.added and change.placed <= config.PLACED_AT_ONCE:
        _exchange(connection, draft, change, old, packed)
    elif old is not None and is_whole:
        _succeed(connection, draft, change, old)
    else:
        raise VectorMissingError(f"{change.document.uri} was changed by somebody else meanwhile; add it again")
    return change.outcome


def _show(connection: apsw.Connection, draft: int, document: Document) -> None:
    """Make a draft the document: this takes the same time for any number of chunks."""
    born = from_datetime(document.created_at) if document.created_at else now()
    expires = from_datetime(document.expires_at) if document.expires_at else None
    sql = "UPDATE documents SET uri = ?, created_at = ?, expires_at = ?, pinned = ? WHERE id = ?"
    run(connection, sql, (document.uri, born, expires, document.pinned, draft))


def _hide(connection: apsw.Connection, document_id: int) -> None:
    """Make a document a draft that nobody is at work on: this takes the same time for any number of chunks."""
    sql = "UPDATE documents SET uri = ?, expires_at = ?, pinned = 0, created_at = ? WHERE id = ?"
    run(connection, sql, (_new_name(), DRAFT, now(), document_id))


def _succeed(connection: apsw.Connection, draft: int, change: Change, old: int) -> None:
    """Make a draft that has all of the new version the document, with what was said and set of the stored one.

    Its id changes with that, and the ids of its chunks: to give each chunk another document would take too long.
    """
    document = change.document
    sql = f"SELECT d.created_at, CASE WHEN {LIVE} THEN d.expires_at END, d.pinned FROM documents AS d WHERE d.id = ?"
    ((born, expires, pinned),) = run(connection, sql, (now(), old))
    if document.expires_at is None and expires is not None:
        document = replace(document, expires_at=to_datetime(expires))
    feedback.hand_over(connection, old, draft, _successors(connection, old, draft, change))
    _hide(connection, old)
    _show(connection, draft, replace(document, created_at=to_datetime(born), pinned=bool(pinned) or document.pinned))


def _successors(connection: apsw.Connection, old: int, draft: int, change: Change) -> dict[int, int]:
    """Of the chunks that were judged: ids of the same chunks in the draft, for those that the new version has, too."""
    judged = feedback.judged_chunks(connection, old)
    kept, _, _ = change.old.match(change.document.title, change.chunks) if judged else ([], [], [])
    sql = "SELECT id FROM chunks WHERE document_id = ? AND ordinal = ?"
    return {
        chunk_id: int(run(connection, sql, (draft, chunk.ordinal))[0][0])
        for chunk_id, chunk in kept
        if chunk_id in judged
    }


def _exchange(connection: apsw.Connection, draft: int, change: Change, old: int, packed: bytes) -> None:
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
    """Remove chunks for as long as a transaction may take, and the draft after the last; whether there is more."""
    until = time.monotonic() + config.WRITE_HOLD_S
    for (draft,) in run(connection, f"SELECT d.id FROM {_DRAFTS} AND d.uri = ?", (name,)):
        while found := run(connection, "SELECT id FROM chunks WHERE document_id = ? LIMIT 1", (draft,)):
            documents.remove_chunks(connection, [found[0][0]])
            if time.monotonic() >= until:
                return True
        documents.remove_document(connection, draft)
    return False

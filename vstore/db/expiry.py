"""Documents that expire: out of every search from that moment on, and out of the file when the store is compacted.

A pinned document does not expire, whatever its time. Which ones have is asked once for each snapshot; while none has,
no search has anything to filter.
"""

from __future__ import annotations

import apsw
import numpy as np
from numpy.typing import NDArray

from vstore.db.connection import run

LIVE = "(d.expires_at IS NULL OR d.expires_at > ? OR d.pinned)"
# A draft (see db/drafts.py) is what expired before all else; nobody else can make a document expire in the past.
DRAFT = 0
NO_DRAFT = f"(d.expires_at IS NOT {DRAFT} OR d.pinned)"  # what is pinned may have come in with any time
_PASSED = "expires_at <= ? AND pinned = 0"  # as the index documents_expires has it
_EXPIRED = f"expires_at > {DRAFT} AND {_PASSED}"


def passed(connection: apsw.Connection, moment: int) -> int | None:
    """When the last of the documents expired that have until then, drafts included, None when none has.

    That time, and not the moment, goes into conditions, so that they stay the same until another document expires.
    """
    ((last,),) = run(connection, f"SELECT max(expires_at) FROM documents WHERE {_PASSED}", (moment,))
    return None if last is None else int(last)


def chunks(connection: apsw.Connection, moment: int) -> NDArray[np.int64]:
    """The ids of the chunks of documents that have expired, drafts included."""
    sql = f"SELECT id FROM chunks WHERE document_id IN (SELECT id FROM documents WHERE {_PASSED})"
    return np.array(run(connection, sql, (moment,)), dtype=np.int64).ravel()


def count(connection: apsw.Connection, moment: int) -> int:
    """Documents that have expired."""
    return int(run(connection, f"SELECT count(*) FROM documents WHERE {_EXPIRED}", (moment,))[0][0])


def oldest(connection: apsw.Connection, moment: int) -> int | None:
    """When the first of the documents that have expired came into the store; None when none has."""
    ((first,),) = run(connection, f"SELECT min(created_at) FROM documents WHERE {_EXPIRED}", (moment,))
    return None if first is None else int(first)


def expired(connection: apsw.Connection, moment: int, limit: int) -> list[tuple[str, str]]:
    """Collection and uri of documents that have expired, those first that did so first."""
    sql = (
        "SELECT c.name, d.uri FROM documents AS d JOIN collections AS c ON c.id = d.collection_id "
        f"WHERE {_EXPIRED} ORDER BY d.expires_at, d.id LIMIT ?"
    )
    return run(connection, sql, (moment, limit))


def keep(connection: apsw.Connection, collection: str, uri: str, until: int | None, pinned: bool) -> bool:
    """See `Index.keep`; False when there is no such document. The caller holds the write transaction."""
    sql = (
        "UPDATE documents SET expires_at = ?, pinned = ? "
        "WHERE uri = ? AND collection_id = (SELECT id FROM collections WHERE name = ?)"
    )
    run(connection, sql, (until, pinned, uri, collection))
    return connection.changes() > 0

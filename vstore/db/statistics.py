"""How much is in the file."""

from __future__ import annotations

import apsw

from vstore.db import drafts, expiry, models, vectors
from vstore.db.clock import now
from vstore.db.connection import run
from vstore.types import Space, Statistics


def collect(connection: apsw.Connection, space: Space | None) -> Statistics:
    """See `Snapshot.statistics`."""
    rows = run(
        connection,
        "SELECT c.name, count(*) FROM documents AS d JOIN collections AS c ON c.id = d.collection_id"
        f" WHERE {expiry.NO_DRAFT} GROUP BY c.name ORDER BY c.name",
    )
    chunks = _number(connection, "SELECT count(*) FROM chunks") - drafts.chunks(connection)
    return Statistics(
        documents=sum(number for _, number in rows),
        chunks=chunks,
        chunks_without_vector=vectors.count_missing(connection, space) if space else chunks,
        collections=dict(rows),
        space=space,
        schema=_number(connection, "PRAGMA user_version"),
        sqlite=apsw.sqlite_lib_version(),
        adapter=models.active_adapter(connection),
        expired=expiry.count(connection, now()),
    )


def _number(connection: apsw.Connection, sql: str) -> int:
    return int(run(connection, sql)[0][0])

"""Embedding spaces, and which one is active."""

from __future__ import annotations

import apsw

from vstore.db import vectors
from vstore.db.clock import now
from vstore.db.connection import run
from vstore.types import Space


def active(connection: apsw.Connection) -> Space | None:
    """The space that searches and writes use, or None before the first document."""
    rows = run(
        connection,
        "SELECT s.number, s.fingerprint, s.dimension, m.name FROM active AS a "
        "JOIN models AS m ON m.id = a.model JOIN spaces AS s ON s.number = m.space",
    )
    return Space(*rows[0]) if rows else None


def open_first(connection: apsw.Connection, fingerprint: str, dimension: int, model: str) -> Space:
    """Make the first space, with its tables, and activate it."""
    rows = run(
        connection,
        "INSERT INTO spaces (fingerprint, dimension, created_at) VALUES (?, ?, ?) RETURNING number",
        (fingerprint, dimension, now()),
    )
    number = rows[0][0]
    vectors.create_tables(connection, number)
    ((model_id,),) = run(
        connection,
        "INSERT INTO models (name, kind, space, status, created_at) VALUES (?, 'base', ?, 'active', ?) RETURNING id",
        (model, number, now()),
    )
    run(connection, "INSERT INTO active (one, model) VALUES (1, ?)", (model_id,))
    return Space(number, fingerprint, dimension, model)

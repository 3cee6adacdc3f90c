"""Embedding spaces, and which one is active."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Any

import apsw

from vstore.calibration import Calibration, Scale
from vstore.db import vectors
from vstore.db.clock import now
from vstore.db.connection import run
from vstore.types import Space


def active(connection: apsw.Connection) -> Space | None:
    """The space that searches and writes use, or None before the first document."""
    rows = run(
        connection,
        "SELECT s.number, s.fingerprint, s.dimension, m.name, coalesce(m.calibration, s.calibration) FROM active AS a "
        "JOIN models AS m ON m.id = a.model JOIN spaces AS s ON s.number = m.space",
    )
    if not rows:
        return None
    number, fingerprint, dimension, model, calibration = rows[0]
    return Space(number, fingerprint, dimension, model, _calibration(json.loads(calibration)) if calibration else None)


def own_calibration(connection: apsw.Connection, space: Space) -> Calibration | None:
    """The calibration of a space, whatever the model that serves has brought along."""
    ((calibration,),) = run(connection, "SELECT calibration FROM spaces WHERE number = ?", (space.number,))
    return _calibration(json.loads(calibration)) if calibration else None


def open_first(
    connection: apsw.Connection, fingerprint: str, dimension: int, model: str, calibration: Calibration | None
) -> Space:
    """Make the first space, with its tables, and activate it."""
    rows = run(
        connection,
        "INSERT INTO spaces (fingerprint, dimension, created_at, calibration) VALUES (?, ?, ?, ?) RETURNING number",
        (fingerprint, dimension, now(), to_json(calibration)),
    )
    number = rows[0][0]
    vectors.create_tables(connection, number)
    ((model_id,),) = run(
        connection,
        "INSERT INTO models (name, kind, space, status, created_at) VALUES (?, 'base', ?, 'active', ?) RETURNING id",
        (model, number, now()),
    )
    run(connection, "INSERT INTO active (one, model) VALUES (1, ?)", (model_id,))
    return Space(number, fingerprint, dimension, model, calibration)


def to_json(calibration: Calibration | None) -> str | None:
    """A calibration as the file keeps it."""
    return json.dumps(asdict(calibration)) if calibration else None


def _calibration(fields: dict[str, Any]) -> Calibration:
    hybrid, dense = (Scale(**fields[mode]) if fields[mode] else None for mode in ("hybrid", "dense"))
    return Calibration(fields["keywords"], hybrid, dense)

"""Embedding spaces, which one is active, and from which others it came."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Any

import apsw

from vstore.calibration import Calibration, Scale
from vstore.db import vectors
from vstore.db.clock import now
from vstore.db.connection import run
from vstore.db.failures import decoding
from vstore.errors import NotFoundError, SpaceMismatchError
from vstore.types import Space

# A trained encoder is the base model of a space that has a parent. The same one may have been trained twice.
_ENCODER = (
    "(SELECT b.id FROM models AS b WHERE b.space = s.number AND b.kind = 'base' AND b.parent IS NOT NULL "
    "ORDER BY (SELECT count(*) FROM model_files WHERE model = b.id) DESC, b.id DESC LIMIT 1)"
)
_SPACES = (
    "SELECT s.number, s.fingerprint, s.dimension, m.name, coalesce(m.calibration, s.calibration), "
    f"{_ENCODER} FROM models AS m JOIN spaces AS s ON s.number = m.space "
)


def active(connection: apsw.Connection) -> Space | None:
    """The space that searches and writes use, or None before the first document."""
    rows = run(connection, f"{_SPACES} JOIN active AS a ON a.model = m.id")
    return _space(*rows[0]) if rows else None


def require_active(connection: apsw.Connection, space: Space) -> None:
    """Raise SpaceMismatchError unless this space is the active one, as it was when something was embedded for it."""
    now_active = active(connection)
    if now_active is None or (now_active.number, now_active.fingerprint) != (space.number, space.fingerprint):
        raise SpaceMismatchError("the store switched to another model while this was being embedded; repeat it")


def of_model(connection: apsw.Connection, model_id: int) -> Space:
    """See `Index.space_of`."""
    rows = run(connection, f"{_SPACES} WHERE m.id = ?", (model_id,))
    if not rows:
        raise NotFoundError(f"there is no model {model_id}; see those there are with: vstore refine history")
    return _space(*rows[0])


def lineage(connection: apsw.Connection) -> list[Space]:
    """See `Index.lineage`."""
    line = (
        "WITH RECURSIVE line (id) AS (SELECT model FROM active UNION "
        "SELECT m.parent FROM line JOIN models AS m ON m.id = line.id WHERE m.parent IS NOT NULL) "
    )
    rows = run(connection, f"{line} {_SPACES} WHERE m.id IN (SELECT id FROM line) ORDER BY m.id DESC")
    return list({row[0]: _space(*row) for row in rows}.values())


@decoding
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


@decoding
def _space(*row: Any) -> Space:
    number, fingerprint, dimension, model, calibration, encoder = row
    fitted = _calibration(json.loads(calibration)) if calibration else None
    return Space(number, fingerprint, dimension, model, fitted, encoder)


def _calibration(fields: dict[str, Any]) -> Calibration:
    hybrid, dense = (Scale(**fields[mode]) if fields[mode] else None for mode in ("hybrid", "dense"))
    return Calibration(fields["keywords"], hybrid, dense)

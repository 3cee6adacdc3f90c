"""Models: the base model of each space, the adapters trained on top of it, and the pointer to the one that serves.

An adapter's blob holds its two steps (little-endian float64), its matrix (float32, row by row) and the CRC-32 of all
that (uint32). Rows are never deleted, so an id never comes to mean another model; weights are, once nobody can go back
to them.
"""

from __future__ import annotations

import json
import math
import zlib
from collections.abc import Mapping
from typing import Any

import apsw
import numpy as np

from vstore import config
from vstore.adapter import Adapter
from vstore.calibration import Calibration
from vstore.db import encoders, spaces
from vstore.db.clock import now, to_datetime
from vstore.db.connection import run
from vstore.db.failures import decoding
from vstore.errors import InputError, ModelDamagedError, NotFoundError
from vstore.types import ModelRecord

_STEP = np.dtype("<f8")
_WEIGHT = np.dtype("<f4")
_CHECKSUM_BYTES = 4
_ACTIVE = "SELECT m.id, m.created_at FROM active AS a JOIN models AS m ON m.id = a.model WHERE m.kind = 'adapter'"


class ActiveAdapter:
    """The adapter that serves, kept in memory until the pointer moves, whoever moves it."""

    def __init__(self) -> None:
        self._last: tuple[tuple[int, int], Adapter] | None = None

    def read(self, connection: apsw.Connection) -> Adapter | None:
        """The active adapter, None when the base model serves alone. Raises ModelDamagedError."""
        rows = run(connection, _ACTIVE)
        if not rows:
            return None
        last = self._last  # read once, since another thread may replace it
        if last is None or last[0] != rows[0]:
            last = self._last = (rows[0], load(connection, rows[0][0]))
        return last[1]


def active_adapter(connection: apsw.Connection) -> int | None:
    """The id of the adapter that serves, None when the base model serves alone."""
    rows = run(connection, _ACTIVE)
    return int(rows[0][0]) if rows else None


# --- the pointer ------------------------------------------------------------------------------------------------------


def activate(connection: apsw.Connection, model_id: int) -> None:
    """Let a model serve; the caller holds the write transaction. See `Index.activate`."""
    if model_id != active_id(connection):
        _point_to(connection, model_id, "retired")


def roll_back(connection: apsw.Connection) -> int:
    """Let the nearest ancestor of the active model that can serve do so; see `Index.roll_back`."""
    parent = way_back(connection)
    _point_to(connection, parent, "rolled back")
    return parent


def way_back(connection: apsw.Connection) -> int:
    """The nearest ancestor of the active model whose weights and vectors are kept; see `Index.way_back`."""
    sql = (
        "WITH RECURSIVE line (id, depth) AS (SELECT m.parent, 1 FROM active AS a JOIN models AS m ON m.id = a.model "
        "UNION ALL SELECT m.parent, depth + 1 FROM line JOIN models AS m ON m.id = line.id) "
        "SELECT m.id FROM line JOIN models AS m ON m.id = line.id "
        "WHERE (m.kind = 'base' OR m.weights IS NOT NULL) "
        "AND EXISTS (SELECT 1 FROM sqlite_schema WHERE name = 'vectors_g' || m.space) ORDER BY depth LIMIT 1"
    )
    rows = run(connection, sql)
    if not rows:
        refined = run(
            connection, "SELECT 1 FROM active AS a JOIN models AS m ON m.id = a.model AND m.parent IS NOT NULL"
        )
        why = "what served before is not kept any more" if refined else "the base model serves searches alone"
        raise NotFoundError(f"there is nothing to roll back: {why}")
    return int(rows[0][0])


def _point_to(connection: apsw.Connection, model_id: int, was: str) -> None:
    """Move the pointer; the model it leaves gets the status `was`."""
    space, to = spaces.active(connection), spaces.of_model(connection, model_id)
    ((kind, status),) = run(connection, "SELECT kind, status FROM models WHERE id = ?", (model_id,))
    if status in ("building", "discarded") and kind == "base":
        raise NotFoundError(f"model {model_id} is {status}; only what is complete can serve")
    if kind == "adapter":
        load(connection, model_id)  # a damaged one must not serve
    if space is None or space.number != to.number:
        encoders.require_complete(connection, model_id)
        # The model that it replaces may have come after the one it was made from.
        first = "id = ? AND kind = 'base' AND status = 'candidate'"
        run(connection, f"UPDATE models SET parent = (SELECT model FROM active) WHERE {first}", (model_id,))
    run(connection, "UPDATE models SET status = ? WHERE id = (SELECT model FROM active)", (was,))
    run(connection, "UPDATE models SET status = 'active' WHERE id = ?", (model_id,))
    run(connection, "UPDATE active SET model = ?", (model_id,))
    for status in ("retired", "rolled back"):  # apart, or what was tried and undone would push out the way back
        _drop_weights(connection, f"status = '{status}'", config.ADAPTERS_KEPT)


def active_id(connection: apsw.Connection) -> int | None:
    """The id of the model that serves, None before the first document."""
    rows = run(connection, "SELECT model FROM active")
    return rows[0][0] if rows else None


# --- adapters ---------------------------------------------------------------------------------------------------------


def save(
    connection: apsw.Connection,
    adapter: Adapter,
    recipe: Mapping[str, Any],
    scores: Mapping[str, Any],
    calibration: Calibration | None = None,
) -> int:
    """Keep an adapter as the one candidate; the caller holds the write transaction. See `Index.save_adapter`."""
    space = spaces.active(connection)
    if space is None or space.dimension != adapter.dimension:
        has = f"vectors of {space.dimension} dimensions" if space else "no vectors yet"
        raise InputError(f"an adapter for {adapter.dimension} dimensions does not fit this store, which has {has}")
    run(connection, "UPDATE models SET status = 'discarded' WHERE kind = 'adapter' AND status = 'candidate'")
    _drop_weights(connection, "status = 'discarded'", 0)
    ((model_id,),) = run(
        connection,
        "INSERT INTO models (name, kind, space, parent, status, recipe, scores, weights, calibration, created_at) "
        "VALUES (?, 'adapter', ?, ?, 'candidate', ?, ?, ?, ?, ?) RETURNING id",
        (
            space.model,
            space.number,
            active_id(connection),
            json.dumps(dict(recipe)),
            json.dumps(dict(scores)),
            _to_blob(adapter),
            spaces.to_json(calibration),
            now(),
        ),
    )
    return int(model_id)


def load(connection: apsw.Connection, model_id: int) -> Adapter:
    """An adapter by its model's id. Raises NotFoundError without weights, ModelDamagedError for wrong ones."""
    rows = run(connection, "SELECT weights FROM models WHERE id = ?", (model_id,))
    if not rows or rows[0][0] is None:
        raise NotFoundError(f"the weights of model {model_id} are not kept any more")
    return _from_blob(rows[0][0], model_id)


@decoding
def history(connection: apsw.Connection) -> list[ModelRecord]:
    """See `Index.models`."""
    rows = run(
        connection,
        "SELECT m.id, m.name, m.kind, m.parent, m.space, m.status, m.recipe, m.scores, m.created_at, "
        "a.model IS NOT NULL FROM models AS m LEFT JOIN active AS a ON a.model = m.id ORDER BY m.id DESC",
    )
    return [
        ModelRecord(
            id=row[0],
            name=row[1],
            kind=row[2],
            parent=row[3],
            space=row[4],
            status=row[5],
            recipe=json.loads(row[6]),
            scores=json.loads(row[7]),
            created_at=to_datetime(row[8]),
            active=bool(row[9]),
        )
        for row in rows
    ]


def _drop_weights(connection: apsw.Connection, condition: str, kept: int) -> None:
    """Drop the weights of the adapters under a condition, but for the newest `kept` of them."""
    run(
        connection,
        "UPDATE models SET weights = NULL WHERE id IN ("
        f"SELECT id FROM models WHERE kind = 'adapter' AND {condition} ORDER BY id DESC LIMIT -1 OFFSET ?)",
        (kept,),
    )


def _to_blob(adapter: Adapter) -> bytes:
    steps = np.array([adapter.alpha, adapter.pull], dtype=_STEP)
    content = steps.tobytes() + adapter.weights.astype(_WEIGHT).tobytes()
    return content + zlib.crc32(content).to_bytes(_CHECKSUM_BYTES, "little")


def _from_blob(blob: bytes, model_id: int) -> Adapter:
    content, checksum = blob[:-_CHECKSUM_BYTES], blob[-_CHECKSUM_BYTES:]
    if zlib.crc32(content).to_bytes(_CHECKSUM_BYTES, "little") != checksum:
        raise ModelDamagedError(
            f"the weights of adapter {model_id} do not match their checksum; go back with: vstore refine rollback"
        )
    alpha, pull = np.frombuffer(content, dtype=_STEP, count=2).tolist()
    weights = np.frombuffer(content, dtype=_WEIGHT, offset=2 * _STEP.itemsize).astype(np.float32)
    dimension = math.isqrt(len(weights))
    return Adapter(weights.reshape(dimension, dimension), alpha, pull)

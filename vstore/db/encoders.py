"""Trained encoders: each is the base model of a space of its own, which is filled beside the one that serves.

While a space is being filled, documents are written to the active one alone, so that no other process needs the new
model; whoever fills it embeds what came in since, until there is nothing left and the pointer can move.

The files of an encoder are kept in parts, its vectors in the tables of its space. Both go once nobody can go back to
them, a little in each transaction; the rows of `spaces` and `models` stay.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import apsw

from vstore import config
from vstore.calibration import Calibration
from vstore.db import documents, spaces, vectors
from vstore.db.clock import now, to_datetime
from vstore.db.connection import run
from vstore.errors import IncompleteSpaceError, InputError, NotFoundError
from vstore.types import Space, StoredChunk

if TYPE_CHECKING:
    from vstore.types import FloatArray

_UNFINISHED = "kind = 'base' AND status IN ('building', 'candidate')"
_REFINED = ", refined "


# --- making one -------------------------------------------------------------------------------------------------------


def begin(connection: apsw.Connection, fingerprint: str, dimension: int, recipe: Mapping[str, Any]) -> int:
    """See `Index.begin_encoder`; the caller holds the write transaction."""
    active = spaces.active(connection)
    if active is None:
        raise NotFoundError("the store has no vectors yet, so there is nothing to refine; add documents first")
    if active.fingerprint == fingerprint:
        raise InputError(f"the encoder {fingerprint[:12]} serves this store already")
    known = run(
        connection,
        f"SELECT id FROM models WHERE space = (SELECT number FROM spaces WHERE fingerprint = ?) AND {_UNFINISHED}",
        (fingerprint,),
    )
    if known:
        return int(known[0][0])
    run(connection, f"UPDATE models SET status = 'discarded' WHERE {_UNFINISHED}")
    number = _space(connection, fingerprint, dimension)
    moment = now()
    root = active.model.split(_REFINED)[0]
    ((model_id,),) = run(
        connection,
        "INSERT INTO models (name, kind, space, parent, status, recipe, created_at) "
        "VALUES (?, 'base', ?, (SELECT model FROM active), 'building', ?, ?) RETURNING id",
        (f"{root}{_REFINED}{to_datetime(moment):%Y-%m-%d}", number, json.dumps(dict(recipe)), moment),
    )
    return int(model_id)


def _space(connection: apsw.Connection, fingerprint: str, dimension: int) -> int:
    """The number of the space with this fingerprint, with its tables. An earlier one may have been dropped."""
    run(
        connection,
        "INSERT INTO spaces (fingerprint, dimension, created_at) VALUES (?, ?, ?) ON CONFLICT (fingerprint) DO NOTHING",
        (fingerprint, dimension, now()),
    )
    ((number,),) = run(connection, "SELECT number FROM spaces WHERE fingerprint = ?", (fingerprint,))
    vectors.create_tables(connection, number)
    return int(number)


def put_part(connection: apsw.Connection, model_id: int, name: str, part: int, content: bytes) -> None:
    """Store a part of a file, replacing what was there; the caller holds the write transaction."""
    _require_unfinished(connection, model_id)
    run(
        connection,
        "INSERT INTO model_files (model, name, part, content) VALUES (?, ?, ?, ?) "
        "ON CONFLICT (model, name, part) DO UPDATE SET content = excluded.content",
        (model_id, name, part, content),
    )


def parts(connection: apsw.Connection, model_id: int, name: str) -> int:
    """How many parts of a file there are."""
    ((count,),) = run(connection, "SELECT count(*) FROM model_files WHERE model = ? AND name = ?", (model_id, name))
    return int(count)


def part(connection: apsw.Connection, model_id: int, name: str, number: int) -> bytes | None:
    """A part of a file, None behind the last one."""
    sql = "SELECT content FROM model_files WHERE model = ? AND name = ? AND part = ?"
    rows = run(connection, sql, (model_id, name, number))
    return bytes(rows[0][0]) if rows else None


def lacking(connection: apsw.Connection, space: Space, after: int, limit: int) -> list[StoredChunk]:
    """See `Index.lacking`."""
    _require_tables(connection, space.number, space.model)
    sql = (
        f"SELECT c.id FROM chunks AS c LEFT JOIN codes_g{space.number} AS v ON v.chunk_id = c.id "
        "WHERE c.id > ? AND v.chunk_id IS NULL ORDER BY c.id LIMIT ?"
    )
    ids = [row[0] for row in run(connection, sql, (after, limit))]
    found = documents.chunks(connection, ids)
    return [found[chunk_id] for chunk_id in ids]


def put_vectors(connection: apsw.Connection, space: Space, new: Mapping[int, FloatArray]) -> int:
    """See `Index.put_vectors`; the caller holds the write transaction."""
    _require_tables(connection, space.number, space.model)
    ids = json.dumps(list(new))
    sql = (
        "SELECT id FROM chunks WHERE id IN (SELECT value FROM json_each(?)) "
        f"AND id NOT IN (SELECT chunk_id FROM codes_g{space.number})"
    )
    wanted = [row[0] for row in run(connection, sql, (ids,))]
    vectors.put(connection, space, wanted, [new[chunk_id] for chunk_id in wanted])
    return len(wanted)


def complete(
    connection: apsw.Connection, model_id: int, scores: Mapping[str, Any], calibration: Calibration | None
) -> None:
    """See `Index.complete_encoder`; the caller holds the write transaction."""
    number = _require_unfinished(connection, model_id)
    run(
        connection,
        "UPDATE models SET status = 'candidate', scores = ? WHERE id = ?",
        (json.dumps(dict(scores)), model_id),
    )
    run(connection, "UPDATE spaces SET calibration = ? WHERE number = ?", (spaces.to_json(calibration), number))


def discard(connection: apsw.Connection, model_id: int) -> None:
    """See `Index.discard_encoder`; the caller holds the write transaction."""
    _require_unfinished(connection, model_id)
    run(connection, "UPDATE models SET status = 'discarded' WHERE id = ?", (model_id,))


# --- the conditions of a switch ---------------------------------------------------------------------------------------


def require_complete(connection: apsw.Connection, model_id: int) -> None:
    """Raise unless every chunk has a vector in the space of this model. Counted under the lock, before the switch."""
    space = spaces.of_model(connection, model_id)
    _require_tables(connection, space.number, f"model {model_id}")
    missing = vectors.count_missing(connection, space)
    if missing:
        raise IncompleteSpaceError(
            f"{missing:,} chunks have no vector of {space.model} yet, so model {model_id} cannot serve; embed them "
            "first (vstore.ingest.backfill), then switch again"
        )


def _require_unfinished(connection: apsw.Connection, model_id: int) -> int:
    """The number of the space of an encoder that has not served yet. Raises NotFoundError for any other model."""
    rows = run(connection, f"SELECT space FROM models WHERE id = ? AND {_UNFINISHED}", (model_id,))
    if not rows:
        raise NotFoundError(
            f"model {model_id} is no encoder in the making; see those there are with: vstore refine history"
        )
    return int(rows[0][0])


def _require_tables(connection: apsw.Connection, number: int, whose: str) -> None:
    if not vectors.have_tables(connection, number):
        raise NotFoundError(f"the vectors of {whose} are not kept any more; see: vstore refine history")


# --- what nobody can go back to ---------------------------------------------------------------------------------------


def sweep(connection: apsw.Connection) -> bool:
    """Erase a little of the encoders and spaces that nobody can go back to; False when nothing is left to erase.

    The caller holds the write transaction.
    """
    kept = json.dumps(list(_kept(connection)))
    for (number,) in run(
        connection, "SELECT number FROM spaces WHERE number NOT IN (SELECT value FROM json_each(?))", (kept,)
    ):
        if vectors.have_tables(connection, number):
            vectors.erase(connection, number)
            _forget_space(connection, number)
            return True
    doomed = run(
        connection,
        "SELECT f.model, f.name, f.part FROM model_files AS f JOIN models AS m ON m.id = f.model "
        "WHERE m.status = 'discarded' OR m.space NOT IN (SELECT value FROM json_each(?)) LIMIT 1",
        (kept,),
    )
    for row in doomed:
        run(connection, "DELETE FROM model_files WHERE model = ? AND name = ? AND part = ?", row)
    return bool(doomed)


def _forget_space(connection: apsw.Connection, number: int) -> None:
    """What else was of use in this space alone: vectors of logged queries, and adapters."""
    run(connection, "UPDATE queries SET space = NULL, vector = NULL WHERE space = ?", (number,))
    run(connection, "UPDATE models SET weights = NULL WHERE space = ? AND weights IS NOT NULL", (number,))


def _kept(connection: apsw.Connection) -> Iterator[int]:
    """The numbers of the spaces that are used, filled, or among the SPACES_KEPT that one can go back to.

    Those come first that the active one was refined from, the nearest first, then the newest that served.
    """
    for (number,) in run(
        connection, f"SELECT space FROM models WHERE {_UNFINISHED} OR id = (SELECT model FROM active)"
    ):
        yield number
    others = (
        "WITH RECURSIVE line (id, depth) AS (SELECT model, 0 FROM active UNION ALL "
        "SELECT m.parent, depth + 1 FROM line JOIN models AS m ON m.id = line.id WHERE m.parent IS NOT NULL) "
        "SELECT m.space FROM models AS m LEFT JOIN line ON line.id = m.id "
        "WHERE m.kind = 'base' AND m.status IN ('retired', 'rolled back') "
        "AND m.space <> (SELECT space FROM models WHERE id = (SELECT model FROM active)) "
        "GROUP BY m.space ORDER BY min(coalesce(line.depth, 1e9)), max(m.id) DESC LIMIT ?"
    )
    for (number,) in run(connection, others, (config.SPACES_KEPT,)):
        yield number

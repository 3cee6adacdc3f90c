"""Refinement runs in the file, and the lease that lets only one of them work at a time."""

from __future__ import annotations

import json
from collections.abc import Sequence

import apsw

from vstore import config, processes
from vstore.db import models
from vstore.db.clock import now, to_datetime
from vstore.db.connection import run
from vstore.db.failures import decoding
from vstore.errors import RefinementBusyError, RefinementOvertakenError
from vstore.runs import Conclusion, Learned, RunRecord, SeenQuery

_COLUMNS = "id, started_at, finished_at, status, decision, configuration, report, model, owner, lease_until"


def begin(connection: apsw.Connection, configuration: str) -> int:
    """See `Index.begin_run`; the caller holds the write transaction."""
    sql = "SELECT id, owner, started_at, lease_until FROM refine_runs WHERE status = 'running'"
    for run_id, owner, started_at, lease_until in run(connection, sql):
        if not _is_free(owner, lease_until):
            since = to_datetime(started_at).astimezone().strftime("%H:%M")
            raise RefinementBusyError(
                f"another refinement of this store is at work ({owner}, since {since}); let it end"
            )
        end = "UPDATE refine_runs SET status = 'interrupted', finished_at = ?, decision = ? WHERE id = ?"
        run(connection, end, (now(), "it was interrupted before it could decide; nothing was changed", run_id))
        _drop_unmeasured(connection, run_id)
    ((run_id,),) = run(
        connection,
        "INSERT INTO refine_runs (started_at, status, configuration, owner, lease_until)"
        " VALUES (?, 'running', ?, ?, ?) RETURNING id",
        (now(), configuration, processes.name(), _lease_end()),
    )
    return int(run_id)


def renew(connection: apsw.Connection, run_id: int) -> None:
    """See `Index.renew_run`; the caller holds the write transaction."""
    sql = "UPDATE refine_runs SET lease_until = ? WHERE id = ? AND status = 'running' RETURNING id"
    if not run(connection, sql, (_lease_end(), run_id)):
        raise RefinementOvertakenError(f"run {run_id} lost its lease to another one; it changes nothing any more")


def watch(connection: apsw.Connection, run_id: int, texts: Sequence[str]) -> None:
    """See `Index.watch_queries`; the caller holds the write transaction."""
    sql = "INSERT INTO refine_queries (run, query, figures) SELECT ?, value, '{}' FROM json_each(?)"
    run(connection, sql, (run_id, json.dumps(list(dict.fromkeys(texts)))))


def conclude(connection: apsw.Connection, run_id: int, conclusion: Conclusion) -> int | None:
    """See `Index.conclude_run`; the caller holds the write transaction."""
    renew(connection, run_id)
    promoted = conclusion.promoted
    if promoted is not None and models.active_id(connection) != conclusion.over:
        raise RefinementOvertakenError(
            "another model became active while this one was compared with the one before; it stays as it is"
        )
    if isinstance(promoted, Learned):
        promoted = models.save(connection, promoted.adapter, promoted.recipe, promoted.scores, promoted.calibration)
    if promoted is not None:
        models.activate(connection, promoted)
    run(
        connection,
        "UPDATE refine_runs SET finished_at = ?, status = ?, decision = ?, report = ?, model = ? WHERE id = ?",
        (now(), conclusion.status, conclusion.decision, json.dumps(dict(conclusion.report)), promoted, run_id),
    )
    for seen in conclusion.queries:
        sql = "UPDATE refine_queries SET figures = ? WHERE run = ? AND query = ?"
        run(connection, sql, (json.dumps(dict(seen.figures)), run_id, seen.query))
    _drop_unmeasured(connection, run_id)
    _trim(connection)
    return promoted


def _drop_unmeasured(connection: apsw.Connection, run_id: int) -> None:
    """Held-out queries that were noted, and that the run did not come to."""
    run(connection, "DELETE FROM refine_queries WHERE run = ? AND figures = '{}'", (run_id,))


def _trim(connection: apsw.Connection) -> None:
    kept = "SELECT id FROM refine_runs ORDER BY id DESC LIMIT ?"
    run(connection, f"DELETE FROM refine_queries WHERE run NOT IN ({kept})", (config.RUNS_DETAILED,))
    run(connection, f"DELETE FROM refine_runs WHERE id NOT IN ({kept})", (config.RUNS_KEPT,))


@decoding
def records(connection: apsw.Connection) -> list[RunRecord]:
    """See `Index.runs`."""
    return [
        RunRecord(
            id=run_id,
            started_at=to_datetime(started),
            finished_at=to_datetime(finished) if finished is not None else None,
            status="interrupted" if status == "running" and _is_free(owner, lease_until) else status,
            decision=decision,
            configuration=json.loads(configuration),
            report=json.loads(report),
            model=model,
        )
        for run_id, started, finished, status, decision, configuration, report, model, owner, lease_until in run(
            connection, f"SELECT {_COLUMNS} FROM refine_runs ORDER BY id DESC"
        )
    ]


@decoding
def queries(connection: apsw.Connection, run_id: int) -> list[SeenQuery]:
    """See `Index.run_queries`."""
    sql = "SELECT query, figures FROM refine_queries WHERE run = ? AND figures <> '{}' ORDER BY rowid"
    return [SeenQuery(query, json.loads(figures)) for query, figures in run(connection, sql, (run_id,))]


def _lease_end() -> int:
    return now() + round(1000 * config.LEASE_S)


def _is_free(owner: str, lease_until: int) -> bool:
    """Whether nobody holds a lease any more: it ran out, or need not be waited for, as its process has ended."""
    return lease_until <= now() or processes.is_gone(owner)

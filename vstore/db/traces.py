"""Where something of a text may still be when it was erased: what this file cannot reach, and what to do about it."""

from __future__ import annotations

import glob
from collections.abc import Iterator
from pathlib import Path

import apsw

from vstore.db.connection import run

ELSEWHERE = "backups, exports and snapshots that were made before still have it; delete those you can do without"


def in_log(path: Path) -> Iterator[str]:
    """The write-ahead log, where a reader kept it from being emptied."""
    yield f"{path}-wal has old pages for as long as another process reads; when it has ended: vstore compact"


def in_models(connection: apsw.Connection, since: int) -> Iterator[str]:
    """Refined models that were made since then (milliseconds) and are kept: they may have learned from it."""
    sql = (
        "SELECT m.id FROM models AS m WHERE m.parent IS NOT NULL AND m.created_at >= ? AND (m.weights IS NOT NULL "
        "OR EXISTS (SELECT 1 FROM model_files WHERE model = m.id)) ORDER BY m.id"
    )
    ids = [str(row[0]) for row in run(connection, sql, (since,))]
    if ids:
        yield (
            f"refined models made while it was here may have learned from it ({', '.join(ids)}); the next ones replace "
            "them, and vstore refine rollback goes back to those before"
        )


def in_copies(path: Path) -> Iterator[str]:
    """What is kept beside it of before it was restored or repaired, and copies that were cut short."""
    names = (f"{glob.escape(path.stem)}.before-*", ".vstore-*.partial")
    copies = sorted(copy.name for name in names for copy in path.parent.glob(name))
    if copies:
        yield f"earlier contents are kept beside the store: {', '.join(copies)}; delete those you can do without"

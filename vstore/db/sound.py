"""Whether a file may be trusted as a store: asked of every copy before it counts as one, and before it is restored."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import apsw

from vstore.db.check import check_file
from vstore.db.check_scan import reading as _reading
from vstore.db.connection import require_ours, run
from vstore.db.failures import translated
from vstore.db.migrate import latest
from vstore.errors import NotAStoreError, StoreDamagedError


@contextmanager
def reading(path: Path) -> Iterator[apsw.Connection]:
    """A connection in no transaction that cannot write; nothing of it is left beside the file.

    Raises NotAStoreError for an empty file, too, which SQLite takes for a new database.
    """
    if path.stat().st_size == 0:
        raise NotAStoreError(f"{path} is empty, which no store is")
    with translated(path), _reading(path) as (connection, _):
        run(connection, "ROLLBACK")
        yield connection


def require_sound(path: Path, consequence: str, *, deep: bool = False) -> tuple[str, ...]:
    """The names of the invariants that a file was found to have; `deep` as in `check_file`.

    Raises NotAStoreError and NewerStoreError for what is not for this vstore, and StoreDamagedError, with what is wrong
    and the consequence, when one of them does not hold.
    """
    try:
        with reading(path) as connection:
            require_ours(connection, path, latest())
    except StoreDamagedError as error:
        raise StoreDamagedError(f"{path} is damaged ({error.__cause__}); {consequence}") from error
    report = check_file(path, deep=deep)
    if not report.ok:
        wrong = "; ".join(f"{check.name}: {check.found}" for check in report.failed)
        raise StoreDamagedError(f"{path} is damaged ({wrong}); {consequence}")
    return tuple(check.name for check in report.checks if check.status == "ok")

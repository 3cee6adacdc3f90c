"""Whether the SQLite library at hand may be trusted with a store."""

from __future__ import annotations

import apsw

from vstore import config
from vstore.errors import DriverError


def check_driver() -> None:
    """Raise DriverError when the SQLite library at hand could lose data or lacks FTS5."""
    version = tuple(int(part) for part in apsw.sqlite_lib_version().split("."))
    if version < config.SQLITE_FLOOR:
        floor = ".".join(map(str, config.SQLITE_FLOOR))
        raise DriverError(
            f"SQLite {apsw.sqlite_lib_version()} can lose committed data when two processes write; "
            f"vstore needs {floor} or later: pip install --upgrade 'apsw>={floor}'"
        )
    if "ENABLE_FTS5" not in apsw.compile_options:
        raise DriverError(
            "this apsw was built without FTS5; install the regular wheel: pip install --force-reinstall apsw"
        )

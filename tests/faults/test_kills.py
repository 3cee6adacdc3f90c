"""What was acknowledged survives a kill and a full disk."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import pytest
from db.material import assert_consistent, put, rows
from db.processes import python
from faults.kills import BULK, kill_repeatedly

from vstore.db.index import SqliteIndex


@pytest.mark.parametrize("way", ["one by one", BULK])
def test_what_was_acknowledged_survives_kill_9(path: Path, way: str) -> None:
    assert list(kill_repeatedly(path, way, kills=5, seed=7)) == [[]] * 5


FILLER = """
import resource, sys
from pathlib import Path
from db.material import put
from vstore import config
from vstore.db.index import SqliteIndex
from vstore.errors import StoreError
path = Path(sys.argv[1])
index = SqliteIndex(path)
for number in range(5):
    put(index, f"before {number}", f"early words {number}")
config.WAL_SIZE_LIMIT = int(sys.argv[3])
limit = path.stat().st_size + int(sys.argv[2])
resource.setrlimit(resource.RLIMIT_FSIZE, (limit, resource.RLIM_INFINITY))
written = 0
try:
    for number in range(200):
        put(index, f"big {number}", *(f"{number} {part} " * 2_000 for part in range(3)))
        written += 1
except StoreError as error:
    print(written)
    print(error)
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
put(index, "after", "late words")
index.close()
"""


@pytest.mark.parametrize(("room", "log"), [(50_000, 2**23), (500_000, 2**23), (500_000, 50_000)])
def test_a_full_disk_costs_the_document_at_hand_and_nothing_before_or_after(path: Path, room: int, log: int) -> None:
    """RLIMIT_FSIZE stands in for the full disk: writes beyond it fail in the same place."""
    written, error = python(FILLER, path, room, log).splitlines()
    assert str(path) in error
    assert "space" in error
    uris = [row[0] for row in rows(path, "SELECT uri FROM documents ORDER BY id")]
    kept = [f"before {number}" for number in range(5)] + [f"big {number}" for number in range(int(written))]
    # A document may be in although its write reported an error: when only emptying the log failed.
    assert uris in ([*kept, "after"], [*kept, f"big {written}", "after"])
    assert_consistent(path)


def test_a_disk_that_is_full_from_the_start_leaves_a_file_that_can_become_a_store(path: Path) -> None:
    script = """
import resource, sys
from pathlib import Path
from vstore.db.index import SqliteIndex
from vstore.errors import StoreError
resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, resource.RLIM_INFINITY))
try:
    SqliteIndex(Path(sys.argv[1]))
except StoreError as error:
    print(error)
"""
    assert str(path) in python(script, path)
    with closing(SqliteIndex(path)) as index:
        assert put(index, "a", "red") == "added"
    assert_consistent(path)

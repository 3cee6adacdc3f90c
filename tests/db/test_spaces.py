"""A store has one active embedding space, made by the first document and the same for everybody."""

from __future__ import annotations

from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest
from db.material import open_space, rows
from db.processes import start
from toy import ToyEmbedder

from vstore.calibration import Calibration, Scale
from vstore.db.index import SqliteIndex
from vstore.errors import SpaceMismatchError
from vstore.types import Space


def test_the_first_space_is_number_1_and_stays(index: SqliteIndex, path: Path) -> None:
    space = open_space(index)
    assert space == Space(1, ToyEmbedder(16).fingerprint, 16, "toy")
    assert open_space(index) == space
    with closing(SqliteIndex(path)) as other:
        assert open_space(other) == space
        with other.snapshot() as snapshot:
            assert snapshot.space == space


def test_the_calibration_of_a_new_space_is_kept_and_later_ones_are_not_taken(index: SqliteIndex, path: Path) -> None:
    scale = Scale(-1.0, 2.0, 0.5, 0.25, 2.0, 0.6)
    first = Calibration(2.5, hybrid=scale, dense=replace(scale, keywords=0.0))
    assert index.open_space("f" * 64, 8, "mine", first).calibration == first
    assert index.open_space("f" * 64, 8, "mine", replace(first, keywords=3.0)).calibration == first
    with closing(SqliteIndex(path)) as other, other.snapshot() as snapshot:
        assert snapshot.space == Space(1, "f" * 64, 8, "mine", first)


def test_another_model_is_refused_and_nothing_is_made(index: SqliteIndex, path: Path) -> None:
    open_space(index)
    other = ToyEmbedder(8, "other")
    with pytest.raises(SpaceMismatchError) as caught:
        open_space(index, other)
    mine, others = ToyEmbedder(16).fingerprint[:12], other.fingerprint[:12]
    assert f"vectors of toy ({mine})" in str(caught.value)
    assert f"others ({others}); open the store with toy, or ingest the sources" in str(caught.value)
    assert rows(path, "SELECT number FROM spaces") == [(1,)]


def test_processes_that_open_the_first_space_at_once_agree(tmp_path: Path) -> None:
    script = """
import sys
from pathlib import Path
from db.material import open_space
from toy import ToyEmbedder
from vstore.db.index import SqliteIndex
from vstore.errors import SpaceMismatchError
print("ready", flush=True)
for line in sys.stdin:
    index = SqliteIndex(Path(line.strip()))
    try:
        print(open_space(index, ToyEmbedder(16, sys.argv[1])).number, flush=True)
    except SpaceMismatchError:
        print("refused", flush=True)
    index.close()
"""
    processes = [start(script, flavour) for flavour in ("one", "one", "two")]
    assert [process.stdout.readline() for process in processes if process.stdout] == ["ready\n"] * 3
    for attempt in range(8):
        path = tmp_path / f"{attempt}.db"
        for process in processes:
            assert process.stdin is not None
            process.stdin.write(f"{path}\n")
            process.stdin.flush()
        answers = [process.stdout.readline().strip() for process in processes if process.stdout]
        winner = rows(path, "SELECT number, fingerprint FROM spaces")
        assert len(winner) == len(rows(path, "SELECT model FROM active")) == 1
        two_won = winner[0][1] == ToyEmbedder(16, "two").fingerprint
        assert answers == (["refused", "refused", "1"] if two_won else ["1", "1", "refused"])
    assert [process.communicate()[1] for process in processes] == [""] * 3

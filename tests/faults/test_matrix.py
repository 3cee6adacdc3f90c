"""Every operation survives every kind of fault; a selection of the points that `python -m faults.matrix` tries."""

from __future__ import annotations

from pathlib import Path

import pytest
from faults.cases import OPERATIONS, Bench, chosen
from faults.disk import MODES

POINTS = 3  # of each operation in each mode


@pytest.mark.parametrize("name", OPERATIONS)
def test_a_fault_leaves_the_state_before_or_after_and_a_store_that_works(name: str, tmp_path: Path) -> None:
    bench = Bench(OPERATIONS[name], tmp_path)
    struck = 0
    for number, mode in enumerate(MODES):
        for point in chosen(mode, bench.points, POINTS):
            moved = point if point < 2 else max(1, point - number)  # so that the modes share few points
            outcome = bench.case(mode, moved, seed=bench.points)
            assert outcome.violations == [], f"{mode} at point {moved} of {bench.points}, seed {bench.points}"
            struck += outcome.fired
    assert struck >= 4 * POINTS  # of five modes: on a full disk, what does not grow a file goes on

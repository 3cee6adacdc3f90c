"""The whole fault matrix: every operation, every kind of fault, every point at which it can strike.

    cd tests; python -m faults.matrix [--points 60] [--seeds 1] [--only NAME ...] [--jobs 2] [--json FILE]

Prints the counts and ends with 1 when anything was violated.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import sys
import tempfile
import time
from collections import Counter
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from faults.cases import OPERATIONS, Bench, chosen
from faults.disk import MODES

SEEDED = ("power loss",)


@dataclass
class Tally:
    """What came of the cases of one operation."""

    operation: str
    points: int
    cases: Counter[str] = field(default_factory=Counter)  # by mode
    fired: Counter[str] = field(default_factory=Counter)
    violations: list[str] = field(default_factory=list)
    seconds: float = 0.0


def run(name: str, points: int, seeds: int) -> Tally:
    """All cases of one operation: in each mode up to `points` of its points, the random mode once for each seed."""
    started = time.monotonic()
    with tempfile.TemporaryDirectory(dir=memory()) as folder:
        bench = Bench(OPERATIONS[name], Path(folder))
        tally = Tally(name, bench.points)
        for mode in MODES:
            for point in chosen(mode, bench.points, points):
                for seed in range(seeds if mode in SEEDED else 1):
                    outcome = bench.case(mode, point, seed)
                    tally.cases[mode] += 1
                    tally.fired[mode] += outcome.fired
                    where = f"{name}, {mode}, point {point} of {bench.points}, seed {seed}"
                    tally.violations += [f"{where}: {violation}" for violation in outcome.violations]
    tally.seconds = time.monotonic() - started
    return tally


def memory() -> str | None:
    """A folder in memory, where there is one: no platter is waited for."""
    return "/dev/shm" if Path("/dev/shm").is_dir() else None


def main() -> int:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--points", type=int, default=60, help="points of each operation, spread evenly")
    options.add_argument("--seeds", type=int, default=2, help="power losses at each point")
    options.add_argument("--only", nargs="*", choices=sorted(OPERATIONS), help="some of the operations")
    options.add_argument("--jobs", type=int, default=2, help="processes")
    options.add_argument("--json", type=Path, help="where to write the counts")
    wanted = options.parse_args()
    names = wanted.only or list(OPERATIONS)
    started = time.monotonic()
    print(f"{'operation':20} {'points':>6} " + " ".join(f"{mode:>16}" for mode in MODES) + "  (faults struck / cases)")
    tallies: list[Tally] = []
    with ProcessPoolExecutor(wanted.jobs, multiprocessing.get_context("spawn")) as pool:
        for tally in pool.map(partial(run, points=wanted.points, seeds=wanted.seeds), names):
            struck = " ".join(f"{tally.fired[mode]:>8} / {tally.cases[mode]:<5}" for mode in MODES)
            print(f"{tally.operation:20} {tally.points:>6} {struck} {tally.seconds:6.1f} s", flush=True)
            tallies.append(tally)
    violations = [violation for tally in tallies for violation in tally.violations]
    cases, fired = (sum(sum(getattr(tally, name).values()) for tally in tallies) for name in ("cases", "fired"))
    print(f"{cases:,} cases, {fired:,} faults struck, {len(violations)} violations, {time.monotonic() - started:.0f} s")
    for violation in violations:
        print(violation)
    if wanted.json:
        wanted.json.write_text(json.dumps({"operations": [vars(tally) for tally in tallies]}, indent=1))
    return bool(violations)


if __name__ == "__main__":
    sys.exit(main())

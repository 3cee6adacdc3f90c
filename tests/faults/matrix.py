"""Everything that takes too long for the ordinary suite, but for the soak (faults/soak.py).

    cd tests; python -m faults.matrix [--points 60] [--seeds 2] [--only NAME ...] [--jobs 2] [--json FILE]

First the fault matrix: every operation, every kind of fault, every point at which it can strike. Then, unless some
operations alone are asked for, 60 kills, the state machine for longer, and the broken variants. Prints the counts, and
ends with 1 when anything was violated.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import sys
import tempfile
import time
import traceback
from collections import Counter
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from faults.cases import OPERATIONS, Bench, chosen
from faults.disk import MODES
from faults.kills import BULK, kill_repeatedly
from faults.machine import Machine, quickly
from faults.mutants import mutants
from hypothesis import settings
from hypothesis.stateful import run_state_machine_as_test

SEEDED = ("power loss",)
KILLS = 60
EXAMPLES, STEPS = 150, 50  # of the state machine


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
                    outcome = bench.case(mode, point, seed, deep=True)
                    tally.cases[mode] += 1
                    tally.fired[mode] += outcome.fired
                    where = f"{name}, {mode}, point {point} of {bench.points}, seed {seed}"
                    tally.violations += [f"{where}: {violation}" for violation in outcome.violations]
    tally.seconds = time.monotonic() - started
    return tally


def memory() -> str | None:
    """A folder in memory, where there is one: no platter is waited for."""
    return "/dev/shm" if Path("/dev/shm").is_dir() else None


def matrix(names: list[str], points: int, seeds: int, jobs: int) -> list[Tally]:
    """The cases of these operations, counted, with a line printed for each."""
    print(f"{'operation':20} {'points':>6} " + " ".join(f"{mode:>16}" for mode in MODES) + "  (faults struck / cases)")
    started, tallies = time.monotonic(), []
    with ProcessPoolExecutor(jobs, multiprocessing.get_context("spawn")) as pool:
        for tally in pool.map(partial(run, points=points, seeds=seeds), names):
            struck = " ".join(f"{tally.fired[mode]:>8} / {tally.cases[mode]:<5}" for mode in MODES)
            print(f"{tally.operation:20} {tally.points:>6} {struck} {tally.seconds:6.1f} s", flush=True)
            tallies.append(tally)
    cases, fired = (sum(sum(getattr(tally, name).values()) for tally in tallies) for name in ("cases", "fired"))
    wrong = sum(len(tally.violations) for tally in tallies)
    print(
        f"{cases:,} cases, {fired:,} faults struck, {wrong} violations, {time.monotonic() - started:.0f} s", flush=True
    )
    return tallies


def kills(folder: Path) -> list[str]:
    """What was wrong after KILLS kills."""
    wrong = []
    for way in ("one by one", BULK):
        place = folder / way.replace(" ", "-")
        place.mkdir()
        after = kill_repeatedly(place / "memory.db", way, KILLS // 2, seed=1)
        wrong += [f"kill {number}, {way}: {what}" for number, some in enumerate(after) for what in some]
    print(f"{KILLS} kills, {len(wrong)} violations", flush=True)
    return wrong


def machine() -> list[str]:
    """What disagreed with the dictionary, shrunk to the fewest steps."""
    longer = settings(quickly(), max_examples=EXAMPLES, stateful_step_count=STEPS, derandomize=False)
    try:
        run_state_machine_as_test(Machine, settings=longer)
    except Exception:  # noqa: BLE001 - any kind of error is a finding
        wrong = [traceback.format_exc()]
    else:
        wrong = []
    print(f"{EXAMPLES} runs of the state machine, {len(wrong)} violations", flush=True)
    return wrong


def variants() -> tuple[int, list[str]]:
    """How many broken variants were found out, and the names of the others."""
    every = mutants()
    wrong = [f"not found out: {name}" for name, mutant in every.items() if not mutant.found(broken=True)]
    wrong += [f"found in the real one: {name}" for name, mutant in every.items() if mutant.found(broken=False)]
    killed = len(every) - sum(what.startswith("not") for what in wrong)
    print(f"killed {killed} of {len(every)} broken variants", flush=True)
    return killed, wrong


def main() -> int:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--points", type=int, default=60, help="points of each operation, spread evenly")
    options.add_argument("--seeds", type=int, default=2, help="power losses at each point")
    options.add_argument("--only", nargs="*", choices=sorted(OPERATIONS), help="some of the operations, and no more")
    options.add_argument("--jobs", type=int, default=2, help="processes")
    options.add_argument("--json", type=Path, help="where to write the counts")
    wanted = options.parse_args()
    tallies = matrix(wanted.only or list(OPERATIONS), wanted.points, wanted.seeds, wanted.jobs)
    counts: dict[str, object] = {"operations": [vars(tally) for tally in tallies]}
    violations = [violation for tally in tallies for violation in tally.violations]
    if not wanted.only:
        with tempfile.TemporaryDirectory() as folder:
            violations += kills(Path(folder))
        violations += machine()
        killed, survived = variants()
        violations += survived
        counts |= {"kills": KILLS, "machine": EXAMPLES, "variants": len(mutants()), "variants_killed": killed}
    for violation in violations:
        print(violation)
    if wanted.json:
        wanted.json.write_text(json.dumps(counts | {"violations": violations}, indent=1))
    return bool(violations)


if __name__ == "__main__":
    sys.exit(main())

"""SIGKILL at thirty points of a night: what served serves whole, or what was promoted does; the next night works."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
from db.material import assert_consistent
from db.processes import start
from refine.world import TOY, copied, questions

from vstore import Store
from vstore.db.index import SqliteIndex
from vstore.refine.loop import run

BASE = 1  # the id of the first space's base model
pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="kills a forked process at an exact statement")

# Forks a child for each number it reads; the child ends itself before its n-th statement (0: never, and says how many).
FORKER = """
import os, signal, sys
import apsw
from refine.world import TOY
from vstore import Store
from vstore.refine.loop import run

def child(path, last):
    seen = 0
    def trace(cursor, sql, bindings):
        nonlocal seen
        seen += 1
        if seen == last:
            os.kill(os.getpid(), signal.SIGKILL)
        return True
    apsw.connection_hooks.append(lambda connection: connection.set_exec_trace(trace))
    with Store(sys.argv[1], TOY) as store:
        run(store)
    print(seen, flush=True)

for line in sys.stdin:
    process = os.fork()
    if not process:
        child(sys.argv[1], int(line))
        os._exit(0)
    _, status = os.waitpid(process, 0)
    if os.WIFSIGNALED(status):
        print("killed", flush=True)
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return copied(tmp_path / "memory.db", asked=60, documents=100)


@pytest.fixture
def forker(path: Path) -> Iterator[subprocess.Popen[str]]:
    with start(FORKER, path) as process:
        yield process
        assert process.stdin is not None
        process.stdin.close()


def night(forker: subprocess.Popen[str], statements: int) -> str:
    assert forker.stdin is not None and forker.stdout is not None
    forker.stdin.write(f"{statements}\n")
    forker.stdin.flush()
    return forker.stdout.readline().strip()


def test_a_night_killed_at_any_point_leaves_a_whole_model_serving(path: Path, forker: subprocess.Popen[str]) -> None:
    total = int(night(forker, 0))
    with Store(path, TOY) as store:
        assert store.index.runs()[0].status == "promoted"
        store.index.activate(BASE)  # not rolled back, after which no night promotes the same again
    points = [*np.linspace(1, total - 20, 15, dtype=int).tolist(), *range(total - 14, total + 1)]
    killed, promoted = 0, 0
    for point in points:
        killed += night(forker, point) == "killed"
        assert_consistent(path)
        with closing(SqliteIndex(path)) as index, index.snapshot() as snapshot:
            promoted += snapshot.adapter is not None  # read and checked against its checksum
        with Store(path, TOY) as store:
            assert len(store.search(questions(1)[0], k=5)) == 5
            store.index.activate(BASE)
    assert killed >= 25  # threads share the work, so the number of statements varies a little
    with Store(path, TOY) as store:
        assert run(store).status == "promoted"
        assert {record.status for record in store.index.runs()} <= {"promoted", "interrupted"}

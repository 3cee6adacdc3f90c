"""The faulty disk does what it says, or the matrix would prove nothing."""

from __future__ import annotations

import random
from contextlib import closing
from pathlib import Path

import apsw
import pytest
from faults.cases import DISK, OPERATIONS, Bench, quick
from faults.checks import state
from faults.disk import SECTOR, Image
from faults.operations import store

from vstore.errors import StoreError


def test_a_sync_is_what_makes_writes_last() -> None:
    image = Image(b"old!")
    image.pending += [(0, b"new"), (6, b"end"), (8, None)]
    left = {image.after_power_loss(random.Random(seed)) for seed in range(200)}
    # What was written is there or not, each for itself, and the cut as well.
    assert {b"old!", b"new!", b"new!\0\0en", b"old!\0\0end"} <= left
    image.settle()
    assert {image.after_power_loss(random.Random(seed)) for seed in range(20)} == {b"new!\0\0en"}


def test_a_write_is_torn_between_sectors() -> None:
    image = Image(b"a" * 3 * SECTOR, [(0, b"b" * 3 * SECTOR)])
    left = {image.after_power_loss(random.Random(seed)) for seed in range(300)}
    assert len(left) == 8  # each of three sectors old or new
    assert {len(content or b"") for content in left} == {3 * SECTOR}


def test_a_deletion_may_be_undone_until_the_folder_is_synced() -> None:
    image = Image(b"log")
    image.delete(synced=False)
    assert {image.after_power_loss(random.Random(seed)) for seed in range(20)} == {b"log", None}
    image.delete(synced=True)
    assert {image.after_power_loss(random.Random(seed)) for seed in range(20)} == {None}


def test_closing_after_a_crash_writes_nothing(path: Path) -> None:
    log = path.with_name("memory.db-wal")
    with quick():
        dying = store(path)
        dying.remember("red tea", uri="a")
        before = log.stat().st_size, path.stat().st_size
        DISK.die()
        dying.close()
        assert (log.stat().st_size, path.stat().st_size) == before
    assert before[0] > before[1]  # all of it is in the log
    assert [uri for _, uri in state(path).documents] == ["a"]
    assert not log.exists()  # the last to close has emptied it


def test_each_point_is_counted_and_fails_once(path: Path) -> None:
    with quick(), closing(apsw.Connection(str(path))) as connection:
        connection.execute("PRAGMA journal_mode = WAL").fetchall()
        connection.execute("CREATE TABLE t (a)")
        DISK.fail_at(0, "error once")
        connection.execute("INSERT INTO t VALUES (1)")
        # A log that is begun has a frame's head and its page to write, and one sync to wait for.
        assert DISK.points == 3
        for point in (1, 2, 3):
            DISK.fail_at(point, "error once")
            with pytest.raises(apsw.IOError, match=f"error once, at point {point}"):
                connection.execute("INSERT INTO t VALUES (2)")
            connection.execute("INSERT INTO t VALUES (3)")
        assert connection.execute("SELECT group_concat(a) FROM t").fetchall() == [("1,3,3,3",)]


def test_a_full_disk_takes_what_needs_no_room(path: Path) -> None:
    with quick(), store(path) as opened:
        opened.remember("red tea", uri="a")
        DISK.fail_at(1, "disk full")
        with pytest.raises(StoreError, match="no space left"):
            opened.remember("green tea", uri="b")
        DISK.heal()
        opened.remember("black tea", uri="c")
    assert [uri for _, uri in state(path).documents] == ["a", "c"]


def lost(bench: Bench) -> int:
    """Cases of a power loss that lost what was acknowledged."""
    outcomes = [bench.case("power loss", point, seed) for point in range(20, bench.points + 1) for seed in range(2)]
    return sum("was acknowledged" in violation for outcome in outcomes for violation in outcome.violations)


def test_a_disk_that_lies_about_syncs_loses_what_was_acknowledged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The control: what the matrix never sees on an honest disk it does see on this one."""
    bench = Bench(OPERATIONS["remember"], tmp_path)
    assert lost(bench) == 0
    monkeypatch.setattr(DISK, "lying", True)
    assert lost(bench) > 10

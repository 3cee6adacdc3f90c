"""When something has come to rest, by clocks that the tests move."""

from __future__ import annotations

from pathlib import Path

import pytest

from vstore import config
from vstore.watch.listing import Stamp
from vstore.watch.settling import Files, Losses

FILE = Path("/r/a")
WALL = 1_000_000.0


@pytest.fixture(autouse=True)
def times(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, seconds in (("WATCH_SETTLE_S", 0.5), ("WATCH_UNSETTLED_S", 30.0), ("WATCH_GONE_S", 2.0)):
        monkeypatch.setattr(config, name, seconds)


def stamp(modified: float, size: int = 1) -> Stamp:
    return Stamp(1, size, int(modified * 1e9), 0)


def test_a_file_that_was_changed_long_ago_is_at_rest() -> None:
    files = Files()
    assert files.at_rest({FILE: stamp(WALL - 10)}, 0, WALL)
    assert not files.pending


def test_a_file_is_at_rest_when_it_stays_the_same_for_a_while() -> None:
    files, changed = Files(), {FILE: stamp(WALL + 3_600)}  # its clock is ahead
    assert not files.at_rest(changed, 0, WALL)
    assert files.pending
    assert not files.at_rest(changed, 0.4, WALL)
    assert files.at_rest(changed, 0.5, WALL)
    assert not files.pending


def test_a_change_begins_the_wait_anew() -> None:
    files = Files()
    assert not files.at_rest({FILE: stamp(WALL, 1)}, 0, WALL)
    assert not files.at_rest({FILE: stamp(WALL + 0.4, 2)}, 0.4, WALL + 0.4)
    assert not files.at_rest({FILE: stamp(WALL + 0.4, 2)}, 0.8, WALL + 0.8)
    assert files.at_rest({FILE: stamp(WALL + 0.4, 2)}, 0.9, WALL + 0.9)


def test_a_file_that_never_rests_is_read_nevertheless() -> None:
    files = Files()
    moments = [number / 4 for number in range(400)]
    read = [now for now in moments if files.at_rest({FILE: stamp(WALL + now, int(now * 4))}, now, WALL + now)]
    assert read == [30.0, 60.25, 90.5]


def test_a_file_that_went_away_is_not_waited_for() -> None:
    files = Files()
    assert not files.at_rest({FILE: stamp(WALL)}, 0, WALL)
    assert not files.at_rest({}, 0.1, WALL)
    assert not files.pending


def test_losses_are_at_rest_when_nothing_more_is_lost() -> None:
    losses = Losses()
    assert losses.at_rest(frozenset(), 0)
    assert not losses.at_rest(frozenset("a"), 1)
    assert not losses.at_rest(frozenset("ab"), 2.9)
    assert not losses.at_rest(frozenset("ab"), 4.8)
    assert losses.at_rest(frozenset("ab"), 4.9)
    assert losses.at_rest(frozenset(), 5)
    assert not losses.at_rest(frozenset("ab"), 9)

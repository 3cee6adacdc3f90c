"""Waiting until something has come to rest: a file that is being written, a folder that is being emptied."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from vstore import config
from vstore.watch.listing import Stamp


@dataclass
class Files:
    """Which changed files may be read. All times are seconds, `now` of a clock that only goes forward."""

    _seen: dict[Path, tuple[Stamp, float, float]] = field(default_factory=dict)  # stamp, since when, first change

    def at_rest(self, changed: Mapping[Path, Stamp], now: float, wall: float) -> dict[Path, Stamp]:
        """Those that were not changed for WATCH_SETTLE_S, by their own times or as seen from here.

        `wall` is the time of day, with which the file's own is compared.
        """
        seen, rested = {}, {}
        for path, stamp in changed.items():
            before, since, first = self._seen.get(path, (stamp, now, now))
            seen[path] = stamp, since if before == stamp else now, first
            old = wall - stamp.modified / 1e9 >= config.WATCH_SETTLE_S
            waited = now - seen[path][1] >= config.WATCH_SETTLE_S
            if old or waited or now - first >= config.WATCH_UNSETTLED_S:
                rested[path] = stamp
                del seen[path]
        self._seen = seen
        return rested

    @property
    def pending(self) -> bool:
        """Whether there are some that were changed a moment ago."""
        return bool(self._seen)


@dataclass
class Losses:
    """Whether all that is being removed has been: what is gone is judged, and forgotten, as a whole."""

    _gone: frozenset[str] = frozenset()
    _since: float = 0.0

    def at_rest(self, gone: frozenset[str], now: float) -> bool:
        """Whether nothing more is gone than WATCH_GONE_S ago."""
        if gone != self._gone:
            self._gone, self._since = gone, now
        return not gone or now - self._since >= config.WATCH_GONE_S

"""`watch`: rounds of synchronisation, one after each change."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from itertools import chain
from pathlib import Path
from typing import Any, Final

from vstore import arguments, config, place
from vstore.errors import StoreBusyError
from vstore.ingest.pipeline import Labels
from vstore.store import Store
from vstore.types import DEFAULT_COLLECTION
from vstore.watch.events import Event
from vstore.watch.listing import Listing, roots
from vstore.watch.notices import Notices, Polling, Unavailable, Watching
from vstore.watch.sync import Synchroniser

_EVERY: Final = f"every {config.WATCH_POLL_S:g} seconds, or as often as that takes little of a processor"


def watch(
    store: Store,
    paths: str | Path | Iterable[str | Path],
    *,
    collection: str = DEFAULT_COLLECTION,
    tags: Sequence[str] = (),
    metadata: Mapping[str, Any] | None = None,
    poll: bool = False,
    once: bool = False,
    forget_many: bool = False,
    stop: threading.Event | None = None,
) -> Iterator[Event]:
    """Keep documents what the files at and below `paths` are: first all of them, then with every change.

    What changed is done while the events are iterated over; iteration ends when `stop` is set, or, with `once`, when
    store and files agree. Which files there are is decided as in `Store.add` of a folder. Labels are those of
    `Store.add`. `poll` walks the folders every few seconds instead of waiting for the system's notices. More than half
    of a folder's documents are forgotten at once only with `forget_many`.

    >>> for event in watch(store, "notes"):
    ...     print(event.kind, event.path)

    Raises at once: NotFoundError for a path that does not exist, InputError for labels that cannot be meant, and
    MissingExtraError without watchfiles. While iterating: StoreError when the store was replaced or restored
    meanwhile, with `once` also StoreBusyError, and what `Store.add` raises but for single files.
    """
    labels = Labels(arguments.collection_name(collection), arguments.tag_names(tags), arguments.metadata(metadata))
    found = roots(paths)
    stop = stop or threading.Event()
    synchroniser = Synchroniser(store, found, labels, stop, forget_many=forget_many)
    if once:
        return _once(synchroniser, stop)
    remote = None if poll else _remote(found)
    notices = Polling() if poll or remote else Watching(store.path)
    following = _Following(synchroniser, notices, stop, store.path)
    return chain([remote] if remote else [], following.events())


def _once(synchroniser: Synchroniser, stop: threading.Event) -> Iterator[Event]:
    yield from synchroniser.round()
    while synchroniser.pending and not stop.wait(config.WATCH_SETTLE_S):
        yield from synchroniser.round()


class _Following:
    """A round after each change, and where there may have been one."""

    def __init__(self, synchroniser: Synchroniser, notices: Notices, stop: threading.Event, place: Path) -> None:
        self._synchroniser = synchroniser
        self._notices = notices
        self._stop = stop
        self._place = place  # the store's
        self._is_busy = False
        self._compared = -math.inf  # when everything was compared last; these are seconds of time.monotonic
        self._ended = 0.0  # when the last round did

    def events(self) -> Iterator[Event]:
        """What happens, until `stop` is set."""
        is_synchronised = False
        try:
            while not self._stop.is_set():
                yield from self._round()
                is_new = yield from self._follow()
                if not (is_synchronised or is_new or self._is_busy or self._synchroniser.pending):
                    is_synchronised = True
                    yield Event("synchronised", self._place, _summary(self._synchroniser.listing))
                if not is_new:
                    self._wait()
                self._rest()
        finally:
            self._notices.close()

    def _round(self) -> Iterator[Event]:
        now = time.monotonic()
        everything = now - self._compared >= config.WATCH_RESCAN_S
        try:
            yield from self._synchroniser.round(everything=everything)
        except StoreBusyError as error:
            if not self._is_busy:
                yield Event("busy", self._place, f"{error}; it is tried again until it works")
            self._is_busy = True
        else:
            self._is_busy = False
            self._compared = now if everything else self._compared
        self._ended = time.monotonic()

    def _follow(self) -> Generator[Event, None, bool]:
        """Ask for notices of what is there now; returns whether something of it is new, and so may have changed."""
        try:
            return self._notices.follow(self._synchroniser.listing)
        except Unavailable as error:
            self._notices.close()
            self._notices = Polling()
            yield Event("polling", self._synchroniser.roots[0], f"{error}; until then the folders are walked {_EVERY}")
            return False

    def _wait(self) -> None:
        """Until another round is due."""
        due = self._compared + config.WATCH_RESCAN_S
        if self._is_busy:
            due = self._ended + config.WATCH_RETRY_S
        elif self._synchroniser.pending:
            due = self._ended + config.WATCH_SETTLE_S
        while (now := time.monotonic()) < due and not self._stop.is_set():
            changed = self._notices.wait(min(due - now, config.WATCH_LOOK_S), self._stop)
            if changed or self._synchroniser.needs_a_look():
                break

    def _rest(self) -> None:
        """Let the next round wait for a while if it takes long, so that it takes little of what others need."""
        rested = self._ended + config.WATCH_REST * self._synchroniser.compared_s
        self._stop.wait(max(0.0, rested - time.monotonic()))


def _remote(found: Iterable[Path]) -> Event | None:
    """What is to be said when a root is on a file system that other machines write to without notice."""
    for root in found:
        kind = place.network(root)
        if kind is not None:
            return Event(
                "polling", root, f"it is on {kind}, which gives no notice of what others change; it is walked {_EVERY}"
            )
    return None


def _summary(listing: Listing) -> str:
    return f"{len(listing.files):,} files in {len(listing.folders):,} folders are followed"

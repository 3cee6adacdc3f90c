"""A watch at work in a thread, whose events tests wait for."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from vstore import Store
from vstore.watch import Event, watch

DEADLINE_S = 30.0  # of one wait; a wait ends when what it waits for has come


class Following:
    """Runs `watch` until the `with` block ends; what it raises is raised there."""

    def __init__(self, store: Store, *paths: Path, ready: bool = True, **options: Any) -> None:
        self.events: list[Event] = []
        self.error: BaseException | None = None
        self._stop = threading.Event()
        self._news = threading.Condition()
        self._ready = ready
        events = watch(store, paths, stop=self._stop, **options)
        self._thread = threading.Thread(target=self._collect, args=(events,))

    def _collect(self, events: Any) -> None:
        try:
            for event in events:
                with self._news:
                    self.events.append(event)
                    self._news.notify_all()
        except BaseException as error:  # noqa: BLE001 - it is for the test
            self.error = error
        with self._news:
            self._news.notify_all()

    def __enter__(self) -> Following:
        self._thread.start()
        if self._ready:
            self.wait("synchronised")
        return self

    def __exit__(self, *failed: object) -> None:
        self._stop.set()
        self._thread.join(DEADLINE_S)
        assert not self._thread.is_alive(), "the watch did not end"
        if self.error is not None and failed[0] is None:
            raise self.error

    def wait(self, kind: str, path: Path | None = None, times: int = 1) -> Event:
        """The event of this kind (and path), or that many of them; those before it stay in `events`."""

        def found() -> list[Event]:
            return [event for event in self.events if event.kind == kind and path in (None, event.path)]

        with self._news:
            self._news.wait_for(lambda: len(found()) >= times or not self._thread.is_alive(), DEADLINE_S)
            assert len(found()) >= times, f"{kind} {path} did not come in {self.events}; {self.error!r}"
            return found()[times - 1]

    def ended(self) -> BaseException | None:
        """What it ended with by itself."""
        self._thread.join(DEADLINE_S)
        assert not self._thread.is_alive(), f"it goes on: {self.events}"
        error, self.error = self.error, None
        return error

    def kinds(self, path: Path) -> list[str]:
        """What happened to a file, in order."""
        return [event.kind for event in self.events if event.path == path]


def until(condition: Callable[[], object]) -> None:
    """Wait for something that gives no event."""
    deadline = time.monotonic() + DEADLINE_S
    while not condition():
        assert time.monotonic() < deadline, "it did not come to pass"
        time.sleep(0.01)


def texts(store: Store) -> dict[str, str]:
    """uri -> text of all documents, at one moment."""
    with store.index.snapshot():
        return {document.uri: store.get(document.uri).text for document in store.documents()}

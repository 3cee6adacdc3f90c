"""Notes of the searches of one store, kept in memory until they can be written without anybody waiting for it."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Protocol

from vstore import config, settings
from vstore.errors import ConfigError, StoreError
from vstore.paths import is_unicode
from vstore.results import Results
from vstore.searches import ERROR, MODE, Asked, Note
from vstore.types import Query


class Notebook(Protocol):
    """Where notes are written."""

    def record(self, notes: Sequence[Note]) -> None:
        """Add the notes to what is stored, all or none; raises StoreError rather than waiting for other writers."""


@dataclass(frozen=True, slots=True)
class Policy:
    """What may be recorded: texts of queries (`log`), figures (`metrics`), and from how long on a search is slow."""

    log: bool
    metrics: bool
    slow_ms: int


class Journal:
    """Buffers notes and writes them now and then. Safe to share between threads; no method raises for its own sake."""

    def __init__(self, notebook: Notebook, log: bool | None, metrics: bool | None) -> None:
        """`log` and `metrics` say what may be recorded; None: as configured, which is looked up at the first search."""
        self._notebook = notebook
        self._log = log
        self._metrics = metrics
        self._lock = threading.Lock()  # for what is in memory
        self._writing = threading.Lock()  # held while notes are on their way into the file
        self._pending: deque[Note] = deque(maxlen=config.JOURNAL_KEPT)
        self._since_attempt = 0
        self._due = time.monotonic() + config.JOURNAL_INTERVAL_S

    @contextmanager
    def failures(self) -> Iterator[None]:
        """Counts an exception that ends the `with` block, by the name of its class."""
        try:
            yield
        except Exception as error:
            if self._policy.metrics:
                self._keep(Note(_now(), (f"{ERROR}{type(error).__name__}",)))
            raise

    def note(self, query: Query, results: Results) -> None:
        """Note a search that was served."""
        policy = self._policy
        asked = _asked(query, results) if policy.log else None
        if policy.metrics:
            slow = 0 < policy.slow_ms < results.timings["total"]
            self._keep(Note(_now(), tuple(_counters(results, slow)), results.timings, asked, slow))
        elif asked is not None:
            self._keep(Note(_now(), asked=asked))

    def flush(self) -> bool:
        """Write what is pending. False when that is not possible now; it is kept then, the newest JOURNAL_KEPT notes.

        What is never written is lost: figures and a query's place in the log, but nothing that was put into the store.
        """
        with self._writing:
            return self._write()

    def settle(self) -> None:
        """See to it that no text of an earlier query is written from now on: write it now, or drop it."""
        with self._writing:
            if not self._write():
                with self._lock:
                    stripped = [replace(note, asked=None) for note in self._pending]
                    self._pending = deque(stripped, maxlen=config.JOURNAL_KEPT)

    def drop(self) -> None:
        """Forget what is pending."""
        with self._writing, self._lock:
            self._pending.clear()

    @cached_property
    def _policy(self) -> Policy:
        try:
            chosen = settings.load()
        except ConfigError:
            # Who wrote that file may have meant to turn something off. Whatever else needs the settings reports it.
            return Policy(bool(self._log), bool(self._metrics), slow_ms=0)
        return Policy(
            log=chosen.log if self._log is None else self._log,
            metrics=chosen.metrics if self._metrics is None else self._metrics,
            slow_ms=chosen.slow_ms,
        )

    def _keep(self, note: Note) -> None:
        with self._lock:
            self._pending.append(note)
            self._since_attempt += 1
            due = self._since_attempt >= config.JOURNAL_PENDING or time.monotonic() >= self._due
        if due and self._writing.acquire(blocking=False):  # else another thread is writing; no search waits for it
            try:
                self._write()
            finally:
                self._writing.release()

    def _write(self) -> bool:
        """`flush` by the one thread that holds `_writing`."""
        with self._lock:
            notes = list(self._pending)
            self._pending.clear()
            self._since_attempt = 0
            self._due = time.monotonic() + config.JOURNAL_INTERVAL_S
        if not notes:
            return True
        try:
            self._notebook.record(notes)
        except StoreError:
            # Busy, full, read-only or closed: a search must neither wait nor fail for its note.
            self._put_back(notes)
            return False
        return True

    def _put_back(self, notes: Iterable[Note]) -> None:
        with self._lock:
            self._pending = deque([*notes, *self._pending], maxlen=config.JOURNAL_KEPT)


def _asked(query: Query, results: Results) -> Asked | None:
    """What the log keeps; None for a text that no file can hold."""
    collections = query.scope.collections
    collection = collections[0] if len(collections) == 1 else ""
    text = query.text[: config.MAX_LOGGED_CHARS]
    if not is_unicode(text) or not is_unicode(collection):
        return None
    shown = tuple(hit.chunk_id for hit in results.hits[: config.SHOWN])
    return Asked(text, collection, shown, results.question)


def _counters(results: Results, slow: bool) -> Iterator[str]:
    yield "searches"
    yield f"{MODE}{results.mode}"
    if results.degraded:
        yield "degraded"
    if not results.hits:
        yield "empty"
    if slow:
        yield "slow"


def _now() -> int:
    return time.time_ns() // 1_000_000

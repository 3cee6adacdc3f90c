"""What an ingest tells its caller: while it runs, and at the end."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from vstore.addresses import is_address
from vstore.errors import InputError
from vstore.ingest.walk import Skipped
from vstore.types import Document, WriteOutcome


@dataclass(frozen=True, slots=True)
class Progress:
    """How far an ingest is. `bytes_done` of `bytes_total` have been read; the counters count documents and chunks."""

    bytes_done: int
    bytes_total: int
    documents: int
    embedded: int


@dataclass(frozen=True, slots=True)
class AddReport:
    """What became of everything an ingest was given. `embedded` counts chunks that went through the model."""

    added: int = 0
    updated: int = 0
    unchanged: int = 0
    embedded: int = 0
    skipped: tuple[Skipped, ...] = ()
    seconds: float = 0.0

    def to_dict(self) -> dict[str, Any]:
        """Plain types only, ready for `json.dumps`."""
        return {
            "added": self.added,
            "updated": self.updated,
            "unchanged": self.unchanged,
            "embedded": self.embedded,
            "skipped": [{"path": str(skipped.path), "reason": skipped.reason} for skipped in self.skipped],
            "seconds": self.seconds,
        }


Told = Callable[[str, str, WriteOutcome], None]  # a document's uri, its content hash, and what came of it


@dataclass
class Tally:
    """Counters of one ingest. The reading thread and the writing thread change different ones."""

    started: float = field(default_factory=time.monotonic)
    bytes_total: int = 0
    bytes_passed: int = 0  # of files that need no work, by the reading thread
    chars_written: int = 0  # of documents that were embedded and written, standing for their bytes
    chars_embedded: int = 0  # the same of the window at work
    outcomes: dict[str, int] = field(default_factory=lambda: {"added": 0, "updated": 0, "unchanged": 0})
    embedded: int = 0
    skipped: list[Skipped] = field(default_factory=list)
    told: Told = lambda *_: None  # by the reading thread of what is unchanged, by the writing thread of the rest

    def unchanged(self, uri: str, content_hash: str) -> None:
        """A document that is in the store as it is."""
        self.outcomes["unchanged"] += 1
        self.told(uri, content_hash, "unchanged")

    def count(self, document: Document, outcome: WriteOutcome | InputError) -> None:
        """What came of writing a document."""
        if isinstance(outcome, InputError):
            name = document.uri if is_address(document.uri) else Path(document.uri)
            self.skipped.append(Skipped(name, str(outcome)))
        else:
            self.outcomes[outcome] += 1
            self.told(document.uri, document.content_hash, outcome)

    def progress(self) -> Progress:
        """The counters now."""
        done = min(self.bytes_passed + self.chars_written + self.chars_embedded, self.bytes_total)
        return Progress(done, self.bytes_total, sum(self.outcomes.values()), self.embedded)

    def report(self) -> AddReport:
        """The counters at the end."""
        seconds = time.monotonic() - self.started
        return AddReport(**self.outcomes, embedded=self.embedded, skipped=tuple(self.skipped), seconds=seconds)

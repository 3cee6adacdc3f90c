"""What an ingest tells its caller: while it runs, and at the end."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from vstore.ingest.walk import Skipped


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

"""What a watch tells its caller."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

Kind = Literal[
    "added",  # a file that the store had nothing of
    "updated",  # a file that changed, or the rows of one that did
    "forgotten",  # a file that is gone, or left out now
    "skipped",  # a file or folder that cannot be used; what is stored of it is kept
    "waiting",  # a root that is gone, or cannot be trusted; what is stored of it is kept
    "back",  # a root that was waited for
    "refused",  # so much would be forgotten that it has to be confirmed
    "busy",  # the store is being written to by others; it is tried again
    "polling",  # folders are walked again and again, because no notices can be had
    "synchronised",  # once: store and files agree, and are followed from now on
]


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened. `documents` counts those that changed; `reason` is a sentence, or empty."""

    kind: Kind
    path: Path
    reason: str = ""
    documents: int = 0

    def to_dict(self) -> dict[str, Any]:
        """Plain types only, ready for `json.dumps`."""
        return {"event": self.kind, "path": str(self.path), "reason": self.reason, "documents": self.documents}

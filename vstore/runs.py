"""Refinement runs as the file remembers them: what was tried, what came of it, and on what evidence."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from vstore.adapter import Adapter
    from vstore.calibration import Calibration

RunStatus = Literal["running", "promoted", "kept", "failed", "interrupted"]


@dataclass(frozen=True, slots=True)
class RunRecord:
    """One run. `decision` is the sentence it ended with, `report` its figures, `model` the id of what it promoted."""

    id: int
    started_at: datetime
    finished_at: datetime | None
    status: RunStatus
    decision: str | None
    configuration: Mapping[str, Any]
    report: Mapping[str, Any]
    model: int | None

    def to_dict(self) -> dict[str, Any]:
        """Plain types only, ready for `json.dumps`."""
        return {
            "id": self.id,
            "started_at": self.started_at.isoformat(),
            "finished_at": self.finished_at.isoformat() if self.finished_at else None,
            "status": self.status,
            "decision": self.decision,
            "model": self.model,
            "configuration": dict(self.configuration),
            "report": dict(self.report),
        }


@dataclass(frozen=True, slots=True)
class SeenQuery:
    """A held-out query of a run, and what the run measured with it."""

    query: str
    figures: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Learned:
    """An adapter that earned to serve, with how it was made and on what evidence.

    `calibration` is in force while it serves; None leaves the space's.
    """

    adapter: Adapter
    recipe: Mapping[str, Any]
    scores: Mapping[str, Any]
    calibration: Calibration | None = None


@dataclass(frozen=True, slots=True)
class Conclusion:
    """How a run ends. `promoted` is what serves from now on: a learned adapter, or the id of a model that is there.

    `over` is the id of the model it was compared with, which must still be the active one.
    """

    status: RunStatus
    decision: str
    report: Mapping[str, Any] = field(default_factory=dict)
    queries: tuple[SeenQuery, ...] = ()
    promoted: Learned | int | None = None
    over: int | None = None

"""What a check of a store's file says, and what a repair did: see docs/check.md."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

Status = Literal["ok", "failed", "warning", "not checked"]


@dataclass(frozen=True, slots=True)
class Check:
    """One invariant and how it fared.

    `affected` counts what breaks it, of which `repair` can mend `repairable`; `examples` name the first few. `found`
    says in one line what is wrong, or why it was not checked, and `advice` what to do.
    """

    name: str
    holds: str  # what is true of a sound file
    status: Status
    affected: int = 0
    repairable: int = 0
    found: str = ""
    advice: str = ""
    examples: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class CheckReport:
    """All invariants of one file, each by itself; `deep` says whether everything was compared with everything."""

    path: Path
    deep: bool
    schema: int | None  # None when it cannot be read
    checks: tuple[Check, ...]

    @property
    def ok(self) -> bool:
        """Whether nothing failed. Warnings, and what was not checked for a stated reason, are no failures."""
        return not self.failed

    @property
    def failed(self) -> tuple[Check, ...]:
        """The invariants that do not hold."""
        return tuple(check for check in self.checks if check.status == "failed")

    def __getitem__(self, name: str) -> Check:
        """An invariant by its name. Raises KeyError."""
        for check in self.checks:
            if check.name == name:
                return check
        raise KeyError(name)

    def to_dict(self) -> dict[str, Any]:
        """The report as JSON values."""
        return {
            "path": str(self.path),
            "ok": self.ok,
            "deep": self.deep,
            "schema": self.schema,
            "checks": [{**asdict(check), "examples": list(check.examples)} for check in self.checks],
        }


@dataclass(frozen=True, slots=True)
class Step:
    """One thing that a repair does: for which invariants, and in words."""

    name: str
    mends: tuple[str, ...]
    does: str


@dataclass(frozen=True, slots=True)
class RepairReport:
    """What a repair found, what it did, and what a deep check says now.

    `backup` is the copy of the file as it was, None when nothing had to be done. `done` counts, by the name of the
    step, what it mended; `left` says why a step could not do all of its work.
    """

    before: CheckReport
    after: CheckReport
    backup: Path | None
    steps: tuple[Step, ...]
    done: Mapping[str, int]
    left: Mapping[str, str]

    @property
    def ok(self) -> bool:
        """Whether the file is sound now."""
        return self.after.ok

    def to_dict(self) -> dict[str, Any]:
        """The report as JSON values."""
        return {
            "ok": self.ok,
            "backup": str(self.backup) if self.backup else None,
            "steps": [{"name": step.name, "does": step.does, "mends": list(step.mends)} for step in self.steps],
            "done": dict(self.done),
            "left": dict(self.left),
            "before": self.before.to_dict(),
            "after": self.after.to_dict(),
        }

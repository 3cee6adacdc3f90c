"""What to install so that a store refines itself at night: a systemd timer, a cron line, a launchd agent."""

from __future__ import annotations

import plistlib
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

LABEL = "vstore.refine"


@dataclass(frozen=True, slots=True)
class Time:
    """A time of day."""

    hour: int
    minute: int


def systemd(command: Sequence[str], at: Time) -> dict[str, str]:
    """The unit files by name, for ~/.config/systemd/user; enabled with `systemctl --user enable --now`."""
    line = " ".join(_systemd_quoted(part) for part in command)
    service = (
        "[Unit]\nDescription=Refine a vstore memory\n\n"
        f"[Service]\nType=oneshot\nExecStart={line}\nNice=19\nIOSchedulingClass=idle\n"
    )
    timer = (
        "[Unit]\nDescription=Refine a vstore memory every night\n\n"
        f"[Timer]\nOnCalendar=*-*-* {at.hour:02}:{at.minute:02}:00\nRandomizedDelaySec=10min\nPersistent=true\n\n"
        "[Install]\nWantedBy=timers.target\n"
    )
    return {f"{LABEL}.service": service, f"{LABEL}.timer": timer}


def cron(command: Sequence[str], at: Time) -> str:
    """A line for `crontab -e`."""
    line = shlex.join(command).replace("%", r"\%")  # cron takes a bare one for the end of the line
    return f"{at.minute} {at.hour} * * * {line}\n"


def launchd(command: Sequence[str], at: Time) -> str:
    """A property list for ~/Library/LaunchAgents; loaded with `launchctl load`."""
    agent = {
        "Label": LABEL,
        "ProgramArguments": list(command),
        "StartCalendarInterval": {"Hour": at.hour, "Minute": at.minute},
        "LowPriorityIO": True,
        "Nice": 19,
    }
    return plistlib.dumps(agent).decode()


def command(program: Sequence[str], db: Path, budget: str) -> list[str]:
    """The command that refines a store, with absolute paths, since schedulers start elsewhere."""
    return [*program, "--db", str(db), "--quiet", "refine", "run", "--budget", budget]


def _systemd_quoted(part: str) -> str:
    escaped = part.replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%").replace("$", "$$")
    return f'"{escaped}"' if escaped != part or any(mark in part for mark in " '\t;") else part

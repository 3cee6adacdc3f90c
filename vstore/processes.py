"""Processes by name, so that what one of them left behind can be told from what it is still at work on."""

from __future__ import annotations

import os
import socket


def name() -> str:
    """This process: host and process id."""
    return f"{socket.gethostname()}:{os.getpid()}"


def is_gone(process: str) -> bool:
    """Whether a process has ended, as far as this host can tell; what ran elsewhere may always be at work."""
    host, _, pid = process.rpartition(":")
    if host != socket.gethostname() or os.name != "posix":  # elsewhere, asking would be a signal that ends it
        return False
    try:
        os.kill(int(pid), 0)
    except ProcessLookupError:
        return True
    except (PermissionError, OverflowError):
        return False  # another user's, or no process id at all
    return False

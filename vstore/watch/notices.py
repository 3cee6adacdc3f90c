"""How a watch learns that something may have changed: by the system's notices, or by looking again and again.

A notice is a hint and no more. What has changed is told by a walk, the same that an ingest makes: so what is ignored is
decided in one place, and a notice that is lost costs time alone.
"""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any, Final, Protocol

from vstore import config
from vstore.errors import MissingExtraError
from vstore.ingest.ignore import is_conventional
from vstore.paths import files_of, is_unicode
from vstore.watch.listing import Identity, Listing

# With inotify each folder costs a watch of its own, and a watch of a whole tree one for each folder that is ignored.
# Elsewhere one notice covers a tree, however large, and those of ignored folders are dropped here.
_EACH_FOLDER: Final = sys.platform == "linux"
_DELETED: Final = 3  # watchfiles' number for it


class Unavailable(Exception):
    """The system gives no notices; the message says why, and what to do about it."""


class Notices(Protocol):
    """Something that can wait for a change."""

    def follow(self, listing: Listing) -> bool:
        """Wait for changes of what is listed from now on. True if some of it was not waited for until now."""

    def wait(self, seconds: float, stop: threading.Event) -> bool:
        """Wait until something may have changed, and return True; or until the time is up, or `stop` is set."""

    def close(self) -> None:
        """Give back what the system lent."""


class Polling:
    """No notices: something may have changed whenever WATCH_POLL_S are over."""

    def __init__(self) -> None:
        self._looked = time.monotonic()

    def follow(self, listing: Listing) -> bool:
        """See `Notices.follow`."""
        return False

    def wait(self, seconds: float, stop: threading.Event) -> bool:
        """See `Notices.wait`."""
        due = self._looked + config.WATCH_POLL_S
        stop.wait(max(0.0, min(seconds, due - time.monotonic())))
        if time.monotonic() < due:
            return False
        self._looked = time.monotonic()
        return True

    def close(self) -> None:
        """See `Notices.close`."""


class Watching:
    """The notices of the operating system, by watchfiles."""

    def __init__(self, store: Path) -> None:
        """The files of the store change with all that is done here, and are passed over. Raises MissingExtraError."""
        try:
            from watchfiles import _rust_notify  # its watch() cannot be given other folders, nor say when it began
        except ModuleNotFoundError as error:
            raise MissingExtraError(
                "following changes needs watchfiles: pip install 'vstore[watch]'; or use --poll, or --once"
            ) from error
        self._rust: Any = _rust_notify
        self._own_files = frozenset(files_of(store))
        self._open: Any = None
        self._folders: Mapping[Path, Identity] = {}
        self._files: Collection[Path] = frozenset()
        self._is_stale = False
        self._failures = 0

    def follow(self, listing: Listing) -> bool:
        """See `Notices.follow`. Raises Unavailable when the system refuses for good."""
        self._files = listing.files.keys()
        if self._open is not None and not self._is_stale and self._folders == listing.folders:
            return False
        self._folders = dict(listing.folders)
        self._is_stale = False
        names = [str(folder) for folder in _watched(self._folders) if is_unicode(str(folder))]
        try:
            # Not ignore_permission_denied: it ignores that there are no more watches to be had, too.
            opened = self._rust.RustNotify(names, False, False, 0, not _EACH_FOLDER, False) if names else None
        except (OSError, self._rust.WatchfilesRustInternalError) as error:
            self._failures += 1
            self._is_stale = True
            if self._failures >= config.WATCH_ATTEMPTS or not isinstance(error, (FileNotFoundError, PermissionError)):
                raise Unavailable(_advice(error)) from error
            return True  # a folder went away since it was listed: there will be another listing without it
        self._failures = 0
        self.close()
        self._open = opened
        return True

    def wait(self, seconds: float, stop: threading.Event) -> bool:
        """See `Notices.wait`. Raises KeyboardInterrupt on Ctrl-C."""
        if self._open is None:
            stop.wait(seconds)
            return False
        milliseconds = max(1, int(1000 * seconds))  # 0 would be for ever
        try:
            told = self._open.watch(config.WATCH_BURST_MS, config.WATCH_QUIET_MS, milliseconds, stop)
        except self._rust.WatchfilesRustInternalError:  # such as a name that is no Unicode: it would go on saying so
            self._is_stale = True
            return True
        if told == "signal":
            raise KeyboardInterrupt
        if isinstance(told, str):
            return False
        return any([self._concerns(change, Path(name)) for change, name in told])

    def close(self) -> None:
        """See `Notices.close`."""
        if self._open is not None:
            self._open.close()
            self._open = None

    def _concerns(self, change: int, path: Path) -> bool:
        """Whether a change may be one of a file to read, or of a folder or rule that decides which there are."""
        if path in self._folders:
            # A folder that is made again at the same path is another one, which nobody waits for yet.
            self._is_stale = self._is_stale or change == _DELETED
            return True
        if path in self._files:
            return True
        if path.parent not in self._folders or path in self._own_files:
            return False
        return path.name == ".gitignore" or not is_conventional(path.name)


def _watched(folders: Collection[Path]) -> list[Path]:
    """The folders to ask notices for: each by itself, or where one notice covers a tree, those that are in no other."""
    if _EACH_FOLDER:
        return sorted(folders)
    return sorted(folder for folder in folders if not any(above in folders for above in folder.parents))


def _advice(error: Exception) -> str:
    advice = ""
    if _EACH_FOLDER:
        advice = (
            "; to have notices, raise fs.inotify.max_user_watches (or max_user_instances) with sysctl, and start again"
        )
    return f"the system gives no notices of changes ({error}){advice}"

"""Files that appear under their name whole or not at all, and never in the place of another one unasked.

They are written beside their place, under a name that says who is at it, readable by their owner only. What a killed
process left is removed by the next one that writes into the same folder.
"""

from __future__ import annotations

import errno
import os
import secrets
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import datetime
from pathlib import Path

from vstore import config, processes
from vstore.errors import InputError, StoreError, StoreFullError
from vstore.paths import BESIDE, files_of

_PREFIX, _SUFFIX = ".vstore-", ".partial"
_FULL = {errno.ENOSPC, getattr(errno, "EDQUOT", errno.ENOSPC), errno.EFBIG}


@contextmanager
def appearing(target: Path, *, overwrite: bool = False) -> Iterator[Path]:
    """An empty file beside `target`, which gets that name at the end of the block, safe from a power loss.

    Raises InputError when there is one of that name and `overwrite` is false, StoreError when it cannot be made; then,
    and when the block raises, nothing is left. Nobody may have the file open at the end of the block.
    """
    check_free(target, overwrite=overwrite)
    with partial(target) as path:
        yield path
        publish(path, target, overwrite=overwrite)


def check_free(target: Path, *, overwrite: bool) -> None:
    """Raise InputError when a file of that name is there and may not be overwritten, or is a database in use.

    A device or a pipe is never overwritten; and no name is free that SQLite would take for a file of its own: it would
    lose what a store has in its log, or delete the new file when it opens the store.
    """
    if target.is_dir():
        raise InputError(f"{target} is a folder; give the path of a file")
    if target.name.endswith(BESIDE):
        raise InputError(f"{target} has a name that SQLite gives to a log; choose another one")
    if not overwrite and os.path.lexists(target):
        raise _exists(target)
    if target.exists() and not target.is_file():
        raise InputError(f"{target} is a device or a pipe, which no file may replace; choose another name")
    for suffix in ("-wal", "-journal"):
        log = target.with_name(target.name + suffix)
        if log.exists():  # SQLite would take it for that of the new file
            raise InputError(
                f"{log.name} beside {target} belongs to a store that is in use, or was not closed; choose another name"
            )


@contextmanager
def partial(target: Path) -> Iterator[Path]:
    """An empty file beside `target` that is gone at the end of the block, unless `publish` gave it a name."""
    path = target.with_name(f"{_PREFIX}{processes.name().replace(':', '-')}-{secrets.token_hex(4)}{_SUFFIX}")
    with translated(target):
        _sweep(target.parent)
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))
    try:
        yield path
    finally:
        _remove(path)


def publish(path: Path, target: Path, *, overwrite: bool = False) -> None:
    """Give a file that is complete and closed its name. Raises InputError when there is another of that name."""
    with translated(target):
        _sync(path)
        if overwrite:
            path.replace(target)
        else:
            _rename_to_free(path, target)
        if os.name == "posix":  # elsewhere a folder cannot be opened
            _sync(target.parent)


def _rename_to_free(path: Path, target: Path) -> None:
    """Rename without replacing, which rename() itself does on POSIX."""
    try:
        os.link(path, target)
    except FileExistsError:
        raise _exists(target) from None
    except OSError:  # a file system without links
        check_free(target, overwrite=False)
        path.rename(target)


def _exists(target: Path) -> InputError:
    return InputError(f"{target} is there already; choose another name, or replace it with --overwrite")


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDWR if path.is_file() else os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def dated(folder: Path, stem: str, suffix: str) -> Path:
    """A name in a folder that nothing has: `stem`, the local time, and from the second in one second on a number."""
    moment = datetime.now().strftime("%Y%m%d-%H%M%S")
    path, number = folder / f"{stem}-{moment}{suffix}", 1
    while os.path.lexists(path):
        number += 1
        path = folder / f"{stem}-{moment}-{number}{suffix}"
    return path


def _sweep(folder: Path) -> None:
    """Remove what was left by processes that have ended, or is too old to be in the making."""
    for path in folder.glob(f"{_PREFIX}*{_SUFFIX}"):
        host, _, pid = path.name[len(_PREFIX) : -len(_SUFFIX)].rpartition("-")[0].rpartition("-")
        with suppress(OSError):  # another one may be at it
            is_old = time.time() - path.stat().st_mtime > config.STALE_PARTIAL_S
            if is_old or (pid.isdecimal() and processes.is_gone(f"{host}:{pid}")):
                _remove(path)


def make_parents(path: Path) -> None:
    """Make the folders above a path that are missing, for their owner only."""
    # Not mkdir(parents=True), which gives the mode to the innermost folder only.
    for folder in reversed([path.parent, *path.parent.parents]):
        folder.mkdir(mode=0o700, exist_ok=True)


def _remove(path: Path) -> None:
    """Remove a file with what SQLite may have put beside it."""
    for file in files_of(path):
        file.unlink(missing_ok=True)


@contextmanager
def translated(target: Path) -> Iterator[None]:
    """Turn the operating system's errors into vstore's."""
    try:
        yield
    except OSError as error:
        if error.errno in _FULL:
            raise StoreFullError(f"no space left for {target}; nothing was left there. Free some and repeat") from error
        raise StoreError(f"cannot write {target} ({error.strerror}); choose another place") from error

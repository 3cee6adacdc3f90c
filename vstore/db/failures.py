"""What SQLite's errors mean to whoever has a store, and what to do about them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import apsw

from vstore.errors import (
    DriverError,
    InputError,
    NotAStoreError,
    StoreBusyError,
    StoreDamagedError,
    StoreError,
    StoreFullError,
)

MEANINGS: tuple[tuple[type[apsw.Error], type[StoreError], str], ...] = (
    (apsw.BusyError, StoreBusyError, "another process is writing to {path}; try again when it has finished"),
    (apsw.LockedError, StoreBusyError, "another connection is writing to {path}; try again when it has finished"),
    (apsw.FullError, StoreFullError, "no space left for {path}; the last write was undone. Free some space and repeat"),
    (
        apsw.CorruptError,
        StoreDamagedError,
        "{path} is damaged; restore a backup, or ingest the sources into a new store",
    ),
    (apsw.NotADBError, NotAStoreError, "{path} is not a vstore file; choose another path with --db"),
    (apsw.CantOpenError, StoreError, "cannot open {path}; check that the folder exists and may be written to"),
    (apsw.ReadOnlyError, StoreError, "{path} or its folder may not be written to; check the permissions"),
    (apsw.PermissionsError, StoreError, "{path} may not be used; check its permissions"),
    (
        apsw.ExtensionLoadingError,
        DriverError,
        "{path} needs sqlite-vec ({error}); install it again: pip install --force-reinstall sqlite-vec",
    ),
    (apsw.InterruptError, StoreError, "{path} was closed during this call; open a new Store"),
    (apsw.ConnectionClosedError, StoreError, "{path} was closed during this call; open a new Store"),
    (apsw.IOError, StoreError, "reading or writing {path} failed ({error}); check the disk and its free space"),
)


@contextmanager
def translated(path: Path) -> Iterator[None]:
    """Turn apsw's errors into vstore's, with what to do; a str that is no Unicode text becomes an InputError."""
    try:
        yield
    except UnicodeEncodeError as error:
        half = error.object[error.start : error.end]
        raise InputError(f"text with a lone surrogate ({half!r}) cannot be stored or found; remove it") from error
    except apsw.Error as error:
        for kind, ours, message in MEANINGS:
            if isinstance(error, kind):
                raise ours(message.format(path=path, error=error)) from error
        raise

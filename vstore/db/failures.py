"""What SQLite's errors mean to whoever has a store, and what to do about them."""

from __future__ import annotations

import functools
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import ParamSpec, TypeVar

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

P = ParamSpec("P")
T = TypeVar("T")

_DAMAGED = "{path} is not as vstore made it ({error}); see what is wrong: vstore check"
MEANINGS: tuple[tuple[type[apsw.Error], type[StoreError], str], ...] = (
    (apsw.BusyError, StoreBusyError, "another process is writing to {path}; try again when it has finished"),
    (apsw.LockedError, StoreBusyError, "another connection is writing to {path}; try again when it has finished"),
    (apsw.FullError, StoreFullError, "no space left for {path}; the last write was undone. Free some space and repeat"),
    (
        apsw.CorruptError,
        StoreDamagedError,
        "{path} is damaged; restore a backup, or see what can be mended: vstore check",
    ),
    (apsw.NotADBError, NotAStoreError, "{path} is not a vstore file; choose another path with --db"),
    (
        apsw.CantOpenError,
        StoreError,
        "cannot open {path}; check that the folder exists and may be written to, or open it with --read-only",
    ),
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
    # All SQL is ours, so what SQLite cannot do with it is due to tables, triggers or values that are not.
    (apsw.SQLError, StoreDamagedError, _DAMAGED),
    (apsw.ConstraintError, StoreDamagedError, _DAMAGED),
    (apsw.MismatchError, StoreDamagedError, _DAMAGED),
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


def decoding(function: Callable[P, T]) -> Callable[P, T]:
    """For a function that makes objects of rows: values that it cannot read are damage, as SQLite's own errors are."""

    @functools.wraps(function)
    def decoded(*args: P.args, **kwargs: P.kwargs) -> T:
        try:
            return function(*args, **kwargs)
        except UnicodeEncodeError:  # of what is asked, not of what is stored
            raise
        except (ValueError, TypeError, LookupError, OverflowError, OSError, zlib.error) as error:
            raise apsw.CorruptError(f"a stored value cannot be read: {error}") from error

    return decoded

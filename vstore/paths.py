"""Paths as users write them, and as the store names documents by them."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

from vstore.errors import InputError

_BYTES = "bytes:"  # what the uri of a path begins with that is no valid Unicode
BESIDE = ("-wal", "-shm", "-journal")  # what SQLite adds to the name of a database for its own files


def log_of(store: Path) -> Path:
    """Where the write-ahead log of a database is, when it has one."""
    return store.with_name(store.name + "-wal")


def files_of(store: Path) -> tuple[Path, ...]:
    """A database and all the files that SQLite may have beside it, the database last."""
    return (*(store.with_name(store.name + suffix) for suffix in BESIDE), store)


def belongs_to(path: Path, store: Path) -> bool:
    """Whether a resolved path is one of a database's files, by this name or another (a hard link)."""
    own = files_of(store)
    return path in own or (path.exists() and any(file.exists() and file.samefile(path) for file in own))


def expanded(path: str | Path) -> Path:
    """The path of a file or folder with `~` replaced, absolute and without links.

    Raises InputError for what cannot be a path: an empty one, one with a NUL, a name that is too long for the file
    system, an unknown `~user`, or a relative one when the current folder was deleted.
    """
    place = _resolved(path)
    try:
        place.lstat()
    except OSError as error:
        if error.errno == errno.ENAMETOOLONG:
            raise _unusable(path, error) from error
    return place


def _resolved(path: str | Path) -> Path:
    """What may be a path, and need not: a uri as well."""
    if not str(path).strip():
        raise InputError("a path is empty; name a file or folder, or . for the current one")
    try:
        return Path(path).expanduser().resolve()
    except (RuntimeError, ValueError, OSError) as error:
        raise _unusable(path, error) from error


def _unusable(path: str | Path, error: Exception) -> InputError:
    why = error.strerror if isinstance(error, OSError) else error
    return InputError(f"{str(path)!r} cannot be used as a path ({why})")


def file_uri(path: Path) -> str:
    """The uri of a file's document: its resolved path with `/` between the parts.

    A path that is no valid Unicode (bytes that are not arrive as lone surrogates) is percent-encoded behind `bytes:`,
    so that two such names never share a uri.
    """
    return resolved_uri(path.resolve())


def resolved_uri(path: Path) -> str:
    """`file_uri` of a path that is absolute and without links."""
    text = path.as_posix()
    return text if is_unicode(text) else _in_bytes(text)


def beginnings(uri: str) -> tuple[str, ...]:
    """How the uris of the files in a folder may begin, given its own: names in it need not be valid Unicode."""
    root = uri.rstrip("/")
    return (root,) if root.startswith(_BYTES) else (root, _in_bytes(root))


def _in_bytes(path: str) -> str:
    return f"{_BYTES}{quote(os.fsencode(path))}"


def uris(name: str) -> Iterator[str]:
    """The uris a name may stand for, in the order in which they are tried: itself, and that of the file at the path.

    Raises InputError, when it comes to that, for a name that cannot be a path.
    """
    if is_unicode(name):  # a file name that is not cannot be a uri as it stands
        yield name
    yield file_uri(_resolved(name))


def is_unicode(text: str) -> bool:
    """Whether a text can be written as UTF-8: it cannot when it has lone surrogates."""
    try:
        text.encode()  # of millions of characters in no time, and a loop in Python is slow for a query
    except UnicodeEncodeError:
        return False
    return True

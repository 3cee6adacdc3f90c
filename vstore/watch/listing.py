"""What there is below the roots at one moment, as the walk of an ingest finds it."""

from __future__ import annotations

import os
import stat
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from vstore.addresses import is_address
from vstore.errors import InputError, NotFoundError
from vstore.ingest.walk import Skipped, find_below
from vstore.paths import beginnings, expanded, files_of, resolved_uri


class Stamp(NamedTuple):
    """What changes when a file does. Times are nanoseconds since 1970, the size is in bytes."""

    inode: int
    size: int
    modified: int
    changed: int


class Identity(NamedTuple):
    """Which folder it is that is found at a path: another one lies there when a volume was mounted or unmounted."""

    device: int
    inode: int


@dataclass
class Listing:
    """The files below all roots with their stamps, and the folders whose entries decide which files there are.

    `skipped` is what the walk names as unusable. `lost` are roots that cannot be read, with the reason, `bare` those
    with nothing below them. `identities` are those of all roots that are there.
    """

    files: dict[Path, Stamp] = field(default_factory=dict)
    folders: dict[Path, Identity] = field(default_factory=dict)
    skipped: list[Skipped] = field(default_factory=list)
    lost: dict[Path, str] = field(default_factory=dict)
    bare: set[Path] = field(default_factory=set)
    identities: dict[Path, Identity] = field(default_factory=dict)

    def uris(self) -> set[str]:
        """The uris of the files."""
        return {resolved_uri(path) for path in self.files}

    def in_doubt(self) -> set[str]:
        """How the uris begin of which this listing says nothing: of what could not be read."""
        unknown = [*self.lost, *(Path(item.path) for item in self.skipped)]
        return {beginning for path in unknown for beginning in beginnings(resolved_uri(path))}


def roots(paths: str | Path | Iterable[str | Path]) -> tuple[Path, ...]:
    """Files and folders to watch, each once, absolute and without links.

    Raises NotFoundError for one that is not there, InputError for what cannot be a path.
    """
    many = [paths] if isinstance(paths, (str, Path)) else list(paths)
    for page in filter(is_address, many):
        raise InputError(f"{page} is no folder: a web page is added, and added again, with: vstore add")
    found = dict.fromkeys(expanded(path) for path in many)
    for root in found:
        try:
            mode = root.stat().st_mode
        except OSError as error:
            raise NotFoundError(f"no such file or folder: {root} ({error.strerror})") from error
        if not (stat.S_ISDIR(mode) or stat.S_ISREG(mode)):
            raise NotFoundError(f"{root} is neither a file nor a folder")
    if not found:
        raise NotFoundError("there is nothing to watch: name files or folders")
    return tuple(found)


def look(roots: Iterable[Path], store: Path) -> Listing:
    """What is below the roots now. The files of the store, by whatever names, are left out without a word."""
    listing = Listing()
    own = frozenset(filter(None, map(identity, files_of(store))))
    for root in roots:
        reason = _look_at(root, listing, own)
        if reason:
            listing.lost[root] = reason
    return listing


def identity(path: Path) -> Identity | None:
    """Which file or folder lies at a path, None when it cannot be told."""
    try:
        status = path.stat()
    except OSError:
        return None
    return Identity(status.st_dev, status.st_ino)


def _look_at(root: Path, listing: Listing, own: Collection[Identity]) -> str | None:
    """Add what is below one root to the listing, or say why it cannot be told."""
    try:
        status = root.lstat()
    except OSError as error:
        return f"it is gone, or cannot be read ({error.strerror})"
    listing.identities[root] = before = Identity(status.st_dev, status.st_ino)
    if root.resolve() != root:
        return "it, or a folder above it, became a link; watch what it leads to"
    if stat.S_ISREG(status.st_mode):
        _put(root, listing, own)
        return None
    if not stat.S_ISDIR(status.st_mode):
        return "it is neither a file nor a folder any more"
    reason = _look_below(root, listing, own)
    if reason is None and identity(root) != before:
        return "something was mounted there, or unmounted, while it was read"
    return reason


def _look_below(root: Path, listing: Listing, own: Collection[Identity]) -> str | None:
    def entered(folder: Path, status: os.stat_result) -> None:
        listing.folders[folder] = Identity(status.st_dev, status.st_ino)

    is_bare = True
    for found in find_below(root, entered):
        is_bare = False
        if not isinstance(found, Skipped):
            _put(found, listing, own)
        elif found.path == root:
            return f"it {found.reason}"
        else:
            listing.skipped.append(found)
    if is_bare:
        listing.bare.add(root)
    return None


def _put(path: Path, listing: Listing, own: Collection[Identity]) -> None:
    """Add a file, and the folder it is in, which the walk need not have entered: a link may lead into it."""
    try:
        status = path.stat()
    except OSError as error:  # since it was found
        listing.skipped.append(Skipped(path, f"cannot be read: {error.strerror}"))
        return
    if Identity(status.st_dev, status.st_ino) in own:
        return
    listing.files[path] = Stamp(status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns)
    if path.parent not in listing.folders:
        listing.folders[path.parent] = identity(path.parent) or Identity(0, 0)

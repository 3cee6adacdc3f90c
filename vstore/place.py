"""Whether a store lies where SQLite's locks, or its log, cannot be relied on: network and synchronised folders.

What is asked is the table of mounts on Linux; elsewhere, and for folders that a program copies to other machines, there
is nothing but names to go by.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

_MOUNTS = Path("/proc/self/mountinfo")
_NETWORK = frozenset(
    ("nfs", "nfs4", "cifs", "smb3", "smbfs", "9p", "afs", "ceph", "glusterfs", "lustre", "vboxsf", "prl_fs", "virtiofs")
)
# Programs that make a file system of folders of this machine, and keep locks; of any other one it is not known.
_LOCAL = frozenset(f"fuse.{name}" for name in ("fuse-overlayfs", "mergerfs", "gocryptfs", "encfs", "cryfs"))
_SYNCHRONISED = (
    ("Dropbox", r"\.?dropbox"),
    ("OneDrive", r"onedrive"),
    ("Google Drive", r"google ?drive"),
    ("iCloud", r"mobile documents|com~apple~clouddocs|icloud ?drive"),
    ("Nextcloud", r"nextcloud"),
    ("ownCloud", r"owncloud"),
)
_SYNCTHING = ".stfolder"  # the marker in each folder that Syncthing copies
_ESCAPED = re.compile(r"\\([0-7]{3})")


def concerns(path: Path) -> tuple[str, ...]:
    """Why a store at this path, resolved, may be damaged or lose writes, each in a sentence; none for a good place."""
    return (*_mounted(path), *_synchronised(path))


def network(path: Path) -> str | None:
    """The kind of file system a path, resolved, is on, if other machines may write to it; None as far as is known."""
    if path.drive.startswith("\\\\"):  # as in \\server\share
        return "a network share"
    kind = file_system(_mounts(), PurePosixPath(path)) if sys.platform == "linux" else None
    is_remote = kind in _NETWORK or (kind is not None and kind.startswith("fuse.") and kind not in _LOCAL)
    return kind if is_remote else None


def _mounted(path: Path) -> Iterator[str]:
    kind = network(path)
    if kind is not None:
        yield (
            f"{path.parent} is on {kind}, where SQLite's locks and its log are not safe as soon as two machines use "
            "them; keep the store on a local disk"
        )


def _mounts() -> str:
    try:
        return _MOUNTS.read_text(encoding="utf-8", errors="surrogateescape")
    except OSError:  # no /proc here
        return ""


def file_system(mounts: str, path: PurePosixPath) -> str | None:
    """The type of the file system that a path is on, by the text of /proc/self/mountinfo; None when it does not say."""
    found, depth = None, -1
    for line in mounts.splitlines():
        before, separator, after = line.partition(" - ")
        fields = before.split(" ")
        if not separator or len(fields) < 5:
            continue
        mount = PurePosixPath(_ESCAPED.sub(lambda match: chr(int(match[1], 8)), fields[4]))
        # Of two mounts at one place the later one lies on top.
        if len(mount.parts) >= depth and path.is_relative_to(mount):
            found, depth = after.split(" ")[0], len(mount.parts)
    return found


def _synchronised(path: Path) -> Iterator[str]:
    names = [
        name
        for name, pattern in _SYNCHRONISED
        if any(re.match(rf"(?:{pattern})(?![a-z])", part, re.IGNORECASE) for part in path.parent.parts)
    ]
    if any((folder / _SYNCTHING).exists() for folder in path.parents):
        names.append("Syncthing")
    for name in names:
        yield (
            f"{path.parent} looks like a folder that {name} copies to other machines, the file and its log at "
            "different moments; keep the store elsewhere, and put backups there"
        )

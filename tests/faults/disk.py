"""A disk below SQLite that counts what reaches it, fails at the n-th point, and knows what a power loss would leave.

It is an apsw VFS above the system's own. A point is a write, sync, truncation or deletion of the database, its log or
its journal; the shared memory of the log is mapped and never passes here. A fault that is a crash leaves every later
call failing, so that connections can be abandoned as a dead process abandons them: closing them writes nothing. The
files lie in place then, for another connection to open as a new process would.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import apsw

Mode = Literal["error once", "disk full", "error for good", "torn write", "power loss"]
MODES: tuple[Mode, ...] = ("error once", "disk full", "error for good", "torn write", "power loss")
CRASHES: tuple[Mode, ...] = ("torn write", "power loss")
SYSTEM = apsw.vfs_names()[0]
WITH_FOLDER = apsw.SQLITE_OPEN_WAL | apsw.SQLITE_OPEN_MAIN_JOURNAL
SECTOR = 512  # bytes that a disk writes whole or not at all


@dataclass
class Image:
    """What of a file is on the platters (None: no such file), and what was done since without a sync."""

    durable: bytes | None
    pending: list[tuple[int, bytes | None]] = field(default_factory=list)  # (offset, data), or (size, None) for a cut
    deleted: bytes | None = None  # a file of the same name that is there again if its folder was not synced

    def settle(self) -> None:
        """A sync."""
        self.durable = _applied(self.durable, self.pending)
        self.pending, self.deleted = [], None

    def delete(self, *, synced: bool) -> None:
        """The file is gone, at the latest when something of its name is synced."""
        self.deleted = None if synced else (self.durable if self.durable is not None else self.deleted)
        self.durable, self.pending = None, []

    def after_power_loss(self, draw: random.Random) -> bytes | None:
        """The file as the power loss leaves it: of what is not synced some is there, some not, some in part.

        Syncing says in which order things reach the disk, and nothing else does; so any subset is possible.
        """
        if self.deleted is not None and draw.random() < 0.5:
            return self.deleted
        share = draw.choice((0.0, 0.3, 0.6, 0.9, 1.0))
        reached: list[tuple[int, bytes | None]] = []
        for offset, data in self.pending:
            if draw.random() < share:
                reached.append((offset, data))
            elif data is not None and draw.random() < 0.3:  # torn: whole sectors of it
                places = range(0, len(data), SECTOR)
                reached += [(offset + at, data[at : at + SECTOR]) for at in places if draw.random() < 0.5]
        return _applied(self.durable, reached) if self.durable is not None or reached else None


def _applied(content: bytes | None, writes: list[tuple[int, bytes | None]]) -> bytes:
    image = bytearray(content or b"")
    for offset, data in writes:
        if data is None:
            del image[offset:]
            image.extend(bytes(offset - len(image)))
        else:
            image.extend(bytes(max(0, offset - len(image))))
            image[offset : offset + len(data)] = data
    return bytes(image)


class Disk(apsw.VFS):
    """One disk. It lives as long as the process, as SQLite expects, and is used for one fault after the other.

    A disk that is `lying` reports syncs that it does not do.
    """

    ending = False  # a connection is being closed

    def __init__(self, name: str) -> None:
        self.name = name
        self.lying = False
        self.log_events: list[str] = []  # what has happened to logs: "write", "sync"
        self.reads_fail = False
        self.reset()
        super().__init__(name, SYSTEM)

    def reset(self) -> None:
        """A disk in good order, on which nothing has been seen yet. No file may be open on it."""
        self.images: dict[str, Image] = {}
        self.heal()

    def heal(self) -> None:
        """Everything works from now on, and no fault is to come."""
        self.points, self.fault_at, self.mode = 0, 0, MODES[0]
        self.fired = self.dead = self.full = self.reads_fail = False

    def fail_at(self, point: int, mode: Mode) -> None:
        """Count from now on, and fail at this point (the first is 1; 0: never)."""
        self.heal()
        self.fault_at, self.mode = point, mode

    def die(self) -> None:
        """The process or the power is gone: nothing that is open reaches the disk any more."""
        self.dead = True

    @contextmanager
    def mounted(self) -> Iterator[Disk]:
        """Every connection that is opened meanwhile, and names no other, uses this disk."""
        apsw.set_default_vfs(self.name)
        try:
            yield self
        finally:
            apsw.set_default_vfs(SYSTEM)

    # --- faults -------------------------------------------------------------------------------------------------------

    def point(self, tear: Callable[[], object] | None = None) -> bool:
        """Count a point, and raise when it fails; whether there is anything to be done. `tear` does half of a write."""
        if self.dead and not self.ending:
            raise apsw.IOError("the disk is gone")
        self.points += 1
        if self.points != self.fault_at or self.dead:
            return not self.dead
        if self.mode == "disk full":
            self.full = True
            return True
        self.fired = True
        if self.mode == "error for good":
            self.dead = self.reads_fail = True
        elif self.mode in CRASHES:
            if tear is not None and self.mode == "torn write":
                tear()
            self.dead = True
        raise apsw.IOError(f"{self.mode}, at point {self.points}")

    def sync_folder(self) -> None:
        """What was deleted stays so."""
        for image in self.images.values():
            image.deleted = None

    def lose_power(self, seed: int) -> None:
        """Leave of the files what the platters hold. All connections must have been closed, after `die`."""
        draw = random.Random(seed)
        for name, image in self.images.items():
            path, content = Path(name), image.after_power_loss(draw)
            if content is None:
                path.unlink(missing_ok=True)
            else:
                path.touch(0o600)
                path.write_bytes(content)

    # --- what SQLite calls --------------------------------------------------------------------------------------------

    def xOpen(self, name: str | apsw.URIFilename | None, flags: list[int]) -> apsw.VFSFile:
        """A database, log or journal, or a temporary file without a name, of which a power loss leaves nothing."""
        path = name.filename() if isinstance(name, apsw.URIFilename) else name
        was_there = path is not None and Path(path).exists()
        file = DiskFile(self, path, name, flags)
        if path is not None and path not in self.images:
            self.images[path] = Image(file.whole() if was_there else None)
        return file

    def xDelete(self, name: str, sync_folder: bool) -> None:
        """A deletion that the folder was not synced after may be undone by a power loss."""
        if not self.point():
            return
        super().xDelete(name, sync_folder)
        self.images.setdefault(name, Image(None)).delete(synced=sync_folder and not self.lying)


class DiskFile(apsw.VFSFile):
    """An open file of a `Disk`."""

    def __init__(self, disk: Disk, path: str | None, name: Any, flags: list[int]) -> None:
        self._disk, self._path = disk, path
        self._is_log = bool(flags[0] & apsw.SQLITE_OPEN_WAL)
        # As the system's own VFS does at the first sync of a log or journal that it may have made.
        self._syncs_folder = bool(flags[0] & apsw.SQLITE_OPEN_CREATE and flags[0] & WITH_FOLDER)
        super().__init__(SYSTEM, name, flags)

    @property
    def _image(self) -> Image:
        if self._path is None:
            return Image(None)
        return self._disk.images.setdefault(self._path, Image(None))

    def whole(self) -> bytes:
        """The content, read through SQLite's own descriptor: any other one would drop its locks when closed."""
        return bytes(super().xRead(super().xFileSize(), 0))

    def xRead(self, amount: int, offset: int) -> bytes:
        if self._disk.reads_fail and not self._disk.ending:
            raise apsw.IOError("the disk is broken")
        return super().xRead(amount, offset)

    def xWrite(self, data: bytes, offset: int) -> None:
        data = bytes(data)
        if not self._disk.point(tear=lambda: self._write(data[: len(data) // 2], offset)):
            return
        if self._disk.full and offset + len(data) > self.xFileSize():
            self._disk.fired = True
            raise apsw.FullError("no space left")
        self._write(data, offset)

    def _write(self, data: bytes, offset: int) -> None:
        super().xWrite(data, offset)
        self._image.pending.append((offset, data))
        self._note("write")

    def xSync(self, flags: int) -> None:
        """Without a sync of the real file, which would cost time and change nothing that is seen here."""
        if not self._disk.point():
            return
        if not self._disk.lying:
            self._image.settle()
            if self._syncs_folder:
                self._disk.sync_folder()
                self._syncs_folder = False
        self._note("sync")

    def xTruncate(self, size: int) -> None:
        if not self._disk.point():
            return
        super().xTruncate(size)
        self._image.pending.append((size, None))

    def _note(self, event: str) -> None:
        if self._is_log:
            self._disk.log_events.append(event)


class Quiet(apsw.Connection):
    """Closing it, or a copy that it makes, raises nothing.

    SQLite reports no error of the checkpoint or the rollback that it tries then, but apsw does when Python had raised
    it. A process that is dead does nothing anyway.
    """

    def close(self, force: bool = False) -> None:
        with _ending():
            try:
                super().close(force)
            except (apsw.IOError, apsw.FullError):
                super().close(True)

    def backup(self, *names: Any) -> Any:
        return QuietBackup(super().backup(*names))


class QuietBackup:
    """A copy by SQLite's backup API."""

    def __init__(self, copying: apsw.Backup) -> None:
        self._copying = copying

    def __getattr__(self, name: str) -> Any:
        return getattr(self._copying, name)

    def __enter__(self) -> QuietBackup:
        return self

    def __exit__(self, *_: object) -> None:
        with _ending():
            self._copying.close(True)


@contextmanager
def _ending() -> Iterator[None]:
    """What is dead raises nothing meanwhile, and does nothing."""
    Disk.ending = True
    try:
        yield
    finally:
        Disk.ending = False


@contextmanager
def quiet_ends() -> Iterator[None]:
    """Connections that are opened meanwhile are closed as they would be on a disk that is not written in Python."""
    usual = apsw.Connection
    apsw.Connection = Quiet  # type: ignore[misc]
    try:
        yield
    finally:
        apsw.Connection = usual  # type: ignore[misc]

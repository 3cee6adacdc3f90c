"""A disk that keeps a record of what happens to the log and can fail to read: importing this puts it below SQLite."""

from __future__ import annotations

import apsw

SYSTEM = apsw.vfs_names()[0]
log_events: list[str] = []
broken = False


class WatchedFile(apsw.VFSFile):
    def __init__(self, name: str | apsw.URIFilename | None, flags: list[int]) -> None:
        self._is_log = bool(flags[0] & apsw.SQLITE_OPEN_WAL)
        super().__init__(SYSTEM, name, flags)

    def xRead(self, amount: int, offset: int) -> bytes:
        if broken:
            raise apsw.IOError("the disk is broken")
        return super().xRead(amount, offset)

    def xWrite(self, data: bytes, offset: int) -> None:
        super().xWrite(data, offset)
        if self._is_log:
            log_events.append("write")

    def xSync(self, flags: int) -> None:
        super().xSync(flags)
        if self._is_log:
            log_events.append("sync")


class WatchedDisk(apsw.VFS):
    def __init__(self) -> None:
        super().__init__("watched", SYSTEM, makedefault=True)

    def xOpen(self, name: str | apsw.URIFilename | None, flags: list[int]) -> apsw.VFSFile:
        return WatchedFile(name, flags)


DISK = WatchedDisk()  # lives as long as the process, as SQLite expects

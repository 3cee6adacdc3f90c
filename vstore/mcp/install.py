"""One more entry in a client's list of servers: shown as a difference first, written with a copy of what was there."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from vstore import atomic
from vstore.config import MCP_LIST_BYTES
from vstore.errors import InputError, NotFoundError
from vstore.mcp.clients import CLIENTS, SERVER, Client
from vstore.paths import expanded


@dataclass(frozen=True, slots=True)
class Change:
    """What is to be written to a client's file. `before` is None when there is no such file yet."""

    path: Path
    before: str | None
    after: str

    def difference(self) -> str:
        """The change line by line; empty when there is none."""
        before, after = (self.before or "").splitlines(keepends=True), self.after.splitlines(keepends=True)
        name = str(self.path)
        return "".join(_ended(line) for line in difflib.unified_diff(before, after, name, name))

    def write(self) -> Path | None:
        """Write the file; where the copy of the former one is, if there was one.

        Raises InputError when somebody changed the file meanwhile, StoreError when it cannot be written.
        """
        if _read(self.path) != self.before:
            raise InputError(f"{self.path} was changed by somebody else just now; repeat the command")
        copy = None
        with atomic.translated(self.path):
            self.path.parent.mkdir(parents=True, exist_ok=True)
        if self.before is not None:
            copy = atomic.dated(self.path.parent, self.path.name, ".bak")
            with atomic.appearing(copy) as partial:
                partial.write_bytes(self.before.encode())
        mode = self.path.stat().st_mode & 0o777 if self.before is not None else 0o600
        with atomic.appearing(self.path, overwrite=True) as partial:
            partial.write_bytes(self.after.encode())
            partial.chmod(mode)
        return copy


def change(name: str, command: Sequence[str], environment: Mapping[str, str], file: str | None) -> Change:
    """The change to a client's file, or to another one of its kind, that lets it start this server.

    Raises InputError for a file that cannot be understood, NotFoundError where a client's own is not known.
    """
    client: Client = CLIENTS[name]
    place = client.place() if file is None else Path(file)
    if place is None:
        raise NotFoundError(f"{name} is not for this system, as far as vstore knows; name its file with --file")
    path = expanded(place)
    before = _read(path)
    after = client.with_entry(before or "", client.entry(command, environment), path)
    return Change(path, before, after)


def by_hand(name: str, command: Sequence[str], environment: Mapping[str, str]) -> str:
    """A client's list with nothing in it but this server, for whoever adds it to one that vstore cannot change."""
    client: Client = CLIENTS[name]
    return client.with_entry("", client.entry(command, environment), Path(name))


def _read(path: Path) -> str | None:
    try:
        if path.stat().st_size > MCP_LIST_BYTES:
            raise InputError(f"{path} is larger than any list of servers; add the entry {SERVER} by hand")
        return path.read_bytes().decode("utf-8")
    except FileNotFoundError:
        return None
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path} cannot be read ({error}); add the entry {SERVER} by hand") from error


def _ended(line: str) -> str:
    return line if line.endswith("\n") else f"{line}\n\\ no newline at the end\n"

"""Where each client keeps its list of MCP servers, and a list with one entry more: everything else stays in it."""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from vstore.errors import InputError

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

SERVER: Final = "vstore"  # the entry's name


@dataclass(frozen=True, slots=True)
class Client:
    """One client: the file by system (None: it is not for that one), the key of its list, and what an entry adds."""

    name: str
    place: Callable[[], Path | None]
    key: str = "mcpServers"
    extra: Mapping[str, str] | None = None
    toml: bool = False

    def entry(self, command: Sequence[str], environment: Mapping[str, str]) -> dict[str, Any]:
        """What stands in the list."""
        own = {"command": command[0], "args": list(command[1:])}
        return {**(self.extra or {}), **own, **({"env": dict(environment)} if environment else {})}

    def with_entry(self, text: str, entry: Mapping[str, Any], path: Path) -> str:
        """The file's text with the entry, which replaces one of that name.

        Raises InputError for a file that cannot be read as what it should be, or in which more would change.
        """
        before = self._parsed(text, path)
        servers = before.get(self.key, {})
        if not isinstance(servers, dict):
            raise InputError(f"{path}: {self.key} is no table of servers; correct it, or add the entry by hand")
        expected = {**before, self.key: {**servers, SERVER: dict(entry)}}
        changed = _toml(text, self.key, entry) if self.toml else _json(text, expected)
        if self._parsed(changed, path) != expected:
            raise InputError(f"{path} is written in a way that cannot be changed safely; add the entry by hand")
        return changed

    def _parsed(self, text: str, path: Path) -> dict[str, Any]:
        try:
            parsed = tomllib.loads(text) if self.toml else json.loads(text or "{}", object_pairs_hook=_once)
        except (ValueError, RecursionError) as error:
            kind = "TOML" if self.toml else "JSON (comments are not understood)"
            raise InputError(f"{path} is no {kind}: {error}; add the entry by hand: --print shows it") from error
        if not isinstance(parsed, dict):
            raise InputError(f"{path} is no JSON object; correct it, or add the entry by hand")
        return parsed


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a name stands twice in one object")
    return found


def _json(text: str, value: Any) -> str:
    indent = re.search(r"^([ \t]+)\S", text, re.MULTILINE)
    written = json.dumps(value, ensure_ascii=False, indent=indent[1] if indent else 2) + "\n"
    return written.encode("utf-8", "backslashreplace").decode()  # half a character, which JSON may have as an escape


def _toml(text: str, key: str, entry: Mapping[str, Any]) -> str:
    """The entry as a table at the end, without the one before: comments and all other tables stay as they are."""
    import tomli_w

    header = re.compile(rf'^\s*\[\s*{key}\s*\.\s*("?){SERVER}\1\s*(\.[^\]]*)?\]')
    kept: list[str] = []
    left: list[str] = []  # the comments at the end of the dropped table, which may be about the next one
    is_own = False
    for line in text.splitlines(keepends=True):
        if re.match(r"\s*\[", line):
            is_own = header.match(line) is not None
            kept += left
            left = []
        if not is_own:
            kept.append(line)
        elif re.match(r"\s*#", line) or (left and not line.strip()):
            left.append(line)
        else:
            left = []
    kept += left
    before = "".join(kept).rstrip("\n")
    return (f"{before}\n\n" if before else "") + tomli_w.dumps({key: {SERVER: dict(entry)}})


# --- places -----------------------------------------------------------------------------------------------------------


def _home(*parts: str) -> Callable[[], Path | None]:
    return lambda: Path.home().joinpath(*parts)


def _application(folder: str, file: str, *, linux: bool) -> Callable[[], Path | None]:
    """In the system's folder for what applications keep."""

    def place() -> Path | None:
        if sys.platform == "darwin":
            return Path.home() / "Library" / "Application Support" / folder / file
        if sys.platform == "win32":
            roaming = os.environ.get("APPDATA")
            return Path(roaming, folder, file) if roaming else None
        return _configuration() / folder / file if linux else None

    return place


def _configuration() -> Path:
    return Path(os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config")


def _zed() -> Path | None:
    if sys.platform == "win32":
        roaming = os.environ.get("APPDATA")
        return Path(roaming, "Zed", "settings.json") if roaming else None
    return (Path.home() / ".config" if sys.platform == "darwin" else _configuration()) / "zed" / "settings.json"


def _codex() -> Path | None:
    return Path(os.environ.get("CODEX_HOME") or Path.home() / ".codex") / "config.toml"


CLIENTS: Final = {
    client.name: client
    for client in (
        Client("claude-desktop", _application("Claude", "claude_desktop_config.json", linux=False)),
        Client("claude-code", _home(".claude.json"), extra={"type": "stdio"}),
        Client("cursor", _home(".cursor", "mcp.json")),
        Client("vscode", _application(str(Path("Code", "User")), "mcp.json", linux=True), "servers", {"type": "stdio"}),
        Client("windsurf", _home(".codeium", "windsurf", "mcp_config.json")),
        Client("zed", _zed, "context_servers"),
        Client("gemini-cli", _home(".gemini", "settings.json")),
        Client("codex", _codex, "mcp_servers", toml=True),
    )
}

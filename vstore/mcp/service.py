"""Calls of tools, whichever way they come: arguments and quotas checked, the store opened at the first, errors told."""

from __future__ import annotations

import os
import sys
import threading
import traceback
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from vstore import config
from vstore.errors import VstoreError
from vstore.mcp import results
from vstore.mcp.quota import Quota
from vstore.mcp.schema import checked
from vstore.mcp.tools import STORED, Options, Request, Tool, listed
from vstore.printable import printable

if TYPE_CHECKING:
    from vstore.settings import Settings
    from vstore.store import Store

NAME: Final = "vstore"
INSTRUCTIONS: Final = (
    "A memory that lasts between sessions. Search it before you answer, and remember what will be needed again. "
    f"{STORED}"
)


def version() -> str:
    """Of this vstore."""
    from importlib.metadata import version as installed  # here, because it costs 30 ms

    return installed("vstore")


def client_name(name: Any, number: Any) -> str:
    """What a client calls itself, as it is kept with what it writes."""
    text = " ".join(part for part in (name, number) if isinstance(part, str))
    return printable(text)[: config.MCP_CLIENT_CHARS] or "unknown"


class Service:
    """The tools of one store, for one client or several. Safe to share between threads."""

    def __init__(self, settings: Settings, options: Options, quota: Quota | None = None) -> None:
        """`settings` say which store, and the collection for what is put in; it is opened at the first call."""
        self._settings, self._options = settings, options
        self._tools = {tool.name: tool for tool in listed(options)}
        self._quota = quota or Quota()
        self._lock = threading.Condition()
        self._at_work = 0
        self._store: Store | None = None

    def listing(self) -> list[dict[str, Any]]:
        """The tools as `tools/list` has them."""
        return [tool.listing() for tool in self._tools.values()]

    def has(self, name: str) -> bool:
        """Whether there is a tool of that name."""
        return name in self._tools

    def call(self, name: str, arguments: Mapping[str, Any], client: str, session: str = "") -> dict[str, Any]:
        """The result of a call as `tools/call` has it: what vstore raises on purpose is told, all else is a bug."""
        with self._lock:
            self._at_work += 1
        try:
            return self._called(self._tools[name], arguments, client, session)
        finally:
            with self._lock:
                self._at_work -= 1
                self._lock.notify_all()

    def close(self, seconds: float = config.MCP_GRACE_S) -> bool:
        """Close the store when calls at work have ended. Whether they have, in that time."""
        with self._lock:
            has_ended = self._lock.wait_for(lambda: not self._at_work, seconds)
            if has_ended and self._store is not None:
                self._store.close()
                self._store = None
            return has_ended

    def end(self, seconds: float = config.MCP_GRACE_S) -> None:
        """Close the store, and if a call goes on for too long end the process: SQLite undoes what is not committed."""
        if not self.close(seconds):
            sys.stderr.flush()
            os._exit(1)

    def _called(self, tool: Tool, arguments: Mapping[str, Any], client: str, session: str) -> dict[str, Any]:
        try:
            checked(tool.schema, arguments)
            if tool.writes:
                self._quota.spend(session)
            store = self._open(create=tool.writes)
            request = Request(store, self._options, client, self._settings.collection, arguments)
            found = results.cleaned(tool.run(request))
            answer = _answer(results.text_of(found))
        except VstoreError as error:
            return _answer(printable(str(error))[: config.MCP_ERROR_CHARS], is_error=True)
        except Exception:  # noqa: BLE001 - a bug in one call must not end the server
            traceback.print_exc(file=sys.stderr)
            return _answer("vstore failed in a way that it does not know; see the server's log", is_error=True)
        return answer if tool.text_only else {**answer, "structuredContent": found}

    def _open(self, *, create: bool) -> Store:
        with self._lock:
            if self._store is None:
                from vstore.store import Store  # here, because a handshake shall not wait for numpy and SQLite

                read_only = self._options.read_only
                self._store = Store(self._settings.db, create=create, read_only=read_only)
            return self._store


def _answer(text: str, *, is_error: bool = False) -> dict[str, Any]:
    return {"content": [{"type": "text", "text": text}], "isError": is_error}

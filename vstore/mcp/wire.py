"""MCP as messages: JSON-RPC requests of one client in, their answers out, at most so many at once.

It speaks both kinds of the protocol: the versions that begin with a handshake, and the one in which each request says
for itself which version it is in and who asks. The SDK is not used for a pipe, because importing it takes longer than
all else that a client waits for; see bench/mcp.py.
"""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor, wait
from typing import Any, Final, NoReturn

from vstore import config
from vstore.mcp.service import INSTRUCTIONS, NAME, Service, client_name, version

HANDSHAKE_VERSIONS: Final = ("2024-11-05", "2025-03-26", "2025-06-18", "2025-11-25")
ENVELOPE_VERSIONS: Final = ("2026-07-28",)

PARSE_ERROR: Final = -32700
INVALID_REQUEST: Final = -32600
METHOD_NOT_FOUND: Final = -32601
INVALID_PARAMS: Final = -32602
TOO_MANY: Final = -32000
UNSUPPORTED_VERSION: Final = -32022

_META: Final = "io.modelcontextprotocol/"
_CAPABILITIES: Final = {"tools": {"listChanged": False}}
_ID: Final = rb'"id"\s*:\s*(-?\d{1,18}|"[^"\\]{1,100}")\s*'
# Where clients put the id of a request, before or behind all else: at either end it can be no part of an argument.
_ID_FIRST: Final = re.compile(rb'\s*\{\s*(?:"jsonrpc"\s*:\s*"2\.0"\s*,\s*)?' + _ID + rb"[,}]")
_ID_LAST: Final = re.compile(rb",\s*" + _ID + rb"\}\s*$")

Id = str | int
Envelope = Mapping[str, Any] | None
_Asked = tuple[str, Mapping[str, Any], str, Envelope]  # a tool, its arguments, and the client


class Refused(Exception):
    """A message that gets an error of JSON-RPC for an answer."""

    def __init__(self, code: int, text: str, message_id: Id | None = None, data: Any = None) -> None:
        super().__init__(text)
        self.code, self.text, self.message_id, self.data = code, text, message_id, data


class Wire:
    """One client. `receive` is called by one thread; answers are sent from several, one at a time."""

    def __init__(self, service: Service, send: Callable[[bytes], None]) -> None:
        self._service, self._send = service, send
        self._pool = ThreadPoolExecutor(config.MCP_CALLS, "vstore-mcp")
        self._lock = threading.Lock()
        self._calls: dict[Id, _Asked | None] = {}  # until they have ended; None for what was cancelled
        self._futures: set[Future[None]] = set()  # of calls that are not answered yet
        self._client: str | None = None  # known from the handshake on

    def receive(self, line: bytes) -> None:
        """Take a message. What has to be worked out is answered later, from another thread."""
        if not line.strip():
            return
        try:
            message = parsed(line)
            self._take(message)
        except Refused as refused:
            self._refuse(refused)

    def receive_part(self, head: bytes, tail: bytes) -> None:
        """Refuse a message that is too long to be read, of which these are the first and the last bytes."""
        text = f"a message has at most {config.MCP_MESSAGE_BYTES:,} bytes"
        self._refuse(Refused(INVALID_REQUEST, text, message_id(head, tail)))

    def close(self, seconds: float) -> bool:
        """Answer what was asked for, for so long, and begin nothing more after that; whether all was answered."""
        _, left = wait(set(self._futures), seconds)
        self._pool.shutdown(wait=False, cancel_futures=True)
        return not left

    # --- one message --------------------------------------------------------------------------------------------------

    def _take(self, message: Mapping[str, Any]) -> None:
        method = message.get("method")
        if method is None and ("result" in message or "error" in message):
            return  # an answer, to nothing that was asked
        if message.get("jsonrpc") != "2.0" or not isinstance(method, str):
            raise Refused(INVALID_REQUEST, "this is no message of JSON-RPC 2.0", _id_of(message.get("id")))
        params = message.get("params")
        if "id" not in message:
            self._notice(method, params)
            return
        number = _id_of(message["id"])
        if number is None:
            raise Refused(INVALID_REQUEST, "an id is a text or a whole number")
        if not isinstance(params, dict | None):
            raise Refused(INVALID_PARAMS, "params are an object", number)
        self._request(number, method, params or {})

    def _notice(self, method: str, params: Any) -> None:
        if method == "notifications/cancelled" and isinstance(params, dict):
            number = _id_of(params.get("requestId"))
            with self._lock:
                if number in self._calls:  # it keeps its place until a thread is through with it, but not its message
                    self._calls[number] = None

    def _request(self, number: Id, method: str, params: Mapping[str, Any]) -> None:
        meta = params.get("_meta")
        envelope = meta if isinstance(meta, dict) and f"{_META}protocolVersion" in meta else None
        if envelope is not None:
            self._check_version(number, envelope[f"{_META}protocolVersion"])
        if method == "initialize":
            self._reply(number, self._initialize(number, params))
        elif method == "ping":
            self._reply(number, {}, envelope)
        elif method == "server/discover" and envelope is not None:
            found = {"supportedVersions": list(ENVELOPE_VERSIONS), "capabilities": _CAPABILITIES}
            self._reply(number, {**found, "instructions": INSTRUCTIONS, **_uncached()}, envelope)
        elif method in ("tools/list", "tools/call"):
            if envelope is None and self._client is None:
                raise Refused(INVALID_REQUEST, "the handshake comes first: send initialize", number)
            if method == "tools/list":
                cached = {} if envelope is None else _uncached()
                self._reply(number, {"tools": self._service.listing(), **cached}, envelope)
            else:
                self._call(number, params, envelope)
        else:
            raise Refused(METHOD_NOT_FOUND, f"there is no method {method[:100]!r}", number)

    def _initialize(self, number: Id, params: Mapping[str, Any]) -> dict[str, Any]:
        wanted, info = params.get("protocolVersion"), params.get("clientInfo")
        if not isinstance(wanted, str) or not isinstance(info, dict):
            raise Refused(INVALID_PARAMS, "initialize has a protocolVersion and clientInfo", number)
        self._client = client_name(info.get("name"), info.get("version"))
        return {
            "protocolVersion": wanted if wanted in HANDSHAKE_VERSIONS else HANDSHAKE_VERSIONS[-1],
            "capabilities": _CAPABILITIES,
            "serverInfo": {"name": NAME, "version": version()},
            "instructions": INSTRUCTIONS,
        }

    def _check_version(self, number: Id, asked: Any) -> None:
        if asked not in ENVELOPE_VERSIONS:
            data = {"supported": list(ENVELOPE_VERSIONS), "requested": str(asked)[:100]}
            raise Refused(UNSUPPORTED_VERSION, "this version of the protocol is not spoken", number, data)

    # --- calls --------------------------------------------------------------------------------------------------------

    def _call(self, number: Id, params: Mapping[str, Any], envelope: Mapping[str, Any] | None) -> None:
        name, arguments = params.get("name"), params.get("arguments")
        arguments = {} if arguments is None else arguments
        if not isinstance(name, str) or not isinstance(arguments, dict):
            raise Refused(INVALID_PARAMS, "a call has the name of a tool, and an object of arguments", number)
        if not self._service.has(name):
            raise Refused(INVALID_PARAMS, f"there is no tool {name[:100]!r}", number)
        client = self._client or "unknown"
        if envelope is not None and isinstance(info := envelope.get(f"{_META}clientInfo"), dict):
            client = client_name(info.get("name"), info.get("version"))
        with self._lock:
            if number in self._calls:
                raise Refused(INVALID_REQUEST, f"a call with the id {number!r} is at work; ids are used once", number)
            if len(self._calls) >= config.MCP_WAITING:
                raise Refused(TOO_MANY, f"{config.MCP_WAITING} calls are waiting; send more when they are done", number)
            self._calls[number] = name, arguments, client, envelope
            future = self._pool.submit(self._work, number)
        self._futures.add(future)
        future.add_done_callback(self._futures.discard)

    def _work(self, number: Id) -> None:
        with self._lock:
            asked = self._calls[number]
        result = None if asked is None else self._service.call(*asked[:3])
        with self._lock:
            is_wanted = self._calls.pop(number) is not None
        if asked is not None and result is not None and is_wanted:
            self._reply(number, result, asked[3])

    # --- answers ------------------------------------------------------------------------------------------------------

    def _reply(self, number: Id, result: dict[str, Any], envelope: Mapping[str, Any] | None = None) -> None:
        if envelope is not None:
            stamp = {f"{_META}serverInfo": {"name": NAME, "version": version()}}
            result = {**result, "resultType": "complete", "_meta": stamp}
        self._write({"jsonrpc": "2.0", "id": number, "result": result})

    def _refuse(self, refused: Refused) -> None:
        error = {"code": refused.code, "message": refused.text}
        if refused.data is not None:
            error["data"] = refused.data
        self._write({"jsonrpc": "2.0", "id": refused.message_id, "error": error})

    def _write(self, message: dict[str, Any]) -> None:
        self._send(json.dumps(message, separators=(",", ":")).encode("ascii") + b"\n")


def parsed(line: bytes) -> dict[str, Any]:
    """A message as it stands. Raises Refused for what is none."""
    try:
        message = json.loads(line.decode("utf-8"), parse_constant=_no_number)
    except RecursionError:
        raise Refused(INVALID_REQUEST, "this JSON is nested too deep", message_id(line, line)) from None
    except ValueError as error:
        raise Refused(PARSE_ERROR, f"this is no JSON: {str(error)[:200]}", message_id(line, line)) from None
    if isinstance(message, list):
        raise Refused(INVALID_REQUEST, "batches are not taken; send each message on a line of its own")
    if not isinstance(message, dict):
        raise Refused(INVALID_REQUEST, "a message is an object")
    return message


def message_id(head: bytes, tail: bytes) -> Id | None:
    """The id of a message that cannot be read, so that whoever waits for its answer need not wait for ever."""
    found = _ID_FIRST.match(head) or _ID_LAST.search(tail[-200:])
    if found is None:
        return None
    try:
        number: Id = json.loads(found[1])
    except ValueError:
        return None
    return number


def _id_of(value: Any) -> Id | None:
    return value if isinstance(value, str | int) and not isinstance(value, bool) else None


def _no_number(name: str) -> NoReturn:
    raise ValueError(f"{name} is no number of JSON")


def _uncached() -> dict[str, Any]:
    return {"ttlMs": 0, "cacheScope": "private"}

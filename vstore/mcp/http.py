"""MCP over HTTP, on this machine only: for clients that cannot start a program. The protocol is the SDK's."""

from __future__ import annotations

import hmac
import os
import secrets
import signal
import socket
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final, NoReturn

from vstore import atomic, config
from vstore.errors import InputError, MissingExtraError, StoreError
from vstore.mcp.service import INSTRUCTIONS, NAME, Service, client_name, version
from vstore.mcp.wire import HANDSHAKE_VERSIONS
from vstore.paths import expanded

HOST: Final = "127.0.0.1"
VARIABLE: Final = "VSTORE_MCP_TOKEN"

Asgi = Callable[[Any, Any, Any], Awaitable[None]]


def require_sdk() -> None:
    """Raise MissingExtraError without the SDK."""
    try:
        import mcp  # noqa: F401
    except ImportError as error:
        raise MissingExtraError("MCP over HTTP needs an extra: pip install 'vstore[mcp]'") from error


def token(file: str | None) -> tuple[str, str]:
    """The token that clients must have, and a line that says where it is.

    It is the environment's, or a new one, which goes to a file that only its owner can read, or into that line. Never
    is it an argument: those are seen by all users of a machine. Raises InputError for one that is too short.
    """
    given = os.environ.get(VARIABLE, "")
    if given:
        if file is not None:
            raise InputError(f"{VARIABLE} is set, so there is no token to write to {file}; unset one of the two")
        if len(given) < config.MCP_TOKEN_CHARS or not given.isascii() or not given.isprintable() or " " in given:
            least = f"{config.MCP_TOKEN_CHARS} characters or more, letters, digits and signs"
            raise InputError(f"{VARIABLE} is no token: it needs {least}")
        return given, f"the token is that of {VARIABLE}"
    made = secrets.token_urlsafe(config.MCP_TOKEN_BYTES)
    if file is None:
        return made, f"the token for this run: {made}"
    path = expanded(file)
    with atomic.appearing(path, overwrite=True) as partial:  # made readable by its owner only
        partial.write_text(made + "\n", encoding="ascii")
    return made, f"the token is in {path}"


def bound(port: int) -> socket.socket:
    """A socket on the loopback interface; port 0 is any free one. Raises StoreError when the port is taken."""
    listening = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    try:
        if os.name == "posix":  # elsewhere it would let two servers share a port
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind((HOST, port))
        listening.listen()  # here, so that whoever is told the port can connect at once
    except OSError as error:
        listening.close()
        raise StoreError(f"port {port} cannot be used ({error.strerror}); choose another one with --port") from error
    return listening


def serve(service: Service, listening: socket.socket, secret: str) -> None:
    """Serve until the process is told to end."""
    import uvicorn

    port = listening.getsockname()[1]
    settings = uvicorn.Config(
        Guarded(application(service, port), secret),
        log_level="warning",
        access_log=False,
        timeout_graceful_shutdown=int(config.MCP_GRACE_S),
        server_header=False,
    )
    signal.signal(signal.SIGTERM, _end)  # which uvicorn hands on when it has ended, and which would else kill
    try:
        uvicorn.Server(settings).run(sockets=[listening])
    finally:
        service.end()


def _end(number: int, frame: Any) -> NoReturn:
    raise SystemExit(128 + number)


class Guarded:
    """An application for those who have the token."""

    def __init__(self, inner: Asgi, secret: str) -> None:
        self._inner = inner
        self._expected = f"Bearer {secret}".encode()

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Serve a request, or refuse it."""
        if scope["type"] != "http":  # the application's start and end
            await self._inner(scope, receive, send)
            return
        given = [value for name, value in scope["headers"] if name == b"authorization"]
        if len(given) == 1 and hmac.compare_digest(given[0], self._expected):
            await self._inner(scope, receive, send)
            return
        headers = [(b"www-authenticate", b"Bearer"), (b"content-type", b"text/plain"), (b"connection", b"close")]
        await send({"type": "http.response.start", "status": 401, "headers": headers})
        await send({"type": "http.response.body", "body": b"the token is missing or wrong\n"})


def application(service: Service, port: int) -> Asgi:
    """The SDK's server of these tools, at /mcp, for requests that name this host and come from no other site."""
    from mcp.server.transport_security import TransportSecuritySettings

    names = [f"{host}:{port}" for host in (HOST, "localhost")]
    security = TransportSecuritySettings(allowed_hosts=names, allowed_origins=[f"http://{name}" for name in names])
    app: Asgi = _server(service).streamable_http_app(
        json_response=True,
        transport_security=security,
        max_request_body_size=config.MCP_MESSAGE_BYTES,
    )
    return app


class Calls:
    """Threads for calls. One whose client has gone goes on, and keeps its place until it has ended."""

    def __init__(self) -> None:
        """In a running loop."""
        import anyio

        self._places = anyio.CapacityLimiter(config.MCP_CALLS)
        self._pool = ThreadPoolExecutor(config.MCP_CALLS, "vstore-mcp")

    @property
    def waiting(self) -> int:
        """How many have no place yet."""
        waiting: int = self._places.statistics().tasks_waiting
        return waiting

    async def run(self, call: Callable[..., dict[str, Any]], *given: Any) -> dict[str, Any]:
        """What a call returns, when there was a place for it."""
        import asyncio

        place = object()
        await self._places.acquire_on_behalf_of(place)
        work = asyncio.get_running_loop().run_in_executor(self._pool, call, *given)
        work.add_done_callback(lambda _: self._places.release_on_behalf_of(place))
        return await asyncio.shield(work)  # for a cancelled future would give the place back at once


def _server(service: Service) -> Any:
    import mcp_types as types
    from mcp.server.lowlevel import Server
    from mcp.shared.exceptions import MCPError

    calls: Calls | None = None

    async def list_tools(context: Any, params: Any) -> Any:
        return types.ListToolsResult.model_validate({"tools": service.listing()})

    async def call_tool(context: Any, params: Any) -> Any:
        nonlocal calls
        if not service.has(params.name):
            raise MCPError(code=types.INVALID_PARAMS, message=f"there is no tool {params.name[:100]!r}")
        calls = calls or Calls()
        if calls.waiting >= config.MCP_WAITING:
            raise MCPError(code=types.INTERNAL_ERROR, message=f"{config.MCP_WAITING} calls are waiting; send it later")
        asked = (params.name, params.arguments or {}, _client(context), _session(context))
        result = await calls.run(service.call, *asked)
        return types.CallToolResult.model_validate(result)

    return Server(NAME, version=version(), instructions=INSTRUCTIONS, on_list_tools=list_tools, on_call_tool=call_tool)


def _client(context: Any) -> str:
    about = context.session.client_params
    return client_name(about.client_info.name, about.client_info.version) if about else client_name(None, None)


def _session(context: Any) -> str:
    """The SDK's session. Where there is no handshake there is none, and the SDK does not check what the header says."""
    if context.protocol_version not in HANDSHAKE_VERSIONS:
        return ""
    return context.request.headers.get("mcp-session-id", "") if context.request is not None else ""

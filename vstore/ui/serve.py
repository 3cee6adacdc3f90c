"""The server of the page: on this machine alone, until Ctrl-C or the end of a `with` block."""

from __future__ import annotations

import contextlib
import os
import secrets
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from vstore import config
from vstore.errors import InputError, MissingExtraError

if TYPE_CHECKING:
    from vstore.store import Store

HOST = "127.0.0.1"


def serve(store: Store, *, port: int = 0, read_only: bool = False, ready: Callable[[str], None]) -> None:
    """Serve the page of a store until Ctrl-C; port 0 takes any that is free.

    `ready(url)` is called when the address with the token can be opened. Raises InputError when the port cannot be
    had, MissingExtraError without starlette, uvicorn and jinja2.
    """
    with _server(store, port, read_only) as (url, run, _):
        ready(url)  # connections queue from here on
        with contextlib.suppress(KeyboardInterrupt):  # which uvicorn raises again when it has ended
            run()


@contextmanager
def shown(store: Store, *, port: int = 0, read_only: bool = False) -> Iterator[str]:
    """The same from a thread, for the length of a `with` block: the address with its token. Raises what `serve` does.

    The store must be open for as long.
    """
    with _server(store, port, read_only) as (url, run, end):
        thread = threading.Thread(target=run, name="vstore ui")
        thread.start()
        try:
            yield url
        finally:
            end()
            thread.join()


@contextmanager
def _server(store: Store, port: int, read_only: bool) -> Iterator[tuple[str, Callable[[], None], Callable[[], None]]]:
    """The address, what runs the server until it is told to end, and what tells it."""
    try:
        import uvicorn

        from vstore.ui.app import application
    except ImportError as error:
        raise MissingExtraError("the local page needs an extra: pip install 'vstore[ui]'") from error

    with _listening(port) as listener:
        chosen, token = listener.getsockname()[1], secrets.token_urlsafe(config.UI_TOKEN_BYTES)
        app = application(store, token=token, port=chosen, read_only=read_only)
        options: dict[str, Any] = {
            "http": "h11",
            "ws": "none",
            "loop": "asyncio",
            "lifespan": "on",
            "log_config": None,  # errors go to stderr
            "access_log": False,  # it would have the token, and queries
            "server_header": False,
            "proxy_headers": False,
            "h11_max_incomplete_event_size": config.UI_URL_BYTES,
            "timeout_graceful_shutdown": config.UI_SHUTDOWN_S,
        }
        server = uvicorn.Server(uvicorn.Config(app, **options))

        def end() -> None:
            server.should_exit = True

        yield f"http://{HOST}:{chosen}/?token={token}", lambda: server.run(sockets=[listener]), end


@contextmanager
def _listening(port: int) -> Iterator[socket.socket]:
    """A socket that listens on the loopback interface. Raises InputError."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as listener:
        if os.name == "posix":  # elsewhere it would let two servers have one port
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((HOST, port))
            listener.listen()
        except (OSError, OverflowError) as error:
            reason = getattr(error, "strerror", None) or "ports are numbers from 0 to 65535"
            raise InputError(f"port {port} cannot be had ({reason}); give another one with --port") from error
        yield listener

"""The server of the page: on this machine alone, until Ctrl-C."""

from __future__ import annotations

import contextlib
import os
import secrets
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

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
    try:
        import uvicorn

        from vstore.ui.app import application
    except ImportError as error:
        raise MissingExtraError("the local page needs an extra: pip install 'vstore[ui]'") from error

    with _listening(port) as listener:
        chosen, token = listener.getsockname()[1], secrets.token_urlsafe(config.UI_TOKEN_BYTES)
        url = f"http://{HOST}:{chosen}/?token={token}"
        server = uvicorn.Server(
            uvicorn.Config(
                application(store, token=token, port=chosen, read_only=read_only),
                http="h11",
                ws="none",
                loop="asyncio",
                log_config=None,  # errors go to stderr
                access_log=False,  # it would have the token, and queries
                server_header=False,
                proxy_headers=False,
                h11_max_incomplete_event_size=config.UI_URL_BYTES,
                timeout_graceful_shutdown=config.UI_SHUTDOWN_S,
            )
        )
        ready(url)  # connections queue from here on
        with contextlib.suppress(KeyboardInterrupt):  # which uvicorn raises again when it has ended
            server.run(sockets=[listener])


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
            reason = getattr(error, "strerror", None) or "from 0 to 65535"
            raise InputError(f"port {port} cannot be had ({reason}); give another one with --port") from error
        yield listener

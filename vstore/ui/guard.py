"""Who may ask: only pages of this server, in the browser that was given its token. See docs/ui.md.

Any web page can send requests to a port of the machine it is looked at on, and a name that it owns may lead there
(DNS rebinding). So every request must name this server, come from it, and carry the token.
"""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING, Final

from starlette.datastructures import MutableHeaders
from starlette.requests import Request
from starlette.responses import HTMLResponse, PlainTextResponse, Response

from vstore import config

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

SAFE: Final = ("GET", "HEAD")
HEADERS: Final = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
    "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'; "
    "require-trusted-types-for 'script'",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",  # with none at all, browsers send forms without their origin
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
}
LANDING: Final = (
    '<!doctype html><html lang="en"><meta charset="utf-8"><meta http-equiv="refresh" content="0; url=/">'
    '<link rel="icon" href="/static/icon.svg"><title>vstore</title><p><a href="/">Go on</a></p></html>\n'
)


class Guard:
    """Lets requests through to `app`, or answers them itself; adds the same headers to every answer."""

    def __init__(self, app: ASGIApp, token: str, port: int) -> None:
        """`token` opens the page; `port` is the one that the server listens on, at 127.0.0.1."""
        self._app = app
        self._token = token.encode()
        self._cookie = f"vstore_ui_{port}"  # cookies go by host, not by port, and there may be several pages
        self._hosts = {f"{name}:{port}" for name in ("127.0.0.1", "localhost")}
        if port == 80:  # which browsers leave out
            self._hosts |= {"127.0.0.1", "localhost"}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":  # the server's start and end; it speaks no other protocol
            await self._app(scope, receive, send)
            return

        async def send_guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(HEADERS)
            await send(message)

        request = Request(scope)
        answer = self._answer(request) or self._app
        await answer(scope, receive, send_guarded)

    def _answer(self, request: Request) -> Response | None:
        """What the guard says itself; None for a request that may pass."""
        if refusal := self._misdirected(request):
            return refusal
        if request.method in SAFE and "token" in request.query_params:
            return self._landing(request)
        if refusal := self._foreign(request):
            return refusal
        if not self._is_token(request.cookies.get(self._cookie, "")):
            return _no(401, "this page is closed to you; open the address that vstore ui printed, with its token")
        return None if request.method in SAFE else _too_much(request)

    def _misdirected(self, request: Request) -> Response | None:
        hosts = request.headers.getlist("host")
        if len(hosts) == 1 and hosts[0].lower() in self._hosts:
            return None
        return _no(421, "this server is asked for by its own address only; open the one that vstore ui printed")

    def _foreign(self, request: Request) -> Response | None:
        """Refuse what another page sends; browsers say where every form and script comes from."""
        own = f"http://{request.headers['host'].lower()}"
        origins = request.headers.getlist("origin")
        site = request.headers.get("sec-fetch-site", "none")
        wanted = [own] if request.method not in SAFE else origins and [own]
        if origins == wanted and site in ("same-origin", "none"):
            return None
        return _no(403, "this request comes from another page; open the address that vstore ui printed")

    def _landing(self, request: Request) -> Response:
        """Keep the token in a cookie, and go on to the first page without it.

        Not by a redirect: that would still count as coming from the page or program with the link, and a strict cookie
        would not be sent.
        """
        if not self._is_token(request.query_params["token"]):
            return _no(401, "this token is not the one of this server; open the address that vstore ui printed last")
        response = HTMLResponse(LANDING)
        response.set_cookie(self._cookie, self._token.decode(), path="/", httponly=True, samesite="strict")
        return response

    def _is_token(self, text: str) -> bool:
        return secrets.compare_digest(text.encode("utf-8", "replace"), self._token)


def _too_much(request: Request) -> Response | None:
    length = request.headers.get("content-length", "")
    if not length.isdecimal():
        return _no(411, "a form says how long it is")
    return None if int(length) <= config.UI_BODY_BYTES else _no(413, "no form of this page is that long")


def _no(status: int, sentence: str) -> Response:
    return PlainTextResponse(f"vstore: {sentence}\n", status)

"""Fetch one page, and be led nowhere else: to no other network, into no endless answer, and to no other name.

Each address on the way is looked up once and checked, and the connection is made to the address that was checked, while
the certificate is checked for the host's name. `http.client` only speaks: it opens no connection, follows nothing, and
knows no cookies, proxies and passwords.
"""

from __future__ import annotations

import io
import re
import socket
import ssl
import threading
import time
import zlib
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime, timezone
from email.utils import parsedate_to_datetime
from http.client import HTTPConnection, HTTPException, HTTPResponse, IncompleteRead, RemoteDisconnected
from typing import Any, Final

from vstore import config
from vstore.addresses import PORTS, Address, redirected
from vstore.errors import InputError
from vstore.ingest.parsed import Unreadable
from vstore.ingest.web_network import Network, is_public

_HEADERS: Final = {
    "User-Agent": "vstore",
    "Accept": "text/html,application/xhtml+xml,text/markdown,text/plain,application/pdf,*/*;q=0.5",
    "Accept-Encoding": "gzip",
    "Connection": "close",
}
_REDIRECTS: Final = (301, 302, 303, 307, 308)
_WITHOUT_PAGE: Final = (204, 205, 206)  # nothing, and a part that nobody asked for
_INTRANET: Final = "pages of an intranet are fetched with --allow-private"
_GZIP: Final = 16 + zlib.MAX_WBITS
_CHARSET: Final = re.compile(r";\s*charset\s*=\s*[\"']?([\w.:-]{1,40})", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Page:
    """What an address led to. `media_type` and `charset` are what the server says, in lower case, or ""."""

    address: Address
    media_type: str
    charset: str
    data: bytes
    modified_at: datetime | None


class Fetcher:
    """Fetches pages one after the other. `close` may be called by another thread, and ends the one at work."""

    def __init__(self, network: Network | None = None, *, allow_private: bool = False) -> None:
        """With `allow_private` the host that is asked for, and it alone, may have any address and any port."""
        self._network = network or Network()
        self._allow_private = allow_private
        self._state = threading.Lock()
        self._closed = False
        self._line: _Line | None = None

    def close(self) -> None:
        """End what is being fetched, which counts as unreadable then, and fetch no more."""
        with self._state:
            self._closed = True
            if self._line is not None:
                self._line.cut()

    def fetch(self, address: Address) -> Page:
        """What is at an address, after at most WEB_REDIRECTS redirects and WEB_SECONDS.

        Raises Unreadable with the reason when it is not to be had, or not to be asked for.
        """
        clock = _Clock(config.WEB_SECONDS)
        trusted = address.host if self._allow_private else None
        for _ in range(config.WEB_REDIRECTS + 1):
            answer = self._ask(address, clock, trusted=address.host == trusted)
            if isinstance(answer, Page):
                return answer
            try:
                address = redirected(address, answer)
            except InputError as error:
                raise Unreadable(f"it redirects to what is not fetched: {error}") from error
        raise Unreadable(f"more than {config.WEB_REDIRECTS} redirects")

    def _ask(self, address: Address, clock: _Clock, *, trusted: bool) -> Page | str:
        """The page, or where the server says that it is."""
        places = self._places(address, clock, trusted=trusted)
        with self._failures(address, clock), self._connected(address, places, clock) as line:
            connection = HTTPConnection(address.host, address.port)  # without one, it looks for it in the name
            connection.sock = line
            with closing(connection):
                connection.request("GET", address.target, headers={"Host": address.place, **_HEADERS})
                with closing(connection.getresponse()) as response:
                    if response.status in _REDIRECTS:
                        return _location(response)
                    line.allow(config.WEB_BYTES)
                    return _page(address, response)

    def _places(self, address: Address, clock: _Clock, *, trusted: bool) -> list[str]:
        """The IP addresses of a host, all of which may be reached."""
        if not trusted and address.port not in PORTS.values():
            raise Unreadable(f"port {address.port} of {address.host} is not one of web pages (80, 443); {_INTRANET}")
        places = self._network.resolve(address.host, address.port, clock.left())
        for place in places:
            if not trusted and not is_public(place):
                raise Unreadable(f"{address.host} is at {place}, which is no public address; {_INTRANET}")
        return places[: config.WEB_ATTEMPTS]

    @contextmanager
    def _connected(self, address: Address, places: list[str], clock: _Clock) -> Iterator[_Line]:
        line = _Line(self._socket(address, places, clock), clock)
        with self._state:
            self._line = line
            if self._closed:  # while it was connecting
                line.cut()
        try:
            yield line
        finally:
            with self._state:
                self._line = None
            line.end()

    def _socket(self, address: Address, places: list[str], clock: _Clock) -> socket.socket:
        """A connection to the first of the places that takes one, encrypted for https."""
        failure: OSError = OSError("it has no address")
        for place in places:
            try:
                plain = self._network.connect(place, address.port, min(clock.left(), config.WEB_CONNECT_S))
            except OSError as error:
                failure = error
                continue
            if address.scheme == "http":
                return plain
            try:
                plain.settimeout(clock.left())  # of the whole handshake
                return self._network.tls().wrap_socket(plain, server_hostname=address.host)
            except BaseException:
                plain.close()
                raise
        raise failure

    @contextmanager
    def _failures(self, address: Address, clock: _Clock) -> Iterator[None]:
        """Say in words what went wrong with a connection."""
        try:
            self._check_open()
            yield
            self._check_open()  # or the end of a connection that was cut would pass for the end of the page
        except (OSError, HTTPException, ValueError) as error:  # the last for a piece of a negative length
            self._check_open()
            clock.left()
            raise Unreadable(f"{address.place} {_in_words(error)}") from error

    def _check_open(self) -> None:
        if self._closed:
            raise Unreadable("not fetched: the ingest was ended")


class _Clock:
    """How long the fetch of a page may still take."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._end = time.monotonic() + seconds

    def left(self) -> float:
        """Seconds that are left. Raises Unreadable when there are none."""
        left = self._end - time.monotonic()
        if left <= 0:
            raise Unreadable(f"took more than {self._seconds:g} s to fetch")
        return left


class _Line:
    """A connection as `http.client` wants it, which ends at a time, and after so many bytes."""

    def __init__(self, connection: socket.socket, clock: _Clock) -> None:
        self._connection = connection
        self._clock = clock
        self._left = config.WEB_HEADER_BYTES
        self._too_much = f"more than {config.WEB_HEADER_BYTES:,} bytes of headers"

    def allow(self, count: int) -> None:
        """Let so many bytes come, with which the headers are over."""
        self._left = count
        self._too_much = f"larger than {count:,} bytes"

    def cut(self) -> None:
        """Let whoever waits for more go on; any thread may call it."""
        with suppress(OSError):  # it is over already
            socket.socket.shutdown(self._connection, socket.SHUT_RDWR)  # that of TLS would wait for the other side

    def end(self) -> None:
        """End the connection."""
        self._connection.close()

    def close(self) -> None:
        """Nothing: `http.client` closes what it reads from, too, and does so before it has read the answer."""

    def sendall(self, data: bytes) -> None:
        """Send the request."""
        self._connection.settimeout(self._clock.left())
        self._connection.sendall(data)

    def receive_into(self, buffer: Any) -> int:
        """Take what there is of the answer."""
        self._connection.settimeout(self._clock.left())
        count = self._connection.recv_into(buffer)
        self._left -= count
        if self._left < 0:
            raise Unreadable(self._too_much)
        return count

    def makefile(self, _: str) -> io.BufferedReader:
        """The answer."""
        return io.BufferedReader(_Answer(self))


class _Answer(io.RawIOBase):
    def __init__(self, line: _Line) -> None:
        self._line = line

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        return self._line.receive_into(buffer)


def _location(response: HTTPResponse) -> str:
    location = response.headers.get("Location")
    if not location:
        raise Unreadable(f"the server answered {response.status}, without saying where to")
    return location.encode("latin-1", "replace").decode(
        "utf-8", "replace"
    )  # as http.client decodes it, and people do not


def _page(address: Address, response: HTTPResponse) -> Page:
    if not 200 <= response.status < 300 or response.status in _WITHOUT_PAGE:
        raise Unreadable(f"the server answered {response.status}")
    declared = response.headers.get("Content-Type", "")
    charset = _CHARSET.search(declared)
    return Page(
        address,
        declared.partition(";")[0].strip().lower(),
        charset.group(1).lower() if charset else "",
        _unpacked(_body(response), response.headers.get("Content-Encoding", "")),
        _moment(response.headers.get("Last-Modified", "")),
    )


def _body(response: HTTPResponse) -> bytes:
    if (response.length or 0) > config.WEB_BYTES:
        raise Unreadable(f"larger than {config.WEB_BYTES:,} bytes")
    data = response.read(config.WEB_BYTES + 1)
    if len(data) > config.WEB_BYTES:
        raise Unreadable(f"larger than {config.WEB_BYTES:,} bytes")
    if response.length:
        raise IncompleteRead(data, response.length)
    return data


def _unpacked(data: bytes, encoding: str) -> bytes:
    encoding = encoding.strip().lower()
    if encoding in ("", "identity"):
        return data
    if encoding not in ("gzip", "x-gzip"):
        raise Unreadable(f"packed as {encoding[: config.SNIPPET_CHARS]!r}, which was not asked for")
    unpacker = zlib.decompressobj(_GZIP)
    try:
        unpacked = unpacker.decompress(data, config.WEB_BYTES + 1)
    except zlib.error as error:
        raise Unreadable("it cannot be unpacked") from error
    if len(unpacked) > config.WEB_BYTES:
        raise Unreadable(f"larger than {config.WEB_BYTES:,} bytes when it is unpacked")
    if not unpacker.eof or unpacker.unused_data:
        raise Unreadable("it cannot be unpacked")
    return unpacked


def _moment(text: str) -> datetime | None:
    """The time in a header; None for what is none, or is yet to come."""
    try:
        moment = parsedate_to_datetime(text)
    except (TypeError, ValueError, LookupError, OverflowError):
        return None
    now = datetime.now(timezone.utc)
    aware = moment if moment.tzinfo else moment.replace(tzinfo=timezone.utc)
    return aware if aware <= now else None


def _in_words(error: Exception) -> str:
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"has no certificate that can be believed: {error.verify_message}"
    if isinstance(error, ssl.SSLError):
        return f"could not agree on an encrypted connection ({error.reason or type(error).__name__})"
    if isinstance(error, TimeoutError):
        return "does not answer"
    if isinstance(error, RemoteDisconnected | IncompleteRead | ConnectionResetError | BrokenPipeError):
        return "broke off its answer"
    if isinstance(error, OSError):
        return f"cannot be reached: {error.strerror or error}"
    return f"does not answer as a web server does ({type(error).__name__})"

"""A web of one's own: hosts with public addresses that all lead to one server here, which answers as it is told."""

from __future__ import annotations

import shutil
import socket
import socketserver
import ssl
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from vstore.ingest.parsed import Unreadable
from vstore.ingest.web_network import Network, is_public

PLACE = "93.184.216.34"  # a public address; no test ever connects to it
Answer = bytes | Callable[[socket.socket], None]


def answer(body: bytes | str = b"", *headers: str, status: str = "200 OK", kind: str = "text/html") -> bytes:
    """A whole answer of HTTP with a body of that media type ("" for none named)."""
    data = body.encode() if isinstance(body, str) else body
    lines = [f"HTTP/1.1 {status}", *headers, f"Content-Length: {len(data)}"]
    if kind:
        lines.insert(1, f"Content-Type: {kind}")
    return "\r\n".join([*lines, "", ""]).encode("utf-8") + data


def moved(location: str, status: str = "302 Found") -> bytes:
    """A redirect."""
    return answer(b"", f"Location: {location}", status=status)


class Site:
    """What the server says to each path, and what it was asked. `ended` is set when the test is over."""

    def __init__(self) -> None:
        self.answers: dict[str, Answer] = {}
        self.requests: list[str] = []
        self.names: list[str | None] = []  # asked for in TLS handshakes
        self.ended = threading.Event()

    def serve(self, connection: socket.socket) -> None:
        """Answer one request."""
        asked = b""
        while b"\r\n\r\n" not in asked:
            if not (more := connection.recv(65_536)):
                return
            asked += more
        self.requests.append(asked.decode())
        said = self.answers.get(asked.split(b" ", 2)[1].decode(), answer("nothing here", status="404 Not Found"))
        if callable(said):
            said(connection)
        else:
            connection.sendall(said)

    def drip(self, *parts: bytes, every: float = 0.02) -> Callable[[socket.socket], None]:
        """An answer that sends the parts and then its last one again and again, until somebody has had enough."""

        def send(connection: socket.socket) -> None:
            for part in parts:
                connection.sendall(part)
            while not self.ended.wait(every):
                connection.sendall(parts[-1])

        return send


class Pretended(Network):
    """Knows the hosts of `hosts`; each name's addresses, or lists of them for one look-up after the other."""

    def __init__(self, port: int, tls_port: int = 0, trusted: Path | None = None) -> None:
        self.hosts: dict[str, list[str] | list[list[str]]] = {}
        self.open_private = False  # whether private addresses lead to the server, too
        self.looked_up: list[str] = []
        self.connected: list[tuple[str, int]] = []
        self._ports = {80: port, 443: tls_port}
        self._plain = port
        self._trusted = trusted

    def resolve(self, host: str, port: int, seconds: float) -> list[str]:
        self.looked_up.append(host)
        places = self.hosts.get(host)
        if places is None:
            return super().resolve(host, port, seconds) if _is_number(host) else _unknown(host)
        if isinstance(places[0], list):
            return places.pop(0) if len(places) > 1 else places[0]  # type: ignore[return-value]
        return places  # type: ignore[return-value]

    def connect(self, address: str, port: int, seconds: float) -> socket.socket:
        self.connected.append((address, port))
        assert self.open_private or is_public(address), f"connected to {address}"
        if port in self._ports or self.open_private:
            return socket.create_connection(("127.0.0.1", self._ports.get(port, self._plain)), seconds)
        raise ConnectionRefusedError(111, "Connection refused")

    def tls(self) -> ssl.SSLContext:
        context = super().tls()
        if self._trusted is not None:
            context.load_verify_locations(self._trusted)
        return context


def _is_number(host: str) -> bool:
    """Whether the system can tell a host's address without asking anybody."""
    return ":" in host or host.split(".")[0].startswith("0x") or host.replace(".", "").isdigit()


def _unknown(host: str) -> list[str]:
    raise Unreadable(f"there is no host {host}, or it cannot be looked up")


@contextmanager
def server(site: Site, certificate: Path | None = None) -> Iterator[int]:
    """Serve a site at a port of 127.0.0.1, over TLS with a certificate."""
    context = None
    if certificate is not None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate)
        context.sni_callback = lambda _socket, name, _context: site.names.append(name)

    class Handler(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            with suppress(OSError):  # the client has had enough, which many tests are about
                if context is None:
                    site.serve(self.request)
                else:
                    with context.wrap_socket(self.request, server_side=True) as encrypted:
                        site.serve(encrypted)

    class Server(socketserver.ThreadingTCPServer):
        daemon_threads = True
        allow_reuse_address = True
        request_queue_size = 64

    with Server(("127.0.0.1", 0), Handler) as running:
        thread = threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield running.server_address[1]
        finally:
            site.ended.set()
            running.shutdown()
            thread.join()


def make_certificate(folder: Path, *names: str) -> Path:
    """A certificate for these host names, signed by itself, with its key, in one file. Skips without openssl."""
    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.skip("openssl makes the certificate, and is not installed")
    key, certificate = folder / "key.pem", folder / "certificate.pem"
    asked = f"-x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN={names[0]}".split()
    named = ",".join(f"DNS:{name}" for name in names)
    for extension in (f"subjectAltName={named}", "keyUsage=critical,digitalSignature,keyCertSign"):
        asked += ["-addext", extension]
    asked += ["-keyout", str(key), "-out", str(certificate)]
    subprocess.run([openssl, "req", *asked], check=True, capture_output=True)
    certificate.write_text(certificate.read_text() + key.read_text())
    return certificate

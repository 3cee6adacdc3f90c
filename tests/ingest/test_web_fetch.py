"""A fetch reaches what it is meant to reach, within its limits, or says why not. Nothing here leaves this machine."""

from __future__ import annotations

import gzip
import socket
import threading
import time
import zlib
from datetime import datetime, timezone

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from ingest.conftest import Web
from ingest.pretend import PLACE, Site, answer, moved, server

from vstore import config
from vstore.addresses import parse
from vstore.ingest.parsed import Unreadable
from vstore.ingest.web_fetch import Fetcher, Page
from vstore.ingest.web_network import Network, is_public

PAGE = "http://example.org/"
INTRANET = "; pages of an intranet are fetched with --allow-private"
PRIVATE = """
0.0.0.0 10.0.0.1 100.64.0.1 100.100.100.200 127.0.0.1 127.255.255.254 168.63.129.16 169.254.169.254 172.16.0.1
172.31.255.255 192.0.0.192 192.0.2.1 192.88.99.1 192.168.0.1 198.18.0.1 198.51.100.1 203.0.113.1 224.0.0.1 240.0.0.1
255.255.255.255 :: ::1 ::127.0.0.1 ::ffff:127.0.0.1 ::ffff:10.0.0.1 64:ff9b::7f00:1 64:ff9b::a9fe:a9fe 64:ff9b:1::1
100::1 2001::1 2001:db8::1 2002:7f00:1:: 3fff::1 5f00::1 fc00::1 fd00:ec2::254 fe80::1 fe80::1%1 fec0::1 ff02::1"""


def fetch(url: str = PAGE, *, allow_private: bool = False) -> Page:
    return Fetcher(allow_private=allow_private).fetch(parse(url))


def refusal(url: str = PAGE, *, allow_private: bool = False) -> str:
    with pytest.raises(Unreadable) as caught:
        fetch(url, allow_private=allow_private)
    return str(caught.value)


@pytest.mark.parametrize("address", PRIVATE.split())
def test_addresses_of_no_public_machine_are_told(address: str) -> None:
    assert not is_public(address)


@pytest.mark.parametrize("address", [PLACE, "8.8.8.8", "2606:2800:220:1::1", "::ffff:8.8.8.8", "64:ff9b::808:808"])
def test_addresses_of_public_machines_are_told(address: str) -> None:
    assert is_public(address)


def test_a_page_comes_with_what_the_server_says_of_it(web: Web) -> None:
    web.site.answers["/a?b=c"] = answer(
        "text", "Last-Modified: Wed, 21 Oct 2015 07:28:00 GMT", kind='Text/HTML ; a=b; Charset="ISO-8859-1"'
    )
    page = fetch("http://EXAMPLE.org:80/a?b=c#d")
    modified_at = datetime(2015, 10, 21, 7, 28, tzinfo=timezone.utc)
    assert page == Page(parse("http://example.org/a?b=c"), "text/html", "iso-8859-1", b"text", modified_at)


def test_a_request_says_no_more_than_it_must(web: Web, monkeypatch: pytest.MonkeyPatch) -> None:
    """No proxy of the environment, no cookie that a redirect sets, no address of the page before."""
    with server(trap := Site()) as port:
        for name in ("http_proxy", "HTTP_PROXY", "https_proxy", "all_proxy", "ALL_PROXY"):
            monkeypatch.setenv(name, f"http://127.0.0.1:{port}")
        web.site.answers["/"] = answer(b"", "Set-Cookie: a=b", "Location: /next", status="301 Moved")
        web.site.answers["/next"] = answer("text")
        assert fetch().data == b"text"
    assert trap.requests == []
    for path, request in zip(("/", "/next"), web.site.requests, strict=True):
        lines = request.split("\r\n")
        assert lines[0] == f"GET {path} HTTP/1.1"
        assert {line.partition(":")[0] for line in lines[1:] if line} == {
            "Host",
            "User-Agent",
            "Accept",
            "Accept-Encoding",
            "Connection",
        }
        assert "Host: example.org" in lines


def test_a_host_is_looked_up_once_and_the_connection_goes_to_what_was_checked(web: Web) -> None:
    """A name server that says something else the second time is not asked a second time."""
    web.network.hosts["rebinding.example"] = [["93.184.216.99"], ["127.0.0.1"]]
    web.site.answers["/"] = answer("text")
    assert fetch("http://rebinding.example/").data == b"text"
    assert web.network.looked_up == ["rebinding.example"]
    assert web.network.connected == [("93.184.216.99", 80)]


def test_each_redirect_is_checked_anew(web: Web) -> None:
    web.network.hosts["rebinding.example"] = [[PLACE], ["127.0.0.1"]]
    web.site.answers["/"] = moved("/again")
    assert (
        refusal("http://rebinding.example/")
        == "rebinding.example is at 127.0.0.1, which is no public address" + INTRANET
    )
    assert web.network.connected == [(PLACE, 80)]


def test_a_host_with_one_private_address_among_public_ones_is_refused(web: Web) -> None:
    web.network.hosts["mixed.example"] = [PLACE, "10.0.0.1"]
    assert refusal("http://mixed.example/") == "mixed.example is at 10.0.0.1, which is no public address" + INTRANET
    assert web.network.connected == []


def test_the_next_address_is_tried_when_one_does_not_answer(web: Web, monkeypatch: pytest.MonkeyPatch) -> None:
    web.network.hosts["many.example"] = ["93.184.216.1", "93.184.216.2", "93.184.216.3"]
    web.site.answers["/"] = answer("text")
    connect = web.network.connect

    def refusing(address: str, port: int, seconds: float) -> socket.socket:
        if address == "93.184.216.3":
            return connect(address, port, seconds)
        raise ConnectionRefusedError(111, "Connection refused")

    monkeypatch.setattr(web.network, "connect", refusing)
    assert fetch("http://many.example/").data == b"text"
    monkeypatch.setattr(config, "WEB_ATTEMPTS", 2)
    assert refusal("http://many.example/") == "many.example cannot be reached: Connection refused"


def test_redirects_are_followed_three_times(web: Web) -> None:
    for step in range(4):
        web.site.answers[f"/{step}"] = moved(str(step + 1), status=f"{(301, 302, 303, 307)[step]} Moved")
    web.site.answers["/4"] = answer("text")
    assert fetch("http://example.org/1").address.uri == "http://example.org/4"
    assert refusal("http://example.org/0") == "more than 3 redirects"


def test_private_hosts_are_reached_only_where_they_are_named(web: Web) -> None:
    web.network.open_private = True
    web.network.hosts.update({"wiki": ["10.0.0.5"], "other": ["10.0.0.6"]})
    web.site.answers.update({"/": answer("text"), "/own": moved("http://wiki:9090/"), "/leave": moved("http://other/")})
    assert refusal("http://wiki/") == "wiki is at 10.0.0.5, which is no public address" + INTRANET
    assert refusal("http://wiki:8080/") == "port 8080 of wiki is not one of web pages (80, 443)" + INTRANET
    assert web.network.connected == []
    assert fetch("http://wiki:8080/", allow_private=True).data == b"text"
    assert web.network.connected == [("10.0.0.5", 8080)]
    assert "Host: wiki:8080" in web.site.requests[0].split("\r\n")
    assert fetch("http://wiki/own", allow_private=True).address.uri == "http://wiki:9090/"
    assert (
        refusal("http://wiki/leave", allow_private=True)
        == "other is at 10.0.0.6, which is no public address" + INTRANET
    )


def test_a_public_page_that_was_named_leads_to_no_private_one(web: Web) -> None:
    web.network.hosts["inside.example"] = ["10.0.0.5"]
    web.site.answers["/"] = moved("http://inside.example/")
    assert refusal(allow_private=True) == "inside.example is at 10.0.0.5, which is no public address" + INTRANET


def test_https_goes_by_the_name_of_the_host(secure_web: Web) -> None:
    """It is sent in the handshake, and the certificate is checked for it, while the connection is to an address."""
    secure_web.site.answers["/"] = answer("text")
    assert fetch("https://www.example.org/").data == b"text"
    assert secure_web.site.names == ["www.example.org"]
    assert secure_web.network.connected == [(PLACE, 443)]
    assert "Host: www.example.org" in secure_web.site.requests[0].split("\r\n")


def test_a_certificate_for_another_name_is_refused(secure_web: Web) -> None:
    reason = refusal("https://other.example/")
    assert reason.startswith("other.example has no certificate that can be believed: Hostname mismatch"), reason
    assert secure_web.site.requests == []


def test_a_certificate_that_nobody_vouches_for_is_refused(secure_web: Web) -> None:
    secure_web.network._trusted = None
    assert "has no certificate that can be believed: self" in refusal("https://example.org/")
    assert secure_web.site.requests == []


def test_a_server_without_tls_at_its_port_is_refused(web: Web) -> None:
    web.network._ports[443] = web.network._ports[80]
    web.site.answers["/"] = answer("text")
    web.site.serve = lambda connection: connection.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")  # type: ignore[method-assign]
    assert refusal("https://example.org/").startswith("example.org could not agree on an encrypted connection (")


def test_no_redirect_leads_from_https_to_http(secure_web: Web) -> None:
    secure_web.site.answers.update({"/": moved("http://example.org/x"), "/up": moved("https://example.org/x")})
    secure_web.site.answers["/x"] = answer("text")
    assert refusal("https://example.org/") == "it redirects to what is not fetched: it leads from https to http"
    assert fetch("http://example.org/up").address.uri == "https://example.org/x"


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        (b"", "example.org broke off its answer"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nshort", "example.org broke off its answer"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nabc", "example.org broke off its answer"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", "example.org broke off its answer"),
        (b"SSH-2.0-OpenSSH_9.2\r\n", "example.org does not answer as a web server does (BadStatusLine)"),
        (b"HTTP/1.1 999999 Odd\r\n\r\n", "example.org does not answer as a web server does (BadStatusLine)"),
        (b"HTTP/3.0 200 OK\r\n\r\n", "example.org does not answer as a web server does (UnknownProtocol)"),
        (
            b"HTTP/1.1 200 OK\r\n" + b"A: b\r\n" * 150,
            "example.org does not answer as a web server does (HTTPException)",
        ),
        (b"HTTP/1.1 200 OK\r\nA: " + b"b" * 80_000, "more than 65,536 bytes of headers"),
        (b"HTTP/1.1 100 Continue\r\n\r\n" * 10_000, "more than 65,536 bytes of headers"),
        (answer(status="204 No Content"), "the server answered 204"),
        (answer("part", status="206 Partial Content"), "the server answered 206"),
        (answer(status="304 Not Modified"), "the server answered 304"),
        (answer("gone", status="410 Gone"), "the server answered 410"),
        (answer("oh", status="500 Internal Server Error"), "the server answered 500"),
        (answer(status="302 Found"), "the server answered 302, without saying where to"),
        (moved("ftp://example.org/"), "it redirects to what is not fetched: only http and https are fetched"),
        (moved("http://mia:x@example.org/"), "it redirects to what is not fetched: an address with a user name"),
        (answer("x", "Content-Encoding: br"), "packed as 'br', which was not asked for"),
        (answer("x", "Content-Encoding: gzip, gzip"), "packed as 'gzip, gzip', which was not asked for"),
        (answer("x", "Content-Encoding: gzip"), "it cannot be unpacked"),
        (answer(gzip.compress(b"text")[:-6], "Content-Encoding: gzip"), "it cannot be unpacked"),
        (answer(gzip.compress(b"a") + gzip.compress(b"b"), "Content-Encoding: gzip"), "it cannot be unpacked"),
        (answer(zlib.compress(b"text"), "Content-Encoding: gzip"), "it cannot be unpacked"),
        (answer(gzip.compress(b"\0" * 30_000_000), "Content-Encoding: gzip"), "larger than 20,971,520 bytes when"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 20971521\r\n\r\n", "larger than 20,971,520 bytes"),
    ],
)
def test_an_answer_that_is_none_is_refused(web: Web, said: bytes, reason: str) -> None:
    web.site.answers["/"] = said
    assert refusal().startswith(reason)


@pytest.mark.parametrize(
    "said",
    [
        answer(gzip.compress(b"text"), "Content-Encoding: X-GZIP"),
        answer("text", "Content-Encoding: identity"),
        answer("text", "Last-Modified: yesterday"),
        answer("text", "Last-Modified: Fri, 01 Jan 2100 00:00:00 GMT"),
        b"HTTP/1.0 200\r\n\r\ntext",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nte\r\n2;a=b\r\nxt\r\n0\r\nTrailer: x\r\n\r\n",
        b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 203 Other\r\nContent-Length: 4\r\n\r\ntextual",
        b"HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\ntext",
    ],
)
def test_a_usual_or_tolerable_answer_is_taken(web: Web, said: bytes) -> None:
    web.site.answers["/"] = said
    page = fetch()
    assert (page.data, page.modified_at) == (b"text", None)


@pytest.mark.parametrize(
    "head",
    [b"", b"Transfer-Encoding: chunked\r\n", b"Content-Length: -5\r\n"],
    ids=["until it ends", "chunks", "negative"],
)
def test_an_answer_without_an_end_is_left_at_the_limit(web: Web, monkeypatch: pytest.MonkeyPatch, head: bytes) -> None:
    monkeypatch.setattr(config, "WEB_BYTES", 300_000)
    piece = b"x" * 65_536
    if b"chunked" in head:
        piece = b"10000\r\n" + piece + b"\r\n"
    web.site.answers["/"] = web.site.drip(b"HTTP/1.1 200 OK\r\n" + head + b"\r\n", piece, every=0)
    assert refusal() == "larger than 300,000 bytes"


def test_a_chunk_of_negative_size_does_not_lift_the_limit(web: Web, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(config, "WEB_BYTES", 300_000)
    head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n-1\r\n"
    web.site.answers["/"] = web.site.drip(head, b"x" * 65_536, every=0)
    assert refusal() in ("larger than 300,000 bytes", "example.org broke off its answer")


@pytest.mark.parametrize(
    "parts",
    [
        [b"HTTP/1.1 200 OK\r\nA: ", b"b"],
        [b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n", b"x"],
        [b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", b"1\r\nx\r\n"],
        [b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", b"0"],
        [b""],
    ],
    ids=["headers", "body", "chunks", "size of a chunk", "silence"],
)
def test_a_slow_answer_is_left_when_its_time_is_up(
    web: Web, monkeypatch: pytest.MonkeyPatch, parts: list[bytes]
) -> None:
    monkeypatch.setattr(config, "WEB_SECONDS", 0.3)
    web.site.answers["/"] = web.site.drip(*parts)
    assert refusal() == "took more than 0.3 s to fetch"


def test_all_redirects_together_have_one_time(web: Web, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(config, "WEB_SECONDS", 0.3)
    monkeypatch.setattr(config, "WEB_REDIRECTS", 1_000_000)
    web.site.answers["/"] = moved("/")
    assert refusal() == "took more than 0.3 s to fetch"


def test_a_handshake_that_does_not_come_to_an_end_is_left(web: Web, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(config, "WEB_SECONDS", 0.3)
    web.network._ports[443] = web.network._ports[80]
    web.site.serve = lambda connection: web.site.ended.wait(30) and None  # type: ignore[method-assign]
    assert refusal("https://example.org/") == "took more than 0.3 s to fetch"


def test_a_look_up_that_takes_too_long_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    done = threading.Event()
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: done.wait(30) and [])
    with pytest.raises(Unreadable, match=r"^the look-up of slow.example took more than 0 s$"):
        Network().resolve("slow.example", 80, 0.05)
    done.set()


def test_a_host_that_is_not_there_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown(*_: object, **__: object) -> None:
        raise socket.gaierror(-2, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    with pytest.raises(Unreadable, match=r"^there is no host nowhere.example, or it cannot be looked up$"):
        Network().resolve("nowhere.example", 80, 5)


@pytest.mark.parametrize("host", ["127.0.0.1", "127.1", "2130706433", "0x7f000001", "0177.0.0.1", "::1"])
def test_the_real_network_sees_through_other_ways_to_write_a_number(host: str) -> None:
    """They need no name server; a system that does not know a form has no host of that name."""
    try:
        places = Network().resolve(host, 80, 5)
    except Unreadable:
        return
    assert places and not any(is_public(place) for place in places)


def test_the_real_network_connects_without_a_look_up(monkeypatch: pytest.MonkeyPatch) -> None:
    site = Site()
    site.answers["/"] = answer("text")
    with server(site) as port:
        network = Network()
        monkeypatch.setattr(network, "resolve", lambda *_: ["127.0.0.1"])
        page = Fetcher(network, allow_private=True).fetch(parse(f"http://anything.example:{port}/"))
    assert page.data == b"text"
    assert f"Host: anything.example:{port}" in site.requests[0].split("\r\n")


def test_a_piece_of_a_negative_length_is_no_answer_of_a_web_server(web: Web) -> None:
    web.site.answers["/"] = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n-5\r\nabc"
    assert refusal() == "example.org does not answer as a web server does (ValueError)"


def test_an_address_of_ipv6_is_no_host_with_a_port(web: Web) -> None:
    web.site.answers["/"] = answer("the text", kind="text/plain")
    assert fetch("http://[2606:2800:220::abcd]/").data == b"the text"
    assert web.network.connected == [("2606:2800:220::abcd", 80)]


def test_closing_ends_a_fetch_that_is_still_connecting(web: Web, monkeypatch: pytest.MonkeyPatch) -> None:
    web.site.answers["/"] = web.site.drip(b"HTTP/1.1 200 OK\r\n\r\n", b"x")
    fetcher, connect = Fetcher(web.network), web.network.connect

    def close_meanwhile(address: str, port: int, seconds: float) -> socket.socket:
        fetcher.close()
        return connect(address, port, seconds)

    monkeypatch.setattr(web.network, "connect", close_meanwhile)
    begun = time.monotonic()
    with pytest.raises(Unreadable, match="the ingest was ended"):
        fetcher.fetch(parse(PAGE))
    assert time.monotonic() - begun < config.WEB_SECONDS / 2


def test_closing_ends_a_fetch_in_another_thread(web: Web) -> None:
    waiting = threading.Event()

    def stall(connection: socket.socket) -> None:
        connection.sendall(b"HTTP/1.1 200 OK\r\n\r\nthe beginning")
        waiting.set()
        web.site.ended.wait(30)

    web.site.answers["/"] = stall
    fetcher = Fetcher()
    reasons: list[str] = []

    def run() -> None:
        with pytest.raises(Unreadable) as caught:
            fetcher.fetch(parse(PAGE))
        reasons.append(str(caught.value))

    thread = threading.Thread(target=run)
    thread.start()
    assert waiting.wait(30)
    fetcher.close()
    thread.join(30)
    assert reasons == ["not fetched: the ingest was ended"]
    with pytest.raises(Unreadable, match="the ingest was ended"):
        fetcher.fetch(parse(PAGE))
    fetcher.close()


HEADERS = st.lists(
    st.tuples(
        st.sampled_from(
            ["Content-Type", "Content-Encoding", "Last-Modified", "Location", "Transfer-Encoding", "Content-Length"]
        ),
        st.binary(max_size=30),
    ),
    max_size=4,
)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.sampled_from([b"200", b"302", b"404", b"20", b"1"]), HEADERS, st.binary(max_size=40))
def test_any_answer_is_a_page_or_refused(
    web: Web, status: bytes, headers: list[tuple[str, bytes]], body: bytes
) -> None:
    lines = [b"HTTP/1.1 " + status, *(name.encode() + b": " + value for name, value in headers)]
    web.site.answers["/"] = b"\r\n".join(lines) + b"\r\n\r\n" + body
    try:
        assert isinstance(fetch(), Page)
    except Unreadable as error:
        assert str(error)

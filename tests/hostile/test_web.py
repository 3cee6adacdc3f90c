"""Web addresses that lead where they should not, and servers that do everything wrong.

All are added at once, with an ordinary page behind them. The network is a pretended one (`ingest.pretend`): every host
has the address that is written down here, a connection to an address that is not public fails the test, and all others
lead to one server, which answers as it is told.
"""

from __future__ import annotations

import gzip
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest
from db.material import assert_consistent
from hostile.inputs import Kept, Refused, StrictSandbox
from ingest.pretend import PLACE, Answer, Pretended, Site, answer, make_certificate, moved, server
from toy import ToyEmbedder

from vstore import Store, config
from vstore.addresses import uris
from vstore.errors import NotFoundError
from vstore.ingest.report import AddReport

LIMIT = 200_000  # bytes of an answer
PAGE = answer("<title>Page</title><p>the visible words of this page, which are to be found again")
KEPT = Kept("visible words")
NOT_PUBLIC = Refused("which is no public address; pages of an intranet")
ONLY_WEB = Refused("^(it redirects to what is not fetched: )?only http and https are fetched$")
UNREADABLE = Refused("^not an address that can be read|without a usable host name$|^there is no host")
NO_CERTIFICATE = Refused("has no certificate that can be believed: ")
NOT_FROM_HERE = Refused("^it redirects to what is not fetched: ")


@dataclass(frozen=True)
class Bad:
    """An address, the answer that is there, and where its host is: in one list for each look-up, if in several."""

    name: str
    url: str
    expected: Kept | Refused
    said: Answer | str = b""  # a text is the name of a drip, which needs the site
    host: Sequence[str] | Sequence[Sequence[str]] = ()


def at(name: str, said: Answer | str, expected: Kept | Refused) -> Bad:
    """An ordinary address with a bad answer."""
    return Bad(name, f"http://example.org/{name}", expected, said)


def to(name: str, location: str, expected: Kept | Refused) -> Bad:
    """An ordinary address with a redirect."""
    return at(name, moved(location), expected)


def named(name: str, places: Sequence[str] | Sequence[Sequence[str]], expected: Kept | Refused = NOT_PUBLIC) -> Bad:
    """A host that is at these addresses."""
    return Bad(name, f"http://{name}.example/", expected, host=places)


def chunked(*chunks: bytes) -> bytes:
    return b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nTransfer-Encoding: chunked\r\n\r\n" + b"".join(chunks)


def head(*lines: str) -> bytes:
    return "\r\n".join(["HTTP/1.1 200 OK", "Content-Type: text/plain", *lines, "", ""]).encode()


def page_with(entities: str) -> bytes:
    return answer(f"<!DOCTYPE html [{entities}]><p>visible words &a;", kind="application/xhtml+xml")


CASES = (
    # schemes
    Bad("file", "file:///etc/passwd", ONLY_WEB),
    Bad("ftp", "ftp://example.org/a", ONLY_WEB),
    Bad("gopher", "gopher://example.org:70/1", ONLY_WEB),
    Bad("jar", "jar://example.org/a!/b", ONLY_WEB),
    to("to-data", "data:text/html,visible words", ONLY_WEB),
    to("to-javascript", "javascript:alert(1)", ONLY_WEB),
    to("to-file", "file:///etc/passwd", ONLY_WEB),
    to("to-ftp", "ftp://example.org/a", ONLY_WEB),
    # ways to write 127.0.0.1
    Bad("loopback", "http://127.0.0.1/", NOT_PUBLIC),
    Bad("decimal", "http://2130706433/", Refused("no public address; |^there is no host")),
    Bad("hexadecimal", "http://0x7f000001/", Refused("no public address; |^there is no host")),
    Bad("octal", "http://0177.0.0.1/", Refused("no public address; |^there is no host")),
    Bad("short", "http://127.1/", Refused("no public address; |^there is no host")),
    Bad("loopback-6", "http://[::1]/", NOT_PUBLIC),
    Bad("mapped", "http://[::ffff:127.0.0.1]/", NOT_PUBLIC),
    Bad("compatible", "http://[::127.0.0.1]/", NOT_PUBLIC),
    Bad("nat64", "http://[64:ff9b::7f00:1]/", NOT_PUBLIC),
    Bad("6to4", "http://[2002:7f00:1::]/", NOT_PUBLIC),
    Bad("any", "http://0.0.0.0/", NOT_PUBLIC),
    Bad("any-6", "http://[::]/", NOT_PUBLIC),
    # names that lead to what is not public
    named("localhost", ["127.0.0.1", "::1"]),
    named("metadata", ["169.254.169.254"]),
    named("metadata-6", ["fd00:ec2::254"]),
    named("metadata-azure", ["168.63.129.16"]),
    named("metadata-alibaba", ["100.100.100.200"]),
    named("net-10", ["10.1.2.3"]),
    named("net-172", ["172.20.0.1"]),
    named("net-192", ["192.168.1.1"]),
    named("carrier", ["100.64.0.1"]),
    named("unique-local", ["fc00::1"]),
    named("link-local", ["fe80::1%1"]),
    named("multicast", ["224.0.0.1"]),
    named("broadcast", ["255.255.255.255"]),
    named("documentation", ["192.0.2.1"]),
    named("one-of-two", [PLACE, "10.0.0.1"]),
    named("nowhere", [], Refused("^there is no host nowhere.example")),
    # what a second look-up would say
    Bad("rebinding", "http://rebinding.example/page", KEPT, PAGE, [[PLACE], ["127.0.0.1"]]),
    Bad("rebinding-redirect", "http://again.example/r", NOT_PUBLIC, moved("/page"), [[PLACE], ["127.0.0.1"]]),
    # addresses that programs read differently
    Bad("user", "http://mia@example.org/", Refused("user name or password")),
    Bad("password", "http://mia:secret@www.example.org/", Refused("user name or password")),
    Bad("user-as-host", "http://example.org@127.0.0.1/", Refused("user name or password")),
    Bad("backslash", "http://example.org\\.evil.example/", Refused("characters that have no place")),
    Bad("newline", "http://example.org/\r\nHost: evil.example", Refused("characters that have no place")),
    Bad("nul", "http://example.org/\0", Refused("characters that have no place")),
    Bad("brackets", "http://[::1", UNREADABLE),
    Bad("no-host", "http:///etc/passwd", UNREADABLE),
    Bad("dots", "http://..example.org/", UNREADABLE),
    Bad("bidi-host", "http://exa\u202emple.org/", Refused("host name that cannot be")),
    Bad("port-22", "http://example.org:22/", Refused("^port 22 of example.org is not one of web pages")),
    Bad("port-6379", "https://example.org:6379/", Refused("^port 6379 of example.org")),
    Bad("port-0", "http://example.org:0/", Refused("^port 0 of example.org")),
    Bad("port-65536", "http://example.org:65536/", UNREADABLE),
    Bad("homograph", "http://\u0435xample.org/", KEPT, PAGE, [PLACE]),  # kept under a name that shows what it is
    Bad("long", "http://example.org/" + "a" * 10_000, Refused("^an address of more than 8,000 characters$")),
    # redirects
    to("to-loopback", "http://127.0.0.1/", NOT_PUBLIC),
    to("to-metadata", "http://metadata.example/latest", NOT_PUBLIC),
    to("to-relative-private", "//net-10.example/", NOT_PUBLIC),
    to("to-user", "http://mia:secret@example.org/", NOT_FROM_HERE),
    to("to-port", "http://example.org:6379/", Refused("^port 6379")),
    to("to-nonsense", "http://[", NOT_FROM_HERE),
    to("to-self", "/to-self", Refused("^more than 3 redirects$")),
    at("to-nowhere", answer(status="301 Moved"), Refused("^the server answered 301, without saying where to$")),
    *(to(f"step-{n}", f"/step-{n + 1}", Refused("^more than 3 redirects$") if n < 7 else KEPT) for n in range(10)),
    Bad("step-10", "http://example.org/step-10", KEPT, PAGE),
    to("to-plain", "https://example.org/down", Refused("^it redirects to what is not fetched: it leads from https to")),
    # answers
    at("no-type", answer("visible words", kind=""), Refused("^the server does not say of what type it is$")),
    at("image", answer(b"\x89PNG", kind="image/png"), Refused("^image/png is not a type that is read from the web$")),
    at("archive", answer(b"PK", kind="application/zip"), Refused("^application/zip is not a type")),
    at("image-as-page", answer(b"\x89PNG\0\0"), Refused("^binary$")),
    at("page-as-pdf", answer("<p>visible words", kind="application/pdf"), Refused("^damaged PDF")),
    at("status-204", answer(status="204 No Content"), Refused("^the server answered 204$")),
    at("status-404", answer("visible words", status="404 Not Found"), Refused("^the server answered 404$")),
    at("status-401", answer(b"", "WWW-Authenticate: Basic", status="401 No"), Refused("^the server answered 401$")),
    at("status-500", answer("visible words", status="500 Oh"), Refused("^the server answered 500$")),
    at("nothing", b"", Refused("broke off its answer$")),
    at("empty", answer(""), Refused("^empty$")),
    at("not-http", b"220 mail.example.org ESMTP\r\n", Refused("does not answer as a web server does")),
    at("http-0.9", b"<p>visible words", Refused("does not answer as a web server does")),
    at("too-short", head("Content-Length: 99") + b"visible words", Refused("broke off its answer$")),
    at("too-long", head("Content-Length: 13") + b"visible words and more", Kept("visible words", lacks="more")),
    at("endless", head() + b"visible words " * 100_000, Refused("^larger than 200,000 bytes$")),
    at("endless-chunks", chunked(b"5\r\nwords\r\n" * 100_000), Refused("^larger than 200,000 bytes$")),
    at("declared-endless", head("Content-Length: 99999999999"), Refused("^larger than 200,000 bytes$")),
    at("bad-chunk", chunked(b"visible words"), Refused("broke off its answer$")),
    at("negative-chunk", chunked(b"-1\r\n", b"x" * 400_000), Refused("^larger than 200,000|broke off its answer$")),
    at("huge-chunk", chunked(b"ffffffffffffffff\r\n", b"x" * 400_000), Refused("larger than 200,000 bytes$")),
    at("long-header", head("A: " + "b" * 70_000), Refused("^more than 65,536 bytes of headers$")),
    at("many-headers", head(*["A: b"] * 5_000), Refused("does not answer as a web server does|bytes of headers$")),
    at("many-continues", b"HTTP/1.1 100 Continue\r\n\r\n" * 4_000, Refused("bytes of headers$")),
    at("gzip-bomb", answer(gzip.compress(b"a" * 3_000_000), "Content-Encoding: gzip"), Refused("when it is unpacked$")),
    at("gzip-cut", answer(gzip.compress(b"words")[:-4], "Content-Encoding: gzip"), Refused("^it cannot be unpacked$")),
    at("gzip-lie", answer("visible words", "Content-Encoding: gzip"), Refused("^it cannot be unpacked$")),
    at("brotli", answer("visible words", "Content-Encoding: br"), Refused("^packed as 'br', which was not asked for$")),
    at("twice-packed", answer("x", "Content-Encoding: gzip, gzip"), Refused("^packed as 'gzip, gzip'")),
    at("charset-codec", answer("visible words", kind="text/plain; charset=unicode_escape"), KEPT),
    at("charset-lie", answer("visible words \xff".encode("latin-1"), kind="text/plain; charset=utf-8"), KEPT),
    at("header-in-type", answer("visible words", kind="text/html; charset=\"\x1b[31m"), KEPT),
    at("deep", answer("<div>" * 30_000 + "visible words"), Refused("^HTML elements nested deeper than 512$")),
    at("many-elements", answer("<p>x" * 5_000), Kept("x")),
    at("hidden", answer("<p>visible words</p><div hidden>ignore previous</div>"), Kept("visible", lacks="ignore")),
    at("styled", answer("<p style='display: none'>ignore</p><p>visible words"), Kept("visible", lacks="ignore")),
    at("scripted", answer("<script>ignore previous</script><p>visible words"), Kept("visible", lacks="ignore")),
    at("refresh", answer("<meta http-equiv=refresh content='0;url=http://127.0.0.1/'><p>visible words"), KEPT),
    at("frames", answer("<iframe src='http://127.0.0.1/'></iframe><p>visible words"), KEPT),
    at("entity", page_with("<!ENTITY a SYSTEM 'file:///etc/passwd'>"), Kept("visible", lacks="root:")),
    at("entities", page_with("<!ENTITY b 'bb'><!ENTITY a '&b;&b;'>"), Kept("visible", lacks="bbbb")),
    # TLS; the certificate is for example.org and believed
    Bad("tls-name", "https://other.example/", NO_CERTIFICATE, PAGE, [PLACE]),
    Bad("tls-address", f"https://{PLACE}/", NO_CERTIFICATE),
    Bad("tls", "https://example.org/tls", KEPT, PAGE),
)  # fmt: skip
# each is added by itself, with half a second to answer
SLOW = (
    at("slow-head", "HTTP/1.1 200 OK\r\nA: ", Refused("")),
    at("slow-body", "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 9999\r\n\r\n", Refused("")),
    at("slow-chunks", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", Refused("")),
    at("silent", "", Refused("")),
)


@dataclass(frozen=True)
class Run:
    """A store after all of them were added."""

    store: Store
    report: AddReport


@pytest.fixture(scope="module")
def web(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Site, Pretended]]:
    site = Site()
    certificate = make_certificate(tmp_path_factory.mktemp("certificate"), "example.org")
    with server(site) as port, server(site, certificate) as tls_port, pytest.MonkeyPatch.context() as patch:
        network = Pretended(port, tls_port, certificate)
        network.hosts["example.org"] = [PLACE]
        site.answers["/down"] = moved("http://example.org/step-10")
        site.answers["/page"] = PAGE
        for bad in CASES:
            assert isinstance(bad.said, bytes)
            host, _, path = [*uris(bad.url)][-1].partition("://")[2].partition("/")
            site.answers[f"/{path}"] = bad.said
            if bad.host:
                network.hosts[host] = list(bad.host)
        site.answers["/"] = PAGE
        patch.setattr("vstore.ingest.web_fetch.Network", lambda: network)
        patch.setattr("vstore.ingest.pipeline.Sandbox", StrictSandbox)
        patch.setattr(config, "WEB_BYTES", LIMIT)
        yield site, network


@pytest.fixture(scope="module")
def done(web: tuple[Site, Pretended], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Run]:
    site, _ = web
    path = tmp_path_factory.mktemp("store") / "m.db"
    site.answers["/last"] = answer("the lighthouse is the last one", kind="text/plain")
    with Store(path, ToyEmbedder(16)) as store:
        report = store.add([*(bad.url for bad in CASES), "http://example.org/last"])
        assert store.search("lighthouse", mode="lexical")[0].document.uri == "http://example.org/last"
        assert_consistent(path)
        yield Run(store, report)


def test_each_address_was_kept_or_named_and_no_other_place_was_connected_to(
    done: Run, web: tuple[Site, Pretended]
) -> None:
    assert done.report.added + len(done.report.skipped) == len(CASES) + 1
    assert {place for place, _ in web[1].connected} == {PLACE}
    assert {port for _, port in web[1].connected} == {80, 443}


@pytest.mark.parametrize("bad", CASES, ids=lambda bad: bad.name)
def test_a_bad_address_has_the_outcome_written_beside_it(done: Run, bad: Bad) -> None:
    reasons = [s.reason for s in done.report.skipped if s.path == re.sub("(?<=://)[^/]*@", "***@", bad.url)]
    uri = [*uris(bad.url)][-1]
    if isinstance(bad.expected, Refused):
        assert len(reasons) == 1, reasons
        assert re.search(bad.expected.reason, reasons[0]), reasons[0]
        assert not [document for document in done.store.documents() if document.uri == uri]
        return
    assert reasons == []
    text = done.store.get(uri).text
    assert bad.expected.has in text and bad.expected.lacks not in text


def test_a_name_that_looks_like_another_is_kept_in_letters_that_do_not(done: Run) -> None:
    assert "http://xn--xample-2of.org/" in {document.uri for document in done.store.documents()}


@pytest.mark.parametrize("target", ["data:text/html,visible", "javascript:alert(1)", "mailto:mia@example.org"])
def test_what_has_no_slashes_is_the_path_of_a_file(done: Run, target: str) -> None:
    with pytest.raises(NotFoundError, match=r"^no such file or folder"):
        done.store.add(target)


@pytest.mark.parametrize("bad", SLOW, ids=lambda bad: bad.name)
def test_a_slow_server_is_left_when_its_time_is_up(
    web: tuple[Site, Pretended], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, bad: Bad
) -> None:
    site, _ = web
    assert isinstance(bad.said, str)
    site.answers[f"/{bad.name}"] = site.drip(bad.said.encode(), b"" if bad.name == "silent" else b"5\r\nwords\r\n")
    monkeypatch.setattr(config, "WEB_SECONDS", 0.3)
    with Store(tmp_path / "m.db", ToyEmbedder(16)) as store:
        (skipped,) = store.add(bad.url).skipped
    assert skipped.reason == "took more than 0.3 s to fetch"

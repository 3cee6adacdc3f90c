"""Web addresses: one normal form, and nothing in it that programs read differently."""

from __future__ import annotations

import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vstore.addresses import Address, is_address, parse, redirected, shown, uris
from vstore.errors import InputError, MissingExtraError


@pytest.mark.parametrize(
    ("written", "uri"),
    [
        ("https://example.org", "https://example.org/"),
        ("HTTPS://Example.ORG:443/A", "https://example.org/A"),
        ("http://example.org:80/", "http://example.org/"),
        ("http://example.org:443/", "http://example.org:443/"),
        ("http://example.org./x", "http://example.org/x"),
        ("https://example.org/a b?q=\u00fc#part", "https://example.org/a%20b?q=%C3%BC"),
        ("https://example.org/%C3%BC?a=1&b=[2]", "https://example.org/%C3%BC?a=1&b=%5B2%5D"),
        ("https://example.org?q=1", "https://example.org/?q=1"),
        ("https://example.org/?", "https://example.org/"),
        ("https://b\u00fccher.example/", "https://xn--bcher-kva.example/"),
        ("https://fa\u00df.example/", "https://xn--fa-hia.example/"),
        ("https://\u0435xample.org/", "https://xn--xample-2of.org/"),  # a Cyrillic letter that looks like an e
        ("http://[::FFFF:7f00:1]:8080/", "http://[::ffff:127.0.0.1]:8080/"),
        ("http://2130706433/", "http://2130706433/"),  # to be seen through when it is looked up
    ],
)
def test_addresses_have_one_normal_form(written: str, uri: str) -> None:
    assert parse(written).uri == uri
    assert parse(uri).uri == uri
    assert [*uris(written)] == [written, uri]


@pytest.mark.parametrize(
    ("written", "reason"),
    [
        ("file:///etc/passwd", "^only http and https"),
        ("ftp://example.org/", "^only http and https"),
        ("gopher://example.org/", "^only http and https"),
        ("data:text/html,x", "^only http and https"),
        ("javascript:alert(1)", "^only http and https"),
        ("http://user@example.org/", "user name"),
        ("http://user:secret@example.org/", "user name"),
        ("http://@example.org/", "user name"),
        ("http://example.org\\@evil.example/", "characters"),
        ("http://exa\tmple.org/", "characters"),
        ("http://example.org/\r\nX: y", "characters"),
        ("http://example.org/\0", "characters"),
        ("http://example.org/\ud800", "characters"),
        ("http://", "host name"),
        ("http:///path", "host name"),
        ("http://.example.org/", "host name"),
        ("http://a..b/", "host name"),
        ("http://a b/", "host name"),
        ("http://example.org%2f@evil/", "user name"),
        ("http://example.org%00.evil/", "host name"),
        ("http://" + "a" * 64 + "/", "host name"),
        ("http://" + "a." * 130 + "org/", "host name"),
        ("http://[::1", "cannot|can"),
        ("http://[zz]/", "can be read|IPv6"),
        ("http://example.org:99999/", "Port"),
        ("http://example.org:x/", "Port"),
        ("http://ex\u202eample.org/", "host name"),
        ("http://example.org/" + "a" * 8_000, "more than 8,000 characters"),
    ],
)
def test_what_is_no_address_is_refused(written: str, reason: str) -> None:
    with pytest.raises(InputError, match=reason):
        parse(written)


def test_a_name_is_an_address_when_it_begins_like_one() -> None:
    assert is_address("http://x") and is_address("S3+x://y")
    for other in ("notes", "C:\\notes", "c://notes", "://x", "data:x", "/http://x", "http:/x", "", 5, "http://\ud800"):
        assert not is_address(other)


def test_passwords_are_not_shown() -> None:
    assert shown("https://mia:secret@example.org/a@b?c@d") == "https://***@example.org/a@b?c@d"
    assert shown("https://a@b:secret@example.org/") == "https://***@example.org/"
    assert shown("https://example.org/@mia") == "https://example.org/@mia"


def test_a_redirect_may_be_relative_but_not_lead_back_to_plain_http() -> None:
    here = parse("https://example.org/a/b?c")
    assert redirected(here, "../d").uri == "https://example.org/d"
    assert redirected(here, "//example.com/x").uri == "https://example.com/x"
    assert redirected(here, "?e").uri == "https://example.org/a/b?e"
    assert redirected(parse("http://example.org"), "https://example.org/").scheme == "https"
    with pytest.raises(InputError, match="from https to http"):
        redirected(here, "http://example.org/")
    for bad in ("javascript:alert(1)", "file:///etc/passwd", "http://[", "//user@example.org", "data:text/html,x"):
        with pytest.raises(InputError):
            redirected(here, bad)


def test_letters_outside_of_ascii_need_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "idna", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'vstore\[web\]'"):
        parse("https://b\u00fccher.example/")
    assert [*uris("https://b\u00fccher.example/")] == ["https://b\u00fccher.example/"]


@given(st.text(max_size=40), st.sampled_from(["http://", "https://", "http://example.org/", "https://[", "http://x:"]))
def test_any_text_is_an_address_in_ascii_or_refused(text: str, beginning: str) -> None:
    try:
        address = parse(beginning + text)
    except InputError:
        return
    assert isinstance(address, Address) and address.uri.isascii() and " " not in address.uri
    assert parse(address.uri) == address

"""Who may ask: nobody without the token, no name but the server's own, no other page."""

from __future__ import annotations

import hmac
import re
from pathlib import Path
from typing import Any

import pytest
from ui.asking import Client

import vstore.ui
from vstore import Store, config

PAGES = ["/", "/?q=red", "/chunk/1", "/refinement", "/refinement/1", "/health", "/latency", "/static/page.js", "/none"]


@pytest.mark.parametrize("path", PAGES)
def test_without_the_token_every_address_says_the_same(client: Client, path: str) -> None:
    answer = client.send("GET", path, {})
    assert answer.status == 401
    assert answer.text == client.send("GET", "/", {}).text
    assert "birds" not in answer.text


def test_the_printed_address_gives_a_strict_cookie_and_leads_to_the_page_without_the_token(client: Client) -> None:
    answer = client.send("GET", f"/?token={client.token}", {})
    assert answer.status == 200
    cookie, *attributes = answer.headers["set-cookie"].split("; ")
    assert cookie == client.cookie
    assert sorted(attribute.lower() for attribute in attributes) == ["httponly", "path=/", "samesite=strict"]
    assert client.token not in answer.text
    assert client.send("GET", "/", {"Cookie": cookie}).status == 200


@pytest.mark.parametrize("token", ["", "x", "0" * 43, "%C3%A9", "%FF%00"])
def test_another_token_is_refused_and_gives_no_cookie(client: Client, token: str) -> None:
    answer = client.send("GET", f"/?token={token}", {})
    assert (answer.status, "set-cookie" in answer.headers) == (401, False)
    for value in (token, "\xe9"):
        assert client.send("GET", "/", {"Cookie": f"vstore_ui_{client.port}={value}"}).status == 401


def test_tokens_are_compared_in_a_time_that_says_nothing_of_them(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    compared: list[tuple[bytes, bytes]] = []

    def compare(given: bytes, wanted: bytes) -> bool:
        compared.append((given, wanted))
        return hmac.compare_digest(given, wanted)

    monkeypatch.setattr("vstore.ui.guard.secrets.compare_digest", compare)
    client.send("GET", "/?token=one", {})
    client.send("GET", "/", {"Cookie": f"vstore_ui_{client.port}=two"})
    assert compared == [(b"one", client.token.encode()), (b"two", client.token.encode())]


def test_each_server_has_a_token_of_its_own(own: tuple[Store, Client], client: Client) -> None:
    assert own[1].token != client.token
    assert len(client.token) == 43  # 32 bytes in base64
    assert own[1].send("GET", "/", {"Cookie": client.cookie}).status == 401


@pytest.mark.parametrize(
    "host", [None, "evil.example", "evil.example:{port}", "127.0.0.1", "127.0.0.1:1", "0.0.0.0:{port}"]
)
def test_the_server_answers_to_its_own_name_only(client: Client, host: str | None) -> None:
    name = host and host.format(port=client.port)
    for path in ("/", f"/?token={client.token}"):
        answer = client.send("GET", path, {"Host": name, "Cookie": client.cookie})
        assert answer.status in (400, 421)
        assert "set-cookie" not in answer.headers and "birds" not in answer.text


def test_localhost_is_its_name_too(client: Client) -> None:
    host = f"LOCALHOST:{client.port}"
    assert client.send("GET", "/", {"Host": host, "Cookie": client.cookie}).status == 200


FOREIGN: list[dict[str, str]] = [
    {},
    {"Origin": "null"},
    {"Origin": "http://evil.example"},
    {"Origin": "http://127.0.0.1:1"},
    {"Origin": "https://{host}"},
    {"Origin": "http://{host}", "Sec-Fetch-Site": "same-site"},
    {"Origin": "http://{host}", "Sec-Fetch-Site": "cross-site"},
]


@pytest.mark.parametrize("headers", FOREIGN)
def test_what_another_page_sends_changes_nothing(shared: tuple[Store, Client], headers: dict[str, str]) -> None:
    store, client = shared
    sent = {name: value.format(host=client.host) for name, value in headers.items()} | {"Cookie": client.cookie}
    answer = client.send("POST", "/feedback?q=red", sent, b"chunk=1&verdict=useful")
    assert answer.status == 403
    assert store.judgements() == []


def test_a_form_without_the_cookie_changes_nothing(shared: tuple[Store, Client]) -> None:
    store, client = shared
    origin = {"Origin": f"http://{client.host}"}
    assert client.send("POST", "/feedback?q=red", origin, b"chunk=1&verdict=useful").status == 401
    assert store.judgements() == []


@pytest.mark.parametrize("site", ["cross-site", "same-site"])
def test_another_page_cannot_have_searches_made(shared: tuple[Store, Client], site: str) -> None:
    store, client = shared
    before = store.search_stats().searches
    answer = client.send("GET", "/?q=planted", {"Cookie": client.cookie, "Sec-Fetch-Site": site})
    assert answer.status == 403
    assert store.search_stats().searches == before


def test_long_forms_and_such_without_a_length_are_not_read(client: Client) -> None:
    headers: dict[str, Any] = {"Cookie": client.cookie, "Origin": f"http://{client.host}"}
    assert client.send("POST", "/health", headers | {"Content-Length": str(config.UI_BODY_BYTES + 1)}).status == 413
    assert client.send("POST", "/health", headers | {"Transfer-Encoding": "chunked"}, b"0\r\n\r\n").status == 411


@pytest.mark.parametrize("path", [*PAGES, "/?q=red&where=nonsense"])
@pytest.mark.parametrize("known", [True, False])
def test_every_answer_forbids_scripts_frames_and_other_origins(client: Client, path: str, known: bool) -> None:
    headers = client.send("GET", path, {"Cookie": client.cookie} if known else {}).headers
    policy = dict(part.strip().split(" ", 1) for part in headers["content-security-policy"].split(";"))
    assert policy["default-src"] == policy["base-uri"] == policy["frame-ancestors"] == "'none'"
    for kind in ("script-src", "style-src", "img-src", "connect-src", "form-action"):
        assert policy[kind] == "'self'"
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["x-frame-options"] == "DENY"
    assert headers["cache-control"] == "no-store"
    assert "server" not in headers


def test_templates_have_nothing_that_the_policy_would_stop() -> None:
    templates = sorted((Path(vstore.ui.__file__).parent / "templates").glob("*.html"))
    assert len(templates) >= 9
    for template in templates:
        text = template.read_text(encoding="utf-8")
        assert not re.search(r"<style|\sstyle=|\son\w+=|javascript:|<script(?! src=\"/static/)", text), template.name
        assert not re.search(r"https?://|[\"(]//", text), template.name


@pytest.mark.parametrize("path", ["/static/../app.py", "/static/%2e%2e/app.py", "/static//etc/passwd", "/static/"])
def test_nothing_but_the_pages_own_files_is_served(client: Client, path: str) -> None:
    assert client.get(path).status == 404

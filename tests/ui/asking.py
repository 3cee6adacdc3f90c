"""A client that says exactly what it is told to: any Host, Origin, cookie and body."""

from __future__ import annotations

import html
import http.client
import re
from dataclasses import dataclass, field
from urllib.parse import parse_qs, urlencode, urlsplit


@dataclass(frozen=True)
class Answer:
    status: int
    headers: dict[str, str]
    body: bytes
    text: str = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "text", self.body.decode("utf-8"))

    def all(self, pattern: str) -> list[str]:
        """What a pattern's one group finds in the page, unescaped."""
        return [html.unescape(found) for found in re.findall(pattern, self.text, re.DOTALL)]

    @property
    def words(self) -> str:
        """The text of the page, tags left out, in one line."""
        return " ".join(html.unescape(re.sub(r"<[^>]*>", " ", self.text)).split())


class Client:
    """`get` and `post` as the browser does that was given the token, unless told otherwise."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        self.url = url
        self.port = parts.port
        self.host = parts.netloc
        self.token = parse_qs(parts.query)["token"][0]
        self.cookie = f"vstore_ui_{self.port}={self.token}"

    def get(self, path: str = "/", **fields: object) -> Answer:
        return self.send("GET", path + (f"?{urlencode(fields)}" if fields else ""), {"Cookie": self.cookie})

    def post(self, path: str, *, accept: str = "text/html", **fields: object) -> Answer:
        headers = {
            "Cookie": self.cookie,
            "Origin": f"http://{self.host}",
            "Accept": accept,
            "Content-Type": "application/x-www-form-urlencoded",
        }
        return self.send("POST", path, headers, urlencode(fields).encode())

    def send(self, method: str, path: str, headers: dict[str, str | None], body: bytes | None = None) -> Answer:
        """Send these headers and no others; without a Host of their own they get the right one, None leaves it out."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        try:
            connection.putrequest(method, path, skip_host=True, skip_accept_encoding=True)
            for name, value in {"Host": self.host, **headers}.items():
                if value is not None:
                    connection.putheader(name, value)
            if body is not None and "Transfer-Encoding" not in headers:
                connection.putheader("Content-Length", str(len(body)))
            connection.endheaders()
            if body is not None:
                connection.send(body)
            response = connection.getresponse()
            return Answer(response.status, dict(response.getheaders()), response.read())
        finally:
            connection.close()

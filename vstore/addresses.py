"""Web addresses as users write them, and as the store names documents by them. Nothing here asks the network."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from ipaddress import IPv6Address
from typing import Final
from urllib.parse import SplitResult, quote, urljoin, urlsplit

from vstore import paths
from vstore.config import WEB_ADDRESS_CHARS
from vstore.errors import InputError, MissingExtraError
from vstore.paths import is_unicode

PORTS: Final = {"http": 80, "https": 443}
FETCHED: Final = {"via": "web"}  # what the metadata of a fetched page say, so that its text is known to be of strangers
WRITTEN: Final = {"via": "mcp"}  # what the metadata of what an agent wrote or added say

_SCHEME: Final = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+://")  # one letter alone is a drive of Windows
_USER: Final = re.compile(r"(?<=://)[^/?#\\]*@")
_UNUSABLE: Final = re.compile(r"[\0-\x1f\x7f\\]")  # programs disagree on what these mean in an address
_HOST: Final = re.compile(r"(?=.{1,253}$)[a-z0-9_-]{1,63}(\.[a-z0-9_-]{1,63})*")
_PATH: Final = "%/:@!$&'()*+,;=~"  # stays as it is, besides letters, digits and -._
_QUERY: Final = _PATH + "?"


@dataclass(frozen=True, slots=True)
class Address:
    """A web address in its normal form: `host` in ASCII and lower case, `target` the path with the query, in ASCII."""

    scheme: str
    host: str
    port: int
    target: str

    @property
    def place(self) -> str:
        """Host and port as they stand in an address; the scheme's own port is left out."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == PORTS[self.scheme] else f"{host}:{self.port}"

    @property
    def uri(self) -> str:
        """The whole, which names the document."""
        return f"{self.scheme}://{self.place}{self.target}"


def is_address(name: object) -> bool:
    """Whether a name means something in the web and no file: a text that begins with `scheme://`."""
    return isinstance(name, str) and _SCHEME.match(name) is not None and is_unicode(name)


def uris(name: str) -> Iterator[str]:
    """The uris a name may stand for, in the order in which they are tried.

    Those of an address are itself and its normal form; those of any other name are in `paths.uris`, which may raise.
    """
    if not is_address(name):
        yield from paths.uris(name)
        return
    yield name
    try:
        yield parse(name).uri
    except (InputError, MissingExtraError):
        return  # it is none that was ever fetched


def shown(name: str) -> str:
    """An address to be shown in reports: without the name and password that it may have."""
    return _USER.sub("***@", name)


def parse(text: str) -> Address:
    """The normal form of an http or https address. What follows `#` is left out: it never reaches a server.

    Raises InputError for what is none, or has a name or password in it, and MissingExtraError when the package that
    knows letters outside of ASCII in host names is not installed.
    """
    if len(text) > WEB_ADDRESS_CHARS:
        raise InputError(f"an address of more than {WEB_ADDRESS_CHARS:,} characters")
    if not is_unicode(text) or _UNUSABLE.search(text):
        raise InputError("an address with characters that have no place in one")
    try:
        parts = urlsplit(text.strip())
        port = parts.port
    except ValueError as error:
        raise InputError(f"not an address that can be read ({error})") from error
    scheme = parts.scheme  # in lower case
    if scheme not in PORTS:
        raise InputError("only http and https are fetched")
    if "@" in parts.netloc:
        raise InputError("an address with a user name or password in it; vstore sends none")
    target = quote(parts.path or "/", safe=_PATH)
    query = f"?{quote(parts.query, safe=_QUERY)}" if parts.query else ""
    return Address(scheme, _host(parts), PORTS[scheme] if port is None else port, target + query)


def redirected(address: Address, location: str) -> Address:
    """Where an answer's Location leads. Raises what `parse` raises, and InputError from https to http."""
    try:
        following = parse(urljoin(address.uri, location.strip()))
    except ValueError as error:
        raise InputError(f"not an address that can be read ({error})") from error
    if (address.scheme, following.scheme) == ("https", "http"):
        raise InputError("it leads from https to http")
    return following


def _host(parts: SplitResult) -> str:
    host = (parts.hostname or "").removesuffix(".")
    if "[" in parts.netloc:
        try:
            number = IPv6Address(host)
        except ValueError as error:
            raise InputError("not an address that can be read (no IPv6 address in its brackets)") from error
        return f"::ffff:{number.ipv4_mapped}" if number.ipv4_mapped else str(number)  # alike in all versions of Python
    if not host.isascii():
        host = _in_ascii(host)
    if not _HOST.fullmatch(host):
        raise InputError("an address without a usable host name")
    return host


def _in_ascii(host: str) -> str:
    """The name as it is looked up, and shown: `xn--...`, so that letters that look alike do not pass for each other."""
    try:
        import idna
    except ImportError as error:
        raise MissingExtraError(f"the host name {host!r} needs an extra: pip install 'vstore[web]'") from error
    try:
        name: bytes = idna.encode(host, uts46=True)
    except idna.IDNAError as error:
        raise InputError(f"a host name that cannot be ({error})") from error
    return name.decode("ascii").lower()

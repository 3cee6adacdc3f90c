"""From the name of a host to a connection: what a fetch may reach. Loaded when a web address is given, not before."""

from __future__ import annotations

import socket
import ssl
from contextlib import suppress
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address
from queue import Empty, SimpleQueue
from threading import Thread
from typing import Final

from vstore.ingest.parsed import Unreadable

_MAPPED: Final = IPv6Network("::ffff:0:0/96")  # an IPv4 address in the form of one of IPv6
_NAT64: Final = IPv6Network("64:ff9b::/96")  # the same, behind a gateway that many mobile networks have
_UNICAST: Final = IPv6Network("2000::/3")  # all that has been given out of IPv6 so far
# what `is_global` takes for public, in some version of Python at least, and no web site is reached by
_SPECIAL: Final = (
    IPv4Network("168.63.129.16/32"),  # the platform's own service, on machines of Azure
    IPv4Network("192.0.0.0/24"),  # protocols; the metadata of Oracle's machines
    IPv4Network("192.88.99.0/24"),  # relays of 6to4
    IPv6Network("2001::/23"),  # protocols: Teredo, which has an IPv4 address in it, and others
    IPv6Network("2002::/16"),  # 6to4, which has one, too
    IPv6Network("3fff::/20"),  # documentation
)


def is_public(text: str) -> bool:
    """Whether an IP address is that of a machine in the public Internet, as far as addresses tell."""
    address = ip_address(text)
    if isinstance(address, IPv6Address) and (address in _MAPPED or address in _NAT64):
        address = IPv4Address(int(address) & 0xFFFF_FFFF)
    if isinstance(address, IPv6Address) and address not in _UNICAST:
        return False
    if any(address in network for network in _SPECIAL):
        return False
    return address.is_global and not address.is_multicast and not address.is_reserved


class Network:
    """The network as it is. Tests put another one in its place; what is checked is checked by `Fetcher`, in any."""

    def resolve(self, host: str, port: int, seconds: float) -> list[str]:
        """The IP addresses of a host, each once, in the system's order of preference.

        Raises Unreadable when there are none, or none is known after so many seconds: the system's own look-up cannot
        be interrupted, so it is left behind in a thread.
        """
        answer: SimpleQueue[list[str] | OSError | UnicodeError] = SimpleQueue()
        Thread(target=_look_up, args=(host, port, answer), name="vstore-look-up", daemon=True).start()
        try:
            found = answer.get(timeout=seconds)
        except Empty:
            raise Unreadable(f"the look-up of {host} took more than {seconds:.0f} s") from None
        if isinstance(found, Exception):
            raise Unreadable(f"there is no host {host}, or it cannot be looked up") from found
        return found

    def connect(self, address: str, port: int, seconds: float) -> socket.socket:
        """A connection to an IP address, without a look-up. Raises OSError."""
        return socket.create_connection((address, port), seconds)

    def tls(self) -> ssl.SSLContext:
        """Which certificates are believed: those that the system believes, else those of the package certifi."""
        context = ssl.create_default_context()
        paths = ssl.get_default_verify_paths()
        if not context.cert_store_stats()["x509_ca"] and not paths.cafile and not paths.capath:
            with suppress(ImportError):  # then no certificate is believed, and each https address says so
                import certifi

                context.load_verify_locations(certifi.where())
        return context


def _look_up(host: str, port: int, answer: SimpleQueue[list[str] | OSError | UnicodeError]) -> None:
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        answer.put(list(dict.fromkeys(str(place[0]) for *_, place in found)))
    except (OSError, UnicodeError) as error:
        answer.put(error)

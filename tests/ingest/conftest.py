"""A web for the tests of what is fetched from it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from ingest.pretend import PLACE, Pretended, Site, make_certificate, server


@dataclass(frozen=True)
class Web:
    """A site, and the network in which all hosts lead to it."""

    site: Site
    network: Pretended


@pytest.fixture
def web(monkeypatch: pytest.MonkeyPatch) -> Iterator[Web]:
    """A web without encryption, put in the place of the real one."""
    site = Site()
    with server(site) as port:
        network = Pretended(port)
        network.hosts["example.org"] = [PLACE]
        monkeypatch.setattr("vstore.ingest.web_fetch.Network", lambda: network)
        yield Web(site, network)


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The certificate of example.org and www.example.org."""
    return make_certificate(tmp_path_factory.mktemp("certificate"), "example.org", "www.example.org")


@pytest.fixture
def secure_web(monkeypatch: pytest.MonkeyPatch, certificate: Path) -> Iterator[Web]:
    """A web with and without encryption, whose certificate is believed, put in the place of the real one."""
    site = Site()
    with server(site) as port, server(site, certificate) as tls_port:
        network = Pretended(port, tls_port, certificate)
        network.hosts.update({"example.org": [PLACE], "www.example.org": [PLACE], "other.example": [PLACE]})
        monkeypatch.setattr("vstore.ingest.web_fetch.Network", lambda: network)
        yield Web(site, network)

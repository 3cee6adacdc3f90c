"""A store about birds, and its page."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from toy import ToyEmbedder
from ui.asking import Client

from vstore import Store
from vstore.ui.serve import shown

BIRDS = {
    "kite": "The red kite circles over the quarry and screams.",
    "owl": "The owl hunts voles at night, without a sound.",
    "heron": "A grey heron stands in the pond and waits for a red fish.",
    "swift": "Swifts sleep on the wing; a swift rarely lands.",
}


@pytest.fixture(scope="session")
def settings_of_nobody(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("VSTORE_CONFIG", str(tmp_path_factory.mktemp("ui") / "none.toml"))
        yield


def fill(store: Store) -> None:
    for number, (name, text) in enumerate(BIRDS.items()):
        store.remember(
            text, title=name.capitalize(), uri=f"birds/{name}", collection="birds", tags=[f"t{number % 2}"],
            metadata={"year": 2020 + number},
        )  # fmt: skip
    store.remember("Stamps: one red penny, two blue ones.", title="Stamps", uri="stamps", collection="things")


@contextmanager
def served(path: Path, **options: Any) -> Iterator[tuple[Store, Client]]:
    """An open store and a client of its page."""
    read_only = options.get("read_only", False)
    with Store(path, ToyEmbedder(), **options) as store:
        if not read_only:
            fill(store)
        with shown(store, read_only=read_only) as url:
            yield store, Client(url)


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory, settings_of_nobody: None) -> Iterator[tuple[Store, Client]]:
    """For tests that only look."""
    with served(tmp_path_factory.mktemp("ui") / "birds.db") as both:
        yield both


@pytest.fixture
def client(shared: tuple[Store, Client]) -> Client:
    return shared[1]


@pytest.fixture
def own(tmp_path: Path, settings_of_nobody: None) -> Iterator[tuple[Store, Client]]:
    """For tests that change something."""
    with served(tmp_path / "birds.db") as both:
        yield both

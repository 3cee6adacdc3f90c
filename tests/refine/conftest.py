from __future__ import annotations

from collections.abc import Iterator

import pytest
from refine.forking import Forks, forking


@pytest.fixture(scope="session")
def forks() -> Iterator[Forks]:
    with forking() as started:
        yield started

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from db.material import database

from vstore.db.connection import Database
from vstore.db.index import SqliteIndex


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "memory.db"


@pytest.fixture
def index(path: Path) -> Iterator[SqliteIndex]:
    opened = SqliteIndex(path)
    yield opened
    opened.close()


@pytest.fixture
def opened(path: Path) -> Iterator[Database]:
    ready = database(path)
    yield ready
    ready.close()

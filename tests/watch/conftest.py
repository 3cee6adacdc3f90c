"""A folder of notes, a store, and a watch that is in a hurry."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from toy import ToyEmbedder

from vstore import Store, config


@pytest.fixture(autouse=True)
def haste(monkeypatch: pytest.MonkeyPatch) -> None:
    """The waits that make a watch gentle, shortened."""
    for name, value in (
        ("WATCH_QUIET_MS", 10),
        ("WATCH_SETTLE_S", 0.02),
        ("WATCH_GONE_S", 0.05),
        ("WATCH_LOOK_S", 0.05),
        ("WATCH_POLL_S", 0.05),
        ("WATCH_RETRY_S", 0.05),
        ("WATCH_REST", 0.0),
    ):
        monkeypatch.setattr(config, name, value)


@pytest.fixture
def embedder() -> ToyEmbedder:
    return ToyEmbedder(16)


@pytest.fixture
def store(tmp_path: Path, embedder: ToyEmbedder) -> Iterator[Store]:
    with Store(tmp_path / "memory.db", embedder) as opened:
        yield opened


@pytest.fixture
def notes(tmp_path: Path) -> Path:
    folder = tmp_path.resolve() / "notes"
    (folder / "sub").mkdir(parents=True)
    (folder / "a.md").write_text("# Apples\n\nare red")
    (folder / "sub" / "b.md").write_text("# Bread\n\nis brown")
    return folder

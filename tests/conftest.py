"""What tests of every part share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import surroundings  # noqa: F401  # first: what is imported below reads the environment

from vstore import config, embed
from vstore.embed.runtime import OnnxEmbedder


@pytest.fixture(scope="session")
def minilm() -> OnnxEmbedder:
    """The default model, fetched into the user's cache as any user would."""
    return embed.load("all-MiniLM-L6-v2")


@pytest.fixture(scope="session", autouse=True)
def no_pauses() -> Iterator[None]:
    """Tests write much in a row, and nobody waits for a turn; processes that they start keep their pauses."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(config, "WRITE_PAUSE_S", 0.0)
        yield

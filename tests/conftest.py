"""What tests of every part share."""

from __future__ import annotations

import pytest
import surroundings  # noqa: F401  # first: what is imported below reads the environment

from vstore import embed
from vstore.embed.runtime import OnnxEmbedder


@pytest.fixture(scope="session")
def minilm() -> OnnxEmbedder:
    """The default model, fetched into the user's cache as any user would."""
    return embed.load("all-MiniLM-L6-v2")

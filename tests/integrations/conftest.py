"""The frameworks' own tests name markers of plugins that are not loaded here."""

from __future__ import annotations

import pytest


def pytest_configure(config: pytest.Config) -> None:
    for name in ("benchmark", "vcr"):
        config.addinivalue_line("markers", f"{name}: of tests that come with langchain-tests")

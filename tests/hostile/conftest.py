"""One store for all the bad inputs of a module."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from hostile import inputs


@pytest.fixture(scope="module")
def run(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[inputs.Run]:
    """The module's CASES, added."""
    root = tmp_path_factory.mktemp("hostile")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("vstore.ingest.pipeline.Sandbox", inputs.StrictSandbox)
        patch.setattr("vstore.ingest.parsed.MAX_SECTIONS", inputs.SECTIONS)
        done = inputs.add_all(root / "in", request.module.CASES, root / "m.db")
    with done.store:
        yield done

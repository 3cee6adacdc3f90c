"""`vstore refine` lists the models that served, and goes back."""

from __future__ import annotations

import json
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result
from toy import ToyEmbedder

from vstore import Store
from vstore.adapter import Adapter
from vstore.cli import main
from vstore.db.index import SqliteIndex


@pytest.fixture(autouse=True)
def store_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A store of this test's own, with an adapter that serves."""
    path = tmp_path / "memory.db"
    monkeypatch.setenv("VSTORE_CONFIG", str(tmp_path / "config.toml"))
    monkeypatch.setenv("VSTORE_DB", str(path))
    with Store(path, ToyEmbedder()) as store:
        store.remember("Green tea.")
    with closing(SqliteIndex(path)) as index:
        index.activate(index.save_adapter(Adapter(np.eye(64, dtype=np.float32), 0.3), {"epochs": 3}, {"gain": 0.01}))
    return path


def run(*arguments: str) -> Result:
    return CliRunner().invoke(main, ["refine", *arguments])


def served() -> list[tuple[str, str, str]]:
    """Of each line the mark, the id and the status."""
    return [(line[0], line[2], line.split()[-1]) for line in run("history").stdout.splitlines()]


def test_history_marks_the_model_that_serves() -> None:
    assert served() == [("*", "2", "active"), (" ", "1", "retired")]
    newest, base = json.loads(run("history", "--json").stdout)
    assert (newest["kind"], newest["parent"], newest["recipe"], newest["scores"]) == (
        "adapter", 1, {"epochs": 3}, {"gain": 0.01},
    )  # fmt: skip
    assert (base["kind"], base["name"], base["active"]) == ("base", "toy", False)


def test_rollback_goes_back_until_the_base_model_serves_alone() -> None:
    assert run("rollback").stdout == "model 1 serves again\n"
    assert [line[0] for line in served()] == [" ", "*"]
    again = run("rollback")
    assert again.exit_code == 1
    assert again.stderr == "vstore: there is nothing to roll back: the base model serves searches alone\n"

"""`vstore keep`, `forget` and `compact`, on a store made with a deterministic embedder."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from toy import ToyEmbedder

from vstore import Store
from vstore.cli import main


@pytest.fixture(autouse=True)
def filled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("VSTORE_CONFIG", str(tmp_path / "config.toml"))
    monkeypatch.setenv("VSTORE_DB", str(tmp_path / "memory.db"))
    with Store(tmp_path / "memory.db", ToyEmbedder()) as store:
        store.remember("Green tea at seventy degrees.", uri="tea")
        store.remember("Black coffee, freshly ground.", uri="coffee")
    return tmp_path


def run(*arguments: str) -> Result:
    return CliRunner().invoke(main, arguments)


def test_keep_sets_and_takes_away_a_time(filled: Path) -> None:
    assert "  tea  expires 2" in run("keep", "tea", "--expires", "30d").stdout
    (document,) = [one for one in json.loads(run("list", "--json").stdout) if one["uri"] == "tea"]
    assert document["expires_at"] and not document["pinned"]
    assert run("keep", "tea", "--pin").stdout.rstrip().endswith("tea  pinned")
    assert run("keep", "tea").stdout.rstrip().endswith("  tea")


@pytest.mark.skipif(not hasattr(time, "tzset"), reason="Windows asks nobody's TZ")
def test_the_last_hour_that_there_is_can_be_shown_in_any_zone(filled: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run("keep", "tea", "--expires", "9999-12-31T23:59:00Z")
    monkeypatch.setenv("TZ", "Pacific/Auckland")
    time.tzset()
    try:
        result = run("list")
    finally:
        monkeypatch.undo()
        time.tzset()
    assert result.exit_code == 0 and "tea  expires 9999-12-31 23:59" in result.stdout


def test_a_time_that_has_passed_is_refused_with_what_to_do(filled: Path) -> None:
    result = run("keep", "tea", "--expires", "2020-01-01")
    assert (result.exit_code, result.stdout) == (1, "")
    assert "has passed; to remove something now, forget it" in result.stderr


def test_forget_names_what_it_cannot_reach(filled: Path) -> None:
    result = run("forget", "tea")
    assert "1 forgotten" in result.stderr and "note: backups, exports" in result.stderr
    assert "note" not in run("-q", "forget", "coffee").stderr


def test_compact_says_what_it_did(filled: Path) -> None:
    assert run("compact").stdout.startswith("0 expired documents erased; 0.2 MB before")
    report = json.loads(run("compact", "--json").stdout)
    assert report["expired"] == 0 and report["bytes_after"] <= report["bytes_before"]

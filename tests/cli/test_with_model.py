"""The commands that need the real model, as a person would type them."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.usefixtures("minilm")


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A configuration and a store of this test's own; the model stays where it is."""
    monkeypatch.setenv("VSTORE_CONFIG", str(tmp_path / "config.toml"))
    monkeypatch.setenv("VSTORE_DB", str(tmp_path / "memory.db"))
    return tmp_path


def run(*arguments: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "vstore", *arguments], input=stdin, capture_output=True, text=True, check=False
    )


def test_a_search_says_how_sure_it_is() -> None:
    assert run("remember", "The boiler was serviced in March.").returncode == 0
    sure, unsure = run("search", "when was the boiler serviced?"), run("search", "how deep is the Mariana trench?")
    assert (sure.returncode, sure.stderr) == (0, "")
    assert "confidence 0." in sure.stdout
    assert unsure.stderr.startswith("note: perhaps none of this is an answer (confidence 0.")


def test_text_is_remembered_and_found_by_meaning(home: Path) -> None:
    assert run("remember", "-", "--title", "Boiler", stdin="The boiler was serviced in March.").returncode == 0
    assert run("add", "-", "--tag", "piped", stdin="The roof was tarred in May.").stdout.startswith(
        "remembered memory:"
    )
    assert [line.split()[1] for line in run("list", "--tag", "piped").stdout.splitlines()] == ["default"]
    assert run("remember", "Invoices are sent on the first of the month.").returncode == 0
    result = run("search", "when was the heating looked after?", "-k", "1")
    assert result.returncode == 0
    assert "Boiler" in result.stdout.splitlines()[0]


def test_add_says_what_it_did_and_the_second_time_embeds_nothing(home: Path) -> None:
    (home / "notes").mkdir()
    (home / "notes" / "a.md").write_text("# Valves\n\nA stuck valve raises E-4471.\n", encoding="utf-8")
    (home / "notes" / "b.bin").write_bytes(bytes(100))
    first = run("add", "notes" if Path.cwd() == home else str(home / "notes"))
    assert first.stdout.startswith("1 added, 0 updated, 0 unchanged, 1 skipped (1 chunks embedded")
    assert "b.bin" in first.stderr
    second = json.loads(run("add", str(home / "notes"), "--json").stdout)
    assert (second["added"], second["unchanged"], second["embedded"]) == (0, 1, 0)

"""`vstore search` with context and with near-copies."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from toy import ToyEmbedder

from vstore import Store
from vstore.cli import main

LIST = "# Shopping\n\n## Food\n\nbread and milk\n\n## Tools\n\nhammer and nails\n"


@pytest.fixture(autouse=True)
def filled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VSTORE_CONFIG", str(tmp_path / "config.toml"))
    monkeypatch.setenv("VSTORE_DB", str(tmp_path / "memory.db"))
    with Store(tmp_path / "memory.db", ToyEmbedder()) as store:
        store.remember(LIST, uri="list", media_type="text/markdown")
        for number in ("one", "two"):
            store.remember("the gate is locked at night", uri=number)


def run(*arguments: str) -> Result:
    return CliRunner().invoke(main, ["search", *arguments, "--mode", "lexical"])


def test_context_is_printed_under_its_place() -> None:
    lines = run("hammer", "--context", "1").stdout.splitlines()
    assert lines[3] == f"    [chunk 1, 2, characters {LIST.index('bread')}-{LIST.index('nails') + 5}]"
    assert lines[4:] == ["    bread and milk", "", "    ## Tools", "", "    hammer and nails"]


def test_a_section_and_a_budget_narrow_the_context() -> None:
    def text(*options: str) -> str | None:
        context = json.loads(run("hammer", "--json", *options).stdout)["hits"][0]["context"]
        return context and context["text"]

    assert text("--context", "section") == "hammer and nails"
    assert text("--context", "1", "--context-tokens", "4") == "hammer and nails"
    assert text("--context", "1", "--context-tokens", "3") is None


@pytest.mark.parametrize("context", ["page", "1.5", "-1", "101"])
def test_context_that_makes_no_sense_is_refused(context: str) -> None:
    result = run("hammer", "--context", context)
    assert result.exit_code == (2 if context in ("page", "1.5") else 1)
    assert context in result.stderr


def test_near_copies_are_named_unless_told_otherwise() -> None:
    assert "    near-copies: chunk 4" in run("gate").stdout.splitlines()
    assert "near-copies" not in run("gate", "--no-collapse").stdout


def test_an_exact_search_of_a_small_store_shows_the_same() -> None:
    assert run("gate", "--exact").stdout == run("gate").stdout


def test_recency_is_shown_among_the_reasons() -> None:
    assert "recency" not in run("gate", "--explain").stdout
    assert "recency (1.000) +" in run("gate", "--recency", "30", "--explain").stdout
    assert "half_life_days is a number above 0, not -1.0" in run("gate", "--recency", "-1").stderr


def test_history_without_a_vector_says_so_and_frequency_without_a_log_changes_nothing() -> None:
    plain, staged = run("gate"), run("gate", "--frequency", "--history")
    assert staged.stdout == plain.stdout
    assert "note: history did nothing" in staged.stderr

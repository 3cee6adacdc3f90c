"""`vstore why` on a store made with a deterministic embedder, by keywords."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from toy import ToyEmbedder

from vstore import Store
from vstore.cli import main


@pytest.fixture(autouse=True)
def filled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VSTORE_CONFIG", str(tmp_path / "config.toml"))
    monkeypatch.setenv("VSTORE_DB", str(tmp_path / "memory.db"))
    with Store(tmp_path / "memory.db", ToyEmbedder()) as store:
        store.remember("the gate is locked", uri="gate", tags=["door"], metadata={"year": 2020})
        store.remember("the gate is locked at night by the guard", uri="night")
        for number in ("1", "2", "3"):
            store.remember("a wall of stone", uri=f"wall{number}")
        store.remember("a garden by the river with flowers and one stone", uri="garden")


def run(*arguments: str, stdin: str | None = None) -> Result:
    return CliRunner().invoke(main, ["why", *arguments, "--mode", "lexical"], input=stdin)


def test_a_larger_k_is_named_as_an_option() -> None:
    result = run("locked gate", "night", "-k", "1")
    lines = result.stdout.splitlines()
    assert result.exit_code == 0
    assert lines[0] == "it stands at place 2, below the first 1 (keywords: number 2)"
    assert lines[1] == "number 2 with: -k 2"
    assert lines[2] == "    night  [chunk 2, default]"
    assert lines[3].startswith("    keywords  #2 (")
    assert lines[4] == "    has       locked, gate"
    assert "at place 2; the last result has" in lines[5]


def test_filters_and_stages_are_named_as_options() -> None:
    filters = run("gate", "night", "--where", "year=2020", "--tag", "door", "-c", "home", "--since", "2999-01-01")
    change = "no --collection home, no --since 2999-01-01, no --tag door, no --where {'year': {'$eq': 2020}}"
    assert filters.stdout.splitlines()[1] == f"number 2 with: {change}"
    copies = run("stone wall", "wall2", "-k", "2").stdout.splitlines()
    assert copies[:2] == [
        "collapse moved it from place 2 to 3: it is a near-copy of chunk 3",
        "number 2 with: --no-collapse",
    ]
    assert copies[-1] == "    collapse  from place 2 to 3, on account of chunk 3"


def test_words_to_add_are_named_as_a_query() -> None:
    lines = run("locked door", "wall1").stdout.splitlines()
    assert "no word in common" in lines[0]
    assert lines[1] == "number 3 with: the query 'locked door wall'"
    assert lines[-1] == "    lacks     locked, door"


def test_json_is_the_explanation_as_data() -> None:
    answer = json.loads(run("-", "night", "-k", "1", "--json", stdin="locked gate").stdout)
    assert (answer["query"], answer["lost"], answer["change"], answer["new_rank"]) == (
        "locked gate",
        "cut",
        {"k": 2},
        2,
    )
    assert answer["chunk"]["text"] == "the gate is locked at night by the guard"


def test_a_target_is_a_uri_or_the_number_of_a_chunk() -> None:
    assert run("gate", "1").stdout.startswith("it is found, as number 1\n    gate ")
    missing = run("gate", "nowhere")
    assert (missing.exit_code, "vstore list" in missing.stderr) == (1, True)
    assert run("gate", "99").exit_code == 1

"""`vstore models` lists, fetches and checks."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from embed import tiny

from vstore import settings
from vstore.cli import main
from vstore.embed.runtime import OnnxEmbedder


@pytest.fixture(autouse=True)
def models_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty model cache, and a hub that cannot be reached."""
    monkeypatch.setenv("VSTORE_MODELS", str(tmp_path / "models"))
    monkeypatch.setenv("VSTORE_CONFIG", str(tmp_path / "config.toml"))
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    return tmp_path / "models"


def run(*arguments: str) -> Result:
    return CliRunner().invoke(main, ["models", *arguments])


def test_list_says_what_is_here_and_what_is_chosen() -> None:
    rows = json.loads(run("list", "--json").stdout)
    assert [(row["name"], row["state"], row["chosen"]) for row in rows] == [
        ("all-MiniLM-L6-v2", "missing", True),
        ("BAAI/bge-small-en-v1.5", "missing", False),
    ]
    first = run("list").stdout.splitlines()[0]
    assert " ".join(first.split()) == (
        "* all-MiniLM-L6-v2 missing 91 MB 384 dimensions, 512 tokens, mean pooling, Apache-2.0"
    )


def test_pull_from_a_folder_then_verify_then_damage(minilm: OnnxEmbedder, models_folder: Path) -> None:
    source = Path(settings.defaults()["models"]) / "all-MiniLM-L6-v2"
    pulled = run("pull", "--from", str(source))
    assert (pulled.exit_code, pulled.stdout) == (0, "all-MiniLM-L6-v2 is ready: 384 dimensions, 512 tokens\n")

    verified = run("verify", "--json")
    assert verified.exit_code == 0
    assert {(row["file"], row["state"]) for row in json.loads(verified.stdout)} == {
        ("config.json", "intact"),
        ("tokenizer.json", "intact"),
        ("model.safetensors", "intact"),
    }

    (models_folder / "all-MiniLM-L6-v2" / "tokenizer.json").write_text("{}")
    damaged = run("verify")
    assert damaged.exit_code == 1
    assert "all-MiniLM-L6-v2  tokenizer.json  damaged" in damaged.stdout.splitlines()
    assert "fetch it again with: vstore models pull all-MiniLM-L6-v2" in damaged.stderr
    assert json.loads(run("list", "--json").stdout)[0]["state"] == "damaged"

    assert run("pull", "--from", str(source)).exit_code == 0
    assert run("verify", "all-MiniLM-L6-v2").exit_code == 0


def test_verify_of_an_empty_cache_says_so(models_folder: Path) -> None:
    result = run("verify")
    assert (result.exit_code, result.stdout) == (0, "")
    assert f"no model in {models_folder}" in result.stderr


def test_verify_of_a_model_that_is_not_here_fails() -> None:
    result = run("verify", "bge-small-en-v1.5")
    assert result.exit_code == 1
    assert result.stdout.splitlines()[0] == "BAAI/bge-small-en-v1.5  config.json  missing"


def test_pull_without_any_source_explains_itself() -> None:
    result = run("pull", "BAAI/bge-small-en-v1.5")
    assert result.exit_code == 1
    assert "Tried: cache" in result.stderr
    assert "Hugging Face hub" in result.stderr


def test_a_model_folder_can_be_tried_out(tmp_path: Path) -> None:
    folder = tiny.make_folder(tmp_path / "mine")
    assert run("pull", str(folder)).stdout == f"{folder} is ready: 8 dimensions, 12 tokens\n"


def test_an_unknown_name_is_an_error() -> None:
    result = run("pull", "no-such-model")
    assert result.exit_code == 1
    assert "neither a registered model" in result.stderr

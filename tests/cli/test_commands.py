"""The command line on a store made with a deterministic embedder; keyword searches need no model."""

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
from vstore.config import DEFAULT_MODEL_FINGERPRINT
from vstore.db.index import SqliteIndex


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A configuration and a store of this test's own."""
    for name in ("VSTORE_MODEL", "VSTORE_THREADS", "VSTORE_COLLECTION", "VSTORE_MODELS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("VSTORE_CONFIG", str(tmp_path / "config.toml"))
    monkeypatch.setenv("VSTORE_DB", str(tmp_path / "memory.db"))
    return tmp_path


@pytest.fixture
def filled(home: Path) -> Path:
    with Store(home / "memory.db", ToyEmbedder()) as store:
        store.remember("Green tea at seventy degrees.", title="Tea", uri="tea", tags=["drink"], metadata={"year": 2020})
        store.remember("Black coffee, freshly ground.", title="Coffee", uri="coffee", metadata={"year": 2024})
        store.remember("Bread and butter.", title="Bread", uri="bread", collection="kitchen")
    return home


def run(*arguments: str, stdin: str | None = None) -> Result:
    return CliRunner().invoke(main, arguments, input=stdin)


def test_search_prints_title_score_and_snippet(filled: Path) -> None:
    result = run("search", "green tea", "--mode", "lexical")
    assert result.exit_code == 0
    first, place, snippet = result.stdout.splitlines()
    assert first.startswith(" 1. Tea  ")
    assert "tea  [chunk 1, default]" in place
    assert snippet.strip() == "Green tea at seventy degrees."


def test_search_json_is_the_results_as_data(filled: Path) -> None:
    found = json.loads(run("search", "tea OR coffee", "--mode", "lexical", "--json").stdout)
    assert {hit["document"]["uri"] for hit in found["hits"]} == {"tea", "coffee"}
    assert found["mode"] == "lexical"
    assert all(hit["score"] == pytest.approx(sum(part["points"] for part in hit["why"])) for hit in found["hits"])


def test_search_reads_the_query_from_stdin(filled: Path) -> None:
    assert "Coffee" in run("search", "-", "--mode", "lexical", stdin="ground coffee\n").stdout


def test_no_hits_is_no_failure(filled: Path) -> None:
    result = run("search", "zebra", "--mode", "lexical")
    assert (result.exit_code, result.stdout) == (0, "")
    assert "nothing found" in result.stderr


@pytest.mark.parametrize(
    ("options", "uris"),
    [
        (["--where", "year>=2022"], {"coffee"}),
        (["--where", "year=2020"], {"tea"}),
        (["--where", "year!=2020"], {"coffee", "bread"}),
        (["--where", '{"$or": [{"year": 2020}, {"year": 2024}]}'], {"tea", "coffee"}),
        (["--where", "year>2000", "--where", "year<2022"], {"tea"}),
        (["--tag", "drink"], {"tea"}),
        (["-c", "kitchen"], {"bread"}),
        (["-c", "kitchen", "-c", "default"], {"tea", "coffee", "bread"}),
        (["--since", "2999-01-01"], set()),
    ],
)
def test_filters_narrow_list_and_search_alike(filled: Path, options: list[str], uris: set[str]) -> None:
    listed = json.loads(run("list", "--json", *options).stdout)
    assert {document["uri"] for document in listed} == uris
    found = json.loads(run("search", "tea coffee bread", "--mode", "lexical", "--json", *options).stdout)
    assert {hit["document"]["uri"] for hit in found["hits"]} == uris


@pytest.mark.parametrize("where", ["year", "{not json", ">5"])
def test_a_filter_that_cannot_be_read_is_wrong_usage(filled: Path, where: str) -> None:
    assert run("list", "--where", where).exit_code == 2


def test_get_prints_a_document_or_a_chunk(filled: Path) -> None:
    assert run("get", "tea").stdout == "Green tea at seventy degrees.\n"
    assert run("get", "1").stdout == "Green tea at seventy degrees.\n"
    assert json.loads(run("get", "tea", "--json").stdout)["document"]["title"] == "Tea"


def test_forget_shows_first_when_told_to(filled: Path) -> None:
    result = run("forget", "tea", "--dry-run")
    assert "1 would be forgotten" in result.stderr
    assert "tea" in run("list").stdout
    assert run("forget", "tea").exit_code == 0
    assert "tea" not in run("list").stdout


def test_forget_asks_before_it_removes_several(filled: Path) -> None:
    with Store(filled / "memory.db", ToyEmbedder()) as store:
        for name in ("a", "b"):
            store.remember(f"text {name}", uri=f"/box/{name}")
    assert run("forget", "/box", stdin="n\n").exit_code == 1
    assert len(json.loads(run("list", "--json").stdout)) == 5
    assert run("forget", "/box", "-y").exit_code == 0
    assert len(json.loads(run("list", "--json").stdout)) == 3


def test_stats_count(filled: Path) -> None:
    found = json.loads(run("stats", "--json").stdout)
    assert (found["documents"], found["chunks"], found["chunks_without_vector"]) == (3, 3, 0)
    assert found["collections"] == {"default": 2, "kitchen": 1}
    assert found["space"]["model"] == "toy"
    assert "model        toy, 64 dimensions" in run("stats").stdout
    assert found["adapter"] is None


def test_stats_name_the_adapter_that_is_active(filled: Path) -> None:
    with closing(SqliteIndex(filled / "memory.db")) as index:
        number = index.save_adapter(Adapter(np.eye(64, dtype=np.float32), 0.5), {}, {})
        index.activate(number)
    assert f"adapter      {number}, " in run("stats").stdout
    assert json.loads(run("stats", "--json").stdout)["adapter"] == number


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["search", "x", "-k", "0"], "k is the number of results, from 1 to 10,000, not 0"),
        (["search", " "], "the query is empty"),
        (["search", "x", "--mode", "fuzzy"], "mode is one of hybrid, dense, lexical"),
        (["get", "nothing"], "the store has no document 'nothing'"),
        (["get", "99"], "there is no chunk 99"),
        (["get", "9" * 5_000], "the store has no document"),
        (["why", "x", "9" * 5_000], "the store has no document"),
        (["forget", "nothing"], "the store has no document"),
        (["add", "absent.txt"], "absent.txt"),
        (["list", "--since", "soon"], "a date is written 2026-01-31"),
        (["config", "get", "colour"], "there is no setting 'colour'"),
        (["config", "set", "threads", "many"], "threads is a whole number"),
        (["remember", " "], "the text is empty"),
    ],
)
def test_errors_are_one_line_on_stderr_and_exit_code_1(filled: Path, arguments: list[str], message: str) -> None:
    result = run(*arguments)
    assert result.exit_code == 1
    assert result.stdout == ""
    assert result.stderr.startswith("vstore: ") and message in result.stderr
    assert len(result.stderr.strip().splitlines()) == 1


def test_k_that_is_text_is_wrong_usage(filled: Path) -> None:
    assert run("search", "x", "-k", "ten").exit_code == 2


def test_looking_does_not_make_a_store(home: Path) -> None:
    for arguments in (["search", "x"], ["list"], ["stats"], ["get", "x"], ["forget", "x"]):
        result = run(*arguments)
        assert result.exit_code == 1
        assert "there is no store at" in result.stderr
    assert not (home / "memory.db").exists()


def test_the_db_option_wins_over_the_environment(filled: Path) -> None:
    result = run("--db", str(filled / "other.db"), "list")
    assert "other.db" in result.stderr


def test_config_is_set_shown_and_unset(home: Path) -> None:
    assert run("config", "set", "collection", "work").exit_code == 0
    assert run("config", "get", "collection").stdout == "work\n"
    listed = json.loads(run("config", "list", "--json").stdout)
    assert listed["collection"]["source"] == str(home / "config.toml")
    assert listed["db"] == {"value": str(home / "memory.db"), "source": "VSTORE_DB", "meaning": "path of the store"}
    assert run("config", "unset", "collection").exit_code == 0
    assert run("config", "get", "collection").stdout == "default\n"
    assert run("config", "path").stdout == f"{home / 'config.toml'}\n"


def test_escape_sequences_in_a_text_do_not_reach_the_terminal(home: Path) -> None:
    with Store(home / "memory.db", ToyEmbedder()) as store:
        store.remember("evil \x1b[2J\x1b]0;title\x07 tea", title="a\x1b[31mb", uri="evil")
    for arguments in (["search", "tea", "--mode", "lexical", "--explain"], ["get", "evil"], ["list"]):
        assert "\x1b" not in run(*arguments).stdout


def test_a_bug_shows_its_traceback(filled: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(self: Store) -> None:
        raise ZeroDivisionError("a bug")

    monkeypatch.setattr(Store, "stats", broken)
    assert isinstance(run("stats").exception, ZeroDivisionError)


def test_stats_says_whether_there_is_a_confidence_as_searches_do(home: Path) -> None:
    """A file of the first schema has no calibration stored; searches then take the one that comes with its model."""
    path = home / "memory.db"
    for name, fingerprint in (("known", DEFAULT_MODEL_FINGERPRINT), ("unknown", "f" * 64)):
        for file in home.glob("memory.db*"):
            file.unlink()
        with closing(SqliteIndex(path)) as index:
            assert index.open_space(fingerprint, 384, name).calibration is None
        assert ("no confidence" in run("stats").stdout) == (name == "unknown")

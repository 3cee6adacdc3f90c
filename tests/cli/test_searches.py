"""`vstore stats --search` on a store made with a deterministic embedder."""

from __future__ import annotations

import json
import time
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result
from toy import ToyEmbedder

from vstore import Store
from vstore.cli import main


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A configuration and a store of this test's own."""
    for name in ("VSTORE_LOG", "VSTORE_METRICS", "VSTORE_SLOW_MS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("VSTORE_CONFIG", str(tmp_path / "config.toml"))
    monkeypatch.setenv("VSTORE_DB", str(tmp_path / "memory.db"))
    with Store(tmp_path / "memory.db", ToyEmbedder()) as store:
        store.remember("Green tea at seventy degrees.", uri="tea")
    return tmp_path


def run(*arguments: str, stdin: str | None = None) -> Result:
    return CliRunner().invoke(main, arguments, input=stdin)


def figures() -> dict[str, str]:
    """The first lines of the report, by their names."""
    lines = run("stats", "--search").stdout.partition("\n\n")[0].splitlines()
    return {name: value.strip() for name, _, value in (line.partition(" ") for line in lines)}


def test_each_search_of_the_command_line_is_counted_and_logged() -> None:
    assert figures() == {
        "searches": "0",
        "degraded": "0",
        "empty": "0",
        "slow": "0",
        "errors": "0",
        "logged": "0 queries",
    }
    run("search", "green tea", "--mode", "lexical")
    run("search", "zebra", "--mode", "lexical")
    run("search", " ", "--mode", "lexical")
    assert figures() == {
        "searches": "2 (lexical 2)",
        "degraded": "0",
        "empty": "1",
        "slow": "0",
        "errors": "1 (QueryError 1)",
        "logged": "2 queries",
    }


def test_times_are_a_table_with_the_longest_stage_first() -> None:
    run("search", "tea", "--mode", "lexical")
    title, head, first, *_ = run("stats", "--search").stdout.partition("\n\n")[2].splitlines()
    assert title == "milliseconds (percentiles interpolated from a histogram)"
    assert head.split() == ["stage", "searches", "p50", "p95", "p99", "at", "most"]
    stage, searches, *times = first.split()
    assert (stage, searches) == ("total", "1")
    assert [float(time) for time in times] == sorted(float(time) for time in times)


def test_slow_queries_are_listed_with_the_stages_that_took_the_time(home: Path) -> None:
    class Slow(ToyEmbedder):
        def embed_queries(self, texts: list[str]) -> np.ndarray:
            time.sleep(0.03)
            return super().embed_queries(texts)

    run("config", "set", "slow_ms", "20")
    with Store(home / "memory.db", Slow()) as store:
        store.search("first \x1b[31mtea")
        store.search("second tea")
    *_, newest, stages, oldest, _ = run("stats", "--search").stdout.splitlines()
    assert newest.endswith(" ms  second tea")
    assert oldest.endswith(" ms  first \ufffd[31mtea")
    stage, milliseconds, *_ = stages.split()
    assert stage == "embed" and float(milliseconds.rstrip(",")) >= 30.0  # however busy the machine is


def test_json_has_the_same_data() -> None:
    run("search", "tea", "--mode", "lexical")
    found = json.loads(run("stats", "--search", "--json").stdout)
    assert (found["searches"], found["modes"], found["logged"]) == (1, {"lexical": 1}, 1)
    assert found["latencies"][0]["stage"] == "total"


def test_reset_asks_and_then_erases_everything() -> None:
    run("search", "tea", "--mode", "lexical")
    refused = run("stats", "--search", "--reset", stdin="n\n")
    assert refused.exit_code == 1
    assert "Erase the figures of 1 searches and 1 logged queries?" in refused.stderr
    assert figures()["logged"] == "1 queries"
    erased = run("stats", "--search", "--reset", "--yes", "--json")
    assert erased.exit_code == 0
    found = json.loads(erased.stdout)
    assert (found["searches"], found["logged"], found["latencies"]) == (0, 0, [])


def test_reset_alone_is_wrong_usage() -> None:
    result = run("stats", "--reset")
    assert result.exit_code == 2
    assert "--reset goes with --search" in result.stderr


def test_switches_are_shown_as_one_writes_them() -> None:
    assert run("config", "get", "log").stdout == "on\n"
    assert run("config", "set", "log", "off").exit_code == 0
    assert run("config", "get", "log").stdout == "off\n"
    assert "\nlog = off  (" in run("config", "list").stdout
    run("search", "tea", "--mode", "lexical")
    assert figures()["logged"] == "0 queries"

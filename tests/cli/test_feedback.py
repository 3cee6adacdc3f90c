"""`vstore feedback` judges one answer, takes a file of judgements, and lists what was judged."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from toy import ToyEmbedder

from vstore import Store
from vstore.cli import main


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A configuration and a store of this test's own."""
    monkeypatch.setenv("VSTORE_CONFIG", str(tmp_path / "config.toml"))
    monkeypatch.setenv("VSTORE_DB", str(tmp_path / "memory.db"))
    with Store(tmp_path / "memory.db", ToyEmbedder()) as store:
        store.remember("Green tea at seventy degrees.", uri="tea")
        store.remember("Coffee at ninety degrees.", uri="coffee")
        store.remember("Mint tea.", uri="tea", collection="work")
    return tmp_path


def run(*arguments: str, stdin: str | None = None) -> Result:
    return CliRunner().invoke(main, arguments, input=stdin)


def listed() -> list[str]:
    """The list without the dates."""
    return [line.split("  ", 1)[1] for line in run("feedback", "--list").stdout.splitlines()]


def test_a_document_or_a_chunk_is_judged_and_listed() -> None:
    assert run("feedback", "hot drinks", "coffee").stdout == "relevant 1: coffee [default]\n"
    assert run("feedback", "hot drinks", "2", "--grade", "2.5").stdout == "relevant 2.5: coffee [chunk 2, default]\n"
    assert run("feedback", "hot", "tea", "-c", "work", "--not-relevant").stdout == "not relevant: tea [work]\n"
    assert listed() == [
        "not relevant  tea [work]  hot",
        "relevant 2.5  coffee [chunk 2, default]  hot drinks",
        "relevant 1  coffee [default]  hot drinks",
    ]


def test_the_query_may_come_from_stdin() -> None:
    assert run("feedback", "-", "coffee", stdin="hot\n").exit_code == 0
    assert listed() == ["relevant 1  coffee [default]  hot"]


def test_json_has_the_same_data() -> None:
    one = json.loads(run("feedback", "hot", "coffee", "--json").stdout)
    assert (one["query"], one["uri"], one["chunk_id"], one["grade"]) == ("hot", "coffee", None, 1.0)
    assert json.loads(run("feedback", "--list", "--json").stdout) == [one]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("hot", "juice"), "the store has no document 'juice'"),
        (("hot", "4711"), "there is no chunk 4711"),
        (("hot", "tea"), "2 collections have a document 'tea'"),
        (("hot", "coffee", "--grade", "4"), "a grade is a number from 0 (not relevant) to 3, not 4.0"),
        ((" ", "coffee"), "a query is a text with words"),
    ],
)
def test_what_cannot_be_judged_fails_in_one_line(arguments: tuple[str, ...], message: str) -> None:
    result = run("feedback", *arguments)
    assert (result.exit_code, result.stdout) == (1, "")
    assert message in result.stderr
    assert len(result.stderr.splitlines()) == 1
    assert listed() == []


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((), "give QUERY and TARGET, or --file, or --list"),
        (("hot",), "give QUERY and TARGET, or --file, or --list"),
        (("hot", "--list"), "give QUERY and TARGET, or --file, or --list"),
        (("hot", "coffee", "--list"), "give QUERY and TARGET, or --file, or --list"),
        (("--file", "x", "--list"), "give QUERY and TARGET, or --file, or --list"),
        (("--list", "--grade", "1"), "go with QUERY and TARGET"),
        (("--file", "x", "-c", "work"), "go with QUERY and TARGET"),
        (("hot", "coffee", "--grade", "1", "--not-relevant"), "not both"),
    ],
)
def test_what_does_not_go_together_is_wrong_usage(arguments: tuple[str, ...], message: str) -> None:
    result = run("feedback", *arguments)
    assert result.exit_code == 2
    assert message in result.stderr


def test_a_file_is_taken_and_its_unusable_rows_are_named(home: Path) -> None:
    good = '{"query": "hot", "uri": "coffee", "grade": 1}'
    (home / "judged.jsonl").write_text("\n".join([good, *["{"] * 12]), encoding="utf-8")
    result = run("feedback", "--file", str(home / "judged.jsonl"))
    assert (result.exit_code, result.stdout) == (0, "1 judged, 12 skipped\n")
    first, *_, last = result.stderr.splitlines()
    assert first.startswith("line 2: not JSON")
    assert last == "and 2 more; see them all with: vstore -v feedback ..."
    assert len(run("-v", "feedback", "--file", str(home / "judged.jsonl")).stderr.splitlines()) == 12
    assert listed() == ["relevant 1  coffee [default]  hot"]
    found = json.loads(run("feedback", "--file", str(home / "judged.jsonl"), "--json").stdout)
    assert (found["judged"], len(found["problems"])) == (1, 12)


def test_a_file_that_is_not_there_fails(home: Path) -> None:
    result = run("feedback", "--file", str(home / "none.jsonl"))
    assert result.exit_code == 1
    assert "cannot be read: No such file" in result.stderr


def test_no_text_of_a_judgement_steers_the_terminal() -> None:
    run("feedback", "hot \x1b[31mdrinks", "coffee")
    assert listed() == ["relevant 1  coffee [default]  hot \ufffd[31mdrinks"]

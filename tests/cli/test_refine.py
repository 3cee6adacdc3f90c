"""`vstore refine` learns at night, says what it decided, shows its evidence, and goes back."""

from __future__ import annotations

import json
import plistlib
import shutil
import subprocess
import xml.etree.ElementTree as ElementTree
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result
from refine.world import COURTESY, copied, questions
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


# --- a night ----------------------------------------------------------------------------------------------------------


@pytest.fixture
def toy_world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A store in which there is something to learn, and a command line that embeds with its toy model."""
    path = copied(tmp_path / "world.db", documents=100)
    monkeypatch.setenv("VSTORE_DB", str(path))
    monkeypatch.setattr("os.nice", lambda _: 0, raising=False)  # the lowest priority would be that of all other tests
    monkeypatch.setattr("vstore.serving.Serving._choose", lambda *_: ToyEmbedder())
    return path


def test_a_night_prints_its_decision_and_what_it_does_on_stderr(toy_world: Path) -> None:
    first = run("run", "--budget", "5m")
    assert first.exit_code == 0
    assert first.stdout.startswith("promoted: on ")
    assert first.stderr.startswith("asking ")
    again = CliRunner().invoke(main, ["-q", "refine", "run", "--json"])
    assert (again.exit_code, again.stderr) == (0, "")
    record = json.loads(again.stdout)
    assert (record["status"], record["model"]) == ("kept", None)
    assert record["configuration"] == {
        "trainer": "adapter",
        "budget_seconds": 600.0,
        "seed": 0,
        "queries": None,
        "made_up": False,
    }


def test_status_shows_what_serves_what_there_is_and_what_was_decided(toy_world: Path) -> None:
    assert run("status").stdout.splitlines()[0] == "serving   toy"
    run("run")
    lines = run("status").stdout.splitlines()
    assert lines[0] == "serving   toy with adapter 2"
    assert lines[1].startswith("queries   76 to learn from, 44 to judge by, 0 judged")
    assert "  promoted: on " in lines[2]
    assert json.loads(run("status", "--json").stdout)["runs"][0]["status"] == "promoted"


def test_a_failure_exits_with_1_and_a_line(toy_world: Path) -> None:
    with closing(SqliteIndex(toy_world)) as index:
        index.begin_run({})
        busy = run("run")
    assert busy.exit_code == 1
    assert "another refinement of this store is at work" in busy.stderr
    assert run("run", "--trainer", "gpt").exit_code == 1


@pytest.mark.parametrize("budget", ["", "0", "ten", "-5m", "5 days", "nan"])
def test_a_budget_that_is_none_is_wrong_usage(budget: str) -> None:
    wrong = run("run", "--budget", budget)
    assert wrong.exit_code == 2
    assert "is not a length of time such as 90s, 10m, 1.5h" in wrong.stderr


def test_mining_prints_jsonl_and_the_rates_on_stderr(toy_world: Path) -> None:
    done = run("mine")
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(rows) == json.loads(run("status", "--json").stdout)["train"]
    assert all(set(row) >= {"query", "positives", "negatives", "sets_differ"} for row in rows)
    differ = sum(row["sets_differ"] for row in rows) / len(rows)
    assert f"all collections: {len(rows)} queries, the first 10 differ for {differ:.0%}" in done.stderr


def test_the_report_is_one_page_that_loads_nothing_and_shows_the_evidence(toy_world: Path, tmp_path: Path) -> None:
    assert run("report").exit_code == 1
    assert "not refined yet" in run("report").stderr
    with Store(toy_world, ToyEmbedder()) as store:
        store.remember("<script>alert(1)</script> " + " ".join(COURTESY), uri="<b>", title="<i>Bad</i>")
        for question in questions(60):
            store.feedback(question, store.search(question, k=2)[1].chunk_id)  # some of these gain and some lose
    run("run")
    assert run("report", "-o", str(tmp_path / "night.html")).exit_code == 0
    page = (tmp_path / "night.html").read_text(encoding="utf-8")
    assert page == run("report", "--run", "1").stdout
    assert "<script" not in page and "http://" not in page and "https://" not in page and "<i>Bad" not in page
    for part in ("Evidence", "What people judged", "Before and after", "The worst regressions", "generalises"):
        assert part in page
    assert page.count("<svg") in (2, 3)  # the plot of cosines is left out when nothing moved
    for svg in page.split("<svg")[1:]:
        ElementTree.fromstring("<svg" + svg.split("</svg>")[0] + "</svg>")
    assert run("report", "--run", "99").exit_code == 1


# --- the schedule -----------------------------------------------------------------------------------------------------


def test_the_systemd_units_are_accepted_by_systemd(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VSTORE_DB", str(tmp_path / 'my "50%" $store.db'))
    printed = run("schedule", "--kind", "systemd", "--at", "4:05", "--budget", "20m").stdout
    service, timer = printed.split("# ~/.config/systemd/user/vstore.refine.")[1:]
    assert "OnCalendar=*-*-* 04:05:00" in timer and "WantedBy=timers.target" in timer
    assert r'--db "' in service and r'my \"50%%\" $$store.db" --quiet refine run --budget 20m' in service
    if shutil.which("systemd-analyze") is None:
        return  # the rest needs systemd, which many machines lack
    for name, unit in (("vstore.refine.service", service), ("vstore.refine.timer", timer)):
        (tmp_path / name).write_text(unit.split("\n", 1)[1], encoding="utf-8")
        checked = subprocess.run(
            ["systemd-analyze", "verify", "--man=no", str(tmp_path / name)], capture_output=True, text=True, check=False
        )
        assert "vstore" not in checked.stderr, checked.stderr


def test_the_cron_line_runs_what_it_says_with_the_shell(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VSTORE_DB", str(tmp_path / "my 50% store.db"))
    line = run("schedule", "--kind", "cron").stdout
    minute, hour, *rest = line.split(" ", 5)
    assert (minute, hour, rest[:3]) == ("30", "3", ["*", "*", "*"])
    command = rest[3].replace(r"\%", "%")  # as cron hands it to the shell
    words = subprocess.run(["sh", "-c", f"printf '%s\\n' {command}"], capture_output=True, text=True, check=True)
    assert words.stdout.splitlines()[1:] == [
        "--db", str(tmp_path / "my 50% store.db"), "--quiet", "refine", "run", "--budget", "10m",
    ]  # fmt: skip


def test_the_launchd_file_is_a_property_list(tmp_path: Path) -> None:
    agent = plistlib.loads(run("schedule", "--kind", "launchd", "--at", "23:59").stdout.encode())
    assert agent["StartCalendarInterval"] == {"Hour": 23, "Minute": 59}
    assert agent["ProgramArguments"][-4:] == ["refine", "run", "--budget", "10m"]
    assert run("schedule", "--at", "24:00").exit_code == 2

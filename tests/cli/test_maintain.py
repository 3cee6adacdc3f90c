"""`vstore check`: what it prints, what it asks, and its exit codes."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from db.damage import DAMAGES
from toy import ToyEmbedder

from vstore import Store
from vstore.cli import main


@pytest.fixture
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("VSTORE_CONFIG", str(tmp_path / "config.toml"))
    monkeypatch.setenv("VSTORE_DB", str(tmp_path / "memory.db"))
    with Store(tmp_path / "memory.db", ToyEmbedder()) as store:
        for number in range(12):
            store.remember(f"Note {number} on green tea.", title="Tea", uri=f"tea {number}")
    return tmp_path / "memory.db"


def run(*arguments: str, stdin: str | None = None) -> Result:
    return CliRunner().invoke(main, arguments, input=stdin)


def test_a_sound_file_is_said_to_be_sound(path: Path) -> None:
    result = run("check")
    assert result.exit_code == 0
    lines = result.stdout.splitlines()
    assert "ok          keyword ids" in lines
    assert "not checked keyword words: takes --deep" in lines
    assert lines[-1] == f"{path} is sound: 29 ok, 0 warning, 0 failed, 4 not checked"
    deep = run("-v", "check", "--deep")
    assert deep.stdout.splitlines()[-1] == f"{path} is sound: 33 ok, 0 warning, 0 failed, 0 not checked"
    assert "ok          codes: every code has the signs of its vector" in deep.stdout


def test_what_is_wrong_is_said_with_what_to_do_and_the_exit_code_is_1(path: Path) -> None:
    DAMAGES["a code missing"](path)
    result = run("check")
    assert result.exit_code == 1
    at = result.stdout.index("failed      code ids: a vector has no code\n")
    assert "chunk 9\n" in result.stdout[at:]
    assert "vstore check --repair can mend it" in result.stdout[at:]
    assert f"{path} is NOT sound: " in result.stdout


def test_json_is_the_report_as_data(path: Path) -> None:
    DAMAGES["a code missing"](path)
    result = run("check", "--deep", "--json")
    report = json.loads(result.stdout)
    assert (result.exit_code, report["ok"], report["deep"], report["path"]) == (1, False, True, str(path))
    (failed,) = [check for check in report["checks"] if check["status"] == "failed"]
    assert (failed["name"], failed["affected"], failed["repairable"]) == ("code ids", 1, 1)


def test_repair_shows_its_plan_and_asks(path: Path) -> None:
    DAMAGES["a code missing"](path)
    content = path.read_bytes()
    result = run("check", "--repair", stdin="n\n")
    assert result.exit_code == 1
    assert "failed      code ids" in result.stderr
    assert "will        make codes anew of their vectors" in result.stderr
    assert path.read_bytes() == content
    assert sorted(file.name for file in path.parent.iterdir()) == ["memory.db"]
    result = run("check", "--repair", stdin="y\n")
    assert result.exit_code == 0
    assert "did         codes: 1" in result.stdout
    (copy,) = path.parent.glob("memory.before-repair-*.db")
    assert f"copy        {copy}" in result.stdout


def test_repair_is_refused_on_a_store_that_is_to_be_read_only(path: Path) -> None:
    DAMAGES["a code missing"](path)
    before = path.read_bytes()
    result = run("--read-only", "check", "--repair", "--yes")
    assert result.exit_code == 1 and "--read-only and --repair do not go together" in result.stderr
    assert path.read_bytes() == before and [file.name for file in path.parent.iterdir()] == [path.name]
    assert run("--read-only", "check").exit_code == 1  # which reads alone


def test_repair_with_yes_does_not_ask_and_has_nothing_to_do_the_next_time(path: Path) -> None:
    DAMAGES["an index row missing"](path)
    result = run("check", "--repair", "--yes", "--json")
    report = json.loads(result.stdout)
    assert (result.exit_code, report["ok"], report["done"], report["left"]) == (0, True, {"keyword index": 12}, {})
    again = run("check", "--repair", "-y")
    assert again.exit_code == 0
    assert again.stdout.startswith("nothing to repair\n")


def test_what_repair_had_to_leave_is_said(path: Path) -> None:
    DAMAGES["a vector missing"](path)
    result = run("check", "--repair", "-y")
    assert result.exit_code == 1
    assert "left        vectors: " in result.stdout
    assert "failed      vector ids: a chunk has no vector" in result.stdout


def test_a_newer_file_is_refused_for_repair_in_one_line(path: Path) -> None:
    DAMAGES["a newer schema"](path)
    result = run("check", "--repair", "-y")
    assert (result.exit_code, result.stdout) == (1, "")
    assert len(result.stderr.splitlines()) == 1
    assert "was written by a newer vstore" in result.stderr


def test_a_missing_file_is_an_error_in_one_line(path: Path) -> None:
    path.unlink()
    result = run("check")
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr.startswith("vstore: there is no store at")


def test_a_check_loads_no_model_runtime(path: Path) -> None:
    code = (
        "import sys\n"
        "import vstore\n"
        f"assert vstore.check({str(path)!r}, deep=True).ok\n"
        "heavy = {'onnxruntime', 'tokenizers', 'semantic_text_splitter', 'huggingface_hub', 'vstore.store'}\n"
        "print(sorted(heavy & set(sys.modules)))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"

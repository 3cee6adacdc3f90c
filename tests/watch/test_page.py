"""docs/watch.md is true: its examples run, and the files to install are well-formed."""

from __future__ import annotations

import configparser
import os
import plistlib
import re
import subprocess
import sys
from pathlib import Path
from typing import get_args

import pytest
from toy import ToyEmbedder
from watch.following import texts

from vstore import Store
from vstore.watch.events import Kind

PAGE = (Path(__file__).parents[2] / "docs" / "watch.md").read_text(encoding="utf-8")


def block(language: str) -> str:
    (found,) = re.findall(rf"^```{language}\n(.*?)^```", PAGE, re.DOTALL | re.MULTILINE)
    return str(found)


@pytest.fixture
def workplace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "notes").mkdir()
    (tmp_path / "notes" / "old.md").write_text("# Old\n\nWe used passwords.\n")
    (tmp_path / "notes" / "new.md").write_text("# Valves\n\nFault E-4471 means a stuck valve.\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("VSTORE_DB", str(tmp_path / "memory.db"))
    monkeypatch.setenv("VSTORE_CONFIG", str(tmp_path / "config.toml"))
    return tmp_path


@pytest.mark.usefixtures("minilm")
def test_the_shell_session_runs(workplace: Path) -> None:
    environment = {**os.environ, "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}
    run = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", block("sh")], capture_output=True, text=True, env=environment, check=False
    )
    assert run.returncode == 0, run.stderr
    lines = run.stdout.splitlines()
    assert [line.split()[0] for line in lines[:2]] == ["added", "added"]
    assert lines[2:] == [f"forgotten {workplace.resolve()}/notes/old.md"]


def test_the_python_session_runs(workplace: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with Store(workplace / "toy.db", ToyEmbedder()) as store:
        exec(compile(block("python"), "watch.md", "exec"), {"store": store})
        assert capsys.readouterr().out == "added new.md\nadded old.md\n"
        assert len(texts(store)) == 2


def test_the_files_to_install_are_well_formed() -> None:
    assert plistlib.loads(block("xml").encode())["ProgramArguments"][2] == "watch"
    unit = configparser.ConfigParser(interpolation=None)
    unit.read_string(block("ini"))
    assert "vstore --quiet watch" in unit["Service"]["ExecStart"]


def test_every_event_is_explained() -> None:
    table = PAGE.split("| event | means |")[1].split("\n\n")[0]
    assert set(re.findall(r"`(\w+)`", table)) == set(get_args(Kind))

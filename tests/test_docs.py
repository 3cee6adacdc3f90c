"""The documentation is true: every command is in it, every example runs, every link leads somewhere."""

from __future__ import annotations

import ast
import asyncio
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import pytest
from toy import ToyEmbedder

import vstore
from vstore import Store
from vstore.cli import main
from vstore.refine.signals import FeedbackReport, add_judgements

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]


def commands(group: click.Group = main, prefix: str = "vstore") -> Iterator[tuple[str, click.Command]]:
    """Every command with its full name."""
    for name, command in sorted(group.commands.items()):
        full = f"{prefix} {name}"
        if isinstance(command, click.Group):
            if command.invoke_without_command:
                yield full, command
            yield from commands(command, full)
        else:
            yield full, command


def blocks(text: str, language: str) -> list[str]:
    """The fenced code blocks of one language."""
    return re.findall(rf"^```{language}\n(.*?)^```", text, re.DOTALL | re.MULTILINE)


@pytest.fixture
def workplace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with the notes the README speaks of, and a store of its own."""
    (tmp_path / "notes").mkdir()
    (tmp_path / "notes" / "old.md").write_text("# Old\n\nWe used passwords.\n", encoding="utf-8")
    (tmp_path / "notes" / "new.md").write_text("# Valves\n\nFault E-4471 means a stuck valve.\n", encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("VSTORE_DB", str(tmp_path / "memory.db"))
    monkeypatch.setenv("VSTORE_CONFIG", str(tmp_path / "config.toml"))
    return tmp_path


COMMANDS = list(commands())


@pytest.mark.parametrize(("name", "command"), COMMANDS, ids=[name for name, _ in COMMANDS])
def test_every_command_has_help_and_is_documented(name: str, command: click.Command) -> None:
    assert command.help, f"{name} has no help"
    assert f"`{name}" in (ROOT / "docs" / "cli.md").read_text(encoding="utf-8"), f"{name} is not in docs/cli.md"
    for parameter in command.params:
        if isinstance(parameter, click.Option):
            assert parameter.help, f"{name} {parameter.opts[0]} has no help"


def test_the_documented_options_exist() -> None:
    known = {option for _, command in commands() for parameter in command.params for option in parameter.opts}
    known |= {option for parameter in main.params for option in parameter.opts} | {"--help"}
    text = (ROOT / "docs" / "cli.md").read_text(encoding="utf-8")
    for option in set(re.findall(r"(?<![\w-])--[a-z][a-z-]+", text)):
        assert option in known, f"docs/cli.md names {option}, which no command has"


@pytest.mark.usefixtures("minilm")
def test_the_readme_shell_session_runs(workplace: Path) -> None:
    session = next(block for block in blocks(README, "sh") if block.startswith("vstore add"))
    folder = Path(sys.executable).parent
    environment = {**os.environ, "PATH": f"{folder}{os.pathsep}{os.environ['PATH']}"}
    assert shutil.which("vstore", path=environment["PATH"]), "vstore is not installed in this environment"
    run = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", session], capture_output=True, text=True, env=environment, check=False
    )
    assert run.returncode == 0, run.stderr
    assert "We use PKCE for public clients." in run.stdout
    assert "E-4471" not in run.stdout.split("2 added")[0]


@pytest.mark.usefixtures("minilm")
def test_the_readme_python_session_runs(workplace: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (example,) = blocks(README, "python")
    exec(compile(example, "README.md", "exec"), {"__name__": "readme"})
    lines = capsys.readouterr().out.splitlines()
    assert "Auth decision We use PKCE for public clients." in lines[0]
    assert re.fullmatch(r"(True|False) 0\.\d+ [\d.]+ ms", lines[-1])
    assert (workplace / "memory.db").exists()


@pytest.mark.usefixtures("minilm")
def test_the_examples_of_optional_stages_run(workplace: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The one around a package that vstore does not need is only compiled."""
    page = (ROOT / "docs" / "how-search-works.md").read_text(encoding="utf-8")
    toy, cross = blocks(page, "python")
    compile(cross, "how-search-works.md", "exec")
    exec(compile(toy, "how-search-works.md", "exec"), {"__name__": "page"})
    assert capsys.readouterr().out == "We deploy on Fridays. rerank\n"
    assert (workplace / "memory.db").exists()


@pytest.mark.usefixtures("minilm")
def test_the_example_of_async_runs(workplace: Path, capsys: pytest.CaptureFixture[str]) -> None:
    whole, run = blocks((ROOT / "docs" / "async.md").read_text(encoding="utf-8"), "python")
    exec(compile(whole, "async.md", "exec"), {"__name__": "page"})
    lines = capsys.readouterr().out.splitlines()
    assert [line.partition(" -> ")[2] for line in lines] == ["We use PKCE for public clients."] * 2

    async def use() -> None:
        async with vstore.AsyncStore("memory.db") as store:
            call = compile(run, "async.md", "exec", ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
            names: dict[str, Any] = {"store": store, "vstore": vstore}
            await eval(call, names)
            assert names["report"].documents == 1

    asyncio.run(use())


@pytest.mark.usefixtures("minilm")
def test_the_examples_of_frameworks_run(
    workplace: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The one around a package that vstore does not need is only compiled."""
    langchain, llama_index = (ROOT / "docs" / name for name in ("langchain.md", "llama-index.md"))
    passages, documents, services = blocks(langchain.read_text(encoding="utf-8"), "python")
    (nodes,) = blocks(llama_index.read_text(encoding="utf-8"), "python")
    compile(services, "langchain.md", "exec")
    printed = []
    for number, example in enumerate((passages, documents, nodes)):
        (workplace / str(number)).mkdir()
        monkeypatch.chdir(workplace / str(number))
        exec(compile(example, "page", "exec"), {"__name__": "page"})
        printed.append(capsys.readouterr().out)
    secret = "Public clients log in with PKCE, never with a secret. Auth decision"
    assert printed == [f"{secret}\n", "auth\n", f"{secret} True\n"]


def test_the_examples_of_judgements_are_taken(workplace: Path) -> None:
    page = (ROOT / "docs" / "refinement.md").read_text(encoding="utf-8")
    (example, _), (rows,) = blocks(page, "python"), blocks(page, "json")
    (workplace / "notes" / "auth.md").write_text("Public clients log in with PKCE.", encoding="utf-8")
    (workplace / "judged.jsonl").write_text(rows, encoding="utf-8")
    with Store(workplace / "memory.db", ToyEmbedder()) as store:
        store.add("notes")
        exec(compile(example, "refinement.md", "exec"), {"store": store, "results": store.search("public clients")})
        assert [judgement.grade for judgement in store.judgements()] == [3.0, 0.0, 1.0]
        store.remember("We met.", uri="/home/mia/notes/auth.md")
        store.remember("We met.", uri="meeting.md", collection="work")
        assert add_judgements(store, workplace / "judged.jsonl") == FeedbackReport(2, {})


def test_the_example_of_the_local_page_runs(workplace: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (example,) = blocks((ROOT / "docs" / "ui.md").read_text(encoding="utf-8"), "python")
    with Store("memory.db", ToyEmbedder()) as store:
        store.remember("We use PKCE for public clients.", title="Auth decision")
    exec(compile(example, "ui.md", "exec"), {"__name__": "page"})
    assert capsys.readouterr().out == "200 True\n"


def test_the_readme_has_the_two_commands_on_its_first_screen() -> None:
    first_screen = "\n".join(README.splitlines()[:20])
    setup = [block.strip() for block in blocks(first_screen, "sh")]
    assert len(setup) == 2
    assert all(len(command.splitlines()) == 1 for command in setup)
    assert setup[0].endswith("vstore demo")
    assert setup[1].endswith("-m pytest -n auto")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\((?!https?://)([^)#]+)[^)]*\)", page.read_text(encoding="utf-8")):
        assert (page.parent / target).exists(), f"{page.name} links to {target}"


@pytest.mark.usefixtures("minilm")
def test_the_example_of_an_agent_runs(workplace: Path) -> None:
    (example,) = blocks((ROOT / "docs" / "mcp.md").read_text(encoding="utf-8"), "python")
    run = subprocess.run([sys.executable, "-c", example], capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    assert run.stdout == "Auth We use PKCE for public clients.\n"

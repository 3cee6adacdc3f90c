"""`vstore mcp install` adds one entry to a client's list of servers, shows it first, and keeps everything else."""

from __future__ import annotations

import json
import sys
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from vstore.cli import main
from vstore.cli.mcp import CLIENTS as NAMES
from vstore.mcp.clients import CLIENTS

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="homes and modes are those of POSIX")


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("VSTORE_CONFIG", str(tmp_path / "config.toml"))
    for name in ("XDG_CONFIG_HOME", "CODEX_HOME", "VSTORE_DB", "VSTORE_MODEL", "VSTORE_MODELS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr("sys.platform", "linux")
    return tmp_path


def run(client: str, *arguments: str, before: tuple[str, ...] = (), keys: str | None = None) -> Result:
    given = ["--db", str(Path.home() / "memory.db"), *before[:1], "mcp", *before[1:], "install", "--client", client]
    return CliRunner().invoke(main, [*given, *arguments], input=keys)


def entry(**more: Any) -> dict[str, Any]:
    """What stands in a list: the program beside this Python, with the store's path."""
    beside = Path(sys.executable).with_name("vstore")
    command = [str(beside)] if beside.exists() else [sys.executable, "-m", "vstore"]
    args = [*command[1:], "--db", str(Path.home() / "memory.db"), "mcp"]
    return {"command": command[0], "args": args, "env": {"VSTORE_CONFIG": str(Path.home() / "config.toml")}, **more}


PLACES = {
    "claude-code": (".claude.json", "mcpServers", {"type": "stdio"}),
    "cursor": (".cursor/mcp.json", "mcpServers", {}),
    "vscode": (".config/Code/User/mcp.json", "servers", {"type": "stdio"}),
    "windsurf": (".codeium/windsurf/mcp_config.json", "mcpServers", {}),
    "zed": (".config/zed/settings.json", "context_servers", {}),
    "gemini-cli": (".gemini/settings.json", "mcpServers", {}),
    "codex": (".codex/config.toml", "mcp_servers", {}),
}


@pytest.mark.parametrize("client", PLACES)
def test_each_client_gets_an_entry_where_and_as_it_looks_for_it(client: str, home: Path) -> None:
    place, key, more = PLACES[client]
    done = run(client, "--yes")
    assert done.exit_code == 0, done.output
    path = home / place
    text = path.read_text(encoding="utf-8")
    written = tomllib.loads(text) if path.suffix == ".toml" else json.loads(text)
    assert written == {key: {"vstore": entry(**more)}}
    assert path.stat().st_mode & 0o777 == 0o600
    again = run(client, "--yes")
    assert (again.exit_code, again.stdout) == (0, "")
    assert "has this entry already" in again.stderr
    assert path.read_text(encoding="utf-8") == text
    assert [file.name for file in path.parent.iterdir() if ".bak" in file.name] == []


def test_the_command_line_names_the_clients_that_there_are() -> None:
    assert tuple(CLIENTS) == NAMES


@pytest.mark.parametrize(
    ("platform", "place"),
    [
        ("darwin", "Library/Application Support/Claude/claude_desktop_config.json"),
        ("win32", "Claude/claude_desktop_config.json"),
        ("linux", None),
    ],
)
def test_claude_desktop_keeps_its_list_where_its_system_has_it(
    platform: str, place: str | None, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.platform", platform)
    monkeypatch.setenv("APPDATA", str(home))
    assert CLIENTS["claude-desktop"].place() == (None if place is None else home / place)


def test_a_client_without_a_place_on_this_system_needs_one_named(home: Path) -> None:
    wrong = run("claude-desktop", "--yes")
    assert wrong.exit_code == 1 and "name its file with --file" in wrong.stderr
    assert run("claude-desktop", "--yes", "--file", str(home / "list.json")).exit_code == 0
    assert json.loads((home / "list.json").read_text()) == {"mcpServers": {"vstore": entry()}}


def test_everything_else_stays_and_a_copy_is_kept(home: Path) -> None:
    path = home / ".cursor" / "mcp.json"
    path.parent.mkdir()
    old = {"theme": "dünkel ☾", "mcpServers": {"other": {"command": "x"}, "vstore": {"command": "old"}}, "n": 1e-7}
    path.write_text(json.dumps(old, indent=4, ensure_ascii=False), encoding="utf-8")
    path.chmod(0o640)
    done = run("cursor", "--yes")
    assert json.loads(path.read_text(encoding="utf-8")) == {
        **old,
        "mcpServers": {"other": {"command": "x"}, "vstore": entry()},
    }
    assert path.read_text(encoding="utf-8").startswith('{\n    "theme": "dünkel ☾",\n    "mcpServers"')
    assert path.stat().st_mode & 0o777 == 0o640
    assert '-            "command": "old"' in done.stdout.splitlines()
    (copy,) = path.parent.glob("mcp.json-*.bak")
    assert json.loads(copy.read_text(encoding="utf-8")) == old
    assert copy.stat().st_mode & 0o777 == 0o600
    assert str(copy) in done.stderr


TOML = """# mine
model = "o9"  # the best

[mcp_servers.vstore]
command = "old"
args = ["a"]

[mcp_servers.vstore.env]
A = "b"

[mcp_servers.other]  # keep me
command = "x"

[profiles."vstore"]
x = [
  1,
]
"""


def test_comments_and_other_tables_of_toml_stay_as_they_are(home: Path) -> None:
    path = home / ".codex" / "config.toml"
    path.parent.mkdir()
    path.write_text(TOML, encoding="utf-8")
    assert run("codex", "--yes").exit_code == 0
    text = path.read_text(encoding="utf-8")
    begin, end = TOML.index("[mcp_servers.vstore]"), TOML.index("[mcp_servers.other]")
    assert text.startswith(TOML[:begin] + TOML[end:])
    old = tomllib.loads(TOML)
    assert tomllib.loads(text) == {**old, "mcp_servers": {"other": {"command": "x"}, "vstore": entry()}}


def test_comments_behind_the_old_entry_stay(home: Path) -> None:
    """They are mostly about the table that follows."""
    path = home / ".codex" / "config.toml"
    path.parent.mkdir()
    old = '[mcp_servers.vstore]\ncommand = "old"\n# inside\na = 1\n\n# about x\n[x]\ny = 1\n'
    path.write_text(old, encoding="utf-8")
    assert run("codex", "--yes").exit_code == 0
    assert path.read_text(encoding="utf-8").startswith("# about x\n[x]\ny = 1\n\n[mcp_servers.vstore]\n")


def test_half_a_character_in_a_list_is_written_as_it_was(home: Path) -> None:
    """Programs that cut a text within an emoji leave it, as an escape."""
    path = home / ".cursor" / "mcp.json"
    path.parent.mkdir()
    path.write_text(r'{"said": "\ud83d", "mcpServers": {}}', encoding="utf-8")
    assert run("cursor", "--yes").exit_code == 0
    assert r'"said": "\ud83d"' in path.read_text(encoding="utf-8")


def test_options_before_install_become_part_of_the_entry(home: Path) -> None:
    root = home / "my notes"
    root.mkdir()
    for before, expected in (
        (("--read-only", "--connector"), ["--read-only", "mcp", "--connector"]),
        (
            ("--quiet", "--root", str(root), "--allow-urls", "--allow-forget"),
            ["mcp", "--root", str(root), "--allow-urls", "--allow-forget"],
        ),
    ):
        assert run("cursor", "--yes", before=before).exit_code == 0
        args = json.loads((home / ".cursor" / "mcp.json").read_text())["mcpServers"]["vstore"]["args"]
        assert args[-len(expected) :] == expected


def test_a_variable_of_vstore_that_is_set_goes_into_the_entry(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VSTORE_MODELS", str(home / "models"))
    monkeypatch.setenv("VSTORE_MCP_TOKEN", "a-secret-that-stays-here")
    assert run("cursor", "--yes").exit_code == 0
    made = json.loads((home / ".cursor" / "mcp.json").read_text())["mcpServers"]["vstore"]
    assert made["env"] == {"VSTORE_CONFIG": str(home / "config.toml"), "VSTORE_MODELS": str(home / "models")}


REFUSED = [
    ("cursor", "// a comment\n{}", "is no JSON (comments are not understood)"),
    ("cursor", '{"a": 1,}', "is no JSON"),
    ("cursor", '{"a": 1, "a": 2}', "a name stands twice in one object"),
    ("cursor", "[]", "is no JSON object"),
    ("cursor", '{"mcpServers": []}', "mcpServers is no table of servers"),
    ("cursor", "\ufeff{}", "is no JSON"),
    ("cursor", "[" * 100_000, "is no JSON"),
    ("codex", "a = ", "is no TOML"),
    ("codex", "mcp_servers = 3", "mcp_servers is no table of servers"),
    ("codex", 'mcp_servers = {vstore = {command = "x"}}', "is no TOML"),
    ("codex", 'mcp_servers.vstore.command = "x"', "is no TOML"),
    ("codex", 'x = """\n[mcp_servers.vstore]\n"""', "is no TOML"),
]


@pytest.mark.parametrize(("client", "text", "line"), REFUSED, ids=lambda part: part[:30])
def test_a_list_that_cannot_be_changed_safely_is_left_alone(client: str, text: str, line: str, home: Path) -> None:
    path = home / "list"
    path.write_text(text, encoding="utf-8")
    refused = run(client, "--yes", "--file", str(path))
    assert refused.exit_code == 1
    assert line in refused.stderr and len(refused.stderr.splitlines()) == 1
    assert path.read_text(encoding="utf-8") == text
    assert [file.name for file in home.iterdir()] == ["list"]


def test_bytes_that_are_no_text_are_left_alone(home: Path) -> None:
    (home / "list").write_bytes(b"\xff\xfe{}")
    assert "cannot be read" in run("cursor", "--yes", "--file", str(home / "list")).stderr


@pytest.mark.parametrize(("keys", "is_written"), [("y\n", True), ("n\n", False), ("\n", False), ("", False)])
def test_nothing_is_written_without_consent(keys: str, is_written: bool, home: Path) -> None:
    asked = run("cursor", keys=keys)
    assert '+    "vstore": {' in asked.stdout.splitlines()
    assert (home / ".cursor" / "mcp.json").exists() is is_written
    assert asked.exit_code == (0 if is_written else 1)


def test_printing_writes_nothing(home: Path) -> None:
    shown = run("cursor", "--print")
    assert shown.exit_code == 0 and '+    "vstore": {' in shown.stdout
    assert list(home.iterdir()) == []


def test_a_list_that_changed_after_it_was_shown_is_not_overwritten(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = home / "list"
    path.write_text("{}")
    command = import_module("vstore.cli.mcp")
    monkeypatch.setattr(command, "confirm", lambda question: path.write_text('{"new": 1}'))
    refused = run("cursor", "--file", str(path))
    assert refused.exit_code == 1 and "was changed by somebody else just now" in refused.stderr
    assert path.read_text() == '{"new": 1}'


def test_what_to_add_by_hand_is_printed_for_a_list_that_cannot_be_changed(home: Path) -> None:
    path = home / "settings.json"
    path.write_text('// mine\n{"theme": "dark"}\n')
    printed = run("zed", "--print", "--file", str(path))
    assert printed.exit_code == 0
    assert "comments are not understood" in printed.stderr
    (servers,) = json.loads(printed.stdout).values()
    assert servers["vstore"]["args"][-1] == "mcp"
    assert path.read_text() == '// mine\n{"theme": "dark"}\n'


def test_a_link_to_a_list_stays_a_link(home: Path) -> None:
    (home / "dotfiles.json").write_text("{}")
    (home / "list").symlink_to(home / "dotfiles.json")
    assert run("cursor", "--yes", "--file", str(home / "list")).exit_code == 0
    assert (home / "list").is_symlink()
    assert "vstore" in json.loads((home / "dotfiles.json").read_text())["mcpServers"]


@pytest.mark.parametrize(
    ("arguments", "code", "line"),
    [
        (["mcp", "--port", "1"], 2, "go with --http"),
        (["mcp", "--token-file", "x"], 2, "go with --http"),
        (["mcp", "--allow-urls"], 2, "--allow-urls goes with --root"),
        (["--read-only", "mcp", "--allow-forget"], 2, "do not go with --read-only"),
        (["--read-only", "mcp", "--root", "."], 2, "do not go with --read-only"),
        (["mcp", "--http", "install", "--client", "cursor"], 2, "--http is for servers that you start yourself"),
        (["mcp", "--root", "/nowhere/at/all", "install", "--client", "cursor"], 1, "there is no such folder"),
        (["mcp", "install", "--client", "emacs"], 2, "'emacs' is not one of"),
        (["mcp", "install"], 2, "Missing option '--client'"),
    ],
)
def test_options_that_do_not_go_together_are_refused(arguments: list[str], code: int, line: str) -> None:
    refused = CliRunner().invoke(main, arguments)
    assert refused.exit_code == code and line in refused.stderr

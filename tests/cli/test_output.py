"""Text of others cannot steer the terminal, nor pass for a line of ours."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from toy import ToyEmbedder

from vstore import Store
from vstore.cli import main
from vstore.printable import json_text, printable, printable_lines

# clear the screen, set the title (8 bits, then 7), turn the direction, hide text in tags, end a line
NASTY = (
    "\x1b[2J \x9d0;title\x9c \x1b]0;x\x07 \u202efdp\u2066 \U000e0041\U000e0042 \u200b\ufeff \x7f \x08 \u2028 \u2029 \r"
)
OURS = [f"\x1b[{code}m" for code in (0, 1, 2, 31, 32, 33)]  # bold, dim, and colours
URI = f"uri {NASTY}".rstrip()
STEERING = [character for character in NASTY if not character.isspace() and not character.isprintable()] + list(
    "\r\u2028\u2029"
)


def test_what_could_steer_a_terminal_is_replaced() -> None:
    shown = printable(NASTY)
    assert not set(STEERING) & set(shown)
    assert shown.startswith("\ufffd[2J \ufffd0;title\ufffd ")


def test_letters_of_all_scripts_stay() -> None:
    hebrew, persian, thai = "\u05e9\u05dc\u05d5\u05dd", "\u0645\u06cc\u200c\u062e\u0648", "\u0e01\u0e33"
    text = f"caf\u00e9 cafe\u0301 {hebrew} {persian} {thai} \u4e2d \U0001f468\u200d\U0001f469"
    assert printable(text) == printable_lines(text) == text


def test_lines_and_tabs_stay_where_lines_are_shown_alone() -> None:
    assert printable_lines("a\n\tb\x1b\n") == "a\n\tb\ufffd\n"
    assert printable("a\n\tb") == "a\ufffd\ufffdb"


def test_json_keeps_the_value_and_escapes_what_could_steer() -> None:
    value = {"text": NASTY, "plain": "\u05e9 \u4e2d \U0001f468"}
    for text in (json_text(value), json_text(value, indent=2)):
        assert json.loads(text) == value
        assert not set(STEERING) & set(text)
        assert "\u05e9 \u4e2d \U0001f468" in text


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """One whose every text is nasty: uri, title, heading, text, tags, metadata, collection, model, logged query."""
    monkeypatch.setenv("VSTORE_CONFIG", str(tmp_path / "none.toml"))
    embedder = ToyEmbedder()
    embedder.name = f"toy {NASTY}"
    monkeypatch.setattr("vstore.store.Serving._choose", lambda self, space: embedder)
    with Store(tmp_path / "m.db", embedder, log=True, metrics=True) as opened:
        opened.remember(
            f"# head {NASTY}\nwords {NASTY}",
            title=f"title\n99. forged {NASTY}",
            uri=URI,
            collection=f"c {NASTY}",
            tags=[f"t {NASTY}"],
            metadata={f"k {NASTY}": NASTY},
            media_type="text/markdown",
        )
        opened.feedback(f"words {NASTY}", URI)
        opened.search(f"words {NASTY}")
    return tmp_path / "m.db"


def run(store: Path, *arguments: str) -> Result:
    return CliRunner().invoke(main, ["--db", str(store), *arguments], color=True)


@pytest.mark.parametrize(
    "arguments",
    [
        ("search", f"words {NASTY}"),
        ("search", f"words {NASTY}", "--explain", "--context", "section"),
        ("search", f"words {NASTY}", "--json"),
        ("search", "words", "--mode", NASTY),
        ("search", "words", "-c", NASTY),
        ("search", "words", "--where", f"{NASTY}=1"),
        ("search", "words", "--where", NASTY),
        ("search", "words", f"--{NASTY}"),
        ("why", f"words {NASTY}", URI),
        ("why", f"words {NASTY}", URI, "--json"),
        ("why", "words", f"none {NASTY}"),
        ("get", URI),
        ("get", URI, "--json"),
        ("get", f"none {NASTY}"),
        ("list",),
        ("list", "--json"),
        ("stats",),
        ("stats", "--json"),
        ("stats", "--search"),
        ("stats", "--search", "--json"),
        ("feedback", f"words {NASTY}", URI),
        ("feedback", f"words {NASTY}", f"none {NASTY}"),
        ("feedback", "--list"),
        ("refine", "status"),
        ("refine", "history"),
        ("refine", "mine"),
        ("add", f"none {NASTY}"),
        ("remember", "x", "--uri", NASTY),
        ("config", "set", NASTY, "x"),
        ("models", "pull", NASTY),
        ("keep", URI, "--expires", "30d"),
        ("keep", URI, "--expires", NASTY),
        ("compact", f"none {NASTY}"),
        ("check",),
        ("check", "--deep", "--json"),
        ("check", "--repair"),
        ("backup", f"/none {NASTY}/x"),
        ("restore", f"none {NASTY}", "-y"),
        ("export",),
        ("export", f"/none {NASTY}/x"),
        ("import", f"none {NASTY}"),
        ("forget", URI, "--dry-run"),
        ("forget", URI),
    ],
    ids=lambda arguments: " ".join(arguments).replace(URI, "uri").replace(NASTY, "nasty"),
)
def test_no_command_prints_it(store: Path, arguments: tuple[str, ...]) -> None:
    result = run(store, *arguments)
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    shown = result.stdout + result.stderr
    for style in OURS:
        shown = shown.replace(style, "")
    assert shown
    assert not set(STEERING) & set(shown)
    assert "\n99. forged" not in shown


def test_names_of_files_are_shown_safely(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("vstore.store.Serving._choose", lambda self, space: ToyEmbedder())
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a\n9 added \x1b[2J.txt").write_bytes(b"")
    result = run(tmp_path / "m.db", "-q", "add", str(tmp_path / "in"))
    assert f"skipped {tmp_path}/in/a\ufffd9 added \ufffd[2J.txt: empty\n" == result.stderr

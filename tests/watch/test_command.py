"""`vstore watch` as it is typed, and as a process that is told to end."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from db.processes import start
from toy import ToyEmbedder
from watch.following import texts, until

from vstore import Store, check
from vstore.cli import main
from vstore.cli.context import Context

PROGRAM = """
import sys, time
from toy import ToyEmbedder
from vstore import Store, config
from vstore.cli import main
from vstore.cli.context import Context

class Slow(ToyEmbedder):
    def embed_documents(self, texts):
        time.sleep(float(sys.argv[1]))
        return super().embed_documents(texts)

config.WINDOW_CHUNKS = 1
config.WATCH_SETTLE_S = config.WATCH_LOOK_S = 0.05
Context.store = lambda self, create=False: Store(self.settings.db, Slow(16), create=create)
main(sys.argv[2:])
"""


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("VSTORE_CONFIG", str(tmp_path / "config.toml"))
    monkeypatch.setenv("VSTORE_DB", str(tmp_path / "memory.db"))

    def opened(context: Context, *, create: bool = False) -> Store:
        return Store(context.settings.db, ToyEmbedder(16), create=create)

    monkeypatch.setattr(Context, "store", opened)
    return tmp_path


def run(*arguments: str | Path) -> Result:
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


def test_once_says_what_changed_in_a_line_each(home: Path, notes: Path) -> None:
    first = run("watch", notes, "--once", "--tag", "food")
    assert (first.exit_code, first.stderr) == (0, "")
    assert first.stdout == f"added {notes}/a.md\nadded {notes}/sub/b.md\n"
    (notes / "a.md").write_bytes(bytes(10))
    (notes / "sub" / "b.md").unlink()
    second = run("watch", notes, "--once")
    assert (second.exit_code, second.stdout) == (0, f"forgotten {notes}/sub/b.md\n")
    assert second.stderr == f"skipped {notes}/a.md: binary\n"


def test_json_has_a_line_for_each_event(notes: Path) -> None:
    lines = run("watch", notes, "--once", "--json").stdout.splitlines()
    assert [json.loads(line) for line in lines] == [
        {"event": "added", "path": str(notes / name), "reason": "", "documents": 1} for name in ("a.md", "sub/b.md")
    ]


def test_a_path_that_is_not_there_fails_before_a_store_is_made(home: Path) -> None:
    result = run("watch", home / "nothing")
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr.startswith("vstore: no such file or folder: ")
    assert not (home / "memory.db").exists()


def test_once_fails_when_something_was_refused_and_says_how_to_confirm_it(notes: Path) -> None:
    for number in range(12):
        (notes / "sub" / f"{number}.md").write_text(f"number {number}")
    run("watch", notes, "--once")
    shutil.rmtree(notes / "sub")
    result = run("watch", notes, "--once", "-c", "default")
    assert (result.exit_code, result.stdout) == (1, "")
    assert "13 of the 14 documents" in result.stderr
    assert "start again with --forget-many" in result.stderr
    assert run("watch", notes, "--once", "--forget-many").exit_code == 0


def watching(notes: Path, delay_s: float = 0.0) -> subprocess.Popen[str]:
    return start(PROGRAM, delay_s, "watch", notes, "--json")


def next_event(process: subprocess.Popen[str], kind: str) -> dict[str, str]:
    assert process.stdout is not None
    for line in process.stdout:
        event: dict[str, str] = json.loads(line)
        if event["event"] == kind:
            return event
    raise AssertionError(f"it ended before {kind}: {process.communicate()}")


@pytest.mark.skipif(sys.platform == "win32", reason="there a process cannot be sent Ctrl-C alone")
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 0)])
def test_signals_end_it(home: Path, notes: Path, number: signal.Signals, code: int) -> None:
    with watching(notes) as process:
        next_event(process, "synchronised")
        (notes / "c.md").write_text("cherries")
        assert next_event(process, "added")["path"] == str(notes / "c.md")
        process.send_signal(number)
        _, errors = process.communicate(timeout=30)
    assert process.returncode == code
    assert errors == ("vstore: interrupted; what was written before is kept\n" if code else "")
    assert check(home / "memory.db").ok


@pytest.mark.skipif(sys.platform == "win32", reason="SIGTERM cannot be caught there")
def test_sigterm_in_the_middle_of_reading_leaves_whole_documents(home: Path, notes: Path) -> None:
    for number in range(40):
        (notes / f"{number}.md").write_text(f"number {number}")
    with watching(notes, 0.05) as process, Store(home / "memory.db", ToyEmbedder(16)) as store:
        until(lambda: len(store.documents()) >= 2)
        process.terminate()
        process.communicate(timeout=30)
        assert process.returncode == 0
        written = texts(store)
    assert 2 <= len(written) < 42
    assert all(Path(uri).read_text().strip() == text for uri, text in written.items())
    assert check(home / "memory.db").ok

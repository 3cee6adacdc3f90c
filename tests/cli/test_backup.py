"""`vstore backup`, `restore`, `export` and `import`, on a store made with a deterministic embedder."""

from __future__ import annotations

import json
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from toy import ToyEmbedder

from vstore import Store, serving
from vstore.cli import main
from vstore.place import concerns


@pytest.fixture(autouse=True)
def filled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("VSTORE_CONFIG", str(tmp_path / "config.toml"))
    monkeypatch.setenv("VSTORE_DB", str(tmp_path / "memory.db"))
    monkeypatch.setattr(serving.Serving, "_base", lambda *_: ToyEmbedder())  # the model that is configured
    with Store(tmp_path / "memory.db", ToyEmbedder()) as store:
        store.remember("Green tea at seventy degrees.", uri="tea")
        store.remember("Black coffee, freshly ground.", uri="coffee")
        store.feedback("hot", "tea")
    return tmp_path


def run(*arguments: str, stdin: bytes | None = None) -> Result:
    return CliRunner().invoke(main, arguments, input=stdin)


def uris(path: Path) -> set[str]:
    with Store(path, ToyEmbedder(), create=False) as store:
        return {document.uri for document in store.documents()}


def test_a_backup_is_made_once_and_says_what_is_in_it(filled: Path) -> None:
    target = str(filled / "copy.db")
    result = run("backup", target)
    assert result.exit_code == 0
    assert result.stdout.startswith(f"{target}: 2 documents, 2 chunks, 0.")
    again = run("backup", target)
    assert (again.exit_code, again.stdout) == (1, "")
    assert "is there already; choose another name, or replace it with --overwrite" in again.stderr
    report = json.loads(run("backup", target, "--overwrite", "--json").stdout)
    assert (report["path"], report["documents"], report["bytes"]) == (target, 2, Path(target).stat().st_size)
    assert {"pages", "keyword structure", "vectors"} <= set(report["checks"])


def test_a_folder_takes_dated_backups(filled: Path) -> None:
    (filled / "safe").mkdir()
    run("backup", str(filled / "safe"))
    (file,) = (filled / "safe").iterdir()
    assert file.name.startswith("memory-2") and file.suffix == ".db"


def test_a_restore_asks_and_keeps_what_was_there(filled: Path) -> None:
    run("backup", str(filled / "copy.db"))
    run("forget", "tea")
    declined = run("restore", str(filled / "copy.db"), stdin=b"n\n")
    assert declined.exit_code == 1
    assert uris(filled / "memory.db") == {"coffee"}
    result = run("restore", str(filled / "copy.db"), stdin=b"y\n")
    assert result.exit_code == 0
    assert "2 documents, 2 chunks" in result.stdout
    assert uris(filled / "memory.db") == {"tea", "coffee"}
    kept = Path(result.stderr.rpartition("what was there before: ")[2].strip())
    assert uris(kept) == {"coffee"}
    report = json.loads(run("restore", str(kept), "-y", "--json").stdout)
    assert (report["documents"], Path(report["kept"]).parent) == (1, filled)


def test_nothing_is_asked_where_nothing_is(filled: Path) -> None:
    run("backup", str(filled / "copy.db"))
    result = run("--db", str(filled / "new.db"), "restore", str(filled / "copy.db"))
    assert (result.exit_code, result.stderr) == (0, "")
    assert uris(filled / "new.db") == {"tea", "coffee"}


def test_a_restore_of_a_damaged_backup_fails_in_one_line(filled: Path) -> None:
    run("backup", str(filled / "copy.db"))
    content = bytearray((filled / "copy.db").read_bytes())
    content[3 * 4096 : 5 * 4096] = b"\xff" * 8192
    (filled / "copy.db").write_bytes(content)
    result = run("restore", str(filled / "copy.db"), "-y")
    assert result.exit_code == 1
    assert "is damaged" in result.stderr and "nothing was changed" in result.stderr
    assert len(result.stderr.splitlines()) == 1


def test_restore_is_refused_on_a_store_that_is_to_be_read_only(filled: Path) -> None:
    run("backup", str(filled / "copy.db"))
    result = run("--read-only", "restore", str(filled / "copy.db"), "-y")
    assert result.exit_code == 1 and "do not go together" in result.stderr


def test_export_goes_to_stdout_or_to_a_file_and_import_takes_both(filled: Path) -> None:
    printed = run("export")
    assert printed.exit_code == 0
    assert printed.stderr == "2 documents, 2 chunks, 1 judgements exported\n"
    assert [json.loads(line).get("type") for line in printed.stdout.splitlines()] == [
        None, "document", "document", "judgement", "end",
    ]  # fmt: skip
    report = json.loads(run("export", str(filled / "all.jsonl"), "--vectors", "--json").stdout)
    assert report == {"documents": 2, "chunks": 2, "judgements": 1}
    assert run("export", str(filled / "all.jsonl")).exit_code == 1
    assert run("export", "--json").exit_code == 2
    piped = run("--db", str(filled / "piped.db"), "import", "-", stdin=printed.stdout_bytes)
    assert piped.exit_code == 0
    assert piped.stdout.startswith("2 added, 0 updated, 0 unchanged, 0 skipped; 1 judgements (2 chunks embedded")
    from_file = run("--db", str(filled / "other.db"), "import", str(filled / "all.jsonl"), "--json")
    found = json.loads(from_file.stdout)
    assert (found["added"], found["embedded"], found["problems"], found["incomplete"]) == (2, 0, [], None)
    assert uris(filled / "piped.db") == uris(filled / "other.db") == {"tea", "coffee"}


def test_a_bad_line_and_a_file_that_was_cut_off_are_said(filled: Path) -> None:
    lines = run("export").stdout_bytes.splitlines(keepends=True)
    result = run("--db", str(filled / "other.db"), "import", "-", stdin=lines[0] + b"garbage\n" + lines[2])
    assert result.exit_code == 1
    assert result.stdout.startswith("1 added, 0 updated, 0 unchanged, 1 skipped")
    assert "line 2: not JSON" in result.stderr
    assert "note: the file ends in line 3 without the last line of an export" in result.stderr
    assert run("import", "-", stdin=b"# Notes\n").stderr.startswith("vstore: this is no export of vstore")


def test_a_new_store_in_a_synchronised_folder_is_remarked_once(filled: Path) -> None:
    (filled / "Dropbox").mkdir()
    place = str(filled / "Dropbox" / "memory.db")
    (concern,) = concerns(Path(place))
    first = run("--db", place, "remember", "a note", "--uri", "note")
    assert first.stderr == f"note: {concern}\n"
    assert run("--db", place, "remember", "another note").stderr == ""
    assert run("-q", "--db", str(filled / "Dropbox" / "quiet.db"), "remember", "a note").stderr == ""


@pytest.mark.skipif(not Path("/dev/full").is_char_device(), reason="Linux's full device")
@pytest.mark.parametrize(
    ("command", "said"),
    [
        ("export >&-", "stdout is closed; give a FILE"),
        ("export >/dev/full", "the output cannot be written (No space left on device)"),
        ("list --json >/dev/full", "the output cannot be written (No space left on device)"),
        ("restore copy.db <&-", "there is nobody to ask: stdin is closed; say yes with -y"),
        (f"backup {'a' * 300}", "cannot be used as a path (File name too long)"),
        (f"--db {'a' * 300} check", "cannot be used as a path (File name too long)"),
    ],
)
def test_streams_that_are_closed_or_full_and_names_that_are_too_long_are_said_in_a_line(
    filled: Path, command: str, said: str
) -> None:
    run("backup", str(filled / "copy.db"))
    shell = f"{shlex.quote(sys.executable)} -m vstore {command}"
    result = subprocess.run(shell, shell=True, cwd=filled, capture_output=True, text=True)
    assert result.returncode == 1
    assert result.stderr.startswith("vstore: ") and result.stderr.count("\n") == 1 and said in result.stderr

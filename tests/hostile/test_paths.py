"""Files that are none, links that lead away, names that mean something, and files that change under the reader.

Outside of the folder that is added lies a file with the word `treasure`, which no search may ever find.
"""

from __future__ import annotations

import os
import re
import socket
import sys
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from db.material import assert_consistent
from toy import ToyEmbedder

from vstore import Store
from vstore.errors import InputError, NotFoundError, VstoreError
from vstore.ingest import pipeline
from vstore.ingest.source import load
from vstore.paths import file_uri

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="has neither these files nor these names")

WORDS = "harbour lights"
SECRETS = r"^may hold secrets \(name the file itself to add it\)$"
AWAY = r"^a link that leads out of the folder \(name its target to add it\)$"


def nothing(root: Path) -> None:
    """The folder stays as it is."""


@dataclass(frozen=True)
class Case:
    """What is made in the folder `in`, what is added of it, and what comes of it.

    `kept` and `skipped` (with the reason) are all names of files below `in` that are added, or reported.
    """

    name: str
    build: Callable[[Path], object] = nothing
    kept: tuple[str, ...] = ()
    skipped: dict[str, str] = field(default_factory=dict)
    targets: tuple[str, ...] = (".",)
    error: type[VstoreError] | None = None


def write(name: str, text: str = WORDS) -> Callable[[Path], object]:
    def build(root: Path) -> None:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)

    return build


def link(name: str, target: str) -> Callable[[Path], object]:
    return lambda root: (root / name).symlink_to(target)


def both(*builds: Callable[[Path], object]) -> Callable[[Path], object]:
    return lambda root: [build(root) for build in builds]


def endpoint(root: Path) -> None:
    here = Path.cwd()
    os.chdir(root)  # a socket's path has 107 bytes at most
    try:
        with socket.socket(socket.AF_UNIX) as sock:
            sock.bind("end.txt")
    finally:
        os.chdir(here)


def sparse(size: int, name: str = "sparse.txt") -> Callable[[Path], object]:
    def build(root: Path) -> None:
        with (root / name).open("wb") as file:
            file.truncate(size)

    return build


def bare(name: bytes) -> Callable[[Path], object]:
    """A file whose name is no Unicode."""
    return lambda root: Path(os.fsdecode(os.fsencode(root) + b"/" + name)).write_text(WORDS)


def unreadable(root: Path) -> None:
    write("closed.txt")(root)
    (root / "closed.txt").chmod(0)


LONG = "n" * 251 + ".txt"
CASES = (
    Case("parent-of-target", write("sub/a.txt"), ("sub/a.txt",), targets=("sub/../sub",)),
    Case("percent-encoded-dots", write("%2e%2e%2fa.txt"), ("%2e%2e%2fa.txt",)),
    Case("tilde-in-a-name", write("~/a.txt"), ("~/a.txt",)),
    Case("unknown-user", targets=("~nobody-of-that-name/a",), error=NotFoundError),
    Case("empty-target", targets=("",), error=InputError),
    Case("nul-in-a-target", targets=("a\0b",), error=NotFoundError),
    Case("newline-in-a-name", write("a\n9 added.txt"), ("a\n9 added.txt",)),
    Case("escape-in-a-name", write("\x1b[2J.txt"), ("\x1b[2J.txt",)),
    Case("bidi-in-a-name", write("\u202etxt.exe"), ("\u202etxt.exe",)),
    Case("longest-name", write(LONG), (LONG,)),
    Case("too-long-a-target", targets=("n" * 256,), error=NotFoundError),
    Case("too-long-a-path", targets=("n/" * 3_000,), error=NotFoundError),
    Case("name-in-another-encoding", bare(b"caf\xe9.txt"), (os.fsdecode(b"caf\xe9.txt"),)),
    Case(
        "decomposed-name",
        write(unicodedata.normalize("NFD", "caf\u00e9.txt")),
        (unicodedata.normalize("NFD", "caf\u00e9.txt"),),
    ),
    Case("names-that-differ-in-case", both(write("A.txt"), write("a.txt", "mill")), ("A.txt", "a.txt")),
    Case(
        "names-of-another-system",
        both(write("CON"), write("a.txt:stream"), write("C:\\a.txt")),
        ("CON", "a.txt:stream", "C:\\a.txt"),
    ),
    Case("name-like-an-option", write("--help"), ("--help",)),
    Case("name-like-a-row", write("a.jsonl#1", WORDS), ("a.jsonl#1",)),
    Case("name-like-a-glob", write("[a-z]*?.txt"), ("[a-z]*?.txt",)),
    Case("link-inside", both(write("a.txt"), link("b.txt", "a.txt")), ("a.txt",)),
    Case("link-to-a-file-outside", link("b.txt", "../outside.txt"), skipped={"b.txt": AWAY}),
    Case("link-to-a-folder-outside", link("b", ".."), skipped={"b": AWAY}),
    Case(
        "link-by-a-link-outside",
        both(link("b", "../outside.txt"), link("c.txt", "b")),
        skipped={"b": AWAY, "c.txt": AWAY},
    ),
    Case("link-out-and-in-again", both(write("a.txt"), link("b.txt", "../in/a.txt")), ("a.txt",)),
    Case(
        "link-to-a-system-file",
        link("b.txt", "/etc/hostname"),
        skipped={"b.txt": "^(a link that leads out|cannot be read)"},
    ),
    Case("link-to-itself", link("b.txt", "b.txt"), skipped={"b.txt": "^cannot be read: "}),
    Case(
        "links-to-each-other",
        both(link("b.txt", "c.txt"), link("c.txt", "b.txt")),
        skipped={"b.txt": "^cannot", "c.txt": "^cannot"},
    ),
    Case("link-to-nothing", link("b.txt", "gone.txt"), skipped={"b.txt": "^cannot be read: No such file"}),
    Case("loop-of-folders", both(write("sub/a.txt"), link("sub/up", "../sub")), ("sub/a.txt",)),
    Case("link-to-a-secret", both(write(".env"), link("b.txt", ".env")), skipped={".env": SECRETS, "b.txt": SECRETS}),
    Case("link-to-a-hidden-file", both(write(".hidden"), link("b.txt", ".hidden"))),
    Case("named-link-outside", link("b.txt", "../named.txt"), ("../named.txt",), targets=("b.txt",)),
    Case("hard-link", both(write("a.txt"), lambda root: os.link(root / "a.txt", root / "b.txt")), ("a.txt", "b.txt")),
    Case("pipe", lambda root: os.mkfifo(root / "pipe.txt"), skipped={"pipe.txt": "^not a regular file$"}),
    Case("pipe-of-rows", lambda root: os.mkfifo(root / "pipe.jsonl"), skipped={"pipe.jsonl": "^not a regular file$"}),
    Case(
        "named-pipe",
        lambda root: os.mkfifo(root / "pipe.txt"),
        skipped={"pipe.txt": "^not a regular file$"},
        targets=("pipe.txt",),
    ),
    Case("pipe-as-ignore-file", both(lambda root: os.mkfifo(root / ".gitignore"), write("a.txt")), ("a.txt",)),
    Case("socket", endpoint, skipped={"end.txt": "^not a regular file$"}),
    Case("folder-like-a-file", lambda root: (root / "a.txt").mkdir()),
    Case("sparse", sparse(2**40), skipped={"sparse.txt": r"^larger than 52,428,800 bytes$"}),
    Case(
        "sparse-rows",
        sparse(2**32, "sparse.jsonl"),
        skipped={"sparse.jsonl": "^a line is longer than 52,428,800 bytes$"},
    ),
    Case(
        "secrets",
        both(*map(write, (".env", "id_rsa", "server.pem", "credentials", "logins.json"))),
        skipped=dict.fromkeys((".env", "id_rsa", "server.pem", "credentials", "logins.json"), SECRETS),
    ),
    Case("hidden-folders", both(*map(write, (".git/config", ".ssh/id_rsa", ".aws/credentials", ".config/a.txt")))),
    Case("named-secret", write(".env"), (".env",), targets=(".env",)),
    Case(
        "unreadable",
        unreadable,
        skipped={} if os.geteuid() == 0 else {"closed.txt": "^cannot be read: Permission"},
        kept=("closed.txt",) if os.geteuid() == 0 else (),
    ),
    Case("broken-ignore-file", both(write(".gitignore", "[\n\\\n***/a\n!\n"), write("a.txt")), ("a.txt",)),
)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The folder `in`, with files beside it."""
    root = tmp_path.resolve() / "in"
    root.mkdir()
    (root.parent / "outside.txt").write_text("treasure")
    (root.parent / "named.txt").write_text(WORDS)
    return root


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_a_bad_path_has_the_outcome_written_beside_it(
    folder: Path, case: Case, monkeypatch: pytest.MonkeyPatch
) -> None:
    case.build(folder)
    monkeypatch.chdir(folder)
    path = folder.parent / "m.db"
    with Store(path, ToyEmbedder(16)) as store:
        if case.error is not None:
            with pytest.raises(case.error):
                store.add(case.targets)
            assert store.documents() == []
            return
        report = store.add(case.targets)
        assert {os.path.relpath(skipped.path, folder) for skipped in report.skipped} == set(case.skipped)
        for skipped in report.skipped:
            assert re.search(case.skipped[os.path.relpath(skipped.path, folder)], skipped.reason)
        expected = {file_uri(Path(os.path.normpath(folder / name))) for name in case.kept}
        assert {document.uri for document in store.documents()} == expected
        assert not store.search("treasure", mode="lexical")
        for name in case.kept:
            assert store.get(folder / name).text in (WORDS, "mill")
    assert_consistent(path)


@dataclass(frozen=True)
class Change:
    """What happens to a file or folder after it was found and before it is read."""

    name: str
    happens: Callable[[Path], object]
    reason: str


def replaced(name: str, target: str) -> Callable[[Path], object]:
    def happens(root: Path) -> None:
        (root / name).rename(root / "away")
        (root / name).symlink_to(target)

    return happens


def pipe_instead(root: Path) -> None:
    (root / "sub/a.txt").unlink()
    os.mkfifo(root / "sub/a.txt")


CHANGES = (
    Change("file-becomes-a-link-outside", replaced("sub/a.txt", "../../outside.txt"), "^became a link$"),
    Change("folder-becomes-a-link-outside", replaced("sub", "../other"), "^cannot be read: Not a directory$"),
    Change("file-becomes-a-pipe", pipe_instead, "^not a regular file$"),
    Change("file-goes", lambda root: (root / "sub/a.txt").unlink(), "^cannot be read: No such file"),
    Change(
        "file-becomes-a-folder", lambda root: [(root / "sub/a.txt").unlink(), (root / "sub/a.txt").mkdir()], "^not a re"
    ),
    Change(
        "file-grows-beyond-the-limit", lambda root: os.truncate(root / "sub/a.txt", 2**40), "^larger than 52,428,800"
    ),
    Change("file-becomes-empty", lambda root: os.truncate(root / "sub/a.txt", 0), "^empty$"),
)


@pytest.mark.skipif(not hasattr(os, "O_PATH"), reason="only the last part of a path is guarded there")
@pytest.mark.parametrize("change", CHANGES, ids=lambda change: change.name)
def test_what_changes_between_finding_and_reading_is_noticed(
    folder: Path, change: Change, monkeypatch: pytest.MonkeyPatch
) -> None:
    write("sub/a.txt")(folder)
    (folder.parent / "other").mkdir()
    (folder.parent / "other/a.txt").write_text("treasure")
    found = pipeline._files

    def then(*arguments: object) -> list[Path]:
        files = found(*arguments)  # type: ignore[arg-type]
        change.happens(folder)
        return files

    monkeypatch.setattr(pipeline, "_files", then)
    path = folder.parent / "m.db"
    with Store(path, ToyEmbedder(16)) as store:
        [skipped] = store.add(folder).skipped
        assert re.search(change.reason, skipped.reason)
        assert store.documents() == []
    assert_consistent(path)


@pytest.mark.skipif(sys.platform != "linux", reason="has no such folder")
@pytest.mark.parametrize("name", ["version", "self/cmdline", "self/environ"])
def test_files_that_claim_to_be_empty_are_read_when_they_are_named(name: str) -> None:
    """Their size is 0, and they have content; nothing below /proc is ever entered by itself."""
    assert len(load(Path("/proc").resolve() / Path("/proc", name).resolve().relative_to("/proc")).data) > 0


def test_a_file_that_grows_while_it_is_read_ends_at_the_limit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a.txt").write_text("x" * 1_000)
    monkeypatch.setattr("vstore.ingest.source.MAX_FILE_BYTES", 100)
    monkeypatch.setattr(
        "os.fstat", lambda descriptor, real=os.fstat: os.stat_result([*real(descriptor)[:6], 50, *real(descriptor)[7:]])
    )
    with pytest.raises(InputError, match="larger than 100 bytes"):
        load(tmp_path / "a.txt")

"""Which files a target stands for, in which order, and what is said about the others."""

from __future__ import annotations

import os
import socket
import sys
from pathlib import Path

import pytest

from vstore.errors import NotFoundError
from vstore.ingest.walk import Skipped, find_below, find_files


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path.resolve()


def write(root: Path, *names: str, text: str = "text") -> None:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)


def found(root: Path, *targets: str | Path) -> list[str]:
    """Names of the files found, relative to the root; what was skipped is marked with a `!`."""
    names = []
    for item in find_files(targets or [root]):
        if isinstance(item, Skipped):
            names.append("!" + item.path.relative_to(root).as_posix())
        else:
            names.append(item.relative_to(root).as_posix())
    return names


def test_folders_are_read_in_order_of_names_files_before_folders(root: Path) -> None:
    write(root, "b.md", "a/z.md", "a/deep/x.md", "c.md")
    assert found(root) == ["b.md", "c.md", "a/z.md", "a/deep/x.md"]


def test_a_file_reached_twice_is_found_once(root: Path) -> None:
    write(root, "a.md", "b.md")
    assert found(root, root / "b.md", root, str(root / "*.md")) == ["b.md", "a.md"]


def test_a_single_target_need_not_be_in_a_list(root: Path) -> None:
    write(root, "a.md")
    assert list(find_files(str(root / "a.md"))) == [root / "a.md"]


@pytest.mark.parametrize("name", ["nothing.md", "nothing/*.md", "*.nothing", "nul\0"])
def test_a_target_that_stands_for_nothing_is_named_before_anything_is_found(root: Path, name: str) -> None:
    write(root, "a.md")
    with pytest.raises(NotFoundError, match=name.replace("*", r"\*")):
        find_files([root / "a.md", root / name])


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ("*.md", ["a.md"]),
        ("**/*.md", ["a.md", "notes/b.md", "notes/old/c.md"]),
        ("notes/*.md", ["notes/b.md"]),
        ("n*/old", ["notes/old/c.md"]),
        ("notes/**", ["notes/b.md", "notes/x.txt", "notes/old/c.md"]),
        ("?.md", ["a.md"]),
        ("[x-z].txt", ["y.txt"]),
    ],
)
def test_globs(root: Path, pattern: str, expected: list[str]) -> None:
    write(root, "a.md", "y.txt", "notes/b.md", "notes/x.txt", "notes/old/c.md")
    assert found(root, str(root / pattern)) == expected


def test_a_file_whose_name_looks_like_a_glob_is_that_file(root: Path) -> None:
    write(root, "notes[1].md", "notes1.md")
    assert found(root, root / "notes[1].md") == ["notes[1].md"]


def test_nested_gitignore_files_are_respected_and_the_inner_one_wins(root: Path) -> None:
    write(root, "keep.log", "a.log", "out/x.md", "sub/b.log", "sub/c.txt")
    (root / ".gitignore").write_text("*.log\n!keep.log\nout/\n")
    (root / "sub" / ".gitignore").write_text("!b.log\n*.txt\n")
    assert found(root) == ["keep.log", "sub/b.log"]
    assert found(root, str(root / "**/*.log")) == ["keep.log", "sub/b.log"]


def test_a_gitignore_above_the_folder_holds_inside_its_repository_only(root: Path) -> None:
    write(root, "repo/docs/a.md", "repo/docs/a.log")
    (root / "repo" / ".gitignore").write_text("*.log\n")
    assert found(root, root / "repo" / "docs") == ["repo/docs/a.log", "repo/docs/a.md"]
    (root / "repo" / ".git").mkdir()
    assert found(root, root / "repo" / "docs") == ["repo/docs/a.md"]


def test_an_ignored_folder_that_is_named_is_read(root: Path) -> None:
    write(root, "build/a.md")
    (root / ".git").mkdir()
    (root / ".gitignore").write_text("build/\n")
    assert found(root, root / "build") == ["build/a.md"]


def test_invalid_lines_of_a_gitignore_are_passed_over(root: Path) -> None:
    write(root, "a.md", "b.log")
    (root / ".gitignore").write_bytes(b"!\n\xff\xfe\n///\n*.log\n")
    assert found(root) == ["a.md"]


def test_hidden_and_generated_files_are_left_out_of_folders_but_not_when_named(root: Path) -> None:
    write(root, "a.md", ".hidden.md", ".git/config", "node_modules/x.js", "__pycache__/x.py", ".venv/x.py")
    assert found(root) == ["a.md"]
    assert found(root, root / ".hidden.md", root / "node_modules/x.js") == [".hidden.md", "node_modules/x.js"]


def test_files_that_may_hold_secrets_are_reported_but_taken_when_named(root: Path) -> None:
    names = [".env", ".env.local", "ID_RSA", "id_ed25519.pub", "server.pem"]
    write(root, "a.md", *names)
    assert sorted(found(root)) == sorted(["a.md", *(f"!{name}" for name in names)])
    assert found(root, root / ".env") == [".env"]


def test_links_are_followed_inside_the_folder_only(root: Path) -> None:
    write(root, "in/a.md", "outside.md", "in/sub/b.md", "in/.env")
    (root / "in" / "also-a.md").symlink_to(root / "in" / "a.md")
    (root / "in" / "away.md").symlink_to(root / "outside.md")
    (root / "in" / "broken.md").symlink_to(root / "in" / "gone.md")
    (root / "in" / "notes.txt").symlink_to(root / "in" / ".env")
    (root / "in" / "up").symlink_to(root)
    expected = ["!in/.env", "in/a.md", "!in/away.md", "!in/broken.md", "!in/notes.txt", "!in/up", "in/sub/b.md"]
    assert found(root, root / "in") == expected


def test_loops_of_links_end(root: Path) -> None:
    write(root, "a.md", "sub/b.md")
    (root / "sub" / "loop").symlink_to(root)
    (root / "sub" / "loop2").symlink_to(root / "sub")
    (root / "self").symlink_to(root / "self")
    assert found(root) == ["a.md", "!self", "sub/b.md"]
    assert found(root, str(root / "**/*.md")) == ["a.md", "sub/b.md"]


def test_pipes_and_sockets_are_reported_without_being_opened(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(root, "a.md")
    os.mkfifo(root / "pipe.md")
    with socket.socket(socket.AF_UNIX) as endpoint:
        monkeypatch.chdir(root)  # the path of a socket may have 107 bytes
        endpoint.bind("end.sock")
        assert found(root) == ["a.md", "!end.sock", "!pipe.md"]
    assert found(root, root / "pipe.md") == ["!pipe.md"]


def test_folders_nested_deeper_than_the_recursion_limit_are_read(root: Path) -> None:
    depth = sys.getrecursionlimit() + 100
    folders = [root.joinpath(*["d"] * level) for level in range(1, depth + 1)]
    for folder in folders:
        folder.mkdir()
    write(folders[-1], "deep.md")
    try:
        assert found(root) == ["d/" * depth + "deep.md"]
    finally:
        (folders[-1] / "deep.md").unlink()  # before the recursive clean-up of temporary folders meets them
        for folder in reversed(folders):
            folder.rmdir()


def test_who_looks_below_a_folder_is_told_which_folders_were_entered(root: Path) -> None:
    write(root, "a.md", "sub/b.md", "out/c.md", "node_modules/x.js", ".git/config")
    write(root, ".gitignore", text="out/\n")
    (root / "sub" / "loop").symlink_to(root)
    entered = []
    files = list(find_below(root, lambda folder, status: entered.append((folder, status.st_ino))))
    assert files == [root / "a.md", root / "sub" / "b.md"]
    assert entered == [(folder, folder.stat().st_ino) for folder in (root, root / "sub")]
    assert [item.path for item in find_below(root / "nothing", lambda *_: None) if isinstance(item, Skipped)] == [
        root / "nothing"
    ]

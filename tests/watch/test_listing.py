"""What is seen below the roots, and what cannot be."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

import pytest

from vstore.errors import InputError, NotFoundError
from vstore.watch.listing import look, roots

STORE = Path("/nothing/memory.db")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    folder = tmp_path.resolve() / "notes"
    (folder / "sub").mkdir(parents=True)
    (folder / "a.md").write_text("a")
    (folder / "sub" / "b.md").write_text("b")
    return folder


def names(paths: object, root: Path) -> list[str]:
    return sorted(path.relative_to(root).as_posix() for path in paths)  # type: ignore[attr-defined]


def test_roots_are_resolved_and_each_is_there_once(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (root.parent / "link").symlink_to(root)
    monkeypatch.chdir(root.parent)
    assert roots(["notes", root, "link", "notes/a.md"]) == (root, root / "a.md")


@pytest.mark.parametrize("path", ["nothing", "*.md", "notes/a.md/b"])
def test_a_root_that_is_not_there_is_named(root: Path, path: str) -> None:
    with pytest.raises(NotFoundError, match="no such file or folder"):
        roots([root, root.parent / path])


def test_what_cannot_be_a_root_is_refused(root: Path) -> None:
    with pytest.raises(InputError):
        roots([""])
    with pytest.raises(InputError, match="a web page is added, and added again, with: vstore add"):
        roots("https://example.org/page")
    with pytest.raises(NotFoundError, match="nothing to watch"):
        roots([])
    os.mkfifo(root / "pipe")
    with pytest.raises(NotFoundError, match="neither a file nor a folder"):
        roots([root / "pipe"])


def test_a_listing_has_what_an_ingest_takes_and_the_folders_that_it_enters(root: Path) -> None:
    (root / "node_modules" / "x").mkdir(parents=True)
    (root / "out" / "deep").mkdir(parents=True)
    (root / "out" / "c.md").write_text("c")
    (root / ".gitignore").write_text("out/\n*.log\n")
    (root / "a.log").write_text("l")
    (root / ".env").write_text("KEY=1")
    found = look([root], STORE)
    assert names(found.files, root) == ["a.md", "sub/b.md"]
    assert names(found.folders, root) == [".", "sub"]
    assert [item.path.name for item in found.skipped] == [".env"]
    assert (found.lost, found.bare) == ({}, set())


def test_a_link_into_a_folder_that_is_left_out_makes_that_folder_one_to_watch(root: Path) -> None:
    (root / "out").mkdir()
    (root / "out" / "c.md").write_text("c")
    (root / ".gitignore").write_text("out/\n")
    (root / "c.md").symlink_to(root / "out" / "c.md")
    found = look([root], STORE)
    assert names(found.files, root) == ["a.md", "out/c.md", "sub/b.md"]
    assert names(found.folders, root) == [".", "out", "sub"]


def test_loops_of_links_end(root: Path) -> None:
    (root / "sub" / "up").symlink_to(root)
    (root / "self").symlink_to(root / "self")
    found = look([root], STORE)
    assert names(found.files, root) == ["a.md", "sub/b.md"]
    assert names(found.folders, root) == [".", "sub"]


def test_the_stores_own_files_are_left_out(root: Path) -> None:
    os.link(root / "a.md", root / "copy.md")
    (root / "a.md-wal").write_text("log")
    assert names(look([root], root / "a.md").files, root) == ["sub/b.md"]


def test_a_file_as_root_is_taken_whatever_its_name_and_its_folder_is_watched(root: Path) -> None:
    (root / ".hidden.md").write_text("h")
    found = look([root / ".hidden.md"], STORE)
    assert names(found.files, root) == [".hidden.md"]
    assert list(found.folders) == [root]


def test_a_root_that_went_away_is_lost_and_one_with_nothing_in_it_is_bare(root: Path) -> None:
    shutil.rmtree(root)
    assert "it is gone" in look([root], STORE).lost[root]
    root.mkdir()
    (root / ".keep").touch()
    assert look([root], STORE).bare == {root}


def test_a_root_that_cannot_be_listed_is_lost(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    listdir = os.listdir

    def refuse(path: Path) -> list[str]:
        if Path(path) == root:
            raise PermissionError(13, "Permission denied")
        return listdir(path)

    monkeypatch.setattr("vstore.ingest.walk.os.listdir", refuse)
    found = look([root], STORE)
    assert found.lost == {root: "it cannot be read: Permission denied"}
    assert found.bare == set()


def test_a_root_that_became_a_link_is_lost(root: Path) -> None:
    root.rename(root.with_name("elsewhere"))
    root.symlink_to(root.with_name("elsewhere"))
    assert "became a link" in look([root], STORE).lost[root]


def test_a_root_that_is_exchanged_while_it_is_read_is_lost(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    listdir = os.listdir

    def unmount(path: Path) -> list[str]:
        if Path(path) == root and not root.with_name("away").exists():
            root.rename(root.with_name("away"))
            root.mkdir()
        return listdir(path)

    monkeypatch.setattr("vstore.ingest.walk.os.listdir", unmount)
    assert "unmounted" in look([root], STORE).lost[root]


@pytest.mark.skipif(sys.platform == "win32", reason="names there are always Unicode")
def test_names_that_are_no_unicode_have_uris(root: Path) -> None:
    (root / os.fsdecode(b"x\xff.md")).write_text("x")
    assert f"bytes:{root}/x%FF.md" in look([root], STORE).uris()

"""A file becomes one document, or one reason why not."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from vstore.config import MAX_FILE_BYTES
from vstore.errors import InputError
from vstore.ingest.read import read_file, read_text, source_hash
from vstore.ingest.sandbox import Sandbox
from vstore.ingest.walk import Skipped
from vstore.types import Document


def read(path: Path, **labels: Any) -> Document:
    with Sandbox() as sandbox:
        [document] = read_file(path, sandbox, "c", **labels)
    assert isinstance(document, Document), document
    return document


def reason(path: Path) -> str:
    with Sandbox() as sandbox:
        [skipped] = read_file(path, sandbox, "c")
    assert isinstance(skipped, Skipped)
    assert skipped.path == path
    return skipped.reason


def test_a_file_is_a_document_under_its_absolute_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "note.md").write_bytes(b"\xef\xbb\xbf# Head\r\nbody\r\n")
    os.utime(tmp_path / "note.md", (0, 86_400.5))
    monkeypatch.chdir(tmp_path)
    document = read(Path("note.md"), tags=("t",), metadata={"k": 1})
    assert document.uri == (tmp_path.resolve() / "note.md").as_posix()
    assert (document.title, document.text, document.media_type) == ("Head", "# Head\nbody\n", "text/markdown")
    assert (document.collection, document.tags, document.metadata) == ("c", ("t",), {"k": 1})
    assert document.modified_at is not None
    assert document.modified_at.isoformat() == "1970-01-02T00:00:00.500000+00:00"


def test_what_the_caller_says_comes_before_front_matter(tmp_path: Path) -> None:
    (tmp_path / "a.md").write_text("---\nk: file\nother: 2\ntags: [b, a]\n---\ntext")
    document = read(tmp_path / "a.md", tags=("a",), metadata={"k": "caller"})
    assert document.metadata == {"k": "caller", "other": 2}
    assert document.tags == ("a", "b")


@pytest.mark.parametrize(
    ("name", "media_type"),
    [
        ("a.TXT", "text/plain"),
        ("a.rst", "text/x-rst"),
        ("a.htm", "text/html"),
        ("a.csv", "text/csv"),
        ("a.tsv", "text/tab-separated-values"),
        ("a.json", "application/json"),
        ("a.py", "text/x-python"),
        ("Dockerfile", "text/x-dockerfile"),
        ("Makefile", "text/x-makefile"),
        ("no-suffix", "text/plain"),
        ("a.unknown", "text/plain"),
    ],
)
def test_media_types_follow_the_name_and_its_title_is_the_last_resort(
    tmp_path: Path, name: str, media_type: str
) -> None:
    (tmp_path / name).write_text("a b\nc d\n")
    document = read(tmp_path / name)
    assert (document.media_type, document.title) == (media_type, Path(name).stem)


@pytest.mark.parametrize("name", ["a.md", "a.html", "a.csv", "a.json", "a.py", "a.txt"])
def test_the_source_hash_is_the_content_hash_and_covers_all_that_is_stored(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    path.write_text("# T\nx, y\n1, 2\n")
    document = read(path, tags=("t",), metadata={"a": 1, "b": 2})
    same = source_hash(path, "c", ("t",), {"b": 2, "a": 1})
    assert document.content_hash == same
    others = [
        source_hash(path, "c"),
        source_hash(path, "c", ("t",), {"a": 1, "b": 3}),
        source_hash(path, "d", ("t",), {"a": 1, "b": 2}),
    ]
    renamed = path.rename(tmp_path / f"b{path.suffix}")
    others.append(source_hash(renamed, "c", ("t",), {"a": 1, "b": 2}))
    path.write_text("# T\nx, y\n1, 3\n")
    others.append(source_hash(path, "c", ("t",), {"a": 1, "b": 2}))
    assert len({same, *others}) == 6


def test_touching_a_file_does_not_change_its_hash(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("text")
    before = source_hash(tmp_path / "a.txt", "c")
    os.utime(tmp_path / "a.txt", (0, 0))
    assert source_hash(tmp_path / "a.txt", "c") == before


def test_files_that_cannot_be_read_give_their_reason_and_no_hash(tmp_path: Path) -> None:
    (tmp_path / "empty.md").touch()
    (tmp_path / "blank.txt").write_text(" \n\t\n")
    (tmp_path / "image.png").write_bytes(b"\x89PNG\0")
    (tmp_path / "hidden.html").write_text("<nav>menu</nav>")
    with (tmp_path / "large.txt").open("wb") as file:
        file.truncate(MAX_FILE_BYTES + 1)
    os.mkfifo(tmp_path / "pipe")
    assert reason(tmp_path / "empty.md") == "empty"
    assert reason(tmp_path / "blank.txt") == "empty"
    assert reason(tmp_path / "hidden.html") == "empty"
    assert reason(tmp_path / "image.png") == "binary"
    assert reason(tmp_path / "large.txt") == "larger than 52,428,800 bytes"
    assert reason(tmp_path / "pipe") == "not a regular file"
    assert reason(tmp_path / "gone.txt").startswith("cannot be read: ")
    assert reason(tmp_path / "gone.jsonl").startswith("cannot be read: ")
    assert source_hash(tmp_path / "large.txt", "c") == source_hash(tmp_path / "gone.txt", "c") == ""


def test_more_characters_than_a_document_may_have_are_refused(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_bytes(b"a" * 20_000_001)
    assert reason(tmp_path / "a.txt") == "more than 20,000,000 characters of text"


def test_a_name_that_is_not_utf_8_has_its_bytes_encoded(tmp_path: Path) -> None:
    path = tmp_path / os.fsdecode(b"caf\xe9.txt")
    path.write_text("text")
    assert read(path).uri == f"bytes:{tmp_path.resolve()}/caf%E9.txt"


def test_text_at_hand() -> None:
    document = read_text("a\r\nb\0", uri="note:1", collection="c", tags=("t",), metadata={"k": [1]})
    assert (document.uri, document.title, document.text, document.modified_at) == ("note:1", "", "a\nb\ufffd", None)
    assert document.content_hash != read_text("a\nb", uri="note:1", collection="c").content_hash
    again = read_text("a\nb\ufffd", uri="note:2", collection="c", tags=("t",), metadata={"k": [1]})
    assert document.content_hash == again.content_hash


def test_markdown_at_hand_keeps_its_first_heading_when_another_title_is_given() -> None:
    text = "---\nk: v\n---\n# Head\nbody"
    own = read_text(text, uri="u", collection="c", media_type="text/markdown")
    given = read_text(text, uri="u", collection="c", media_type="text/markdown", title="Given")
    assert (own.title, own.sections[0].heading, own.metadata) == ("Head", "", {"k": "v"})
    assert (given.title, given.sections[0].heading) == ("Given", "Head")


@pytest.mark.parametrize("metadata", [{"k": object()}, {"k": float("nan")}, {"k": {1, 2}}])
def test_metadata_must_be_json(tmp_path: Path, metadata: dict[str, Any]) -> None:
    (tmp_path / "a.txt").write_text("text")
    with pytest.raises(InputError, match="metadata"):
        read_text("text", uri="u", collection="c", metadata=metadata)
    with pytest.raises(InputError, match="metadata"):
        list(read_file(tmp_path / "a.txt", Sandbox(), "c", metadata=metadata))


def test_blank_text_at_hand_is_an_error() -> None:
    with pytest.raises(InputError, match="empty"):
        read_text(" \n", uri="u", collection="c")

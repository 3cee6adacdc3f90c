"""Paths as users write them, and the uris of files."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vstore.errors import InputError
from vstore.paths import expanded, file_uri, is_unicode


@pytest.mark.parametrize("path", ["", "  ", "a\0b", "~nosuchuser/x", "a" * 5_000])
def test_what_is_no_path_is_refused(path: str) -> None:
    with pytest.raises(InputError, match="path"):
        expanded(path)


def test_home_and_links_are_resolved(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "real")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert expanded("~/link/a.txt") == tmp_path.resolve() / "real" / "a.txt"


def test_a_relative_path_in_a_deleted_folder_is_refused_in_a_line(tmp_path: Path) -> None:
    gone = tmp_path / "gone"
    gone.mkdir()
    code = (
        "import os, sys\n"
        "from vstore.errors import InputError\n"
        "from vstore.paths import expanded\n"
        "os.chdir(sys.argv[1]); os.rmdir(sys.argv[1])\n"
        "try:\n"
        "    expanded('notes')\n"
        "except InputError as error:\n"
        "    print(error)\n"
    )
    run = subprocess.run([sys.executable, "-c", code, str(gone)], capture_output=True, text=True, check=True)
    assert "'notes' cannot be used as a path" in run.stdout


names = st.binary(min_size=1, max_size=12).filter(
    lambda name: not set(name) & set(b"/\0") and name not in (b".", b"..")
)


@given(names, names)
def test_different_files_have_different_uris(one: bytes, other: bytes) -> None:
    uris = [file_uri(Path("/folder") / os.fsdecode(name)) for name in (one, other)]
    assert all(is_unicode(uri) for uri in uris)
    assert (uris[0] == uris[1]) == (one == other)

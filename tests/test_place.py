"""Folders where SQLite's locks or its log cannot be relied on are told by mounts and by names."""

from __future__ import annotations

import sys
from pathlib import Path, PurePosixPath

import pytest

from vstore import place
from vstore.place import concerns, file_system

MOUNTS = r"""
22 1 8:2 / / rw,relatime shared:1 - ext4 /dev/sda2 rw,errors=remount-ro
23 22 0:5 / /proc rw,nosuid - proc proc rw
40 22 0:40 / /home/ann/nas rw,relatime shared:20 - nfs4 nas:/export rw,vers=4.2
41 22 0:41 / /home/ann/with\040space rw,relatime - cifs //server/share rw
42 22 0:42 / /home/ann/remote rw,nosuid shared:22 master:3 - fuse.sshfs ann@host: rw
43 22 0:43 / /home/ann/secret rw,nosuid - fuse.gocryptfs /crypt rw
44 40 8:3 / /home/ann/nas/local rw - xfs /dev/sdb1 rw
45 22 0:45 / /mnt/c rw - 9p C:\134 rw
46 22 0:46 / /both rw - nfs nas:/both rw
47 22 8:4 / /both rw - ext4 /dev/sdc1 rw
48 22 8:5 / /stick rw - fuseblk /dev/sdd1 rw
nonsense
"""


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("/home/ann/memory.db", "ext4"),
        ("/home/ann/nas/memory.db", "nfs4"),
        ("/home/ann/nas-not/memory.db", "ext4"),
        ("/home/ann/nas/local/memory.db", "xfs"),
        ("/home/ann/with space/a/memory.db", "cifs"),
        ("/home/ann/remote/memory.db", "fuse.sshfs"),
        ("/home/ann/secret/memory.db", "fuse.gocryptfs"),
        ("/mnt/c/memory.db", "9p"),
        ("/both/memory.db", "ext4"),
        ("/stick/memory.db", "fuseblk"),
    ],
)
def test_the_file_system_is_that_of_the_innermost_mount_that_lies_on_top(path: str, kind: str) -> None:
    assert file_system(MOUNTS, PurePosixPath(path)) == kind


def test_without_a_table_of_mounts_nothing_is_known() -> None:
    assert file_system("", PurePosixPath("/home/ann/memory.db")) is None


@pytest.mark.skipif(sys.platform != "linux", reason="the table of mounts is Linux's")
@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("/home/ann/nas/memory.db", "nfs4"),
        ("/home/ann/remote/memory.db", "fuse.sshfs"),
        ("/mnt/c/memory.db", "9p"),
        ("/home/ann/secret/memory.db", None),
        ("/stick/memory.db", None),
        ("/home/ann/memory.db", None),
    ],
)
def test_network_file_systems_are_a_concern(path: str, kind: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(place, "_mounts", lambda: MOUNTS)
    found = concerns(Path(path))
    assert [f"is on {kind}, where" in concern for concern in found] == ([True] if kind else [])


@pytest.mark.parametrize(
    ("folder", "name"),
    [
        ("Dropbox", "Dropbox"),
        ("Dropbox (Personal)", "Dropbox"),
        ("OneDrive - Company", "OneDrive"),
        ("CloudStorage/GoogleDrive-ann@example.com", "Google Drive"),
        ("Google Drive", "Google Drive"),
        ("Library/Mobile Documents/com~apple~CloudDocs", "iCloud"),
        ("iCloudDrive", "iCloud"),
        ("Nextcloud/notes", "Nextcloud"),
        ("dropboxes", None),
        ("my-dropbox-notes", None),
        ("notes", None),
    ],
)
def test_synchronised_folders_are_told_by_their_names(
    folder: str, name: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(place, "_mounts", lambda: "")
    found = concerns(Path("/home/ann") / folder / "memory.db")
    assert [f"a folder that {name} copies" in concern for concern in found] == ([True] if name else [])


def test_the_name_of_the_file_itself_says_nothing() -> None:
    assert list(place._synchronised(Path("/home/ann/Dropbox.db"))) == []


def test_syncthing_is_told_by_its_marker(tmp_path: Path) -> None:
    inner = tmp_path / "shared" / "deep"
    inner.mkdir(parents=True)
    assert concerns(inner / "memory.db") == ()
    (tmp_path / "shared" / ".stfolder").mkdir()
    (concern,) = concerns(inner / "memory.db")
    assert "Syncthing" in concern

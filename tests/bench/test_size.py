"""Installed bytes are counted once, and only those of the packages asked about."""

from __future__ import annotations

from pathlib import Path

from bench.size import package_sizes, tree_size


def test_a_tree_counts_every_file_once(tmp_path: Path) -> None:
    (tmp_path / "a" / "b").mkdir(parents=True)
    (tmp_path / "one").write_bytes(b"x" * 10)
    (tmp_path / "a" / "b" / "two").write_bytes(b"x" * 5)
    (tmp_path / "a" / "again").hardlink_to(tmp_path / "one")
    assert tree_size(tmp_path) == 15


def test_a_package_counts_its_recorded_files_inside_the_folder(tmp_path: Path) -> None:
    site_packages = tmp_path / "site-packages"
    for name in ("mill", "pip"):
        info = site_packages / f"{name}-1.dist-info"
        info.mkdir(parents=True)
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1\n", encoding="utf-8")
        (info / "RECORD").write_text(f"{name}.py,,\n{name}-gone.py,,\n../bin/{name},,\n", encoding="utf-8")
        (site_packages / f"{name}.py").write_bytes(b"x" * 7)
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "mill").write_bytes(b"x" * 100)
    assert package_sizes(site_packages) == {"mill": 7}

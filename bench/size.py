"""Size of a fresh core installation, against the limit of 260 MB.

    python bench/size.py

Makes a clean virtual environment, installs the checkout with its core dependencies only, and prints what that added
to the environment's site-packages, package by package. Exits with 1 above the limit, or when torch came along.
"""

from __future__ import annotations

import sys

if not __package__:  # run as a file: this folder is on the path, where collections.py hides Python's own
    sys.path.insert(0, sys.path.pop(0) + "/..")

import argparse
import shutil
import subprocess
import tempfile
import venv
from importlib.metadata import distributions
from pathlib import Path
from typing import Final

from bench.provenance import ROOT

LIMIT: Final = 260_000_000  # bytes
LEFT_OUT: Final = (".*", "build", "dist", "*.egg-info", "__pycache__")  # of the checkout: not needed to build it


def main(arguments: list[str] | None = None) -> None:
    """Install, measure, print, and exit with the verdict."""
    argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter).parse_args(
        arguments
    )
    with tempfile.TemporaryDirectory(prefix="vstore-bench-") as folder:
        python, site_packages = _environment(Path(folder) / "environment")
        bare = tree_size(site_packages)
        _install(python, Path(folder) / "checkout")
        total = tree_size(site_packages) - bare
        sizes = package_sizes(site_packages)
        torch = subprocess.run([python, "-c", "import torch"], capture_output=True, check=False).returncode == 0
    print("| package | MB |\n|---|---|")
    for name, size in sorted(sizes.items(), key=lambda item: -item[1]):
        print(f"| {name} | {size / 1e6:.1f} |")
    print(f"\ntotal: {total / 1e6:.1f} MB ({total / 2**20:.1f} MiB), limit {LIMIT / 1e6:.0f} MB")
    print(f"torch: {'installed, which it must not be' if torch else 'cannot be imported, as it should be'}")
    sys.exit(int(torch or total > LIMIT))


def tree_size(folder: Path) -> int:
    """Bytes of all files below a folder; a file with several names counts once."""
    files = [path.lstat() for path in folder.rglob("*") if not path.is_dir() or path.is_symlink()]
    return sum({(file.st_dev, file.st_ino): file.st_size for file in files}.values())


def package_sizes(site_packages: Path) -> dict[str, int]:
    """Bytes of every installed package's own files in site-packages, without those of the installer."""
    sizes = {}
    for package in distributions(path=[str(site_packages)]):
        if package.name in ("pip", "setuptools", "wheel"):
            continue
        files = (Path(str(file.locate())) for file in package.files or ())
        inside = (file for file in files if file.resolve().is_relative_to(site_packages.resolve()))
        sizes[package.name] = sum(file.stat().st_size for file in inside if file.exists())
    return sizes


def _environment(folder: Path) -> tuple[Path, Path]:
    """Make a bare virtual environment; its Python and its site-packages."""
    venv.create(folder, with_pip=True)
    python = folder / ("Scripts" if sys.platform == "win32" else "bin") / "python"
    ask = "import sysconfig; print(sysconfig.get_path('purelib'))"
    return python, Path(subprocess.run([python, "-c", ask], capture_output=True, text=True, check=True).stdout.strip())


def _install(python: Path, copy: Path) -> None:
    """Install a copy of the checkout, because building leaves files behind."""
    shutil.copytree(ROOT, copy, ignore=shutil.ignore_patterns(*LEFT_OUT))
    subprocess.run([python, "-m", "pip", "install", "--quiet", copy], check=True)


if __name__ == "__main__":
    main()

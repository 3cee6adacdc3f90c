"""What gets installed: the wheel has every part, and every dependency a floor and a ceiling."""

from __future__ import annotations

import re
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

ROOT = Path(__file__).parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> set[str]:
    """The names of the files in a freshly built wheel."""
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", str(folder), str(ROOT)]
    built = subprocess.run(command, capture_output=True, text=True, check=False)
    assert built.returncode == 0, built.stderr
    (path,) = folder.glob("vstore-*.whl")
    with zipfile.ZipFile(path) as archive:
        return set(archive.namelist())


def test_the_wheel_has_every_module(wheel: set[str]) -> None:
    modules = {path.relative_to(ROOT).as_posix() for path in (ROOT / "vstore").rglob("*.py")}
    assert modules <= wheel


def test_the_wheel_has_every_migration(wheel: set[str]) -> None:
    scripts = {f"vstore/migrations/{path.name}" for path in (ROOT / "migrations").iterdir() if path.is_file()}
    assert "vstore/migrations/0001_initial.sql" in scripts
    assert scripts <= wheel


def test_the_wheel_has_the_sample_corpus_and_the_type_marker(wheel: set[str]) -> None:
    files = (path for path in (ROOT / "vstore/sample/corpus").rglob("*") if path.is_file())
    corpus = {path.relative_to(ROOT).as_posix() for path in files if "__pycache__" not in path.parts}
    assert len(corpus) >= 60
    assert corpus <= wheel
    assert "vstore/py.typed" in wheel


def test_the_wheel_has_the_local_page(wheel: set[str]) -> None:
    folders = (ROOT / "vstore/ui/templates", ROOT / "vstore/ui/static")
    files = {path.relative_to(ROOT).as_posix() for folder in folders for path in folder.iterdir()}
    assert {"vstore/ui/templates/base.html", "vstore/ui/static/style.css", "vstore/ui/static/page.js"} <= files
    assert files <= wheel


def test_the_wheel_has_nothing_else(wheel: set[str]) -> None:
    assert {name.split("/")[0].split("-")[0] for name in wheel} == {"vstore"}


def test_every_dependency_has_a_floor_and_a_ceiling() -> None:
    project = PROJECT["project"]
    extras = project["optional-dependencies"].values()
    requirements = [*project["dependencies"], *(requirement for extra in extras for requirement in extra)]
    for requirement in requirements:
        name = re.match(r"[\w-]+", requirement).group()
        if name == "vstore":
            continue
        assert ">=" in requirement, f"{requirement} has no floor"
        assert "<" in requirement.split(";")[0], f"{requirement} has no ceiling"


def test_every_package_folder_is_declared() -> None:
    folders = {
        ".".join(path.parent.relative_to(ROOT).parts)
        for path in (ROOT / "vstore").rglob("__init__.py")
        if "corpus" not in path.parts
    }
    assert set(PROJECT["tool"]["setuptools"]["packages"]) == folders | {"vstore.migrations"}

"""The shape of the package: who may import whom, where SQL and heavy libraries may be, how long a file may get."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import vstore

PACKAGE = Path(vstore.__file__).parent
MODULES = sorted(path for path in PACKAGE.rglob("*.py") if "corpus" not in path.parts)
MAX_LINES = 400

# Low to high. A module may import from its own folder and from lower layers only.
LAYERS = (
    ("errors",),
    ("algebra", "config", "paths", "processes"),
    (
        "adapter",
        "addresses",
        "atomic",
        "calibration",
        "checks",
        "filters",
        "judgements",
        "place",
        "printable",
        "searches",
        "threads",
    ),
    ("runs", "types"),
    ("results",),
    ("storage",),
    ("arguments", "settings", "metrics", "sample"),
    ("embed", "db"),
    ("ingest", "search"),
    ("serving",),
    ("maintenance", "store"),
    ("moving", "refine"),
    ("asynchronous", "integrations", "mcp", "ui", "watch"),
    ("cli",),
    ("__main__",),
)
# Pipelines know storage as the Index protocol alone, so that another engine could serve them.
FORBIDDEN = {("ingest", "db"), ("search", "db"), ("ingest", "embed"), ("search", "embed")}
SQL = re.compile(r"\s*(SELECT|INSERT INTO|UPDATE \w+ SET|DELETE FROM|CREATE (TABLE|VIEW|INDEX|VIRTUAL)|PRAGMA)\s", re.I)


def part_of(path: Path) -> str:
    """The folder or module of the package a file belongs to: "db", "store", ..."""
    relative = path.relative_to(PACKAGE)
    return relative.parts[0] if len(relative.parts) > 1 else relative.stem


def level(part: str) -> int:
    return next(number for number, layer in enumerate(LAYERS) if part in layer)


def imports(path: Path) -> Iterator[str]:
    """The parts of vstore a file imports, also inside functions and for type checking."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "vstore":
            names = [node.module or ""]
            if node.module == "vstore":
                names = [f"vstore.{alias.name}" for alias in node.names]
            yield from (name.split(".")[1] for name in names)
        elif isinstance(node, ast.Import):
            yield from (alias.name.split(".")[1] for alias in node.names if alias.name.startswith("vstore."))


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.relative_to(PACKAGE).as_posix())
def test_imports_point_down(path: Path) -> None:
    part = part_of(path)
    if part == "__init__":
        return  # the public names are loaded from all layers
    for imported in set(imports(path)) - {part}:
        assert level(imported) < level(part), f"{path.name} ({part}) imports {imported}"
        assert (part, imported) not in FORBIDDEN, f"{path.name} ({part}) imports {imported}"


def test_sql_is_in_db_alone() -> None:
    for path in MODULES:
        if part_of(path) == "db":
            continue
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                assert not SQL.match(node.value), f"{path}:{node.lineno} looks like SQL"


def test_only_apsw_opens_the_store() -> None:
    """A second SQLite library in the process loses acknowledged commits."""
    for path in MODULES:
        source = path.read_text(encoding="utf-8")
        assert not re.search(r"^\s*(import|from) sqlite3\b", source, re.M), f"{path} imports sqlite3"


def test_onnx_is_not_imported() -> None:
    """Its format is written by `embed/onnx_format.py`; the package is 28 MB that only the tests need."""
    for path in MODULES:
        source = path.read_text(encoding="utf-8")
        assert not re.search(r"^\s*(import|from) onnx\b", source, re.M), path


def test_torch_is_in_one_file_and_there_inside_functions() -> None:
    for path in MODULES:
        source = path.read_text(encoding="utf-8")
        own = path.relative_to(PACKAGE).as_posix() == "refine/encoder.py"
        indent = "" if own else r"\s*"
        assert not re.search(rf"^{indent}(import|from) (torch|transformers|sentence_transformers)\b", source, re.M), (
            path
        )


@pytest.mark.parametrize(
    "path",
    [path for path in MODULES if path.name != "config.py"],  # a table, of one line for each number
    ids=lambda path: path.relative_to(PACKAGE).as_posix(),
)
def test_no_file_is_longer_than_400_lines(path: Path) -> None:
    assert len(path.read_text(encoding="utf-8").splitlines()) <= MAX_LINES


def test_help_loads_nothing_heavy() -> None:
    code = (
        "import sys\n"
        "from click.testing import CliRunner\n"
        "from vstore.cli import main\n"
        "assert CliRunner().invoke(main, ['--help']).exit_code == 0\n"
        "heavy = {'numpy', 'onnxruntime', 'onnx', 'tokenizers', 'apsw', 'semantic_text_splitter', 'huggingface_hub'}\n"
        "print(sorted(heavy & set(sys.modules)))\n"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "[]"


def test_keyword_search_loads_no_model_runtime(tmp_path: Path) -> None:
    code = (
        "import sys\n"
        "import vstore\n"
        f"with vstore.Store({str(tmp_path / 'm.db')!r}) as store:\n"
        "    store.search('anything', mode='lexical')\n"
        "print(sorted({'onnxruntime', 'onnx', 'tokenizers'} & set(sys.modules)))\n"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "[]"


def test_a_search_loads_nothing_of_checks_and_backups(tmp_path: Path) -> None:
    """They would be a tenth of its start."""
    code = (
        "import sys\n"
        "import vstore\n"
        f"with vstore.Store({str(tmp_path / 'm.db')!r}) as store:\n"
        "    store.search('anything', mode='lexical')\n"
        "rare = ('backup', 'restore', 'check', 'sound', 'compact', 'repair')\n"
        "print([name for name in rare if f'vstore.db.{name}' in sys.modules])\n"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "[]"


def test_public_names_are_what_import_vstore_shows() -> None:
    assert vstore.__all__ == sorted(vstore.__all__)
    for name in vstore.__all__:
        assert getattr(vstore, name).__name__ == name
        assert name in dir(vstore)
    with pytest.raises(AttributeError, match="no attribute 'Shop'"):
        _ = vstore.Shop

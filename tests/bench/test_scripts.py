"""Every benchmark starts, as a file and as a module, and records where its figures come from."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from bench.provenance import ROOT, provenance

SCRIPTS = [
    "adapter",
    "codes",
    "collections",
    "confidence",
    "fusion",
    "ingest",
    "keywords",
    "latency",
    "mcp",
    "peers",
    "picture",
    "reference",
    "refine",
    "size",
    "stages",
    "startup",
    "weights",
]


@pytest.mark.parametrize("name", SCRIPTS)
@pytest.mark.parametrize("form", [["bench/{}.py"], ["-m", "bench.{}"]], ids=["file", "module"])
def test_a_benchmark_explains_itself(name: str, form: list[str]) -> None:
    command = [sys.executable, *(part.format(name) for part in form), "--help"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    assert f"python bench/{name}.py" in done.stdout


def test_provenance_can_be_written_and_names_no_path_of_this_machine() -> None:
    written = json.dumps(provenance())
    assert str(ROOT) not in written
    assert json.loads(written)["versions"]["python"].startswith(f"{sys.version_info.major}.{sys.version_info.minor}.")

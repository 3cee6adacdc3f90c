"""Other processes, for what cannot be seen inside one."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

TESTS = Path(__file__).parent.parent


def start(script: str, *arguments: object) -> subprocess.Popen[str]:
    """Run a Python script that may import the tests' own modules, with its input and output as pipes."""
    return subprocess.Popen(
        [sys.executable, "-c", script, *map(str, arguments)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONPATH": os.pathsep.join([str(TESTS), os.environ.get("PYTHONPATH", "")])},
    )


def python(script: str, *arguments: object) -> str:
    """What the script printed; an AssertionError with its error output when it failed."""
    process = start(script, *arguments)
    output, errors = process.communicate(timeout=60)
    assert process.returncode == 0, errors
    return output.strip()

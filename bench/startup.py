"""Time from a cold start: `vstore --help` and one `vstore search`, each in a new process.

    python bench/startup.py --repetitions 10

The search runs on a store with one document, so that what is timed is starting up: Python, imports, opening the file
and loading the model. Prints medians, and which heavy modules `--help` imported (there should be none).
"""

from __future__ import annotations

import sys

if not __package__:  # run as a file: this folder is on the path, where collections.py hides Python's own
    sys.path.insert(0, sys.path.pop(0) + "/..")

import argparse
import subprocess
import tempfile
import time
from pathlib import Path
from statistics import median
from typing import Final

from bench.provenance import ROOT

HEAVY: Final = ("numpy", "onnxruntime", "onnx", "tokenizers", "apsw", "sqlite_vec", "huggingface_hub", "pypdfium2")
RUN: Final = "from vstore.cli import main; main()"  # what the installed `vstore` command does
MODULES: Final = """
import sys
from vstore.cli import main
main(["--help"], standalone_mode=False)
print(*sorted({name.partition(".")[0] for name in sys.modules}), file=sys.stderr)
"""


def main(arguments: list[str] | None = None) -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repetitions", type=int, default=10, help="times each command is run (default: 10)")
    repetitions = parser.parse_args(arguments).repetitions
    with tempfile.TemporaryDirectory(prefix="vstore-bench-") as folder:
        store = ["--db", str(Path(folder) / "bench.db")]
        _python("-c", RUN, *store, "remember", "The sluice opens an hour after high tide.")
        commands = {
            "python -c pass": ["-c", "pass"],
            "vstore --help": ["-c", RUN, "--help"],
            "vstore search, keywords only": [
                "-c",
                RUN,
                *store,
                "search",
                "--mode",
                "lexical",
                "when does the sluice open?",
            ],
            "vstore search": ["-c", RUN, *store, "search", "when does the sluice open?"],
        }
        print("| command | median ms | fastest | slowest |\n|---|---|---|---|")
        for name, command in commands.items():
            times = [milliseconds(command) for _ in range(repetitions)]
            print(f"| {name} | {median(times):.0f} | {min(times):.0f} | {max(times):.0f} |", flush=True)
    print(f"\nheavy modules imported by --help: {', '.join(heavy_modules()) or 'none'}")


def milliseconds(command: list[str]) -> float:
    """Wall-clock time of one new Python process."""
    started = time.perf_counter()
    _python(*command)
    return (time.perf_counter() - started) * 1000


def heavy_modules() -> list[str]:
    """The members of HEAVY that `vstore --help` imports."""
    imported = _python("-c", MODULES).split()
    return [name for name in HEAVY if name in imported]


def _python(*arguments: str) -> str:
    """Run Python in the checkout's root; what it wrote to stderr. Raises CalledProcessError when it fails."""
    return subprocess.run([sys.executable, *arguments], cwd=ROOT, capture_output=True, text=True, check=True).stderr


if __name__ == "__main__":
    main()

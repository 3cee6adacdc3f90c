"""What serving agents costs: the handshake of `vstore mcp` in a new process, and each call beside the plain call.

    python bench/mcp.py --repetitions 20 --calls 200

The store has the sample documents. A call over the pipe and the same call of `Store` in this process take turns, with
other words each time, so that both see the same machine and neither finds its query's vector in memory. The SDK's row
is a process that only imports what a server of the SDK needs (the extra `mcp`); it is left out where that is missing.
"""

from __future__ import annotations

import sys

if not __package__:  # run as a file: this folder is on the path, where collections.py hides Python's own
    sys.path.insert(0, sys.path.pop(0) + "/..")

import argparse
import importlib.util
import json
import subprocess
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from statistics import median, quantiles
from typing import Any, Final

from bench.provenance import ROOT, provenance
from vstore import Store
from vstore.sample import DEMO_QUERIES, corpus_folder

RUN: Final = "from vstore.cli import main; main(prog_name='vstore')"  # what the installed `vstore` command does
SDK: Final = "import mcp.server.lowlevel, mcp.server.stdio"


class Server:
    """`vstore mcp` as a child process."""

    def __init__(self, path: Path) -> None:
        command = [sys.executable, "-c", RUN, "--db", str(path), "mcp"]
        self._process = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self._number = 0

    def ask(self, method: str, params: Mapping[str, Any]) -> dict[str, Any]:
        """The result of a request."""
        assert self._process.stdin is not None and self._process.stdout is not None
        self._number += 1
        message = {"jsonrpc": "2.0", "id": self._number, "method": method, "params": params}
        self._process.stdin.write(json.dumps(message).encode() + b"\n")
        self._process.stdin.flush()
        result: dict[str, Any] = json.loads(self._process.stdout.readline())["result"]
        return result

    def initialize(self) -> None:
        """Shake hands."""
        about = {"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "bench", "version": "1"}}
        self.ask("initialize", about)

    def call(self, tool: str, arguments: Mapping[str, Any]) -> dict[str, Any]:
        """The structured content of a call. Raises RuntimeError when it fails."""
        result = self.ask("tools/call", {"name": tool, "arguments": arguments})
        if result["isError"]:
            raise RuntimeError(result["content"][0]["text"])
        content: dict[str, Any] = result["structuredContent"]
        return content

    def close(self) -> None:
        """End it as clients do."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait()


def main(arguments: list[str] | None = None) -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repetitions", type=int, default=20, help="processes of each kind (default: 20)")
    parser.add_argument("--calls", type=int, default=200, help="calls of each reading tool (default: 200)")
    chosen = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory(prefix="vstore-bench-") as folder, corpus_folder() as corpus:
        path = Path(folder) / "bench.db"
        with Store(path, log=False, metrics=False) as store:
            store.add(corpus)
            handshakes(path, chosen.repetitions)
            calls(path, store, chosen.calls)
    print(f"\n{json.dumps(provenance())}")


def handshakes(path: Path, repetitions: int) -> None:
    """Print how long a client waits from starting the process to the answer to its handshake."""

    def shake() -> None:
        server = Server(path)
        server.initialize()
        waited.append(time.perf_counter())
        server.close()

    waited: list[float] = []
    kinds: dict[str, Callable[[], object]] = {"python -c pass": lambda: _python("pass"), "handshake": shake}
    if importlib.util.find_spec("mcp") is not None:
        kinds["importing the SDK's server"] = lambda: _python(SDK)
    times: dict[str, list[float]] = {name: [] for name in kinds}
    for _ in range(repetitions):
        for name, run in kinds.items():
            started = time.perf_counter()
            run()
            ended = waited.pop() if waited else time.perf_counter()  # a handshake ends before the process does
            times[name].append((ended - started) * 1000)
    base = median(times["python -c pass"])
    print("| process | p50 ms | p95 ms | p50, times a bare Python |\n|---|---|---|---|")
    for name, took in times.items():
        print(f"| {name} | {median(took):.0f} | {_p95(took):.0f} | {median(took) / base:.1f} |", flush=True)


def calls(path: Path, store: Store, count: int) -> None:
    """Print what each tool takes beside what it does with the store."""
    server = Server(path)
    server.initialize()
    uri = store.documents(limit=1)[0].uri
    queries = [query.text for query in DEMO_QUERIES]
    words = iter(range(10**9))

    def query() -> str:
        return f"{queries[next(words) % len(queries)]} {next(words)}"

    kinds: dict[str, tuple[Callable[[], object], Callable[[], object], int]] = {
        "memory_search": (
            lambda: server.call("memory_search", {"query": query()}),
            lambda: store.search(query(), 8),
            count,
        ),
        "memory_get": (lambda: server.call("memory_get", {"uri": uri}), lambda: store.get(uri), count),
        "memory_stats": (lambda: server.call("memory_stats", {}), store.stats, count),
        "memory_remember": (  # at most so many a minute
            lambda: server.call("memory_remember", {"text": f"Note of the bench: {query()}"}),
            lambda: store.remember(f"Note of the bench: {query()}"),
            min(count, 100),
        ),
    }
    print("\n| tool | calls | p50 ms | p95 ms | plain p50 ms | plain p95 ms | p50 ratio | p95 ratio |")
    print("|---|---|---|---|---|---|---|---|")
    for name, (served, plain, number) in kinds.items():
        took = _in_turn(served, plain, number)
        p50, p95 = [median(times) for times in took], [_p95(times) for times in took]
        figures = f"{p50[0]:.2f} | {p95[0]:.2f} | {p50[1]:.2f} | {p95[1]:.2f}"
        print(f"| {name} | {number} | {figures} | {p50[0] / p50[1]:.2f} | {p95[0] / p95[1]:.2f} |", flush=True)
    server.close()


def _in_turn(served: Callable[[], object], plain: Callable[[], object], number: int) -> tuple[list[float], list[float]]:
    """Milliseconds of both, after one call of each that loads what they need."""
    times: tuple[list[float], list[float]] = ([], [])
    for turn in range(number + 1):
        for run, took in zip((served, plain), times, strict=True):
            started = time.perf_counter()
            run()
            if turn:
                took.append((time.perf_counter() - started) * 1000)
    return times


def _p95(times: list[float]) -> float:
    return quantiles(times, n=20, method="inclusive")[-1]


def _python(code: str) -> None:
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True)


if __name__ == "__main__":
    main()

"""A real `vstore mcp` as a child process that embeds with the toy model, and a client that may misbehave."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import apsw

TESTS = Path(__file__).parent
TOY = """
import vstore.config
vstore.config.MCP_WRITES_PER_MINUTE = 10_000  # tests write faster than agents may
import vstore.serving
from toy import ToyEmbedder
from vstore.cli import main
vstore.serving.Serving._choose = lambda *_: ToyEmbedder()
main(prog_name="vstore")
"""
REAL = "from vstore.cli import main; main(prog_name='vstore')"
WAIT = 30  # seconds for an answer, at most; all come in milliseconds
ENVELOPE = {
    "io.modelcontextprotocol/protocolVersion": "2026-07-28",
    "io.modelcontextprotocol/clientInfo": {"name": "new", "version": "2"},
    "io.modelcontextprotocol/clientCapabilities": {},
}


def environment(folder: Path, **more: str) -> dict[str, str]:
    """For a child: the tests' own modules, and no settings but defaults."""
    path = os.pathsep.join([str(TESTS), os.environ.get("PYTHONPATH", "")])
    return os.environ | {"PYTHONPATH": path, "VSTORE_CONFIG": str(folder / "no-config.toml")} | more


class Agent:
    """One client on a pipe. What the server says is kept by id; what has no id, in order."""

    def __init__(self, path: Path, *options: str, script: str = TOY, before: tuple[str, ...] = ()) -> None:
        command = [sys.executable, "-c", script, "--db", str(path), *before, "mcp", *options]
        self.process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=environment(path.parent),
        )
        self.path = path
        self.errors = b""
        self.answers: dict[Any, list[dict[str, Any]]] = {}
        self._changed = threading.Condition()
        self._next = 1000
        self._readers = [threading.Thread(target=read, daemon=True) for read in (self._read, self._read_errors)]
        for reader in self._readers:
            reader.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            message = json.loads(line)  # or the test fails, for nothing else may be on stdout
            assert message["jsonrpc"] == "2.0"
            with self._changed:
                self.answers.setdefault(message["id"], []).append(message)
                self._changed.notify_all()

    def _read_errors(self) -> None:
        assert self.process.stderr is not None
        for line in self.process.stderr:
            self.errors += line

    def raw(self, data: bytes) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(data)
        self.process.stdin.flush()

    def send(self, method: str, params: Any = None, **more: Any) -> None:
        message = {"jsonrpc": "2.0", "method": method, **({} if params is None else {"params": params}), **more}
        self.raw(json.dumps(message).encode() + b"\n")

    def answer(self, number: Any) -> dict[str, Any]:
        """The next answer to that id, or to none of them."""
        with self._changed:
            assert self._changed.wait_for(lambda: self.answers.get(number), WAIT), (number, self.errors.decode())
            return self.answers[number].pop(0)

    def ask(self, method: str, params: Any = None) -> dict[str, Any]:
        self._next += 1
        self.send(method, params, id=self._next)
        return self.answer(self._next)

    def initialize(self, version: str = "2025-11-25", name: str = "tester") -> dict[str, Any]:
        about = {"protocolVersion": version, "capabilities": {}, "clientInfo": {"name": name, "version": "1"}}
        result = self.ask("initialize", about)["result"]
        self.send("notifications/initialized")
        return result

    def start_call(self, tool: str, arguments: Any, number: Any = None) -> Any:
        self._next += 1
        number = self._next if number is None else number
        self.send("tools/call", {"name": tool, "arguments": arguments}, id=number)
        return number

    def call(self, tool: str, **arguments: Any) -> dict[str, Any]:
        """The structured content of a call that must succeed."""
        result = self.answer(self.start_call(tool, arguments))["result"]
        assert not result["isError"], result
        (content,) = result["content"]
        assert json.loads(content["text"]) == result.get("structuredContent", json.loads(content["text"]))
        return json.loads(content["text"])

    def failure(self, tool: str, **arguments: Any) -> str:
        """The one line of a call that must fail."""
        result = self.answer(self.start_call(tool, arguments))["result"]
        assert result["isError"], result
        text = result["content"][0]["text"]
        assert "\n" not in text
        return text

    def hang_up(self) -> None:
        """Close the pipe to the server, as clients do when they end."""
        assert self.process.stdin is not None
        self.process.stdin.close()

    def close(self) -> int:
        """Hang up, and wait for the server's end; its exit code."""
        self.hang_up()
        code = self.process.wait(WAIT)
        for reader in self._readers:
            reader.join(WAIT)
        for stream in (self.process.stdout, self.process.stderr):
            assert stream is not None
            stream.close()
        return code


@contextmanager
def agent(path: Path, *options: str, **more: Any) -> Iterator[Agent]:
    """A client after the handshake; at the end the server has ended by itself, and without a traceback."""
    client = Agent(path, *options, **more)
    try:
        client.initialize()
        yield client
        assert client.close() == 0
        assert b"Traceback" not in client.errors, client.errors.decode()
    finally:
        client.process.kill()
        client.close()


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """The store's write lock, so that whoever wants to write waits."""
    connection = apsw.Connection(str(path))
    try:
        connection.execute("BEGIN IMMEDIATE")
        yield
    finally:
        connection.close()

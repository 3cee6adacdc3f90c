"""Children with torch in them, to be killed: forks of a process that has imported it, which takes longer than most."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager

from db.processes import start

# Forks a child for each script it reads, kills it after the given seconds (0: never), and says how it ended. What
# reading a first network leaves behind is inherited, too.
SERVER = """
import json, os, signal, sys, tempfile, time
from pathlib import Path
import onnxruntime
from embed import tiny
from vstore.embed.folder import open_folder
from vstore.refine.encoder import load_network

with tempfile.TemporaryDirectory() as work:
    load_network(open_folder(tiny.make_folder(Path(work) / "base")), "cpu", Path(work))

for line in sys.stdin:
    script, arguments, seconds = json.loads(line)
    process = os.fork()
    if not process:
        sys.argv = ["-c", *arguments]
        exec(script, {"__name__": "__main__"})
        sys.stdout.flush()
        os._exit(0)
    if seconds:
        time.sleep(seconds)
        os.kill(process, signal.SIGKILL)
    _, status = os.waitpid(process, 0)
    print("ended", os.waitstatus_to_exitcode(status), flush=True)
"""


class Forks:
    """Runs scripts in forks of a process, one at a time."""

    def __init__(self, server: subprocess.Popen[str]) -> None:
        self._server = server

    def run(self, script: str, *arguments: object, kill_after: float = 0.0) -> tuple[list[str], int]:
        """The lines that a script printed, and how it ended: -9 if by a kill."""
        assert self._server.stdin is not None and self._server.stdout is not None
        self._server.stdin.write(json.dumps([script, [str(argument) for argument in arguments], kill_after]) + "\n")
        self._server.stdin.flush()
        lines = []
        while not (line := self._server.stdout.readline()).startswith("ended "):
            assert line, "the process that forks has ended"
            lines.append(line.strip())
        return lines, int(line.split()[1])


@contextmanager
def forking() -> Iterator[Forks]:
    """Such a process, ended afterwards."""
    with start(SERVER) as server:
        yield Forks(server)
        assert server.stdin is not None
        server.stdin.close()

"""Parse in a child process what libraries of others read, so that no file can take this one down, or all its memory.

The child is `vstore.ingest.worker`. It is started for the first file that needs it and reads the ones after it, too;
when it hits a limit it is replaced. Whatever it answers is data, and is checked, for a file may have taken it over.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from vstore import config
from vstore.errors import MissingExtraError
from vstore.ingest import formats, media
from vstore.ingest.parsed import Parsed, Unreadable
from vstore.ingest.text import clean, decode
from vstore.ingest.worker import ANSWER, REQUEST
from vstore.types import Section

_INHERITED: Final = ("PATH", "PYTHONHOME", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH", "SYSTEMROOT", "TEMP", "TMP")
_STDERR_BYTES: Final = 65_536  # a pipe holds no more


@dataclass(frozen=True, slots=True)
class Limits:
    """What the child may use: bytes of address space, seconds of processor time and of any time a file."""

    memory: int = config.PARSE_MEMORY_BYTES
    cpu_s: int = config.PARSE_CPU_S
    wall_s: float = config.PARSE_WALL_S


class Sandbox:
    """Parses files of any media type; those that libraries of others read, in a child process.

    To be closed, by `with` or `close`, which may be called by another thread while a file is parsed.
    """

    def __init__(self, limits: Limits | None = None) -> None:
        self._limits = limits or Limits()
        self._turn = threading.Lock()  # held while the child is used: one file at a time
        self._state = threading.Lock()  # held while it is started, or may not be any more
        self._child: _Child | None = None
        self._closed = False

    def __enter__(self) -> Sandbox:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End the child. A file that is being parsed counts as unreadable. Closing twice does no harm."""
        with self._state:
            self._closed = True
            if self._child is not None:
                self._child.kill()  # whoever waits for it goes on
        with self._turn:
            self._drop()

    def parse(self, data: bytes, media_type: str) -> Parsed:
        """Read a file's bytes.

        Raises Unreadable when they hold no text, cannot be read, or hit a limit; MissingExtraError when a package for
        them is missing.
        """
        if not media.is_foreign(media_type):
            return formats.parse(decode(data), media_type)
        with self._turn:
            return self._ask(data, media_type)

    def parse_text(self, text: str, media_type: str, title: str = "") -> Parsed:
        """Read a text that is decoded and clean, as `formats.parse` does. Raises what `parse` raises."""
        if media_type in (media.HTML, media.ARTICLE):
            return self.parse(text.encode(), media_type)
        return formats.parse(text, media_type, title)

    def _ask(self, data: bytes, media_type: str) -> Parsed:
        """Ask the child, and once more a new one where earlier files may be why this one failed."""
        child, used = self._running()
        try:
            return child.ask(data, media_type)
        except _Gone as gone:
            self._drop()
            if used and gone.perhaps_not_its_own:
                return self._ask(data, media_type)
            raise Unreadable(gone.reason) from gone

    def _running(self) -> tuple[_Child, bool]:
        """The child, and whether it has parsed anything yet."""
        with self._state:
            if self._closed:
                raise Unreadable("not read: the ingest was ended")
            used = self._child is not None
            if self._child is None:
                try:
                    self._child = _Child(self._limits)
                except OSError as error:
                    raise Unreadable(f"its parser cannot be started: {error.strerror}") from error
            return self._child, used

    def _drop(self) -> None:
        if self._child is not None:
            self._child.end()
            self._child = None


class _Gone(Exception):
    """The child is of no use any more."""

    def __init__(self, reason: str, *, perhaps_not_its_own: bool = False) -> None:
        super().__init__(reason)
        self.reason = reason
        self.perhaps_not_its_own = perhaps_not_its_own  # memory that earlier files took is not given back


class _Child:
    """A process of `vstore.ingest.worker`."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._late = False
        self._process = subprocess.Popen(
            [sys.executable, "-c", _program(limits)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env={name: os.environ[name] for name in _INHERITED if name in os.environ},
        )

    def ask(self, data: bytes, media_type: str) -> Parsed:
        """Have a file parsed. Raises Unreadable or MissingExtraError as the child says, _Gone if the child is lost."""
        timer = threading.Timer(self._limits.wall_s, self._expire)
        timer.start()
        try:
            self._send(data, media_type.encode("ascii"))
            answer = self._receive()
        finally:
            timer.cancel()
            timer.join()  # or it might end the next file
        if self._late:
            raise self._gone()
        if answer.get("limit") == "memory":
            raise _Gone(self._too_much_memory(), perhaps_not_its_own=True)
        return _checked(answer)

    def kill(self) -> None:
        """Let whoever waits for an answer go on; any thread may call it."""
        self._process.kill()

    def end(self) -> None:
        """Kill the process and wait until it is gone."""
        self.kill()
        self._process.wait()
        for stream in (self._process.stdin, self._process.stdout, self._process.stderr):
            assert stream is not None
            with suppress(OSError):  # what was to be written when it was killed
                stream.close()

    def _expire(self) -> None:
        self._late = True
        self.kill()

    def _send(self, data: bytes, media_type: bytes) -> None:
        stream = self._process.stdin
        assert stream is not None
        try:
            stream.write(REQUEST.pack(len(media_type), len(data)) + media_type)
            stream.write(data)
            stream.flush()
        except OSError as error:
            raise self._gone() from error

    def _receive(self) -> dict[str, Any]:
        (length,) = ANSWER.unpack(self._read(ANSWER.size))
        if length > config.MAX_ANSWER_BYTES:
            raise _Gone("its text is larger than a document may be")
        try:
            answer = json.loads(self._read(length))
        except (ValueError, RecursionError) as error:
            raise _nonsense() from error
        if not isinstance(answer, dict):
            raise _nonsense()
        return answer

    def _read(self, length: int) -> bytes:
        stream = self._process.stdout
        assert stream is not None
        data = stream.read(length)
        if len(data) < length:
            raise self._gone()
        return data

    def _gone(self) -> _Gone:
        """Why the process ended."""
        code = self._process.wait()
        if self._late:
            return _Gone(f"took more than {self._limits.wall_s:g} s to parse")
        if code < 0 and -code == getattr(signal, "SIGXCPU", None):
            return _Gone(f"took more than {self._limits.cpu_s} s of CPU time to parse")
        if b"memory" in self._last_words().lower():
            return _Gone(self._too_much_memory(), perhaps_not_its_own=True)
        if code < 0 and -code == signal.SIGABRT:
            reason = f"its parser gave up (SIGABRT), perhaps for want of memory: {self._limits.memory // 2**20:,} MiB"
            return _Gone(reason, perhaps_not_its_own=True)
        name = next((known.name for known in signal.Signals if known == -code), f"signal {-code}")
        how = name if code < 0 else f"exit code {code}"
        return _Gone(f"its parser crashed ({how})", perhaps_not_its_own=True)

    def _last_words(self) -> bytes:
        """What the process wrote to stderr, as libraries do that run out of memory."""
        stream = self._process.stderr
        assert stream is not None
        if sys.platform != "win32":
            os.set_blocking(stream.fileno(), False)  # something that it started might hold the pipe open
        return stream.read(_STDERR_BYTES) or b""

    def _too_much_memory(self) -> str:
        return f"needed more than {self._limits.memory // 2**20:,} MiB of memory to parse"


def _program(limits: Limits) -> str:
    """What the child runs. It looks for modules where this process does, not in the current folder as `-m` would."""
    paths = [*filter(None, sys.path), str(Path(__file__).parents[2])]
    arguments = f"{limits.memory}, {limits.cpu_s}, {config.PARSE_WRITES_BYTES}"
    return f"import sys; sys.path[:] = {paths!a}; from vstore.ingest.worker import main; main({arguments})"


def _nonsense() -> _Gone:
    return _Gone("its parser gave an answer that makes no sense")


def _checked(answer: dict[str, Any]) -> Parsed:
    """The answer as a document, or raised if it is a failure. Raises _Gone for anything that it must not be."""
    for key, failure in (("unreadable", Unreadable), ("missing", MissingExtraError)):
        if isinstance(reason := answer.get(key), str):
            raise failure(reason[: config.MAX_TITLE_CHARS])
    text = _clean(answer.get("text"), config.MAX_DOCUMENT_CHARS)
    title = _clean(answer.get("title"), config.MAX_TITLE_CHARS)
    return Parsed(text, title, tuple(_sections(answer.get("sections"), len(text))))


def _clean(text: object, longest: int) -> str:
    if not isinstance(text, str) or len(text) > longest or clean(text) != text:
        raise _nonsense()
    return text


def _sections(raw: object, length: int) -> list[Section]:
    """Sections in the order of the text, none within another."""
    if not isinstance(raw, list):
        raise _nonsense()
    sections = []
    last = 0
    for item in raw:
        if not isinstance(item, list) or [type(part) for part in item] != [int, int, str]:
            raise _nonsense()
        start, end, heading = item
        if not last <= start <= end <= length:
            raise _nonsense()
        sections.append(Section(start, end, _clean(heading, config.MAX_DOCUMENT_CHARS)))
        last = end
    return sections

"""The process that parses what libraries of others read. Its parent is `vstore.ingest.sandbox`.

A request is two lengths (of the media type and of the data, network order) and those two. The answer is a length and
a JSON object: `text`, `title` and `sections`, or the one key of a failure. Ends when its requests do.
"""

from __future__ import annotations

import json
import os
import signal
import struct
import sys
import time
from collections.abc import Mapping
from typing import Any, BinaryIO, Final

from vstore.errors import MissingExtraError
from vstore.ingest import foreign
from vstore.ingest.parsed import Unreadable

if sys.platform != "win32":
    import resource

REQUEST: Final = struct.Struct("!HQ")
ANSWER: Final = struct.Struct("!Q")


def main(memory: int, cpu: int, writes: int) -> None:
    """Answer requests within so many bytes of memory, seconds of processor time a file, and bytes written to files."""
    requests, answers = _take_over_streams()
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # Ctrl-C on the parent's terminal ends this process without a word
    sys.modules["numpy"] = None  # type: ignore[assignment]  # openpyxl would load it and has no need of it
    _limit("RLIMIT_AS", memory)
    _limit("RLIMIT_FSIZE", writes)
    _limit("RLIMIT_CORE", 0)
    _limit("RLIMIT_NPROC", 0)  # no further processes
    while header := requests.read(REQUEST.size):
        _limit("RLIMIT_CPU", int(time.process_time()) + 1 + cpu)
        kind_length, data_length = REQUEST.unpack(header)
        kind = requests.read(kind_length).decode("ascii")
        answer = json.dumps(_answer(requests, data_length, kind), ensure_ascii=False).encode()
        answers.write(ANSWER.pack(len(answer)))
        answers.write(answer)
        answers.flush()


def _answer(requests: BinaryIO, length: int, media_type: str) -> Mapping[str, Any]:
    try:
        parsed = foreign.parse(requests.read(length), media_type)
    except Unreadable as error:
        return {"unreadable": str(error)}
    except MissingExtraError as error:
        return {"missing": str(error)}
    except MemoryError:
        return {"limit": "memory"}
    except RecursionError:
        return {"unreadable": "nested too deeply"}
    sections = [(section.start, section.end, section.heading) for section in parsed.sections]
    return {"text": parsed.text, "title": parsed.title, "sections": sections}


def _take_over_streams() -> tuple[BinaryIO, BinaryIO]:
    """The two pipes, out of the reach of libraries that print; what they print goes nowhere.

    The pipe of stderr is read only when this process is gone, so a full one must not stop it.
    """
    requests, answers = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    nowhere = os.open(os.devnull, os.O_RDWR)
    os.dup2(nowhere, 0)
    os.dup2(nowhere, 1)
    if sys.platform != "win32":
        os.set_blocking(2, False)
    return requests, answers


def _limit(name: str, value: int) -> None:
    """Lower a soft limit, where there is such a thing; never above the hard one."""
    if sys.platform == "win32":
        return
    kind = getattr(resource, name)
    hard = resource.getrlimit(kind)[1]
    try:
        resource.setrlimit(kind, (value if hard == resource.RLIM_INFINITY else min(value, hard), hard))
    except (ValueError, OSError):
        if sys.platform == "linux":  # other systems have limits that they do not let anybody set
            raise

"""What a server does with the messages of a client that is broken, hostile, impatient, or gone."""

from __future__ import annotations

import gc
import json
import queue
import subprocess
import sys
import threading
import weakref
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import pytest
from agents import ENVELOPE, REAL, Agent, agent, environment, writing
from db.material import assert_consistent
from toy import ToyEmbedder

from vstore import Store, config
from vstore.mcp.service import Service
from vstore.mcp.stdio import lines
from vstore.mcp.wire import Wire, message_id

PARSE, INVALID, UNKNOWN, PARAMS, MANY, VERSION = -32700, -32600, -32601, -32602, -32000, -32022
MEGABYTE = b"x" * 2**20
NAMED = "io.modelcontextprotocol/protocolVersion"


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Agent]:
    """One server for all tests that it must survive."""
    with agent(tmp_path_factory.mktemp("wire") / "memory.db") as client:
        client.call("memory_remember", text="The harbour lights are green.")
        yield client


@dataclass(frozen=True)
class Case:
    """Bytes of a client, and the error they are answered with: its code, and the id it names."""

    name: str
    sent: bytes
    code: int | None
    number: Any = None


def request(**changes: Any) -> bytes:
    message = {"jsonrpc": "2.0", "id": 1, "method": "ping", **changes}
    return json.dumps({name: value for name, value in message.items() if value is not ...}).encode()


def ping(params: bytes, number: int) -> bytes:
    """A request whose params are no JSON, or too much of it."""
    return b'{"jsonrpc":"2.0","id":%d,"method":"ping","params":%b}' % (number, params)


def call(number: Any, **params: Any) -> bytes:
    return request(id=number, method="tools/call", params=params)


CASES = (
    Case("no JSON", b"{nope", PARSE),
    Case("half a message", b'{"jsonrpc":"2.0","id":71,"method":"pi', PARSE, 71),
    Case("no UTF-8", b'{"jsonrpc":"2.0","id":"u1","method":"ping","params":{"x":"\xff\xfe"}}', PARSE, "u1"),
    Case("UTF-16", request().decode().encode("utf-16"), PARSE),
    Case("a NUL", b"\x00", PARSE),
    Case("not a number", ping(b'{"x":NaN}', 2), PARSE, 2),
    Case("a number of 5,000 digits", ping(b'{"x":%b}' % (b"9" * 5000), 2), PARSE, 2),
    Case("two messages on a line", request() + request(id=2), PARSE, 1),
    Case("deep JSON", ping(b"[" * 10**5 + b"]" * 10**5, 3), INVALID, 3),
    Case("a batch", b"[" + request() + b"," + request(id=2) + b"]", INVALID),
    Case("an empty batch", b"[]", INVALID),
    Case("a text", b'"ping"', INVALID),
    Case("null", b"null", INVALID),
    Case("another version of JSON-RPC", request(jsonrpc="1.0"), INVALID, 1),
    Case("no version of JSON-RPC", request(jsonrpc=...), INVALID, 1),
    Case("no method", request(method=...), INVALID, 1),
    Case("a method that is a number", request(method=7), INVALID, 1),
    Case("an id that is null", request(id=None), INVALID),
    Case("an id that is true", request(id=True), INVALID),
    Case("an id that is an object", request(id={}), INVALID),
    Case("an id that is a fraction", request(id=1.5), INVALID),
    Case("params that are a list", request(params=[1]), PARAMS, 1),
    Case("an unknown method", request(method="tools/destroy"), UNKNOWN, 1),
    Case("resources, which it has none of", request(method="resources/list"), UNKNOWN, 1),
    Case("discovery without an envelope", request(method="server/discover"), UNKNOWN, 1),
    Case("an envelope of tomorrow", request(params={"_meta": {**ENVELOPE, NAMED: "2099-01-01"}}), VERSION, 1),
    Case("a handshake without a version", request(method="initialize", params={"clientInfo": {}}), PARAMS, 1),
    Case("a handshake without a client", request(method="initialize", params={"protocolVersion": "1"}), PARAMS, 1),
    Case("an unknown tool", call(4, name="memory_sql", arguments={}), PARAMS, 4),
    Case("a tool that was not allowed", call(4, name="memory_forget", arguments={"uri": "x"}), PARAMS, 4),
    Case("a call without a name", call(4, arguments={}), PARAMS, 4),
    Case("arguments that are a list", call(4, name="memory_stats", arguments=[1]), PARAMS, 4),
    Case("an empty line", b"", None),
    Case("an answer to nothing", b'{"jsonrpc":"2.0","id":8,"result":{}}', None),
    Case("an error of the client", b'{"jsonrpc":"2.0","id":8,"error":{"code":1,"message":"no"}}', None),
    Case("an unknown notification", request(id=..., method="notifications/whatever", params={"a": 1}), None),
    Case("a cancellation of nothing", request(id=..., method="notifications/cancelled", params={"requestId": 9}), None),
    Case("a cancellation without an id", request(id=..., method="notifications/cancelled", params=[]), None),
)  # fmt: skip


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_what_is_no_request_gets_an_error_or_nothing_and_the_server_lives_on(served: Agent, case: Case) -> None:
    served.raw(case.sent + b"\n")
    if case.code is not None:
        answer = served.answer(case.number)
        assert "result" not in answer
        assert answer["error"]["code"] == case.code
        assert "\n" not in answer["error"]["message"]
    assert served.ask("ping")["result"] == {}
    assert not any(served.answers.values()), "one answer each"


@pytest.mark.parametrize(
    ("head", "tail", "number"),
    [
        (b'{"jsonrpc":"2.0","id":5,"method":"tools/call","params":{"name":"', b'"}}', 5),
        (b'{"method":"ping","params":{"x":"', b'"},"jsonrpc":"2.0","id":"last"}', "last"),
        (b"", b"", None),
    ],
    ids=["its id first", "its id last", "without an id"],
)
def test_50_mb_are_not_read_and_whoever_waits_is_told(served: Agent, head: bytes, tail: bytes, number: Any) -> None:
    served.raw(head)
    for _ in range(50):
        served.raw(MEGABYTE)
    served.raw(tail + b"\n")
    assert served.answer(number)["error"]["code"] == INVALID
    assert served.ask("ping")["result"] == {}


@pytest.mark.parametrize(
    ("asked", "answered"),
    [*((v, v) for v in ("2024-11-05", "2025-06-18", "2025-11-25")), ("2026-07-28", "2025-11-25"), ("x", "2025-11-25")],
)
def test_the_handshake_agrees_on_a_version_that_both_know(served: Agent, asked: str, answered: str) -> None:
    assert served.initialize(asked)["protocolVersion"] == answered


def test_without_a_handshake_only_requests_that_say_who_asks_are_served(tmp_path: Path) -> None:
    client = Agent(tmp_path / "memory.db")
    assert client.ask("tools/list")["error"]["code"] == INVALID
    assert client.ask("tools/call", {"name": "memory_stats"})["error"]["code"] == INVALID
    found = client.ask("server/discover", {"_meta": ENVELOPE})["result"]
    assert (found["supportedVersions"], found["resultType"]) == (["2026-07-28"], "complete")
    kept = client.ask("tools/call", {"name": "memory_remember", "arguments": {"text": "Hi."}, "_meta": ENVELOPE})
    assert kept["result"]["resultType"] == "complete"
    assert client.close() == 0
    with Store(tmp_path / "memory.db") as store:
        assert store.documents()[0].metadata == {"via": "mcp", "client": "new 2"}


def test_a_flood_of_notifications_only_takes_its_time(served: Agent) -> None:
    line = request(id=..., method="notifications/progress", params={"progressToken": 1, "progress": 1}) + b"\n"
    served.raw(line * 20_000)
    assert served.ask("ping")["result"] == {}


def test_a_hundred_calls_at_once_are_all_answered(served: Agent) -> None:
    numbers = [served.start_call("memory_search", {"query": f"harbour {n}"}) for n in range(100)]
    for number in numbers:
        found = served.answer(number)["result"]["structuredContent"]
        assert found["results"][0]["preview"] == "The harbour lights are green."


# --- while a call waits for the write lock ----------------------------------------------------------------------------


@pytest.fixture
def store(tmp_path: Path) -> Path:
    path = tmp_path / "memory.db"
    with Store(path, ToyEmbedder()) as opened:
        opened.remember("The first one.")
    return path


def kept(path: Path) -> set[str]:
    with Store(path) as opened:
        return {opened.get(document.uri).text for document in opened.documents()}


def test_more_calls_than_may_wait_are_refused_at_once_and_the_others_answered(served: Agent) -> None:
    with writing(served.path):
        blocked = [served.start_call("memory_remember", {"text": f"Note {n}."}) for n in range(config.MCP_CALLS)]
        waiting = [served.start_call("memory_stats", {}) for _ in range(config.MCP_WAITING)]
        for number in waiting[-config.MCP_CALLS :]:
            assert served.answer(number)["error"]["code"] == MANY
    for number in blocked + waiting[: -config.MCP_CALLS]:
        assert not served.answer(number)["result"]["isError"]
    assert kept(served.path) >= {f"Note {n}." for n in range(config.MCP_CALLS)}


def test_an_id_that_is_in_use_is_refused_and_the_first_call_still_answered(served: Agent) -> None:
    with writing(served.path):
        served.start_call("memory_remember", {"text": "First."}, 7)
        served.start_call("memory_remember", {"text": "Second."}, 7)
        assert served.answer(7)["error"]["code"] == INVALID
    assert not served.answer(7)["result"]["isError"]
    served.start_call("memory_search", {"query": "second", "limit": 1}, 7)
    assert served.answer(7)["result"]["structuredContent"]["results"][0]["preview"] != "Second."


def test_a_cancelled_call_is_not_answered_and_one_that_waits_is_not_begun(served: Agent) -> None:
    with writing(served.path):
        begun = [served.start_call("memory_remember", {"text": f"Begun {n}."}) for n in range(config.MCP_CALLS)]
        waits = served.start_call("memory_remember", {"text": "Waits."})
        for number in (begun[0], waits, True):
            served.send("notifications/cancelled", {"requestId": number, "reason": "no matter"})
        assert served.ask("ping")["result"] == {}
    for number in begun[1:]:
        served.answer(number)
    for last in range(config.MCP_CALLS + 1):  # of which one at least begins after all that were cancelled
        served.call("memory_remember", text=f"Last {last}.")
    assert begun[0] not in served.answers and waits not in served.answers
    texts = kept(served.path)
    assert "Waits." not in texts and texts >= {f"Begun {n}." for n in range(1, config.MCP_CALLS)}
    assert_consistent(served.path)


class Gate:
    """A service whose calls wait until they are let through; it has what they were given."""

    def __init__(self) -> None:
        self.begun: queue.Queue[Payload] = queue.Queue()
        self.open = threading.Event()

    def has(self, name: str) -> bool:
        return True

    def call(self, name: str, arguments: dict[str, Any], client: str) -> dict[str, Any]:
        self.begun.put(arguments["x"])
        assert self.open.wait(30)
        return {}


class Payload:
    """An argument of which it can be seen that nobody holds it any more."""


def test_cancelled_calls_keep_their_places_and_not_their_messages(monkeypatch: pytest.MonkeyPatch) -> None:
    gate, sent = Gate(), queue.SimpleQueue[bytes]()
    wire = Wire(cast(Service, gate), sent.put)
    payloads: list[weakref.ref[Payload]] = []

    def message(line: bytes) -> Any:
        found = json.loads(line)
        if found["method"] == "tools/call":
            payload = found["params"]["arguments"]["x"] = Payload()
            payloads.append(weakref.ref(payload))
        return found

    monkeypatch.setattr("vstore.mcp.wire.parsed", message)
    wire.receive(request(method="initialize", params={"protocolVersion": "2025-11-25", "clientInfo": {}}))
    begun = []
    for number in range(config.MCP_WAITING + 3):
        wire.receive(call(number, name="any", arguments={}))
        if number < config.MCP_CALLS:
            begun.append(gate.begun.get(timeout=30))
        wire.receive(request(id=..., method="notifications/cancelled", params={"requestId": number}))
    wire.receive(call(0, name="any", arguments={}))
    gc.collect()
    assert [payload() for payload in payloads if payload() is not None] == begun, "those at work"
    gate.open.set()
    wire._pool.shutdown(wait=True)
    answers = [json.loads(sent.get()) for _ in range(sent.qsize())]
    assert gate.begun.empty(), "what is cancelled is not begun"
    assert [answer["error"]["code"] for answer in answers[1:]] == [MANY] * 3 + [INVALID]
    assert not wire._calls


def test_a_client_that_vanishes_in_mid_write_leaves_a_whole_store_and_no_process(store: Path) -> None:
    client = Agent(store)
    client.initialize()
    with writing(store):
        client.start_call("memory_remember", {"text": "Never acknowledged."})
        client.start_call("memory_search", {"query": "first"})
        client.hang_up()
    assert client.close() == 0
    assert kept(store) in ({"The first one."}, {"The first one.", "Never acknowledged."})
    assert_consistent(store)


def test_all_that_was_sent_before_the_pipe_was_closed_is_done_and_answered(store: Path) -> None:
    """As in `vstore mcp < messages`."""
    client = Agent(store)
    client.initialize()
    with writing(store):
        for number in range(3 * config.MCP_CALLS):
            client.start_call("memory_remember", {"text": f"Note number {number}."})
        client.hang_up()
    assert client.close() == 0
    assert kept(store) == {"The first one.", *(f"Note number {number}." for number in range(3 * config.MCP_CALLS))}


def test_a_server_ends_although_a_call_never_does(store: Path) -> None:
    script = """
import threading
import vstore.config
vstore.config.MCP_GRACE_S = 0.1  # seconds
import vstore.store
vstore.store.Store.stats = lambda store: threading.Event().wait()
from vstore.cli import main
main()
"""
    client = Agent(store, script=script)
    client.initialize()
    client.start_call("memory_stats", {})
    assert client.ask("ping")["result"] == {}
    assert client.close() == 1


def test_a_server_that_is_killed_in_mid_write_leaves_what_it_acknowledged(store: Path) -> None:
    client = Agent(store)
    client.initialize()
    acknowledged = set()
    numbers = [client.start_call("memory_remember", {"text": f"Note {n}."}) for n in range(100)]
    for n, number in enumerate(numbers[:20]):
        client.answer(number)
        acknowledged.add(f"Note {n}.")
    client.process.kill()
    client.close()
    assert_consistent(store)
    with agent(store) as again:
        found = again.call("memory_search", query="note", limit=50)
        assert found["results"]
    assert acknowledged <= kept(store)


# --- the pipe ---------------------------------------------------------------------------------------------------------

NOISY = """
import os, subprocess, sys
import vstore.store
stats = vstore.store.Store.stats
def noisy(store):
    print("printed")
    os.write(1, b"written\\n")
    subprocess.run([sys.executable, "-c", "import sys; print('child'); print(len(sys.stdin.read()), 'read')"])
    return stats(store)
vstore.store.Store.stats = noisy
from vstore.cli import main
main()
"""


def test_nothing_but_the_protocol_gets_into_the_pipe_and_no_child_reads_from_it(store: Path) -> None:
    with agent(store, script=NOISY) as client:
        assert client.call("memory_stats")["documents"] == 1
    assert {"printed", "written", "child", "0 read"} <= set(client.errors.decode().split("\n"))


@pytest.mark.skipif(sys.platform == "win32", reason="has no shell that closes stdin")
def test_without_a_client_it_says_so_in_a_line(tmp_path: Path) -> None:
    command = [sys.executable, "-c", REAL, "--db", str(tmp_path / "memory.db"), "mcp"]
    alone = subprocess.run(
        ["sh", "-c", 'exec "$@" <&-', "sh", *command], capture_output=True, text=True, env=environment(tmp_path)
    )
    assert (alone.returncode, alone.stdout) == (1, "")
    assert alone.stderr.startswith("vstore: there is no client: stdin or stdout is closed;")


def test_nothing_heavy_is_loaded_before_the_first_call(tmp_path: Path) -> None:
    script = f"""
import sys
try:
    {REAL}
finally:
    print("loaded", *sorted(sys.modules), file=sys.stderr)
"""
    with agent(tmp_path / "memory.db", "--allow-forget", "--root", str(tmp_path), script=script) as client:
        assert len(client.ask("tools/list")["result"]["tools"]) == 7
    loaded = set(client.errors.decode().split("loaded ")[1].split())
    heavy = {"numpy", "onnxruntime", "tokenizers", "apsw", "semantic_text_splitter", "huggingface_hub", "pathspec"}
    assert not loaded & (heavy | {"mcp", "pydantic", "asyncio", "vstore.store", "vstore.search", "vstore.ingest"})
    assert not (tmp_path / "memory.db").exists(), "a handshake makes no store"


def test_the_id_of_a_message_is_taken_from_its_ends_only() -> None:
    assert message_id(b'{"jsonrpc":"2.0","id":3,"method":"x"', b"") == 3
    assert message_id(b'{ "id" : "a-1" , ', b"") == "a-1"
    assert message_id(b'{"method":"x"', b'}, "jsonrpc": "2.0", "id": -4}\n') == -4
    assert message_id(b'{"params":{"id":5', b'{"id":6}}}') is None
    assert message_id(b'{"params":{"a":1', b',"id":6}}}') is None


def test_a_line_that_is_too_long_is_not_kept() -> None:
    class Endless:
        """A stream of one line of 1 GB and a short one; remembers the most that was asked for at once."""

        left, most = 2**30, 0

        def readline(self, size: int) -> bytes:
            self.most = max(self.most, size)
            if self.left > size:
                self.left -= size
                return b"x" * size
            line, self.left = (b"y" * self.left + b"\n", 0) if self.left > 1 else (b"", 0)
            return line

    stream: Any = Endless()
    head, tail = next(lines(stream, 1000))
    assert (head, tail[-3:], len(tail)) == (b"x" * 256, b"yy\n", 256)
    assert stream.most == 2**16


def test_answers_from_several_threads_do_not_mix(served: Agent) -> None:
    before = threading.active_count()
    numbers = [served.start_call("memory_search", {"query": "harbour " * 200}) for _ in range(40)]
    assert all(served.answer(number)["result"]["structuredContent"]["results"] for number in numbers)
    assert threading.active_count() == before

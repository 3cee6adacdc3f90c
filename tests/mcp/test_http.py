"""Over HTTP: for those on this machine who have the token, and the same tools as over a pipe."""

from __future__ import annotations

import http.client
import json
import socket
import stat
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import anyio
import anyio.lowlevel
import httpx2
import pytest
from agents import ENVELOPE, TOY, environment
from click.testing import CliRunner
from mcp import Client, StdioServerParameters, stdio_client
from mcp.client.streamable_http import streamable_http_client
from mcp.shared.exceptions import MCPError

from vstore import config
from vstore.cli import main
from vstore.errors import InputError
from vstore.mcp.http import Calls, token

SECRET = "a-token-for-tests-0123456789"
HELLO = {
    "jsonrpc": "2.0",
    "id": 1,
    "method": "initialize",
    "params": {"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "raw", "version": "1"}},
}


@contextmanager
def server(folder: Path, port: int = 0, *options: str, script: str = TOY) -> Iterator[int]:
    """A server with the tests' token; its port."""
    command = [sys.executable, "-c", script, "--db", str(folder / "memory.db"), "mcp", "--http", "--port", str(port)]
    process = subprocess.Popen(
        [*command, *options], stderr=subprocess.PIPE, text=True, env=environment(folder, VSTORE_MCP_TOKEN=SECRET)
    )
    assert process.stderr is not None
    try:
        said = [process.stderr.readline(), process.stderr.readline()]
        assert said[1] == "the token is that of VSTORE_MCP_TOKEN\n", said
        yield int(said[0].split(":")[-1].split("/")[0])
        process.terminate()
        assert process.wait(30) == 128 + 15
        assert "Traceback" not in process.stderr.read()
    finally:
        process.kill()
        process.wait()
        process.stderr.close()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("http")


@pytest.fixture(scope="module")
def port(folder: Path) -> Iterator[int]:
    with server(folder) as number:
        yield number


def post(port: int, body: Any, method: str = "POST", path: str = "/mcp", **headers: str) -> tuple[int, bytes]:
    """The status and the body of an answer; a header that is "-" is left out."""
    status, text, _ = exchange(port, body, method, path, headers)
    return status, text


def opened(port: int) -> str:
    """The id of a new session."""
    status, _, number = exchange(port, HELLO, "POST", "/mcp", {})
    assert status == 200 and number is not None
    return number


def exchange(port: int, body: Any, method: str, path: str, headers: dict[str, str]) -> tuple[int, bytes, str | None]:
    said = {
        "Host": f"127.0.0.1:{port}",
        "Authorization": f"Bearer {SECRET}",
        "Content-Type": "application/json",
        "Accept": "application/json, text/event-stream",
        **{name.replace("_", "-"): value for name, value in headers.items()},
    }
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    try:
        connection.putrequest(method, path, skip_host=True)
        for name, value in said.items():
            if value != "-":
                connection.putheader(name, value)
        connection.putheader("Content-Length", str(len(data)))
        connection.endheaders(data)
        answer = connection.getresponse()
        return answer.status, answer.read(), answer.getheader("mcp-session-id")
    finally:
        connection.close()


CASES: list[tuple[str, int, Any, dict[str, str]]] = [
    ("as it should be", 200, HELLO, {}),
    ("by the other name of this host", 200, HELLO, {"Host": "localhost:{port}"}),
    ("from a page of this host", 200, HELLO, {"Origin": "http://127.0.0.1:{port}"}),
    ("no token", 401, HELLO, {"Authorization": "-"}),
    ("a wrong token", 401, HELLO, {"Authorization": "Bearer wrong"}),
    ("an empty token", 401, HELLO, {"Authorization": "Bearer "}),
    ("the token alone", 401, HELLO, {"Authorization": SECRET}),
    ("a token that begins alike", 401, HELLO, {"Authorization": f"Bearer {SECRET}x"}),
    ("basic authorization", 401, HELLO, {"Authorization": "Basic dTpw"}),
    ("no token, on another path", 401, HELLO, {"Authorization": "-", "path": "/"}),
    ("another path", 404, HELLO, {"path": "/sse"}),
    ("another host", 421, HELLO, {"Host": "evil.example"}),
    ("another host that begins alike", 421, HELLO, {"Host": "127.0.0.1.evil.example:{port}"}),
    ("another port", 421, HELLO, {"Host": "127.0.0.1:1"}),
    ("another site", 403, HELLO, {"Origin": "http://evil.example"}),
    ("a page without an origin", 403, HELLO, {"Origin": "null"}),
    ("a form of a page", 400, HELLO, {"Content_Type": "text/plain"}),
    ("no JSON", 400, b"{nope", {}),
    ("no UTF-8", 400, b'{"x":"\xff"}', {}),
    ("a batch", 400, [HELLO, HELLO], {}),
    ("deep JSON", 400, b"[" * 100_000, {}),
    ("5 MB", 413, b" " * 5_000_000, {}),
    ("an unknown session", 404, {**HELLO, "method": "tools/list"}, {"Mcp_Session_Id": "abc"}),
    ("no session", 400, {"jsonrpc": "2.0", "id": 1, "method": "tools/list"}, {}),
]


@pytest.mark.parametrize(("name", "status", "body", "more"), CASES, ids=[case[0] for case in CASES])
def test_only_requests_with_the_token_to_this_host_from_no_other_site_are_served(
    port: int, name: str, status: int, body: Any, more: dict[str, str]
) -> None:
    given = {key: value.replace("{port}", str(port)) for key, value in more.items()}
    got, text = post(port, body, **given)
    assert (got, text if got != status else b"") == (status, b"")
    if status == 200:
        assert json.loads(text)["result"]["serverInfo"]["name"] == "vstore"
    assert SECRET.encode() not in text


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere the loopback interface has one address")
def test_it_listens_on_one_address_of_the_loopback_interface_alone(port: int) -> None:
    with socket.socket() as other, pytest.raises(ConnectionRefusedError):
        other.connect(("127.0.0.2", port))


# --- the SDK's own client ---------------------------------------------------------------------------------------------


async def session(transport: Any, mode: str, name: str) -> None:
    """What an agent does, by the SDK's client."""
    async with Client(transport, mode=mode) as client:
        assert client.protocol_version == ("2025-11-25" if mode == "legacy" else "2026-07-28")
        listed = (await client.list_tools()).tools
        assert [tool.name for tool in listed][:2] == ["memory_search", "memory_get"]
        assert listed[0].annotations is not None and listed[0].annotations.read_only_hint is True
        kept = await client.call_tool("memory_remember", {"text": f"Told by {name}.", "uri": name})
        assert not kept.is_error
        found = await client.call_tool("memory_search", {"query": f"told by {name}"})
        assert found.structured_content is not None
        assert json.loads(found.content[0].text) == found.structured_content
        (hit,) = [hit for hit in found.structured_content["results"] if hit["uri"] == name]
        assert hit["added_by"].startswith("mcp ")
        wrong = await client.call_tool("memory_search", {"query": 7})
        assert wrong.is_error and wrong.content[0].text == "query is a text, not 7"
        with pytest.raises(MCPError, match="there is no tool 'memory_sql'") as unknown:
            await client.call_tool("memory_sql", {})
        assert unknown.value.error.code == -32602
        async with anyio.create_task_group() as group:
            for _ in range(20):
                group.start_soon(client.call_tool, "memory_search", {"query": "told"})
        with anyio.move_on_after(0):  # which sends notifications/cancelled
            await client.call_tool("memory_search", {"query": "told"})
        assert not (await client.call_tool("memory_stats", {})).is_error


@pytest.mark.parametrize("mode", ["legacy", "auto"])
def test_the_sdk_over_http(port: int, mode: str) -> None:
    async def talk() -> None:
        async with httpx2.AsyncClient(headers={"Authorization": f"Bearer {SECRET}"}) as http_client:
            await session(
                streamable_http_client(f"http://127.0.0.1:{port}/mcp", http_client=http_client), mode, f"http-{mode}"
            )

    anyio.run(talk)


@pytest.mark.parametrize("mode", ["legacy", "auto"])
def test_the_sdk_over_a_pipe(folder: Path, mode: str) -> None:
    arguments = ["-c", TOY, "--db", str(folder / "memory.db"), "mcp"]
    child = StdioServerParameters(command=sys.executable, args=arguments, env=environment(folder))
    anyio.run(session, stdio_client(child), mode, f"pipe-{mode}")


def test_a_server_that_was_started_anew_does_not_know_the_sessions_of_the_one_before(port: int, folder: Path) -> None:
    about = {**HELLO, "method": "ping", "params": {}}
    number = opened(port)
    assert post(port, about, Mcp_Session_Id=number)[0] == 200
    with server(folder) as again:
        assert post(again, about, Mcp_Session_Id=number)[0] == 404
        assert opened(again) != number
    assert post(port, about, Mcp_Session_Id=number)[0] == 200


def test_a_session_that_was_invented_has_no_quota_of_its_own(tmp_path: Path) -> None:
    script = f"import vstore.config\nvstore.config.MCP_WRITES_PER_SESSION = 2\n{TOY}"
    about = {"jsonrpc": "2.0", "id": 1, "method": "tools/call"}
    write = {"name": "memory_remember", "arguments": {"text": "Hi."}}
    told = {"Mcp_Protocol_Version": "2026-07-28", "Mcp_Method": "tools/call", "Mcp_Name": "memory_remember"}
    with server(tmp_path, script=script) as number:
        outcomes = []
        for invented in ("a", "b", "c"):
            body = {**about, "params": {**write, "_meta": ENVELOPE}}
            status, text = post(number, body, Mcp_Session_Id=invented, **told)
            assert status == 200, text
            outcomes.append(json.loads(text)["result"]["isError"])
        assert outcomes == [False, False, True]
        status, text = post(number, {**about, "params": write}, Mcp_Session_Id=opened(number))
        assert status == 200 and not json.loads(text)["result"]["isError"], "one of the SDK's own"


def test_calls_whose_clients_have_gone_keep_their_places_until_they_end() -> None:
    begun: list[int] = []
    let_through = threading.Event()

    def work(number: int) -> dict[str, Any]:
        begun.append(number)
        assert let_through.wait(30)
        return {"number": number}

    async def talk() -> None:
        calls = Calls()
        for attempt in range(3):
            async with anyio.create_task_group() as group:
                for number in range(config.MCP_CALLS):
                    group.start_soon(calls.run, work, attempt * config.MCP_CALLS + number)
                with anyio.fail_after(30):
                    while len(begun) < config.MCP_CALLS or (attempt and calls.waiting < config.MCP_CALLS):
                        await anyio.lowlevel.checkpoint()
                group.cancel_scope.cancel()
        assert sorted(begun) == list(range(config.MCP_CALLS)) and not calls.waiting
        let_through.set()
        with anyio.fail_after(30):
            assert await calls.run(work, 99) == {"number": 99}

    anyio.run(talk)


# --- the token --------------------------------------------------------------------------------------------------------


def test_a_token_is_made_for_each_run_and_shown_or_written_for_its_owner_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("VSTORE_MCP_TOKEN", raising=False)
    first, line = token(None)
    assert len(first) == 43 and line == f"the token for this run: {first}"
    path = tmp_path / "token"
    path.write_text("old")
    path.chmod(0o644)
    second, line = token(str(path))
    assert second != first and path.read_text() == f"{second}\n" and second not in line
    if sys.platform != "win32":
        assert stat.S_IMODE(path.stat().st_mode) == 0o600


@pytest.mark.parametrize(
    "given", ["short", "x" * 15, "with a space in it all", "umlaut-ä-0123456789", "new\nline-0123456"]
)
def test_a_token_that_is_none_is_refused_and_not_shown(given: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VSTORE_MCP_TOKEN", given)
    with pytest.raises(InputError, match="VSTORE_MCP_TOKEN is no token") as refused:
        token(None)
    assert given not in str(refused.value)


def test_two_tokens_are_one_too_many(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VSTORE_MCP_TOKEN", SECRET)
    with pytest.raises(InputError, match="unset one of the two"):
        token(str(tmp_path / "token"))
    assert not (tmp_path / "token").exists()


def test_a_port_that_is_taken_and_a_missing_sdk_are_said_in_a_line(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        run: Callable[..., Any] = CliRunner().invoke
        refused = run(main, ["mcp", "--http", "--port", str(taken.getsockname()[1])])
    assert refused.exit_code == 1 and "choose another one with --port" in refused.stderr
    monkeypatch.setitem(sys.modules, "mcp", None)
    missing = run(main, ["mcp", "--http"])
    assert missing.exit_code == 1
    assert missing.stderr == "vstore: MCP over HTTP needs an extra: pip install 'vstore[mcp]'\n"

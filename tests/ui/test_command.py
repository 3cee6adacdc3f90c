"""`vstore ui`: prints where the page is, serves it until Ctrl-C, and says in a line what is in the way."""

from __future__ import annotations

import queue
import re
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner
from toy import ToyEmbedder
from ui.asking import Client

from vstore import Store
from vstore.cli import main
from vstore.errors import MissingExtraError
from vstore.ui.serve import shown


@pytest.fixture(autouse=True)
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("VSTORE_CONFIG", str(tmp_path / "none.toml"))
    with Store(tmp_path / "birds.db", ToyEmbedder()) as store:
        store.remember("A red kite.", uri="kite")
    return tmp_path / "birds.db"


@pytest.mark.skipif(sys.platform == "win32", reason="there is no Ctrl-C that a test could send to one process alone")
def test_it_serves_until_ctrl_c_and_then_ends_without_an_error(path: Path) -> None:
    command = [sys.executable, "-m", "vstore", "--db", str(path), "ui", "--no-open"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        shown_at = re.fullmatch(
            r"(.*) is shown at (http://127\.0\.0\.1:\d+/\?token=[\w-]{43})\n", process.stderr.readline()
        )
        assert shown_at[1] == str(path)
        assert process.stderr.readline() == "the address opens it for whoever has it; Ctrl-C ends it\n"
        client = Client(shown_at[2])
        assert client.get("/", q="kite", mode="lexical").status == 200
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=60)
    assert (process.returncode, out, err) == (0, "", "")  # no log of requests, no traceback
    with Store(path, ToyEmbedder()) as store:
        assert store.search_stats().searches == 1  # noted before it ended


def test_a_port_that_is_taken_is_named(path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        run = CliRunner().invoke(main, ["--db", str(path), "ui", "--no-open", "--port", str(port)])
    assert run.exit_code == 1
    assert re.fullmatch(rf"vstore: port {port} cannot be had \([^)]+\); give another one with --port\n", run.stderr)


def test_a_store_that_is_not_there_is_not_made(tmp_path: Path) -> None:
    run = CliRunner().invoke(main, ["--db", str(tmp_path / "absent.db"), "ui", "--no-open"])
    assert (run.exit_code, "there is no store" in run.stderr) == (1, True)
    assert not (tmp_path / "absent.db").exists()


def test_the_browser_is_opened_unless_it_shall_not(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    opened: queue.Queue[str] = queue.Queue()

    def serve(store: Store, *, port: int, read_only: bool, ready: object) -> None:
        assert (port, read_only) == (0, True)
        ready("http://here/")

    monkeypatch.setattr("vstore.ui.serve.serve", serve)
    monkeypatch.setattr("webbrowser.open", opened.put)
    for arguments in ([], ["--no-open"]):
        run = CliRunner().invoke(main, ["--db", str(path), "--read-only", "-q", "ui", *arguments])
        assert (run.exit_code, run.stderr) == (0, f"{path} is shown at http://here/\n")
    assert opened.get(timeout=60) == "http://here/"
    assert opened.empty()


def test_without_the_extra_the_command_says_how_to_get_it(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "uvicorn", None)
    with (
        Store(path, ToyEmbedder()) as store,
        pytest.raises(MissingExtraError, match=re.escape("pip install 'vstore[ui]'")),
    ):
        shown(store).__enter__()


def test_two_pages_have_two_ports_and_two_cookies(path: Path) -> None:
    with Store(path, ToyEmbedder()) as store, shown(store) as one, shown(store) as other:
        clients = Client(one), Client(other)
        assert clients[0].cookie.split("=")[0] != clients[1].cookie.split("=")[0]
        both = {"Cookie": "; ".join(client.cookie for client in clients)}
        assert [client.send("GET", "/", both).status for client in clients] == [200, 200]


def test_the_page_is_on_the_loopback_interface_alone(path: Path) -> None:
    with Store(path, ToyEmbedder()) as store, shown(store) as url:
        client = Client(url)
        with socket.socket() as elsewhere:
            elsewhere.settimeout(5)
            assert elsewhere.connect_ex(("127.0.0.2", client.port)) != 0  # another address of this machine

"""Whatever a file does to its parser, this process goes on, and says what happened."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest
from ingest.test_pdf import make_pdf
from toy import ToyEmbedder

from vstore import Store
from vstore.errors import InputError, MissingExtraError
from vstore.ingest import media, sandbox
from vstore.ingest.parsed import Parsed, Unreadable
from vstore.ingest.sandbox import Limits, Sandbox, _Child
from vstore.types import Section

XLSX = media.OFFICE + "spreadsheetml.sheet"
PAGE = b"<title>T</title><h1>A</h1><p>one</p><h2>B</h2><p>two</p>"
# a child that answers each request with the next of the given answers, in the protocol of the real one
FAKE = """
import json, os, struct, sys, time
answers = {answers!a}
for answer in answers:
    header = sys.stdin.buffer.read(10)
    if not header:
        break
    kind, data = struct.unpack("!HQ", header)
    sys.stdin.buffer.read(kind + data)
    if answer == "die":
        os.abort()
    if answer == "leave":
        sys.exit(3)
    if answer == "sleep":
        time.sleep(600)
    if answer == "long":
        answer = json.dumps({{"text": "x" * 20_000_001, "title": "", "sections": []}}).encode()
    sys.stdout.buffer.write(struct.pack("!Q", len(answer)) + answer)
    sys.stdout.buffer.flush()
"""


def fake(monkeypatch: pytest.MonkeyPatch, *children: list[bytes | str]) -> list[int]:
    """Let the n-th child that is started give the n-th list of answers; returns the places of those started."""
    started: list[int] = []

    def program(limits: Limits) -> str:
        started.append(len(started))
        return FAKE.format(answers=children[started[-1]])

    monkeypatch.setattr(sandbox, "_program", program)
    return started


def answer(**fields: Any) -> bytes:
    return json.dumps({"text": "text", "title": "", "sections": [], **fields}).encode()


def refusal(data: bytes, media_type: str, limits: Limits | None = None) -> str:
    with Sandbox(limits) as box, pytest.raises(Unreadable) as caught:
        box.parse(data, media_type)
    return str(caught.value)


def test_a_child_reads_what_it_is_sent() -> None:
    with Sandbox() as box:
        parsed = box.parse(PAGE, media.HTML)
        assert parsed == Parsed("A\n\none\n\nB\n\ntwo", "T", (Section(1, 8, "A"), Section(9, 14, "A > B")))
        assert box.parse(make_pdf(["page one"]), media.PDF).text == "page one"
        with pytest.raises(Unreadable, match=r"^empty$"):
            box.parse(b"<nav>menu</nav>", media.HTML)
        assert box.parse_text("<p>\u4e2d\u6587", media.HTML).text == "\u4e2d\u6587"


def test_text_needs_no_child(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    started = fake(monkeypatch)
    with Store(tmp_path / "m.db", ToyEmbedder()) as store:
        for name in ("a.txt", "a.md", "a.py", "a.csv", "a.json", "a.rst", "a.jsonl"):
            (tmp_path / name).write_text('{"text": "words"}')
            assert store.add(tmp_path / name).added == 1
        store.remember("# words", media_type="text/markdown")
    assert started == []


def test_one_child_reads_all_files_of_an_ingest(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    started = fake(monkeypatch, [answer(text="first"), answer(text="second")])
    for name in ("a.html", "b.pdf"):
        (tmp_path / name).write_text(name)
    with Store(tmp_path / "m.db", ToyEmbedder()) as store:
        assert store.add([tmp_path / "a.html", tmp_path / "b.pdf"]).added == 2
        assert store.get(tmp_path / "b.pdf").text == "second"
    assert started == [0]


@pytest.mark.skipif(sys.platform == "win32", reason="has no such limit")
def test_a_file_that_takes_too_much_processor_time_is_refused() -> None:
    page = b"<p>x" * 2_000_000
    assert refusal(page, media.HTML, Limits(cpu_s=0)) == "took more than 0 s of CPU time to parse"


@pytest.mark.skipif(sys.platform != "linux", reason="the limit does not hold there")
def test_a_file_that_needs_too_much_memory_is_refused_and_the_next_one_read() -> None:
    with Sandbox(Limits(memory=160 * 2**20)) as box:
        with pytest.raises(Unreadable, match=r"^needed more than 160 MiB of memory to parse$"):
            box.parse(b"<p>x" * 500_000, media.HTML)
        assert box.parse(PAGE, media.HTML).title == "T"


def test_a_file_that_takes_too_long_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    fake(monkeypatch, ["sleep"])
    assert refusal(PAGE, media.HTML, Limits(wall_s=0.5)) == "took more than 0.5 s to parse"


@pytest.mark.skipif(sys.platform == "win32", reason="has no signals")
def test_a_child_that_crashes_costs_its_file_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    started = fake(monkeypatch, ["die"], [answer()], ["leave"])
    with Sandbox() as box:
        with pytest.raises(Unreadable, match=r"^its parser gave up \(SIGABRT\), perhaps for want of memory"):
            box.parse(PAGE, media.HTML)
        assert box.parse(PAGE, media.HTML).text == "text"
    assert started == [0, 1]


def test_a_file_that_fails_behind_others_is_tried_once_more_in_a_new_child(monkeypatch: pytest.MonkeyPatch) -> None:
    """Memory that earlier files took is not given back."""
    memory = json.dumps({"limit": "memory"}).encode()
    started = fake(monkeypatch, [answer(), memory], [answer(text="second"), "leave"], ["leave"])
    with Sandbox() as box:
        assert box.parse(PAGE, media.HTML).text == "text"
        assert box.parse(PAGE, media.HTML).text == "second"
        with pytest.raises(Unreadable, match=r"^its parser crashed \(exit code 3\)$"):
            box.parse(PAGE, media.HTML)
    assert started == [0, 1, 2]


@pytest.mark.parametrize(
    "raw",
    [
        b"not JSON",
        b"[]",
        b"{}",
        b"\xff",
        b"[" * 100_000,
        answer(text=5),
        answer(text="nul \0"),
        answer(text="\ud800"),
        "long",
        answer(title=None),
        answer(title="x" * 301),
        answer(sections={}),
        answer(sections=[[0, 5, ""]]),
        answer(sections=[[-1, 2, ""]]),
        answer(sections=[[3, 2, ""]]),
        answer(sections=[[0, 3, ""], [2, 4, ""]]),
        answer(sections=[[0, True, ""]]),
        answer(sections=[[0.0, 2, ""]]),
        answer(sections=[[0, 2]]),
        answer(sections=[[0, 2, None]]),
        answer(sections=[[0, 2, "\0"]]),
    ],
)
def test_an_answer_of_another_shape_is_not_believed(monkeypatch: pytest.MonkeyPatch, raw: bytes) -> None:
    fake(monkeypatch, [raw])
    assert refusal(PAGE, media.HTML) == "its parser gave an answer that makes no sense"


def test_an_answer_that_is_too_large_is_not_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("vstore.config.MAX_ANSWER_BYTES", 10)
    fake(monkeypatch, [answer()])
    assert refusal(PAGE, media.HTML) == "its text is larger than a document may be"


def test_a_missing_extra_reaches_the_caller_with_its_install_line(monkeypatch: pytest.MonkeyPatch) -> None:
    fake(monkeypatch, [json.dumps({"missing": "pip install 'vstore[documents]'"}).encode()])
    with Sandbox() as box, pytest.raises(MissingExtraError, match=r"pip install 'vstore\[documents\]'"):
        box.parse(PAGE, XLSX)


def test_closing_frees_whoever_waits_for_a_file(monkeypatch: pytest.MonkeyPatch) -> None:
    fake(monkeypatch, ["sleep"])
    box = Sandbox()
    reasons: list[str] = []

    def parse() -> None:
        with pytest.raises(Unreadable) as caught:
            box.parse(PAGE, media.HTML)
        reasons.append(str(caught.value))

    reader = threading.Thread(target=parse)
    reader.start()
    while box._child is None:
        time.sleep(0.001)
    box.close()
    box.close()
    reader.join()
    assert len(reasons) == 1
    with pytest.raises(Unreadable, match="the ingest was ended"):
        box.parse(PAGE, media.HTML)


def test_an_ingest_that_fails_leaves_no_child(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """One file has been embedded, which fails, while the child is at the next one."""
    fake(monkeypatch, [answer(), "sleep"])
    children: list[subprocess.Popen[bytes]] = []
    start = subprocess.Popen

    def popen(*arguments: Any, **options: Any) -> subprocess.Popen[bytes]:
        children.append(start(*arguments, **options))
        return children[-1]

    monkeypatch.setattr(subprocess, "Popen", popen)
    monkeypatch.setattr("vstore.config.WINDOW_CHUNKS", 1)
    for name in ("a.html", "b.html"):
        (tmp_path / name).write_text(name)

    class Failing(ToyEmbedder):
        def embed_documents(self, texts: list[str]) -> Any:
            raise OSError("no more")

    with Store(tmp_path / "m.db", Failing()) as store, pytest.raises(OSError, match="no more"):
        store.add([tmp_path / "a.html", tmp_path / "b.html"])
    [child] = children
    assert child.returncode is not None
    assert child.stdin is not None and child.stdin.closed


@pytest.mark.skipif(os.name != "posix", reason="signals to one thread")
def test_an_interrupt_waits_for_no_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """An interrupt that the child does not get, as it gets a terminal's Ctrl-C."""
    fake(monkeypatch, ["sleep"])
    late: list[object] = []
    monkeypatch.setattr(_Child, "_expire", lambda child: (late.append(child), child.kill()))
    monkeypatch.setattr(sandbox, "Limits", lambda: Limits(wall_s=3.0))
    ask, main = _Child.ask, threading.main_thread().ident
    assert main is not None

    def asked(*arguments: Any) -> Any:
        threading.Timer(0.2, signal.pthread_kill, (main, signal.SIGINT)).start()
        return ask(*arguments)

    monkeypatch.setattr(_Child, "ask", asked)
    (tmp_path / "a.html").write_text("a")
    with Store(tmp_path / "m.db", ToyEmbedder()) as store, pytest.raises(KeyboardInterrupt):
        store.add([tmp_path / "a.html"])
    assert late == []


def test_remembered_html_is_read_by_a_child(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    started = fake(monkeypatch, [answer(text="from the child")], ["leave"])
    with Store(tmp_path / "m.db", ToyEmbedder()) as store:
        document = store.remember("<p>x", uri="u", media_type="text/html")
        assert store.get(document.uri).text == "from the child"
        with pytest.raises(InputError, match="crashed"):
            store.remember("<p>y", uri="v", media_type="text/html")
    assert started == [0, 1]


@pytest.mark.parametrize("name", ["json.py", "resource.py", "vstore.py", "nh3.py"])
def test_the_child_imports_nothing_from_the_current_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    (tmp_path / name).write_text(f"open({str(tmp_path / 'was-here')!r}, 'w')")
    monkeypatch.chdir(tmp_path)
    with Sandbox() as box:
        assert box.parse(PAGE, media.HTML).title == "T"
    assert not (tmp_path / "was-here").exists()


def test_a_child_that_cannot_be_started_is_a_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", "/nowhere/python")
    assert refusal(PAGE, media.HTML) == "its parser cannot be started: No such file or directory"


def child_process(code: str) -> str:
    """What the child prints to stderr when it runs `code` in the place of a parser."""
    program = (
        "import io, os, sys\n"
        "from vstore.ingest import foreign, worker\n"
        "from vstore.ingest.parsed import Parsed\n"
        "def parse(data, kind):\n" + "".join(f"    {line}\n" for line in code.splitlines()) + "foreign.parse = parse\n"
        "worker.main(2**30, 10, 0)\n"
    )
    request = worker_request(b"data", "text/html")
    done = subprocess.run([sys.executable, "-c", program], input=request, capture_output=True, check=True)
    (length,) = sandbox.ANSWER.unpack(done.stdout[:8])
    assert len(done.stdout) == 8 + length
    return str(json.loads(done.stdout[8:])["text"])


def worker_request(data: bytes, media_type: str) -> bytes:
    return sandbox.REQUEST.pack(len(media_type), len(data)) + media_type.encode() + data


def test_what_a_library_prints_does_not_reach_the_answers() -> None:
    code = "print('noise', flush=True)\nos.system('echo noise')\nreturn Parsed(repr(sys.stdin.read()))"
    assert child_process(code) == "''"


def test_a_flood_on_stderr_does_not_stop_the_child() -> None:
    with Sandbox() as box:
        flood = "try:\n    while True: os.write(2, bytes(65536))\nexcept BlockingIOError:\n    return Parsed('full')"
        assert run_in_pipe(box, flood).text == "full"


def run_in_pipe(box: Sandbox, code: str) -> Parsed:
    """As `child_process`, but as a child of the sandbox, whose stderr nobody reads."""
    real = sandbox._program
    hook = (
        "import os, sys; from vstore.ingest import foreign; from vstore.ingest.parsed import Parsed\n"
        "def parse(data, kind):\n" + "".join(f"    {line}\n" for line in code.splitlines()) + "foreign.parse = parse\n"
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sandbox, "_program", lambda limits: hook + real(limits))
        return box.parse(PAGE, media.HTML)


@pytest.mark.skipif(sys.platform == "win32", reason="has no such limits")
@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ("open({path!r}, 'wb', 0).write(b'x')", "OSError"),
        ("bytearray(2**31)", "MemoryError"),
        ("import numpy", "ModuleNotFoundError"),
        ("import resource; assert resource.getrlimit(resource.RLIMIT_CORE)[0] != 0", "AssertionError"),
        ("assert 'VSTORE_DB' in os.environ", "AssertionError"),
    ],
)
def test_what_a_child_cannot_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: str, expected: str) -> None:
    monkeypatch.setenv("VSTORE_DB", "/somewhere")
    code = code.format(path=str(tmp_path / "written"))
    with Sandbox() as box:
        hook = f"try:\n    {code}\nexcept Exception as error:\n    return Parsed(type(error).__name__)"
        assert run_in_pipe(box, hook).text == expected


@pytest.mark.skipif(sys.platform == "win32", reason="has no signals")
def test_ctrl_c_ends_the_child_without_a_word(tmp_path: Path) -> None:
    """The whole group gets the signal, as from a terminal, while the child is busy."""
    (tmp_path / "a.html").write_text("<p>x")
    program = (
        "import sys\n"
        "from vstore.ingest import sandbox\n"
        "real = sandbox._program\n"
        "hook = '''import time, sys\n"
        "from vstore.ingest import foreign\n"
        f"def parse(data, kind):\n    open({str(tmp_path / 'busy')!r}, 'x').close(); time.sleep(600)\n"
        "foreign.parse = parse\n'''\n"
        "sandbox._program = lambda limits: hook + real(limits)\n"
        "from vstore.cli import main\n"
        "main()\n"
    )
    command = [sys.executable, "-c", program, "--db", str(tmp_path / "m.db"), "-q", "add", str(tmp_path / "a.html")]
    parent = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    )
    while not (tmp_path / "busy").exists():
        assert parent.poll() is None, parent.communicate()
        time.sleep(0.01)
    os.killpg(parent.pid, 2)
    out, err = parent.communicate(timeout=30)
    assert (out, err) == ("", "vstore: interrupted; what was written before is kept\n")
    assert parent.returncode == 130


def test_this_process_loads_none_of_the_libraries() -> None:
    program = (
        "import sys; import vstore.ingest.pipeline; from vstore.ingest.sandbox import Sandbox\n"
        f"with Sandbox() as box: box.parse({PAGE!r}, 'text/html')\n"
        "print(sorted({'nh3', 'pypdfium2', 'docx', 'pptx', 'openpyxl', 'lxml'} & set(sys.modules)))\n"
    )
    assert subprocess.check_output([sys.executable, "-c", program], text=True).strip() == "[]"

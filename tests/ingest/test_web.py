"""Pages from the web as documents: what is stored of them, under which name, and what becomes of the others."""

from __future__ import annotations

import json
import shlex
import socket
import subprocess
import sys
import threading
import time
from datetime import datetime, timezone
from pathlib import Path

import pytest
from click.testing import CliRunner
from ingest.conftest import Web
from ingest.pretend import PLACE, answer, moved
from ingest.test_pdf import make_pdf
from test_docs import blocks
from toy import ToyEmbedder

from vstore import Store
from vstore.cli import main
from vstore.errors import NotFoundError
from vstore.ingest.report import Progress
from vstore.ingest.walk import Skipped

SENTENCE = "The pressure valve sticks when the oil is colder than five degrees, because its seal shrinks. "
MENU = "<nav><a href='/'>Home</a> <a href='/prices'>Prices</a></nav>"
HANDBOOK = f"""<!doctype html><title>Valves</title>{MENU}
<div class="content"><h1>Valves</h1><p>{SENTENCE * 2}</p>
<h2>Cure</h2><p>Warm the oil. {SENTENCE * 2}</p></div><div class="footer">Imprint</div>"""


@pytest.fixture
def store(tmp_path: Path) -> Store:
    with Store(tmp_path / "m.db", ToyEmbedder()) as store:
        yield store


def test_a_page_becomes_a_document_with_sections_and_where_it_is_from(web: Web, store: Store) -> None:
    web.site.answers["/valves"] = answer(HANDBOOK, "Last-Modified: Wed, 21 Oct 2015 07:28:00 GMT")
    before = datetime.now(timezone.utc).replace(microsecond=0)
    report = store.add("HTTP://example.org/valves#cure", tags=["manual"], metadata={"project": "pump"})
    assert (report.added, report.skipped) == (1, ())
    (document,) = store.documents()
    assert document.uri == "http://example.org/valves"
    assert (document.title, document.media_type, document.tags) == ("Valves", "text/html", ("manual",))
    assert document.updated_at == datetime(2015, 10, 21, 7, 28, tzinfo=timezone.utc)
    fetched_at = document.metadata["fetched_at"]
    assert before <= datetime.fromisoformat(fetched_at) <= datetime.now(timezone.utc)
    assert document.metadata == {
        "via": "web",
        "address": "http://example.org/valves",
        "fetched_at": fetched_at,
        "project": "pump",
    }
    text = store.get(document.uri).text
    assert "Warm the oil" in text and "Prices" not in text and "Imprint" not in text
    assert {hit.heading for hit in store.search("warm oil", where={"via": "web"})} == {"", "Cure"}


def test_the_name_is_the_address_that_was_given_not_where_it_leads(web: Web, store: Store) -> None:
    """So the same name finds, replaces and forgets it, also when it leads elsewhere by then."""
    web.site.answers.update({"/latest": moved("/v1"), "/v1": answer("first", kind="text/plain")})
    store.add("http://example.org/latest")
    (document,) = store.documents()
    assert (document.uri, document.metadata["address"]) == ("http://example.org/latest", "http://example.org/v1")
    web.site.answers.update({"/latest": moved("/v2"), "/v2": answer("second", kind="text/plain")})
    assert store.add("http://example.org:80/latest").updated == 1
    assert store.get("http://EXAMPLE.org/latest").text == "second"
    assert [found.uri for found in store.forget("http://example.org/latest#top")] == ["http://example.org/latest"]
    assert store.documents() == []


def test_what_did_not_change_is_not_touched(web: Web, store: Store) -> None:
    """Only the text, the title and the headings count: pages have tokens in them that are others each time."""
    web.site.answers["/"] = answer(HANDBOOK)
    store.add("http://example.org")
    web.site.answers["/"] = answer(HANDBOOK.replace(MENU, "<nav>Monday</nav><script>token = 5</script>"))
    report = store.add(["http://example.org/", "http://EXAMPLE.org"])
    assert (report.unchanged, report.embedded) == (1, 0)
    web.site.answers["/note"] = answer("one", kind="text/plain")
    store.add("http://example.org/note")
    web.site.answers["/note"] = answer("two", kind="text/plain")
    assert store.add("http://example.org/note").updated == 1
    assert store.add("http://example.org/note").unchanged == 1
    assert store.add("http://example.org/note", tags=["manual"]).updated == 1
    web.site.answers["/note"] = answer("gone", status="404 Not Found")
    gone = (Skipped("http://example.org/note", "the server answered 404"),)
    assert store.add("http://example.org/note").skipped == gone
    assert store.get("http://example.org/note").text == "two"


def test_targets_may_be_files_folders_globs_and_pages(web: Web, store: Store, tmp_path: Path) -> None:
    (tmp_path / "notes").mkdir()
    for name in ("a.md", "b.txt", "notes/c.md"):
        (tmp_path / name).write_text(f"the note {name}")
    web.site.answers["/"] = answer(HANDBOOK)
    seen = []
    targets = ["http://example.org/", tmp_path / "a.md", tmp_path / "notes", f"{tmp_path}/*.txt", "ftp://example.org/x"]
    report = store.add(targets, progress=seen.append)
    assert report.added == 4
    assert report.skipped == (Skipped("ftp://example.org/x", "only http and https are fetched"),)
    assert seen[-1].bytes_done == seen[-1].bytes_total > 0
    with pytest.raises(NotFoundError):
        store.add(["http://example.org/new", tmp_path / "missing"])
    assert len(web.site.requests) == 1


WINTER = "\u0437\u0438\u043c\u0430"
NO_TYPE = "is not a type that is read from the web"
READ = (
    ("/a", answer("plain", kind="text/plain; charset=utf-8"), "text/plain", "plain"),
    ("/a.md", answer("# T\n\ntext", kind="text/plain"), "text/markdown", "# T\n\ntext"),
    ("/a", answer("# T\n\ntext", kind="text/markdown"), "text/markdown", "# T\n\ntext"),
    ("/a.py", answer("x = 1", kind="text/x-python"), "text/x-python", "x = 1"),
    ("/a.js", answer("let x", kind="application/javascript"), "text/x-javascript", "let x"),
    ("/a.csv", answer("a,b\n1,2\n", kind="text/csv"), "text/csv", "a: 1\nb: 2"),
    ("/a?x=b.md", answer('{"a": 5}', kind="application/json"), "application/json", "a: 5"),
    ("/a.html", answer("<p>x", kind="text/plain"), "text/plain", "<p>x"),
    ("/a.pdf", answer(make_pdf(["page one"]), kind="application/octet-stream"), "application/pdf", "page one"),
    ("/a", answer(make_pdf(["page one"]), kind="application/pdf"), "application/pdf", "page one"),
    ("/a", answer("gr\u00fcn".encode("latin-1"), kind="text/plain; charset=latin1"), "text/plain", "gr\u00fcn"),
    ("/a", answer(WINTER.encode("cp1251"), kind="text/plain;charset=windows-1251"), "text/plain", WINTER),
    ("/a", answer("\u4e2d".encode("utf-16"), kind="text/plain; charset=utf-16"), "text/plain", "\u4e2d"),
    ("/a", answer("<p>\u51ac".encode("shift-jis"), kind="text/html;charset=shift_jis"), "text/html", "\u51ac"),
    ("/a", answer(b"<meta charset=windows-1251><p>" + WINTER.encode("cp1251")), "text/html", WINTER),
    ("/a", answer("<meta charset=utf-16><p>gr\u00fcn"), "text/html", "gr\u00fcn"),
    ("/a", answer("gr\u00fcn", kind="text/plain; charset=hex"), "text/plain", "gr\u00fcn"),
    ("/a", answer("gr\u00fcn", kind="text/plain; charset=punycode"), "text/plain", "gr\u00fcn"),
    ("/a", answer("<?xml version='1.0' encoding='utf-8'?><p>x</p>", kind="application/xhtml+xml"), "text/html", "x"),
)  # fmt: skip
REFUSED = (
    ("/a", answer("x", kind="image/png"), f"image/png {NO_TYPE}"),
    ("/a", answer("x", kind="application/octet-stream"), f"application/octet-stream {NO_TYPE}"),
    ("/a.txt", answer("x", kind="application/octet-stream"), f"application/octet-stream {NO_TYPE}"),
    ("/a", answer("x", kind="application/xml"), f"application/xml {NO_TYPE}"),
    ("/a.md", answer("x", kind=""), "the server does not say of what type it is"),
    ("/a.jsonl", answer("{}", kind="text/plain"), "JSONL is read from files alone; download it first"),
    ("/a", answer("{}", kind="application/x-ndjson"), "JSONL is read from files alone; download it first"),
    ("/a", answer(b"\x89PNG\0\0", kind="text/html"), "binary"),
    ("/a", answer(b"a\0\0", kind="text/plain; charset=utf-8"), "binary"),
    ("/a", answer("no", kind="application/pdf"), "damaged PDF (Failed to load document (PDFium: Data format error).)"),
    ("/a", answer(""), "empty"),
    ("/a", answer("<!-- nothing -->"), "empty"),
    ("/a", answer("  ", kind="text/plain"), "empty"),
)  # fmt: skip


def test_the_server_says_of_what_type_a_page_is_and_what_is_not_read_is_named(web: Web, store: Store) -> None:
    addresses = []
    for number, (path, said, *_) in enumerate(READ + REFUSED):
        web.site.answers[f"/{number}{path}"] = said
        addresses.append(f"http://example.org/{number}{path}")
    report = store.add(addresses)
    for address, (_, _, kind, text) in zip(addresses, READ, strict=False):
        content = store.get(address)
        assert (content.document.media_type, content.text.strip()) == (kind, text), address
    refused = addresses[len(READ) :]
    assert {str(skipped.path): skipped.reason for skipped in report.skipped} == {
        address: reason for address, (_, _, reason) in zip(refused, REFUSED, strict=True)
    }
    assert report.added == len(READ)


def test_a_page_says_nothing_of_itself_but_text_and_title(web: Web, store: Store) -> None:
    matter = "---\ntitle: Own\ntags: [trusted]\nvia: hand\nauthor: me\n---\nthe text"
    web.site.answers["/a.md"] = answer(matter, kind="text/markdown")
    store.add("http://example.org/a.md")
    (document,) = store.documents()
    assert (document.title, document.tags) == ("Own", ())
    assert set(document.metadata) == {"via", "address", "fetched_at"}
    assert document.metadata["via"] == "web"


def test_the_mark_of_strangers_stays_whatever_metadata_a_caller_gives(web: Web, store: Store) -> None:
    """Or their texts would be learned from."""
    web.site.answers["/a.md"] = answer("the text", kind="text/markdown")
    store.add("http://example.org/a.md", metadata={"via": "hand", "project": "pump"})
    (document,) = store.documents()
    assert (document.metadata["via"], document.metadata["project"]) == ("web", "pump")


def test_a_password_is_neither_sent_nor_shown(web: Web, store: Store) -> None:
    (skipped,) = store.add("http://mia:secret@example.org/").skipped
    assert skipped.path == "http://***@example.org/"
    assert "user name or password" in skipped.reason
    assert web.network.looked_up == []


def test_without_the_extra_a_page_names_it_and_a_text_needs_none(
    web: Web, store: Store, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "trafilatura.py").write_text("raise ImportError")
    monkeypatch.syspath_prepend(tmp_path)  # where the process that parses looks, too
    web.site.answers.update({"/": answer(HANDBOOK), "/a": answer("text", kind="text/plain")})
    report = store.add(["http://example.org/", "http://example.org/a"])
    assert report.added == 1
    assert report.skipped == (Skipped("http://example.org/", "web pages need an extra: pip install 'vstore[web]'"),)


def test_every_command_takes_an_address_for_a_name(web: Web, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with Store(tmp_path / "m.db", ToyEmbedder()) as store:
        for path in ("/docs/a", "/docs/b", "/other"):
            web.site.answers[path] = answer(f"the page {path}", kind="text/plain")
            store.add(f"http://example.org{path}")
        name = "HTTP://Example.org:80/docs/a#x"
        assert store.get(name).text == "the page /docs/a"
        assert store.why("page", uri=name, mode="lexical").query == "page"
        assert store.feedback("page", name).uri == "http://example.org/docs/a"
        assert [found.uri for found in store.keep(name, pinned=True)] == ["http://example.org/docs/a"]

    def run(*arguments: str) -> str:
        done = CliRunner().invoke(main, ["--db", str(tmp_path / "m.db"), "-q", *arguments])
        assert done.exit_code == 0, done.output
        return done.stdout

    assert "the page /docs/a" in run("get", name)
    assert "http://example.org/other" in run("list")
    assert {row["uri"] for row in json.loads(run("list", "--json", "--where", "via=web"))} == {
        f"http://example.org{path}" for path in ("/docs/a", "/docs/b", "/other")
    }
    assert (
        "1 would be" in CliRunner().invoke(main, ["--db", str(tmp_path / "m.db"), "forget", "--dry-run", name]).stderr
    )
    assert "docs/b" in run("forget", "-y", "http://example.org/docs")
    assert [row["uri"] for row in json.loads(run("list", "--json"))] == ["http://example.org/other"]


def test_the_command_names_pages_that_were_skipped(web: Web, tmp_path: Path) -> None:
    """With the exit code that files have; a file that does not exist is 1, and nothing is fetched."""
    web.network.open_private = True
    web.network.hosts["wiki"] = ["10.0.0.5"]
    web.site.answers["/"] = answer("the wiki", kind="text/plain")

    def add(*arguments: str) -> tuple[int, str]:
        done = CliRunner().invoke(main, ["--db", str(tmp_path / "m.db"), "add", *arguments])
        return done.exit_code, done.stderr

    code, said = add("http://wiki:8080/", "gopher://wiki/")
    assert code == 0
    assert "skipped http://wiki:8080/: port 8080 of wiki is not one of web pages (80, 443); " in said
    assert "skipped gopher://wiki/: only http and https are fetched\n" in said
    assert add("http://wiki:8080/", str(tmp_path / "missing"))[0] == 1
    assert web.network.looked_up == []


def test_an_intranet_is_reached_when_it_is_asked_for(web: Web, store: Store) -> None:
    web.network.open_private = True
    web.network.hosts["wiki"] = ["10.0.0.5"]
    web.site.answers["/"] = answer("the wiki", kind="text/plain")
    assert store.add("http://wiki:8080/").added == 0
    assert store.add("http://wiki:8080/", allow_private=True).added == 1
    assert web.network.connected == [("10.0.0.5", 8080)]


def test_nothing_of_the_network_is_loaded_without_an_address(tmp_path: Path) -> None:
    (tmp_path / "a.md").write_text("text")
    code = (
        "import sys\n"
        "sys.path.insert(0, 'tests')\n"
        "from toy import ToyEmbedder\n"
        "from vstore import Store\n"
        f"with Store({str(tmp_path / 'm.db')!r}, ToyEmbedder()) as store:\n"
        f"    assert store.add({str(tmp_path / 'a.md')!r}).added == 1\n"
        "    store.find(store.documents()[0].uri)\n"
        "names = {'ssl', 'http.client', 'trafilatura', 'lxml', 'idna', 'vstore.ingest.web_fetch'}\n"
        "print(sorted(names & set(sys.modules)))\n"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "[]"


def test_an_encrypted_page_is_added_end_to_end(secure_web: Web, store: Store) -> None:
    secure_web.site.answers.update({"/": moved("https://www.example.org/valves"), "/valves": answer(HANDBOOK)})
    assert store.add("https://example.org/").added == 1
    assert store.documents()[0].metadata["address"] == "https://www.example.org/valves"
    assert secure_web.network.connected == [(PLACE, 443)] * 2


def test_the_examples_of_the_page_about_it_run(
    secure_web: Web, store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Over TLS, with a server here that has the name of the one in the examples."""
    page = (Path(__file__).parents[2] / "docs" / "web.md").read_text(encoding="utf-8")
    (shell,), (python,) = blocks(page, "sh"), blocks(page, "python")
    secure_web.site.answers["/handbook"] = moved("https://www.example.org/handbook/")
    secure_web.site.answers["/handbook/"] = answer(HANDBOOK)
    secure_web.site.answers["/prices.md"] = answer("# Prices\n\nA seal is 3 EUR.", kind="text/plain")
    (tmp_path / "notes").mkdir()
    (tmp_path / "notes" / "own.md").write_text("Warm oil is in the shed.")
    exec(compile(python, "web.md", "exec"), {"store": store})
    assert capsys.readouterr().out == "https://www.example.org/handbook/\n"

    monkeypatch.setattr("vstore.serving.Serving._base", lambda *_: ToyEmbedder())  # the model that is configured
    monkeypatch.setenv("VSTORE_DB", str(tmp_path / "shell.db"))
    monkeypatch.chdir(tmp_path)
    said = []
    for line in shell.splitlines():
        done = CliRunner().invoke(main, shlex.split(line)[1:])
        assert done.exit_code == 0, done.output
        said.append(done.stdout)
    assert said[0].startswith("3 added, 0 updated, 0 unchanged, 0 skipped")
    assert "https://example.org/handbook" in said[1] and "own.md" not in said[1]
    assert "https://example.org/handbook" in said[2] and "prices" not in said[2]


def test_an_ingest_that_is_interrupted_waits_for_no_page(
    web: Web, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = threading.Event()

    def stall(connection: socket.socket) -> None:
        asked.set()
        web.site.ended.wait(60)

    def interrupt(progress: Progress) -> None:
        if progress.documents:
            assert asked.wait(30)
            raise KeyboardInterrupt

    monkeypatch.setattr("vstore.config.WINDOW_CHUNKS", 1)
    monkeypatch.setattr("vstore.config.WEB_SECONDS", 60)
    web.site.answers.update({"/": answer("first", kind="text/plain"), "/slow": stall})
    started = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        store.add(["http://example.org/", "http://example.org/slow"], progress=interrupt)
    assert time.monotonic() - started < 50
    assert [document.uri for document in store.documents()] == ["http://example.org/"]

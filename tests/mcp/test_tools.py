"""What each tool takes, refuses and hands back, whichever way the call came."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from agents import Agent, agent
from toy import ToyEmbedder

from vstore import Store, config, settings
from vstore.addresses import Address
from vstore.ingest.web_fetch import Fetcher, Page
from vstore.mcp import results
from vstore.mcp.quota import Quota
from vstore.mcp.service import Service
from vstore.mcp.tools import STORED, Options, listed

STEERING = "red\x1b[31m \u202ereversed\u202c tag\U000e0041 soft\u00adhyphen\u2028line"
SHOWN = "red�[31m �reversed� tag� soft�hyphen�line"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two folders that an agent may add from, and things beside and in them that it may not have."""
    top = tmp_path_factory.mktemp("tools")
    for name, text in {
        "notes/valves.md": "# Valves\n\nFault E-4471 means a stuck valve.",
        "notes/sub/doors.md": "Doors open at nine.",
        "notes/.hidden/secret.md": "Hidden.",
        "notes/.env": "PASSWORD=hunter2",
        "notes/id_rsa": "-----BEGIN KEY-----",
        "more/gates.md": "Gates are raised by hand.",
        "outside.md": "Outside of all roots.",
    }.items():
        (top / name).parent.mkdir(parents=True, exist_ok=True)
        (top / name).write_text(text, encoding="utf-8")
    if sys.platform != "win32":
        (top / "notes" / "away.md").symlink_to(top / "outside.md")
        (top / "notes" / "up").symlink_to(top)
        (top / "notes" / "inner.md").symlink_to(top / "notes" / "valves.md")
    return top


@pytest.fixture(scope="module")
def served(folder: Path) -> Iterator[Agent]:
    """A server with all tools; its store lies below a root, which is where a user may have it."""
    roots = [part for name in ("notes", "more") for part in ("--root", str(folder / name))]
    with agent(folder / "notes" / "memory.db", *roots, "--allow-forget") as client:
        client.call("memory_remember", text="The harbour lights are green.", title="Lights", uri="lights")
        os.link(folder / "notes" / "memory.db", folder / "notes" / "twin.txt")
        yield client


# --- what is listed ---------------------------------------------------------------------------------------------------

READING, WRITING = ["memory_search", "memory_get", "memory_stats"], ["memory_remember", "memory_feedback"]
ROOT = (Path("/"),)


@pytest.mark.parametrize(
    ("options", "names"),
    [
        (Options(), [*READING, *WRITING]),
        (Options(read_only=True, roots=ROOT, forget=True, urls=True), READING),
        (Options(roots=ROOT), [*READING, *WRITING, "memory_add"]),
        (Options(forget=True), [*READING, *WRITING, "memory_forget"]),
        (Options(roots=ROOT, forget=True), [*READING, *WRITING, "memory_add", "memory_forget"]),
        (Options(connector=True), ["search", "fetch", "memory_stats", *WRITING]),
        (Options(connector=True, read_only=True), ["search", "fetch", "memory_stats"]),
    ],
)
def test_only_what_the_user_allowed_is_listed_and_never_more_than_eight(options: Options, names: list[str]) -> None:
    tools = listed(options)
    assert [tool.name for tool in tools] == names
    assert len(tools) <= 8
    assert len(json.dumps([tool.listing() for tool in tools])) < 5_000, "every session begins with it"


@pytest.mark.parametrize(
    ("name", "reads", "destroys"),
    [
        ("memory_search", True, False),
        ("memory_get", True, False),
        ("memory_stats", True, False),
        ("memory_remember", False, True),
        ("memory_feedback", False, False),
        ("memory_add", False, True),
        ("memory_forget", False, True),
    ],
)
def test_each_tool_says_what_it_does_to_the_store(served: Agent, name: str, reads: bool, destroys: bool) -> None:
    (tool,) = [tool for tool in served.ask("tools/list")["result"]["tools"] if tool["name"] == name]
    assert tool["annotations"] == {
        "readOnlyHint": reads,
        "destructiveHint": destroys,
        "idempotentHint": True,
        "openWorldHint": False,
    }
    assert tool["inputSchema"]["additionalProperties"] is False
    assert ("maxLength" in json.dumps(tool)) is False
    if name in ("memory_search", "memory_get"):
        assert tool["description"].endswith(STORED)


def test_only_pages_of_the_web_make_the_world_open() -> None:
    hints = {tool.name: tool.hints["openWorldHint"] for tool in listed(Options(roots=ROOT, urls=True, forget=True))}
    assert [name for name, is_open in hints.items() if is_open] == ["memory_add"]


# --- what is refused --------------------------------------------------------------------------------------------------

LONG = "x" * (config.MCP_NAME_CHARS + 1)
REFUSED: list[tuple[str, dict[str, Any], str]] = [
    ("memory_stats", {"verbose": True}, "there is no argument 'verbose'; there are: none"),
    ("memory_search", {}, "the argument 'query' is missing"),
    ("memory_search", {"query": "x", "k": 5}, "there is no argument 'k'; there are: query, limit,"),
    ("memory_search", {"query": ""}, "query is empty"),
    ("memory_search", {"query": "  "}, "query"),
    ("memory_search", {"query": 7}, "query is a text, not 7"),
    ("memory_search", {"query": None}, "query is a text, not None"),
    ("memory_search", {"query": ["x"]}, "query is a text, not a list"),
    ("memory_search", {"query": "x" * 100_001}, "query has 100,001 characters; at most 100,000"),
    ("memory_search", {"query": "x", "limit": 0}, "limit is from 1 to 50, not 0"),
    ("memory_search", {"query": "x", "limit": 51}, "limit is from 1 to 50, not 51"),
    ("memory_search", {"query": "x", "limit": True}, "limit is a whole number, not True"),
    ("memory_search", {"query": "x", "limit": 5.0}, "limit is a whole number, not 5.0"),
    ("memory_search", {"query": "x", "limit": "5"}, "limit is a whole number, not '5'"),
    ("memory_search", {"query": "x", "tags": "auth"}, "tags is a list, not 'auth'"),
    ("memory_search", {"query": "x", "tags": [1]}, "an entry of tags is a text, not 1"),
    ("memory_search", {"query": "x", "tags": ["x"] * 101}, "tags has 101 entries; at most 100"),
    ("memory_search", {"query": "x", "collection": LONG}, "collection has 1,001 characters"),
    ("memory_search", {"query": "x", "where": "a=1"}, "where is an object, not 'a=1'"),
    ("memory_search", {"query": "x", "where": {"a": {"$regex": "x"}}}, "$regex"),
    ("memory_search", {"query": "x", "since": "yesterday"}, "yesterday"),
    ("memory_get", {}, "give the id of a result or the uri of a document, one of the two"),
    ("memory_get", {"id": 1, "uri": "lights"}, "one of the two"),
    ("memory_get", {"id": 10**6}, "there is no chunk 1000000"),
    ("memory_get", {"id": 2**63}, "id is from 1 to 9223372036854775807"),
    ("memory_get", {"uri": "nowhere"}, "the store has no document 'nowhere'"),
    ("memory_get", {"id": 1, "offset": -1}, "offset is from 0 to"),
    ("memory_remember", {"text": " \n "}, "there is nothing to remember"),
    ("memory_remember", {"text": "é" * (config.MCP_TEXT_BYTES // 2 + 1)}, "the text has 1,048,578 bytes; at most"),
    ("memory_remember", {"text": "x" * (config.MCP_TEXT_BYTES + 1)}, "text has 1,048,577 characters"),
    ("memory_remember", {"text": "x", "title": LONG}, "title has 1,001 characters"),
    ("memory_remember", {"text": "x", "expires": "soon"}, "soon"),
    ("memory_remember", {"text": "x", "pinned": True}, "there is no argument 'pinned'"),
    ("memory_remember", {"text": "x", "metadata": json.loads('{"a":' * 600 + "1" + "}" * 600)}, "nested more than"),
    ("memory_feedback", {"query": "x", "id": 1}, "the argument 'relevant' is missing"),
    ("memory_feedback", {"query": "x", "id": 1, "relevant": 1}, "relevant is true or false, not 1"),
    ("memory_feedback", {"query": "x", "id": "1", "relevant": True}, "id is a whole number, not '1'"),
    ("memory_feedback", {"query": " ", "id": 1, "relevant": True}, "a query is a text with words"),
    ("memory_feedback", {"query": "x", "relevant": True}, "one of the two"),
    ("memory_forget", {"uri": "light"}, "there is no document 'light'"),
    ("memory_forget", {"uri": ""}, "uri is empty"),
    ("memory_add", {"paths": "notes"}, "paths is a list, not 'notes'"),
    ("memory_add", {"paths": []}, "paths is empty"),
    ("memory_add", {"paths": ["a"] * 101}, "paths has 101 entries"),
]


@pytest.mark.parametrize(("tool", "arguments", "line"), REFUSED, ids=lambda part: part if isinstance(part, str) else "")
def test_what_cannot_be_meant_is_refused_in_one_line(
    served: Agent, tool: str, arguments: dict[str, Any], line: str
) -> None:
    assert line in served.failure(tool, **arguments)


PATHS = [
    ("../outside.md", "is not below a root of this server"),
    ("sub/../../outside.md", "is not below a root of this server"),
    ("/etc/passwd", "is not below a root of this server"),
    ("~/.ssh/config", "no such file or folder"),
    ("away.md", "below a root of this server"),
    ("up/outside.md", "below a root of this server"),
    ("up", "below a root of this server"),
    ("missing.md", "below a root of this server: missing.md; globs are not taken"),
    ("*.md", "below a root of this server: *.md; globs are not taken"),
    ("no\0thing", "cannot be used as a path"),
    (".hidden/secret.md", "is hidden or generated"),
    (".env", "may hold secrets"),
    ("id_rsa", "may hold secrets"),
    ("memory.db", "is the store itself"),
    ("memory.db-wal", "is the store itself"),
    ("twin.txt", "is the store itself"),
    ("http://example.com/", "only with --allow-urls"),
    ("file:///etc/passwd", "only with --allow-urls"),
    ("javascript:alert(1)", "below a root of this server"),
]


@pytest.mark.skipif(sys.platform == "win32", reason="has neither these links nor these paths")
@pytest.mark.parametrize(("path", "line"), PATHS)
def test_nothing_is_added_from_anywhere_else(served: Agent, path: str, line: str) -> None:
    before = served.call("memory_stats")["documents"]
    assert line in served.failure("memory_add", paths=[path])
    assert line in served.failure("memory_add", paths=["valves.md", path]), "all or nothing"
    assert served.call("memory_stats")["documents"] == before


@pytest.mark.parametrize("url", ["ftp://example.com/x", "file:///etc/passwd", "gopher://x"])
def test_allowed_urls_are_those_of_the_web(tmp_path: Path, url: str) -> None:
    service = service_of(tmp_path, Options(roots=(tmp_path,), urls=True))
    result = service.call("memory_add", {"paths": [url]}, "tester")
    assert result["isError"] and "neither a path nor a URL with http: or https:" in result["content"][0]["text"]
    service.close()


@pytest.mark.usefixtures("toy")
def test_a_page_that_an_agent_added_is_marked_as_a_strangers_and_a_file_beside_it_is_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fetch(fetcher: Fetcher, address: Address) -> Page:
        return Page(address, "text/plain", "utf-8", b"Pages of strangers.", None)

    monkeypatch.setattr(Fetcher, "fetch", fetch)
    (tmp_path / "own.md").write_text("A file of mine.", encoding="utf-8")
    service = service_of(tmp_path, Options(roots=(tmp_path,), urls=True))
    done = service.call("memory_add", {"paths": ["own.md", "https://example.com/a"]}, "tester")
    assert done["structuredContent"]["added"] == 2, done
    found = service.call("memory_search", {"query": "strangers file"}, "tester")["structuredContent"]["results"]
    marks = {hit["uri"]: (hit.get("via"), hit.get("added_by")) for hit in found}
    assert marks == {"https://example.com/a": ("web", None), (tmp_path / "own.md").as_posix(): (None, "tester")}
    refused = service.call("memory_remember", {"text": "Mine.", "uri": "https://example.com/a"}, "tester")
    assert refused["isError"] and "was not written by an agent" in refused["content"][0]["text"]
    service.close()
    with Store(tmp_path / "memory.db") as store:
        (page,) = store.documents(where={"via": "web"})
        assert page.metadata["client"] == "tester"


# --- what comes back --------------------------------------------------------------------------------------------------


@pytest.mark.skipif(sys.platform == "win32", reason="makes links")
def test_files_below_the_roots_are_added_and_marked(served: Agent, folder: Path) -> None:
    done = served.call("memory_add", paths=[".", str(folder / "more" / "gates.md")], collection="files", tags=["t"])
    assert (done["added"], done["skipped_in_all"]) == (3, len(done["skipped"]))
    again = served.call("memory_add", paths=["inner.md"], collection="files", tags=["t"])
    assert (again["added"], again["unchanged"]) == (0, 1)
    found = served.call("memory_search", query="E-4471", collection="files", tags=["t"])
    assert found["results"][0]["uri"] == (folder / "notes" / "valves.md").as_posix()
    assert found["results"][0]["added_by"] == "tester 1"
    texts = str(served.call("memory_search", query="hidden outside password", collection="files", limit=50))
    assert "hunter2" not in texts and "Outside of all" not in texts and "Hidden." not in texts


def test_what_is_remembered_is_found_read_judged_and_forgotten(served: Agent) -> None:
    found = served.call("memory_search", query="harbour lights", limit=1)
    (hit,) = found["results"]
    assert set(found) == {"answerable", "confidence", "mode", "notes", "results"}
    assert {name: hit[name] for name in ("uri", "title", "preview", "whole", "added_by")} == {
        "uri": "lights",
        "title": "Lights",
        "preview": "The harbour lights are green.",
        "whole": True,
        "added_by": "tester 1",
    }
    assert set(hit) - {"uri", "title", "preview", "whole", "added_by"} == {"id", "updated_at", "score", "confidence"}
    page = served.call("memory_get", id=hit["id"], offset=4, limit=7)
    assert (page["text"], page["total_chars"], page["next_offset"]) == ("harbour", 29, 11)
    assert page["chunk"] == {"id": hit["id"], "heading": "", "start": 0, "end": 29}
    judged = served.call("memory_feedback", query="harbour lights", id=hit["id"], relevant=False)
    assert (judged["grade"], judged["uri"]) == (0.0, "lights")
    replaced = served.call("memory_remember", text="The harbour lights are red.", uri="lights")
    assert replaced["uri"] == "lights"
    assert served.call("memory_get", uri="lights")["text"] == "The harbour lights are red."
    assert served.call("memory_forget", uri="lights")["forgotten"] == ["lights"]
    assert "no document" in served.failure("memory_get", uri="lights")
    served.call("memory_remember", text="The harbour lights are green.", title="Lights", uri="lights")


def test_one_document_is_forgotten_never_a_folder(served: Agent) -> None:
    for name in ("a/1", "a/2"):
        served.call("memory_remember", text=f"Note {name}.", uri=name)
    assert "one by one, by their whole uri" in served.failure("memory_forget", uri="a")
    served.call("memory_remember", text="Elsewhere.", uri="a/1", collection="other")
    assert "is in several collections; name one of: " in served.failure("memory_forget", uri="a/1")
    assert served.call("memory_forget", uri="a/1", collection="other")["forgotten"] == ["a/1"]
    assert served.call("memory_get", uri="a/1")["text"] == "Note a/1."


def test_an_agent_can_neither_hide_that_it_wrote_nor_replace_what_it_did_not(tmp_path: Path) -> None:
    with Store(tmp_path / "memory.db", ToyEmbedder()) as store:
        store.remember("The user's own.", uri="own")
    with agent(tmp_path / "memory.db") as client:
        assert "was not written by an agent" in client.failure("memory_remember", text="Mine now.", uri="own")
        client.initialize(name="bad\x1b[31m\nname" + "x" * 200)
        client.call("memory_remember", text="Hi.", uri="hi", metadata={"via": "user", "client": "me", "year": 2026})
        shown = client.call("memory_get", uri="hi")
        assert shown["metadata"]["year"] == 2026
    with Store(tmp_path / "memory.db") as store:
        assert store.get("own").text == "The user's own."
        (document,) = store.documents(where={"via": "mcp"})
        assert document.metadata["client"] == ("bad�[31m�name" + "x" * 200)[: config.MCP_CLIENT_CHARS]


def test_stored_text_cannot_steer_whoever_shows_it_and_offsets_hold(served: Agent) -> None:
    served.call("memory_remember", text=STEERING, title=STEERING, uri="steering", metadata={STEERING: [STEERING]})
    page = served.call("memory_get", uri="steering")
    assert (page["text"], page["title"], page["total_chars"]) == (SHOWN, SHOWN, len(STEERING))
    assert page["metadata"][SHOWN] == [SHOWN]
    found = served.call("memory_search", query="reversed soft")
    assert SHOWN in [hit["preview"] for hit in found["results"]]
    assert "\x1b" not in served.failure("memory_get", uri="\x1b[31m")


@pytest.mark.parametrize("sign", ["word ", "字", "\n", '"', "\u202e.", "🜁 "], ids=ascii)
def test_a_long_text_comes_in_pages_within_the_budget_and_nothing_of_it_is_lost(served: Agent, sign: str) -> None:
    text = f"start {sign * (30_000 // len(sign))} end"
    uri = served.call("memory_remember", text=text)["uri"]
    offset, parts = 0, []
    while offset is not None:
        page = served.call("memory_get", uri=uri, offset=offset)
        assert len(json.dumps(page, ensure_ascii=False).encode()) <= config.MCP_RESULT_BYTES + 200
        parts.append(page["text"])
        assert page["next_offset"] is None or page["next_offset"] > offset
        offset = page["next_offset"]
    assert "".join(parts) == text.replace("\u202e", "�")
    assert served.call("memory_get", uri=uri, offset=10**6)["text"] == ""
    served.call("memory_forget", uri=uri)


def test_a_search_that_finds_too_much_says_how_much_was_left_out(served: Agent) -> None:
    for number in range(50):
        served.call("memory_remember", text=f"lantern {number} " + "word " * 76, collection="many")
    found = served.call("memory_search", query="lantern", collection="many", limit=50)
    assert len(found["results"]) + found["left_out"] == 50
    assert 10 < len(found["results"]) < 50
    assert results.size_of(found) <= config.MCP_RESULT_BYTES + 50


def test_large_metadata_is_left_out_of_a_page(served: Agent) -> None:
    served.call("memory_remember", text="Rich.", uri="rich", metadata={"a": "x" * config.MCP_METADATA_BYTES})
    assert served.call("memory_get", uri="rich")["metadata"] == "left out: too large"
    deep = json.loads('{"a":' * 300 + "1" + "}" * 300)
    served.call("memory_remember", text="Deep.", uri="deep", metadata=deep)
    assert served.call("memory_get", uri="deep")["metadata"]["a"] == deep["a"]


LENGTHY = "zebras answer " * 2500  # characters: more than a result holds
FILES = {
    "a.md": f"# {LENGTHY}\n\nanswer about zebras and more text here",
    "a.html": f"<html><body><h1>{LENGTHY}</h1><p>answer about zebras and more text here</p></body></html>",
}


@pytest.mark.usefixtures("toy")
@pytest.mark.parametrize("name", FILES)
def test_a_heading_as_long_as_a_book_hides_no_result_and_is_read_page_by_page(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text(FILES[name], encoding="utf-8")
    service = service_of(tmp_path, Options())
    with Store(tmp_path / "memory.db", ToyEmbedder()) as store:
        store.add(tmp_path / name)
        store.remember("answer about zebras", title=LENGTHY, uri="titled", tags=[f"{n}{'x' * 990}" for n in range(30)])
        for number in range(3):
            store.remember(f"answer about zebras number {number}")
    found = service.call("memory_search", {"query": "answer about zebras"}, "tester")["structuredContent"]
    assert len({hit["uri"] for hit in found["results"]}) == 5 and "left_out" not in found
    for hit in found["results"]:
        assert max(len(hit["title"]), len(hit.get("heading", ""))) <= config.MCP_NAME_CHARS
        offset, text = 0, ""
        while offset is not None:
            page = service.call("memory_get", {"id": hit["id"], "offset": offset}, "tester")["structuredContent"]
            assert results.size_of(page) <= config.MCP_RESULT_BYTES + 200
            assert page["next_offset"] is None or page["next_offset"] > offset
            offset, text = page["next_offset"], text + page["text"]
        assert len(text) == page["total_chars"]
    assert service.call("memory_get", {"uri": "titled"}, "tester")["structuredContent"]["tags"] == "left out: too large"
    service.close()


@pytest.mark.usefixtures("toy")
def test_a_result_that_is_too_large_is_left_out_alone_and_its_pages_still_go_on(tmp_path: Path) -> None:
    service = service_of(tmp_path, Options())
    with Store(tmp_path / "memory.db", ToyEmbedder()) as store:
        store.remember("zebras zebras zebras", uri="u" * config.MCP_RESULT_BYTES)
        store.remember("zebras and horses")
        number = store.search("zebras zebras zebras")[0].chunk_id
    found = service.call("memory_search", {"query": "zebras zebras zebras"}, "tester")["structuredContent"]
    assert [hit["preview"] for hit in found["results"]] == ["zebras and horses"]
    assert found["left_out"] == 1
    page = service.call("memory_get", {"id": number, "offset": 3}, "tester")["structuredContent"]
    assert page["next_offset"] > 3
    service.close()


def test_the_pair_for_connectors_has_their_shape(tmp_path: Path) -> None:
    path = tmp_path / "memory.db"
    long = "\n\n".join(f"Paragraph {number} speaks of ordinary things." for number in range(600))
    with Store(path, ToyEmbedder()) as store:
        store.remember("The harbour lights are green.", title="Lights", uri="/home/mia/lights.md")
        store.remember(f"{long}\n\nThe zeppelin landed.\n\n{long}", title="Long", uri="memory:long")
    with agent(path, "--connector", before=("--read-only",)) as client:
        (entry, *_) = client.call("search", query="harbour lights")["results"]
        assert entry == {"id": "1", "title": "Lights", "url": "file:///home/mia/lights.md"}
        fetched = client.call("fetch", id="1")
        assert {name: fetched[name] for name in ("id", "title", "text", "url")} == {
            **entry,
            "text": "The harbour lights are green.",
        }
        (found, *_) = client.call("search", query="zeppelin landed")["results"]
        part = client.call("fetch", id=found["id"])
        assert "The zeppelin landed." in part["text"] and part["url"] == "memory:long"
        assert part["metadata"]["part"].endswith(f"of {len(long) * 2 + 24:,}")
        for wrong in ("99999", "lights", "-1", "9" * 30, "²"):
            assert "there is no" in client.failure("fetch", id=wrong)
        number = client.start_call("search", {"query": "harbour"})
        assert "structuredContent" not in client.answer(number)["result"], "connectors read text only"


# --- quotas and failures ----------------------------------------------------------------------------------------------


def service_of(folder: Path, options: Options, quota: Quota | None = None) -> Service:
    return Service(settings.load(db=str(folder / "memory.db")), options, quota)


@pytest.fixture
def toy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("vstore.serving.Serving._choose", lambda *_: ToyEmbedder())


def test_writes_are_counted_by_the_minute_for_all_and_by_the_session_for_each() -> None:
    now = [0.0]
    quota = Quota(3, 4, lambda: now[0])
    for session in "aab":
        quota.spend(session)
    with pytest.raises(Exception, match=r"3 writes a minute are taken; the next one in 60 seconds"):
        quota.spend("c")
    now[0] = 59.5
    with pytest.raises(Exception, match=r"in 1 seconds"):
        quota.spend("c")
    now[0] = 60
    quota.spend("a")
    quota.spend("a")
    with pytest.raises(Exception, match=r"this session has written 4 times, which is all it may"):
        quota.spend("a")
    quota.spend("b")


def test_a_quota_remembers_the_sessions_that_wrote_last(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(config, "MCP_SESSIONS", 2)
    quota = Quota(100, 2)
    for session in ("a", "b", "a", "c"):  # of which b wrote longest ago
        quota.spend(session)
    with pytest.raises(Exception, match="this session has written 2 times"):
        quota.spend("a")
    quota.spend("b")
    quota.spend("b")
    assert len(quota._written) == 2


@pytest.mark.usefixtures("toy")
def test_only_what_writes_is_counted_and_what_is_refused_writes_nothing(tmp_path: Path) -> None:
    service = service_of(tmp_path, Options(), Quota(2, 10))
    for text in ("One.", "Two."):
        assert not service.call("memory_remember", {"text": text}, "tester")["isError"]
    refused = service.call("memory_remember", {"text": "Three."}, "tester")
    assert refused["isError"] and "2 writes a minute" in refused["content"][0]["text"]
    for _ in range(5):
        found = service.call("memory_search", {"query": "three"}, "tester")["structuredContent"]
        assert len(found["results"]) == 2
    service.close()
    service.close()


@pytest.mark.usefixtures("toy")
def test_a_bug_is_logged_and_answered_plainly_and_the_next_call_is_served(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    service = service_of(tmp_path, Options())
    service.call("memory_remember", {"text": "One."}, "tester")
    with monkeypatch.context() as broken:
        broken.setattr("vstore.store.Store.stats", lambda store: 1 / 0)
        result = service.call("memory_stats", {}, "tester")
    assert result["isError"]
    assert result["content"][0]["text"] == "vstore failed in a way that it does not know; see the server's log"
    assert "ZeroDivisionError" in capsys.readouterr().err
    assert service.call("memory_stats", {}, "tester")["structuredContent"]["documents"] == 1
    service.close()


@pytest.mark.usefixtures("toy")
def test_an_error_that_quotes_what_it_was_given_is_short(tmp_path: Path) -> None:
    service = service_of(tmp_path, Options())
    service.call("memory_remember", {"text": "One."}, "tester")
    result = service.call("memory_search", {"query": "x", "where": {"a": {"$" + "x" * 10_000: 1}}}, "tester")
    assert result["isError"] and len(result["content"][0]["text"]) == config.MCP_ERROR_CHARS
    service.close()


@pytest.mark.usefixtures("toy")
def test_a_reading_call_makes_no_store_and_a_writing_one_does(tmp_path: Path) -> None:
    service = service_of(tmp_path, Options())
    missing = service.call("memory_search", {"query": "x"}, "tester")
    assert missing["isError"] and not (tmp_path / "memory.db").exists()
    assert not service.call("memory_remember", {"text": "One."}, "tester")["isError"]
    assert not service.call("memory_search", {"query": "one"}, "tester")["isError"]
    service.close()


@pytest.mark.usefixtures("toy")
def test_a_read_only_server_leaves_every_byte_as_it_is(tmp_path: Path) -> None:
    with Store(tmp_path / "memory.db", ToyEmbedder()) as store:
        store.remember("One.")
    before = (tmp_path / "memory.db").read_bytes()
    service = service_of(tmp_path, Options(read_only=True))
    assert not service.has("memory_remember")
    assert service.call("memory_search", {"query": "one"}, "tester")["structuredContent"]["results"]
    service.close()
    assert (tmp_path / "memory.db").read_bytes() == before

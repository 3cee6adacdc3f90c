"""What is the user's stays the user's, whichever way an agent comes to it."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import pytest
from toy import ToyEmbedder

from vstore import Store, settings
from vstore.addresses import Address
from vstore.ingest import read as reading
from vstore.ingest.source import Source
from vstore.ingest.web_fetch import Fetcher, Page
from vstore.mcp import roots
from vstore.mcp.service import Service
from vstore.mcp.tools import Options
from vstore.types import StoredDocument

NOT_ADDED = "was not added by an agent, so none may replace it"
PAGE = "https://example.com/a"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    folder = tmp_path.resolve() / "root"
    folder.mkdir()
    return folder


@pytest.fixture
def service(root: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Service]:
    def fetch(fetcher: Fetcher, address: Address) -> Page:
        return Page(address, "text/plain", "utf-8", b"Pages of strangers.", None)

    monkeypatch.setattr(Fetcher, "fetch", fetch)
    monkeypatch.setattr("vstore.serving.Serving._choose", lambda *_: ToyEmbedder())
    made = Service(settings.load(db=str(root.parent / "memory.db")), Options(roots=(root,), urls=True))
    yield made
    made.close()


@pytest.fixture
def store(root: Path, service: Service) -> Iterator[Store]:
    """The user's own way to the same file."""
    with Store(root.parent / "memory.db", ToyEmbedder()) as opened:
        yield opened


def call(service: Service, tool: str, **arguments: Any) -> dict[str, Any]:
    """What came of a call: its structured content, or under "error" why not."""
    result = service.call(tool, arguments, "tester")
    if result["isError"]:
        return {"error": result["content"][0]["text"]}
    content: dict[str, Any] = result["structuredContent"]
    return content


def only(store: Store) -> StoredDocument:
    (document,) = store.documents()
    return document


@pytest.mark.skipif(sys.platform == "win32", reason="makes links")
def test_a_folder_that_becomes_a_link_after_it_was_checked_leads_nowhere(
    service: Service, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (root / "d").mkdir()
    (root / "d" / "x.txt").write_text("Inside.")
    (root.parent / "outside").mkdir()
    (root.parent / "outside" / "x.txt").write_text("Outside of all roots.")
    allowed = roots.allowed

    def swapped(*given: Any, **named: Any) -> tuple[list[str], list[str]]:
        found = allowed(*given, **named)
        (root / "d").rename(root / "moved")
        (root / "d").symlink_to(root.parent / "outside")
        return found

    monkeypatch.setattr(roots, "allowed", swapped)
    done = call(service, "memory_add", paths=["d/x.txt"])
    assert done["added"] == 0
    outside = (root.parent / "outside" / "x.txt").as_posix()
    assert done["skipped"] == [{"path": outside, "reason": "is not below a root of this server"}]


@pytest.mark.skipif(sys.platform == "win32", reason="makes links")
def test_a_folder_that_is_a_link_for_a_moment_gives_its_files_no_other_name(
    service: Service, store: Store, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (root / "d").mkdir()
    (root / "d" / "x.txt").write_text("Inside.")
    (root.parent / "outside").mkdir()
    (root.parent / "outside" / "x.txt").write_text("Outside of all roots.")
    refusal, load = roots.refusal, reading.load
    checks: list[Path] = []

    def swapped(place: Path, *given: Any) -> str | None:
        reason = refusal(place, *given)
        checks.append(place)
        if len(checks) == 2:  # of what was asked for, then of what was found
            (root / "d").rename(root / "moved")
            (root / "d").symlink_to(root.parent / "outside")
        return reason

    def swapped_back(path: Path) -> Source:
        if (root / "d").is_symlink():
            (root / "d").unlink()
            (root / "moved").rename(root / "d")
        return load(path)

    monkeypatch.setattr(roots, "refusal", swapped)
    monkeypatch.setattr(reading, "load", swapped_back)
    assert call(service, "memory_add", paths=["d/x.txt"])["added"] == 1
    assert only(store).uri == (root / "d" / "x.txt").as_posix()
    assert store.get(only(store).uri).text == "Inside."


def test_a_hidden_folder_is_for_agents_where_it_is_itself_a_root(tmp_path: Path) -> None:
    top = tmp_path.resolve()
    hidden = top / ".notes"
    hidden.mkdir()
    (hidden / "a.md").write_text("Mine.")
    store = tmp_path / "memory.db"
    assert roots.refusal(hidden / "a.md", (top, hidden), store) is None
    assert "is hidden or generated" in str(roots.refusal(hidden / "a.md", (top,), store))


def test_a_file_that_the_user_added_keeps_its_labels_and_its_text(service: Service, store: Store, root: Path) -> None:
    (root / "a.md").write_text("Never push on Fridays.")
    store.add(root / "a.md", tags=["policy"], metadata={"owner": "me"})
    for text in ("Never push on Fridays.", "Push on Fridays."):
        (root / "a.md").write_text(text)
        done = call(service, "memory_add", paths=["a.md"], tags=["agents"])
        assert (done["added"], done["updated"], done["unchanged"]) == (0, 0, 0)
        assert done["skipped"] == [{"path": (root / "a.md").as_posix(), "reason": NOT_ADDED}]
        assert (only(store).tags, only(store).metadata) == (("policy",), {"owner": "me"})
        assert store.get(only(store).uri).text == "Never push on Fridays."
    assert "was not written by an agent" in call(service, "memory_remember", text="x", uri=only(store).uri)["error"]


def test_a_file_that_an_agent_added_is_replaced_when_it_changed(service: Service, store: Store, root: Path) -> None:
    outcomes = []
    for text in ("First.", "First.", "Second."):
        (root / "a.md").write_text(text)
        done = call(service, "memory_add", paths=["a.md"])
        outcomes.append((done["added"], done["unchanged"], done["updated"]))
    assert outcomes == [(1, 0, 0), (0, 1, 0), (0, 0, 1)]


def test_a_page_that_the_user_kept_or_added_is_not_replaced_and_an_agents_own_is(
    service: Service, store: Store, root: Path
) -> None:
    store.remember("My own text.", uri=PAGE, tags=["mine"])
    assert call(service, "memory_add", paths=[PAGE])["skipped"] == [{"path": PAGE, "reason": NOT_ADDED}]
    assert only(store).tags == ("mine",) and store.get(PAGE).text == "My own text."
    store.add(PAGE, metadata={"client": "ACME"})
    assert call(service, "memory_add", paths=[PAGE])["skipped"] == [{"path": PAGE, "reason": NOT_ADDED}]
    assert only(store).metadata["client"] == "ACME"
    store.forget(PAGE)
    assert call(service, "memory_add", paths=[PAGE])["added"] == 1
    assert call(service, "memory_add", paths=[PAGE], tags=["t"])["updated"] == 1


def expire(store: Store, uri: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("vstore.arguments.expiry", lambda when: datetime(2020, 1, 1, tzinfo=timezone.utc))
    store.keep(uri, expires="past")
    monkeypatch.undo()
    assert not store.documents(), "it has expired"


def test_what_expired_is_still_the_users(
    service: Service, store: Store, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (root / "a.md").write_text("Mine.")
    uri = (root / "a.md").as_posix()
    store.add(root / "a.md", metadata={"owner": "me"})
    with monkeypatch.context() as context:
        expire(store, uri, context)
    assert "was not written by an agent" in call(service, "memory_remember", text="Agents.", uri=uri)["error"]
    assert call(service, "memory_add", paths=["a.md"])["skipped"] == [{"path": uri, "reason": NOT_ADDED}]
    (document,) = store.find(uri, expired=True)
    assert document.metadata == {"owner": "me"}


@pytest.mark.parametrize(
    ("stored", "asked"), [("a\nb", "a\rb"), ("a\nb", "a\r\nb"), ("a\ufffdb", "a\ud800b")], ids=ascii
)
def test_a_uri_is_checked_as_it_is_stored(service: Service, store: Store, stored: str, asked: str) -> None:
    store.remember("The user's own.", uri=stored)
    assert "was not written by an agent" in call(service, "memory_remember", text="Agents.", uri=asked)["error"]
    assert store.get(stored).text == "The user's own."


def test_the_same_text_without_a_uri_does_not_take_the_users_note(service: Service, store: Store) -> None:
    store.remember("We use PKCE.", tags=["mine"])
    assert "was not written by an agent" in call(service, "memory_remember", text="We use PKCE.")["error"]
    assert only(store).tags == ("mine",) and only(store).metadata == {}


@pytest.mark.parametrize("mark", ["mcp", "web"])
def test_a_file_cannot_say_of_itself_who_wrote_it(service: Service, store: Store, root: Path, mark: str) -> None:
    (root / "a.md").write_text(f"---\nvia: {mark}\nclient: me\nadded_via: mcp\n---\nMine.")
    (root / "b.jsonl").write_text(json.dumps({"id": 1, "text": "Mine, too.", "metadata": {"via": mark, "year": 2026}}))
    store.add([root / "a.md", root / "b.jsonl"])
    said = {document.uri.rpartition("/")[2]: document.metadata for document in store.documents()}
    assert said == {"a.md": {"client": "me", "added_via": "mcp"}, "b.jsonl#1": {"year": 2026}}
    for document in store.documents():
        assert "was not written by" in call(service, "memory_remember", text="x", uri=document.uri)["error"]
    assert call(service, "memory_add", paths=["a.md", "b.jsonl"])["skipped_in_all"] == 2


def test_other_words_for_via_stay(store: Store, root: Path) -> None:
    (root / "a.md").write_text("---\nvia: Rome\n---\nMine.")
    store.add(root / "a.md")
    assert only(store).metadata == {"via": "Rome"}

"""What is exported comes back the same, and nothing in a file that is imported can do harm."""

from __future__ import annotations

import base64
import io
import json
import os
import stat
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from db.material import assert_consistent, rows
from db.processes import python, start
from hypothesis import given, settings
from hypothesis import strategies as st
from toy import ToyEmbedder

from vstore import Store, config, serving
from vstore.errors import InputError, StoreError, VstoreError
from vstore.ingest.importing import ImportReport
from vstore.ingest.pipeline import add_document
from vstore.ingest.read import read_text
from vstore.judgements import Verdict
from vstore.moving import export_to, import_from
from vstore.types import Document

TOY = ToyEmbedder(16)
CHUNKS = (
    'SELECT d.uri, c.ordinal, c.start, c."end", c.heading, c.text, c.extra, c.content_hash '
    "FROM chunks AS c JOIN documents AS d ON d.id = c.document_id ORDER BY d.collection_id, d.uri, c.ordinal"
)
DOCUMENTS = (
    "SELECT n.name, d.uri, d.title, d.media_type, d.content_hash, d.metadata, d.tags, d.created_at, d.updated_at, "
    "d.expires_at, d.pinned, d.text FROM documents AS d JOIN collections AS n ON n.id = d.collection_id ORDER BY 1, 2"
)
MARKDOWN = "# Tea\n\nGreen tea at seventy degrees.\n\n## Mint\n\nMint tea.\n\n# Coffee\n\n" + "Freshly ground. " * 100


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store(tmp_path / "memory.db", ToyEmbedder(16)) as opened:
        opened.remember(MARKDOWN, title="Drinks", uri="drinks", media_type="text/markdown", tags=["hot", "daily"])
        opened.remember(
            "Bread and butter. \u00e9\U0001f35e \u202e",
            uri="bread",
            collection="kitchen",
            metadata={"n": 1.5, "deep": [{"a": None}]},
        )
        opened.remember("Not for ever.", uri="short", expires=timedelta(days=30), pinned=True)
        opened.feedback("hot drinks", 2, grade=2)
        opened.feedback("hot drinks", "bread")
        opened.feedback("cold drinks", 1, False)
        yield opened


@pytest.fixture
def other(tmp_path: Path) -> Iterator[Store]:
    with Store(tmp_path / "other.db", ToyEmbedder(16)) as opened:
        yield opened


def exported(store: Store, *, vectors: bool = False) -> list[dict[str, Any]]:
    stream = io.BytesIO()
    export_to(store, stream, vectors=vectors)
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def imported(store: Store, records: list[Any]) -> ImportReport:
    """Import these records, of which bytes are lines as they are."""
    lines = [record if isinstance(record, bytes) else json.dumps(record).encode() for record in records]
    return import_from(store, io.BytesIO(b"\n".join(lines) + b"\n"))


def judgements(store: Store) -> list[tuple[Any, ...]]:
    """What was judged, with the place of a chunk in place of its id."""
    found = []
    with store.index.snapshot() as snapshot:
        for one in snapshot.judgements():
            chunk = snapshot.chunks([one.chunk_id])[one.chunk_id] if one.chunk_id else None
            place = (chunk.start, chunk.end) if chunk else (-1, -1)
            found.append((one.given_at, one.query, one.collection, one.uri, place, one.grade))
    return sorted(found)


def assert_same(store: Store, other: Store, *queries: str) -> None:
    for sql in (DOCUMENTS, CHUNKS):
        assert rows(store.path, sql) == rows(other.path, sql)
    assert judgements(store) == judgements(other)
    for query in queries:
        for mode in ("hybrid", "dense", "lexical"):
            answers = [
                [
                    (hit.document.uri, hit.start, hit.score)
                    for hit in sorted(
                        opened.search(query, 50, mode=mode, diversity=False, collapse=False),
                        key=lambda hit: (-hit.score, hit.document.collection, hit.document.uri, hit.start),
                    )
                ]
                for opened in (store, other)
            ]
            assert answers[0] == answers[1]
    assert_consistent(other.path)


def test_a_store_comes_back_the_same(store: Store, other: Store) -> None:
    report = imported(other, exported(store))
    assert (report.added, report.judgements, report.problems, report.incomplete) == (3, 3, {}, None)
    assert report.recut == 0
    assert_same(store, other, "hot tea", "bread", "nothing of the kind")


def test_importing_again_changes_nothing(store: Store, other: Store) -> None:
    records = exported(store)
    imported(other, records)
    before = rows(other.path, DOCUMENTS), judgements(other)
    report = imported(other, records)
    assert (report.added, report.updated, report.unchanged, report.embedded) == (0, 0, 3, 0)
    assert (rows(other.path, DOCUMENTS), judgements(other)) == before


def test_a_store_has_its_own_export_already(store: Store) -> None:
    before = rows(store.path, CHUNKS), judgements(store)
    assert imported(store, exported(store)).unchanged == 3
    assert (rows(store.path, CHUNKS), judgements(store)) == before


def test_files_that_did_not_change_are_not_read_again_after_an_import(tmp_path: Path, other: Store) -> None:
    (tmp_path / "notes").mkdir()
    (tmp_path / "notes" / "a.md").write_text("# One\n\nfirst\n\n# Two\n\nsecond")
    (tmp_path / "notes" / "b.jsonl").write_text('{"id": "x", "text": "a row"}\n')
    with Store(tmp_path / "first.db", TOY) as first:
        first.add(tmp_path / "notes", tags=["t"])
        imported(other, exported(first))
    report = other.add(tmp_path / "notes", tags=["t"])
    assert (report.unchanged, report.added, report.updated) == (2, 0, 0)


def test_vectors_are_taken_from_the_export_by_the_same_model(store: Store, other: Store) -> None:
    report = imported(other, exported(store, vectors=True))
    assert (report.added, report.embedded) == (3, 0)
    assert_same(store, other, "hot tea")
    sql = "SELECT v.vector FROM vectors_g1 AS v JOIN chunks AS c ON c.id = v.chunk_id ORDER BY c.content_hash"
    assert rows(store.path, sql) == rows(other.path, sql)


def test_vectors_that_are_not_of_the_chunk_are_made_anew(store: Store, other: Store) -> None:
    records = exported(store, vectors=True)
    wrong = np.zeros(16, dtype="<f4")
    chunks = [chunk for record in records if record.get("type") == "document" for chunk in record["chunks"]]
    bad: list[Any] = [
        base64.b64encode(array.tobytes()).decode()
        for array in (wrong, wrong + np.float32(np.nan), wrong + 1, np.ones(1, dtype="<f4"), np.array([1.0, 0, 0]))
    ]
    for chunk, vector in zip(chunks, [*bad, "no base64!", 7], strict=False):
        chunk["vector"] = vector
    assert imported(other, records).embedded == min(len(chunks), len(bad) + 2)
    assert_same(store, other, "hot tea")


def test_a_vector_of_another_text_is_not_used(store: Store, other: Store) -> None:
    records = exported(store, vectors=True)
    bread = next(record for record in records if record.get("uri") == "bread")
    bread["text"] = "Cake and jam" + bread["text"][len("Cake and jam") :]
    assert imported(other, records).embedded == 1
    assert other.search("cake jam", mode="dense")[0].document.uri == "bread"


def test_another_model_embeds_and_cuts_anew_within_the_headings(store: Store, tmp_path: Path) -> None:
    with Store(tmp_path / "third.db", ToyEmbedder(24, "other")) as third:
        report = imported(third, exported(store, vectors=True))
        assert (report.added, report.recut) == (3, 3)
        assert report.embedded == third.stats().chunks
        assert third.search("mint", mode="lexical")[0].heading == "Tea > Mint"
        sql = "SELECT DISTINCT heading FROM chunks ORDER BY 1"
        assert rows(third.path, sql) == rows(store.path, sql)
        assert [row[:5] for row in judgements(third)] == [row[:5] for row in judgements(store)]
    assert_consistent(third.path)


def test_what_has_expired_is_not_exported_and_not_imported(
    store: Store, other: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.keep("short", expires=timedelta(days=1))
    records = exported(store)
    with monkeypatch.context() as patch:
        later = datetime.now(timezone.utc) + timedelta(days=2)
        patch.setattr("vstore.db.snapshot.now", lambda: round(later.timestamp() * 1000))
        assert [record.get("uri") for record in exported(store)[1:3]] == ["drinks", "bread"]
        assert exported(store)[-1] == {"type": "end", "documents": 2, "chunks": 5, "judgements": 3}
    for record in records:
        if record.get("uri") == "short":
            record["expires_at"] = "2020-01-01T00:00:00+00:00"
    of_it = {"type": "judgement", "query": "brief", "collection": "default", "uri": "short", "grade": 1.0}
    records[-1:] = [{**of_it, "chunk": None, "given_at": "2020-01-01T00:00:00+00:00"}, records[-1]]
    records[-1]["judgements"] += 1
    report = imported(other, records)
    assert (report.added, report.expired, report.problems, report.incomplete) == (2, 1, {}, None)


def test_a_later_judgement_is_not_replaced_by_an_earlier_one(store: Store, other: Store) -> None:
    records = exported(store)
    imported(other, records)
    other.feedback("hot drinks", "bread", grade=3)
    imported(other, records)
    (kept,) = [row for row in judgements(other) if row[3] == "bread"]
    assert kept[-1] == 3
    for record in records:
        if record.get("type") == "judgement" and record["uri"] == "bread":
            record["given_at"] = "2100-01-01T00:00:00+00:00"
    imported(other, records)
    (kept,) = [row for row in judgements(other) if row[3] == "bread"]
    assert kept[-1] == 1


# --- files ------------------------------------------------------------------------------------------------------------


def test_a_file_appears_when_it_is_complete_and_is_its_owner_s(store: Store, other: Store, tmp_path: Path) -> None:
    target = tmp_path / "out" / "all.jsonl"
    target.parent.mkdir()
    report = export_to(store, target)
    assert report.to_dict() == {"documents": 3, "chunks": 6, "judgements": 3}
    assert [path.name for path in target.parent.iterdir()] == ["all.jsonl"]
    if os.name == "posix":
        assert stat.S_IMODE(target.stat().st_mode) == 0o600
    with pytest.raises(InputError, match="is there already"):
        export_to(store, target)
    export_to(store, target, overwrite=True)
    assert import_from(other, target).added == 3


def test_an_export_that_fails_leaves_no_file(store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*_: object) -> None:
        raise StoreError("injected")

    (tmp_path / "out").mkdir()
    monkeypatch.setattr("vstore.ingest.lines.of_judgement", fails)
    with pytest.raises(StoreError, match="injected"):
        export_to(store, tmp_path / "out" / "all.jsonl")
    assert list((tmp_path / "out").iterdir()) == []


def test_the_store_s_own_files_are_never_opened(store: Store) -> None:
    for suffix in ("", "-wal", "-shm"):
        own = store.path.with_name(store.path.name + suffix)
        with pytest.raises(InputError, match="is the store itself"):
            import_from(store, own)
        with pytest.raises(InputError, match="is the store itself"):
            export_to(store, own, overwrite=True)
    store.remember("it can still be written to", uri="after")


def test_a_file_that_cannot_be_read_is_said(store: Store, tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "nothing.jsonl"):
        with pytest.raises(InputError, match="cannot be read"):
            import_from(store, path)


def test_an_export_is_one_moment_though_others_write(store: Store, other: Store) -> None:
    written = []

    class Stream(io.BytesIO):
        def write(self, line: Any) -> int:
            if not written:
                written.append(1)
                python(
                    "import sys; from toy import ToyEmbedder; from vstore import Store\n"
                    "with Store(sys.argv[1], ToyEmbedder(16)) as store:\n"
                    "    store.forget('bread'); store.remember('new', uri='new')",
                    store.path,
                )
            return super().write(line)

    stream = Stream()
    export_to(store, stream)
    stream.seek(0)
    report = import_from(other, stream)
    assert (report.added, report.incomplete) == (3, None)
    assert {document.uri for document in other.documents()} == {"drinks", "bread", "short"}


# --- what can be wrong with a file ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("first", "message"),
    [
        (b"", "no export of vstore"),
        (b"# Notes", "no export of vstore"),
        (b'["a", "list"]', "no export of vstore"),
        ({"format": "something else", "version": 1}, "no export of vstore"),
        ({"format": "vstore-export"}, "no export of vstore"),
        ({"format": "vstore-export", "version": True}, "no export of vstore"),
        ({"format": "vstore-export", "version": 2}, "version 2 of its format.*upgrade"),
    ],
)
def test_what_is_no_export_or_a_newer_one_is_refused(other: Store, first: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        imported(other, [first, {"type": "document"}])
    assert other.documents() == []


def change(**fields: Any) -> Callable[[dict[str, Any]], Any]:
    return lambda record: {**record, **fields}


BAD_DOCUMENTS: list[tuple[Callable[[dict[str, Any]], Any], str]] = [
    (lambda record: b"{", "not JSON"),
    (lambda record: b'{"a": NaN}', "NaN is no JSON number"),
    (lambda record: b"[" * 100_000, "not JSON"),
    (lambda record: b"\xff\xfe\xfd", "not JSON"),
    (lambda record: [record], "not a JSON object"),
    (change(type="picture"), "neither a document nor a judgement, but 'picture'"),
    (change(format="vstore-export", type=None), "neither a document nor a judgement"),
    (change(text=7), "its text is not a text"),
    (change(text=" \n "), "no text"),
    (change(text="a \ud800 b"), "its text has a lone surrogate"),
    (change(title=None), "its title is not a text"),
    (change(uri=""), "its uri is empty"),
    (change(uri="a\0b"), "its uri is empty or has a NUL"),
    (change(uri="\udfff"), "its uri has a lone surrogate"),
    (change(collection=""), "its collection is empty"),
    (change(collection=["a"]), "its collection is not a text"),
    (change(media_type=3), "its media_type is not a text"),
    (change(content_hash="abc"), "its content_hash is not"),
    (change(content_hash="g" * 64), "its content_hash is not"),
    (change(tags="hot"), "tags are a list"),
    (change(tags=[1]), "tags are a list"),
    (change(tags=["\ud800"]), "its tags has a lone surrogate"),
    (change(metadata=[1]), "metadata is a mapping"),
    (change(metadata={"a": "\ud800"}), "its metadata has a lone surrogate"),
    (change(metadata={"a": json.loads("[" * 600 + "]" * 600)}), "nested more than"),
    (change(created_at="yesterday"), "its created_at is not a time"),
    (change(updated_at=None), "its updated_at is not a time"),
    (change(updated_at=1_700_000_000), "its updated_at is not a time"),
    (change(created_at="0001-01-01T00:00:00+14:00"), "its created_at is not a time"),
    (change(expires_at="soon"), "its expires_at is not a time"),
    (change(pinned="yes"), "pinned is True or False"),
]


def test_bad_lines_are_named_and_the_others_are_imported(store: Store, other: Store) -> None:
    header, drinks, bread, short, *rest = exported(store)
    spoiled = [spoil(dict(bread)) for spoil, _ in BAD_DOCUMENTS]
    report = imported(other, [header, drinks, *spoiled, short, *rest])
    assert report.added == 2
    last = 3 + len(spoiled)
    problems = dict(report.problems)
    assert problems.pop(last + 2).startswith("the store has no document 'bread'")
    assert list(problems) == list(range(3, last))
    for found, (_, reason) in zip(problems.values(), BAD_DOCUMENTS, strict=True):
        assert reason in found
    assert {document.uri for document in other.documents()} == {"drinks", "short"}
    assert_consistent(other.path)


BAD_JUDGEMENTS = [
    {"grade": None},
    {"grade": 4},
    {"grade": True},
    {"query": " "},
    {"uri": None},
    {"given_at": "then"},
    {"chunk": {"start": 0}},
    {"chunk": 7},
    {"uri": "gone"},
]


def test_bad_judgements_are_named(store: Store, other: Store) -> None:
    header, *documents, first, second, third, end = exported(store)
    bad = [{**first, **fields} for fields in BAD_JUDGEMENTS]
    report = imported(other, [header, *documents, second, *bad, third, end])
    assert (report.added, report.judgements) == (3, 2)
    assert list(report.problems) == list(range(6, 6 + len(bad)))


def test_fields_that_are_not_known_are_passed_over(store: Store, other: Store) -> None:
    records = [{**record, "colour": {"of": "a later version"}} for record in exported(store)]
    for record in records[1:4]:
        for chunk in record["chunks"]:
            chunk["colour"] = "red"
    assert imported(other, records).problems == {}
    assert_same(store, other)


BAD_CHUNKS: list[Any] = [
    None,
    "none",
    [],
    [7],
    [{"start": 0, "end": 5}],
    [{"start": 0, "end": 5, "heading": 7}],
    [{"start": 0, "end": 5, "heading": "\ud800"}],
    [{"start": -1, "end": 5, "heading": ""}],
    [{"start": True, "end": 5, "heading": ""}],
    [{"start": 5, "end": 5, "heading": ""}],
    [{"start": 0, "end": 10_000, "heading": ""}],
    [{"start": 0, "end": 9, "heading": ""}, {"start": 8, "end": 17, "heading": ""}],
    [{"start": 9, "end": 17, "heading": ""}, {"start": 0, "end": 8, "heading": ""}],
    [{"start": 5, "end": 6, "heading": ""}],  # a blank
]


def test_chunks_that_cannot_be_are_cut_anew(store: Store, other: Store) -> None:
    header, _, bread, *_ = exported(store)
    bad = [{**bread, "uri": f"bread {number}", "chunks": chunks} for number, chunks in enumerate(BAD_CHUNKS)]
    report = imported(other, [header, bread, *bad, {"type": "end", "documents": 1 + len(bad), "judgements": 0}])
    assert (report.added, report.recut, report.problems) == (1 + len(bad), len(bad), {})
    assert len({row[1:] for row in rows(other.path, CHUNKS)}) == 1
    assert_consistent(other.path)


def test_a_chunk_that_does_not_fit_the_window_is_cut_anew(store: Store, other: Store) -> None:
    records = exported(store)
    text = records[1]["text"]
    records[1]["chunks"] = [{"start": 0, "end": len(text), "heading": ""}]
    assert imported(other, records).recut == 1
    assert max(len(row[5]) for row in rows(other.path, CHUNKS)) <= config.CHUNK_CHARS


def test_places_in_a_text_that_had_to_be_cleaned_are_not_used(store: Store, other: Store) -> None:
    records = exported(store)
    records[2]["text"] = "Bread\r\nand\0butter"
    report = imported(other, records)
    assert (report.recut, report.problems) == (1, {})
    assert other.get("bread").text == "Bread\nand\ufffdbutter"
    assert_consistent(other.path)


def test_an_export_that_was_cut_off_is_said(store: Store, other: Store) -> None:
    records = exported(store)
    report = imported(other, records[:3])
    assert report.added == 2
    assert report.incomplete == "the file ends in line 3 without the last line of an export: it was cut off"
    report = imported(other, [*records[:3], json.dumps(records[3])[:-20].encode()])
    assert report.incomplete is not None and list(report.problems) == [4]
    report = imported(other, records[:3] + records[4:])
    assert report.incomplete == "the last line counts 3 documents and 3 judgements, but 5 lines of the two are there"
    assert imported(other, records).incomplete is None
    assert len(other.documents()) == 3


def test_what_stands_behind_the_end_is_not_read(store: Store, other: Store) -> None:
    records = exported(store)
    report = imported(other, [*records, b"", *records[:2]])
    assert (report.added, list(report.problems), report.incomplete) == (3, [10, 11], None)


def test_a_file_of_garbage_is_given_up(store: Store, other: Store) -> None:
    records = exported(store)
    report = imported(other, [*records[:2], *[b"garbage"] * 150, *records[2:]])
    assert report.added == 1
    assert len(report.problems) == 100
    assert report.incomplete == "100 lines cannot be used: those after 102 were not read"


def test_a_line_that_is_too_long_is_passed_over_without_being_read(
    store: Store, other: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    records = exported(store)
    monkeypatch.setattr(config, "MAX_EXPORT_LINE", 4_000)
    records[2] = {"text": "x" * 20_000}
    report = imported(other, records)
    assert (report.added, list(report.problems)) == (2, [3, 6])


def test_more_judgements_than_are_kept_are_named(store: Store, other: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    records = exported(store)
    monkeypatch.setattr(config, "MAX_JUDGEMENTS", 2)
    report = imported(other, records)
    assert (report.judgements, list(report.problems)) == (2, [7])


KILLED = """
import os, signal, sys
from toy import ToyEmbedder
from vstore import Store, config, serving
from vstore.moving import import_from
config.WINDOW_CHUNKS = config.READ_AHEAD = config.EMBED_AHEAD = 1
class Killing(ToyEmbedder):
    def embed_documents(self, texts):
        if len(self.embedded) >= 5:
            os.kill(os.getpid(), signal.SIGKILL)
        return super().embed_documents(texts)
with Store(sys.argv[1], Killing(16)) as store:
    import_from(store, sys.argv[2])
"""


@pytest.mark.skipif(os.name != "posix", reason="processes are killed")
def test_an_import_that_was_killed_goes_on_where_it_stopped(tmp_path: Path) -> None:
    file = tmp_path / "all.jsonl"
    with Store(tmp_path / "memory.db", ToyEmbedder(16)) as store:
        for number in range(12):
            store.remember(f"text number {number}", uri=f"{number}")
        export_to(store, file)
    with start(KILLED, tmp_path / "other.db", file) as process:
        _, errors = process.communicate(timeout=60)
    assert process.returncode == -9, errors
    with Store(tmp_path / "memory.db", ToyEmbedder(16)) as store, Store(tmp_path / "other.db", TOY) as other:
        there = len(other.documents())
        assert 0 < there < 12
        report = import_from(other, file)
        assert (report.unchanged, report.added) == (there, 12 - there)
        assert_same(store, other, "text number 3")


# --- versions ---------------------------------------------------------------------------------------------------------


def test_version_1_of_the_format_as_it_was_frozen_can_be_read(other: Store) -> None:
    report = import_from(other, Path(__file__).parent / "frozen" / "export-1.jsonl")
    assert (report.added, report.judgements, report.recut, report.embedded) == (2, 2, 0, 0)
    assert (report.problems, report.incomplete) == ({}, None)
    tea, bread = sorted(other.documents(), key=lambda document: document.uri, reverse=True)
    assert (tea.uri, tea.title, tea.collection, tea.media_type) == ("tea", "Tea", "default", "text/markdown")
    assert (tea.tags, tea.metadata, tea.pinned) == (("hot",), {"year": 2020, "of": ["leaves", None]}, True)
    assert tea.created_at == datetime(2026, 1, 2, 3, 4, 5, 678_000, timezone.utc)
    assert tea.updated_at == datetime(2026, 2, 3, tzinfo=timezone.utc)
    assert tea.expires_at == datetime(2026, 3, 4, 5, tzinfo=timezone.utc)
    assert bread.collection == "kitchen"
    assert other.get("tea").text == "# Green\n\nSeventy degrees.\n\n# Black\n\nNinety degrees. \U0001f375"
    places = [(row[2], row[3], row[4]) for row in rows(other.path, CHUNKS)]
    assert places == [(9, 25, "Green"), (36, 53, "Black"), (0, 17, "")]
    assert [row[1:] for row in judgements(other)] == [
        ("hot", "default", "tea", (36, 53), 3.0),
        ("food", "kitchen", "bread", (-1, -1), 1.0),
    ]
    assert_consistent(other.path)


def test_the_example_of_the_documentation_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    page = (Path(__file__).parent.parent / "docs" / "backup.md").read_text(encoding="utf-8")
    example = page.partition("```python\n")[2].partition("```")[0]
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(serving.Serving, "_base", lambda *_: TOY)  # the model that is configured
    exec(compile(example, "backup.md", "exec"), {"__name__": "page"})
    for name in ("memory.db", "backup.db", "other.db"):
        assert [text for (text,) in rows(tmp_path / name, "SELECT text FROM chunks")] == [
            "We use PKCE for public clients."
        ]


# --- whatever a store has ---------------------------------------------------------------------------------------------

TEXTS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0\r"), max_size=60)
WORDS = st.lists(
    st.sampled_from(["tea", "hot", "Übung", "索引测试", "maxOpenConns", "\U0001f375", "\n\n", "# Head\n"]), max_size=30
)
BODIES = st.one_of(TEXTS, WORDS.map(" ".join), WORDS.map(lambda words: " ".join(words * 30))).filter(str.strip)
NAMES = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0\r"), min_size=1, max_size=12).filter(
    str.strip
)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.floats(allow_nan=False, allow_infinity=False) | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=8,
)
MOMENTS = st.datetimes(datetime(1970, 1, 1), datetime(2200, 1, 1)).map(
    lambda moment: moment.replace(microsecond=moment.microsecond // 1000 * 1000, tzinfo=timezone.utc)
)
ONE = st.fixed_dictionaries(
    {
        "text": BODIES,
        "title": TEXTS,
        "collection": NAMES,
        "media_type": st.sampled_from(["text/plain", "text/markdown"]),
        "metadata": st.dictionaries(TEXTS, JSON, max_size=3),
        "tags": st.lists(NAMES, max_size=3),
        "times": st.tuples(MOMENTS, MOMENTS),
        "expires": st.none() | MOMENTS,
        "grades": st.lists(st.tuples(TEXTS.filter(str.strip), st.integers(0, 30), MOMENTS, st.booleans()), max_size=2),
    }
)


@given(st.lists(ONE, min_size=1, max_size=4), st.booleans(), TEXTS.filter(str.strip))
@settings(max_examples=15, deadline=None)
def test_whatever_was_put_in_comes_back(
    tmp_path_factory: pytest.TempPathFactory, put_in: list[dict[str, Any]], vectors: bool, query: str
) -> None:
    folder = tmp_path_factory.mktemp("moved")
    with Store(folder / "memory.db", TOY) as store, Store(folder / "other.db", TOY) as other:
        for number, one in enumerate(put_in):
            _put(store, f"uri {number}", one)
        report = imported(other, list(_lines(store, vectors=vectors)))
        assert (report.added, report.problems, report.incomplete, report.recut) == (len(put_in), {}, None, 0)
        assert report.embedded == 0 or not vectors
        assert_same(store, other, query, "tea hot")


def _lines(store: Store, *, vectors: bool) -> list[bytes]:
    stream = io.BytesIO()
    export_to(store, stream, vectors=vectors)
    lines = stream.getvalue().split(b"\n")[:-1]
    assert len(stream.getvalue().decode().splitlines()) == len(lines)  # whatever else ends lines is escaped
    return lines


def _put(store: Store, uri: str, one: dict[str, Any]) -> None:
    """As `remember` does, at other times."""
    labels = {name: one[name] for name in ("title", "collection", "media_type", "metadata")}
    document: Document = read_text(one["text"], uri=uri, tags=tuple(dict.fromkeys(one["tags"])), **labels)
    created, updated = one["times"]
    document = replace(
        document, created_at=created, modified_at=updated, expires_at=one["expires"], pinned=one["expires"] is not None
    )
    add_document(store.index, store.ingest_model, document)
    (stored,) = store.documents(where={"@uri": uri})
    with store.index.snapshot() as snapshot:
        chunks = snapshot.chunk_ids(stored.id)
    for text, grade, moment, whole in one["grades"]:
        target = uri if whole else chunks[grade % len(chunks)]
        verdict = replace(Verdict.of(text, target, grade=grade / 10, collection=one["collection"]), given_at=moment)
        (outcome,) = store.judge([verdict])
        assert not isinstance(outcome, VstoreError)


def test_what_has_no_first_line_is_not_read_to_its_end(tmp_path: Path) -> None:
    class Endless(io.RawIOBase):
        """As /dev/zero: one line without an end."""

        def __init__(self) -> None:
            self.taken = 0

        def readline(self, size: int | None = -1, /) -> bytes:
            assert size is not None and size >= 0
            self.taken += size
            return bytes(size)

    endless = Endless()
    with Store(tmp_path / "m.db", ToyEmbedder(16)) as store, pytest.raises(InputError, match="export"):
        import_from(store, endless)  # type: ignore[arg-type]
    assert endless.taken == config.MAX_EXPORT_HEADER

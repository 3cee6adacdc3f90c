"""One synchronisation: afterwards the store has what the files say, no more and no less, unless that is in doubt."""

from __future__ import annotations

import os
import shutil
import tempfile
import threading
import time
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from toy import ToyEmbedder
from watch.following import Following, texts

from vstore import Store, config
from vstore.errors import InputError, NotFoundError, StoreBusyError
from vstore.ingest.walk import Skipped, find_files
from vstore.watch import Event, watch


def once(store: Store, *paths: Path, **options: object) -> list[tuple[str, str]]:
    """Kinds of events and names of files."""
    events = watch(store, paths, once=True, **options)  # type: ignore[arg-type]
    return [(event.kind, event.path.name) for event in events]


def last(store: Store, *paths: Path, **options: object) -> Event:
    return list(watch(store, paths, once=True, **options))[-1]  # type: ignore[arg-type]


def test_new_files_are_added_changed_ones_updated_and_those_that_are_gone_forgotten(store: Store, notes: Path) -> None:
    assert once(store, notes) == [("added", "a.md"), ("added", "b.md")]
    assert once(store, notes) == []
    (notes / "a.md").write_text("# Apples\n\nare green")
    (notes / "c.md").write_text("Carrots")
    shutil.rmtree(notes / "sub")
    assert once(store, notes) == [("updated", "a.md"), ("added", "c.md"), ("forgotten", "b.md")]
    assert texts(store) == {str(notes / "a.md"): "# Apples\n\nare green", str(notes / "c.md"): "Carrots"}


def test_only_documents_of_the_collection_and_below_the_roots_are_forgotten(store: Store, notes: Path) -> None:
    beside = notes.with_name("notes2")
    beside.mkdir()
    (beside / "x.md").write_text("x")
    store.add(beside)
    store.add(notes, collection="other")
    store.remember("not a file", uri="memory:1")
    (beside / "x.md").unlink()
    assert once(store, notes) == [("added", "a.md"), ("added", "b.md")]
    (notes / "a.md").unlink()
    assert once(store, notes) == [("forgotten", "a.md")]
    left = sorted((document.collection, document.uri) for document in store.documents())
    assert left == [
        ("default", str(notes / "sub" / "b.md")),
        ("default", str(beside / "x.md")),
        ("default", "memory:1"),
        ("other", str(notes / "a.md")),
        ("other", str(notes / "sub" / "b.md")),
    ]


def test_labels_belong_to_what_is_added(store: Store, notes: Path) -> None:
    once(store, notes, collection="kitchen", tags=["food"], metadata={"year": 2026})
    (document, _) = store.documents()
    assert (document.collection, document.tags, document.metadata) == ("kitchen", ("food",), {"year": 2026})
    with pytest.raises(InputError):
        watch(store, notes, tags="food")


def test_a_path_that_is_not_there_is_named_at_once(store: Store, notes: Path) -> None:
    with pytest.raises(NotFoundError, match="no such file or folder"):
        watch(store, [notes, notes / "nothing"])
    assert store.documents() == []


def test_rows_that_are_gone_from_a_file_are_forgotten(store: Store, notes: Path) -> None:
    rows = notes / "rows.jsonl"
    rows.write_text('{"id": 1, "text": "one"}\n{"id": 2, "text": "two"}\n{"id": 3, "text": "three"}\n')
    once(store, notes)
    rows.write_text('{"id": 2, "text": "two"}\n{"id": 4, "text": "four"}\n')
    events = list(watch(store, rows, once=True))
    assert [(event.kind, event.path, event.documents) for event in events] == [
        ("updated", rows, 1),
        ("updated", rows, 2),
    ]
    assert {uri.rpartition("#")[2] for uri in texts(store) if "#" in uri} == {"2", "4"}


def test_rows_of_a_file_that_cannot_be_read_whole_are_kept(store: Store, notes: Path) -> None:
    rows = notes / "rows.jsonl"
    rows.write_text('{"id": 1, "text": "one"}\n{"id": 2, "text": "two"}\n')
    once(store, notes)
    rows.write_text('{"id": 1, "text"\n{"id": 3, "text": "three"}\n')
    assert once(store, notes) == [("updated", "rows.jsonl"), ("skipped", "rows.jsonl")]
    assert {uri.rpartition("#")[2] for uri in texts(store) if "#" in uri} == {"1", "2", "3"}


def test_a_file_whose_name_looks_like_a_row_is_a_file(store: Store, notes: Path) -> None:
    (notes / "x.jsonl").write_text('{"id": 1, "text": "one"}\n')
    (notes / "x.jsonl#2").write_text("no row")
    once(store, notes)
    (notes / "x.jsonl").write_text('{"id": 3, "text": "three"}\n')
    once(store, notes)
    assert {uri.rpartition("/")[2] for uri in texts(store)} == {"a.md", "b.md", "x.jsonl#2", "x.jsonl#3"}


def test_what_an_emptied_file_said_is_forgotten_and_what_an_unusable_one_said_is_kept(
    store: Store, notes: Path
) -> None:
    once(store, notes)
    (notes / "a.md").write_text(" \n")
    (notes / "sub" / "b.md").write_bytes(bytes(100))
    assert once(store, notes) == [("skipped", "a.md"), ("skipped", "b.md"), ("updated", "a.md")]
    assert list(texts(store)) == [str(notes / "sub" / "b.md")]


def test_what_is_ignored_from_now_on_is_forgotten_and_a_named_secret_is_kept(store: Store, notes: Path) -> None:
    (notes / ".env").write_text("KEY=1")
    store.add(notes / ".env")
    once(store, notes)
    (notes / ".gitignore").write_text("sub/\n")
    assert once(store, notes) == [("skipped", ".env"), ("forgotten", "b.md")]
    assert sorted(texts(store)) == [str(notes / ".env"), str(notes / "a.md")]


def test_a_root_without_anything_in_it_keeps_what_is_stored(store: Store, notes: Path) -> None:
    once(store, notes)
    shutil.rmtree(notes)
    notes.mkdir()
    (notes / ".keep").touch()
    event = last(store, notes)
    assert (event.kind, event.path) == ("waiting", notes)
    assert "nothing is in it" in event.reason
    assert len(texts(store)) == 2
    assert once(store, notes, forget_many=True) == [("waiting", "notes")]


def test_an_empty_root_of_which_nothing_is_stored_is_no_problem(store: Store, tmp_path: Path) -> None:
    (tmp_path / "new").mkdir()
    assert once(store, tmp_path / "new") == []


def test_a_folder_that_cannot_be_read_keeps_its_documents(
    store: Store, notes: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    once(store, notes)
    (notes / "a.md").unlink()
    listdir = os.listdir

    def refuse(path: Path) -> list[str]:
        if Path(path).name == "sub":
            raise PermissionError(13, "Permission denied")
        return listdir(path)

    monkeypatch.setattr("vstore.ingest.walk.os.listdir", refuse)
    (notes / "c.md").write_text("c")
    assert once(store, notes) == [("skipped", "sub"), ("added", "c.md"), ("forgotten", "a.md")]
    assert sorted(texts(store)) == [str(notes / "c.md"), str(notes / "sub" / "b.md")]


def many(notes: Path, count: int) -> None:
    for number in range(count):
        (notes / "sub" / f"{number}.md").write_text(f"# Number {number}\n\nis {number}")


def test_expired_documents_and_unusable_files_excuse_no_loss(store: Store, notes: Path) -> None:
    """Neither has a content hash, which does not make the one the other at a new place."""
    many(notes, 20)
    once(store, notes)
    for number in range(10):
        store.keep(str(notes / "sub" / f"{number}.md"), expires=timedelta(milliseconds=1))
    time.sleep(0.01)
    shutil.rmtree(notes / "sub")
    (notes / "a.md").unlink()
    (notes / "picture.bin").write_bytes(bytes(range(256)))
    assert ("refused", "notes") in once(store, notes)
    assert len(texts(store)) == 12


def test_to_lose_most_of_a_folder_has_to_be_confirmed(store: Store, notes: Path) -> None:
    many(notes, 12)
    once(store, notes)
    shutil.rmtree(notes / "sub")
    (notes / "c.md").write_text("c")
    assert once(store, notes) == [("added", "c.md"), ("refused", "notes")]
    event = last(store, notes)
    assert event.documents == 13
    assert "13 of the 15 documents" in event.reason
    assert "--forget-many" in event.reason
    assert len(texts(store)) == 15
    once(store, notes, forget_many=True)
    assert sorted(texts(store)) == [str(notes / "a.md"), str(notes / "c.md")]


def test_other_files_in_the_place_of_all_do_not_hide_the_loss(store: Store, notes: Path) -> None:
    many(notes, 12)
    once(store, notes)
    shutil.rmtree(notes)
    notes.mkdir()
    for number in range(40):
        (notes / f"other{number}.md").write_text(f"other {number}")
    with Following(store, notes, ready=False) as following:
        assert following.wait("refused", notes).documents == 14
        (notes / "other1.md").unlink()
        following.wait("refused", notes, 2)
    assert len(texts(store)) == 14 + 40


def test_moving_most_of_a_folder_is_no_loss_and_embeds_nothing(
    store: Store, notes: Path, embedder: ToyEmbedder
) -> None:
    many(notes, 12)
    once(store, notes)
    before = len(embedder.embedded)
    (notes / "sub").rename(notes / "moved")
    kinds = [kind for kind, _ in once(store, notes)]
    assert kinds == ["added"] * 13 + ["forgotten"] * 13
    assert len(embedder.embedded) == before
    assert len(texts(store)) == 14
    assert not any("/sub/" in uri for uri in texts(store))


def test_a_renamed_file_is_there_under_its_new_name_before_the_old_one_goes(
    store: Store, notes: Path, embedder: ToyEmbedder
) -> None:
    once(store, notes)
    before = len(embedder.embedded)
    (notes / "a.md").rename(notes / "z.md")
    events = watch(store, notes, once=True)
    assert next(events).path == notes / "z.md"
    assert {str(notes / "a.md"), str(notes / "z.md")} <= set(texts(store))
    assert [(event.kind, event.path) for event in events] == [("forgotten", notes / "a.md")]
    assert str(notes / "a.md") not in texts(store)
    assert len(embedder.embedded) == before, "its title is in it, so the vectors are the same"


def test_the_store_may_lie_in_the_folder(notes: Path, embedder: ToyEmbedder) -> None:
    with Store(notes / "memory.db", embedder) as store:
        assert once(store, notes) == [("added", "a.md"), ("added", "b.md")]
        assert once(store, notes) == []


def test_one_synchronisation_of_a_busy_store_fails_after_its_wait(
    store: Store, notes: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def busy(*_: object) -> None:
        raise StoreBusyError("another process is writing")

    monkeypatch.setattr(type(store.index), "write", busy)
    with pytest.raises(StoreBusyError):
        once(store, notes)


def test_a_stop_that_was_asked_for_ends_it_between_two_batches(
    store: Store, notes: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(config, "WATCH_FILES", 1)
    stop = threading.Event()
    seen = []
    for event in watch(store, notes, once=True, stop=stop):
        seen.append(event.path.name)
        stop.set()
    assert seen == ["a.md"]


def test_names_that_are_no_unicode_are_followed_as_well(store: Store, notes: Path) -> None:
    strange = notes / os.fsdecode(b"x\xff.md")
    strange.write_text("strange")
    once(store, notes)
    assert len(texts(store)) == 3
    strange.unlink()
    assert [kind for kind, _ in once(store, notes)] == ["forgotten"]


NAMES = st.sampled_from(
    ["a.md", "b.txt", "sub/a.md", "sub/b.md", "sub/deep/c.md", "rows.jsonl", ".hidden.md", "out/x.md"]
)
TEXTS = st.sampled_from(["alpha", "beta", "gamma delta"])
RULES = st.sampled_from(["", "out/\n", "*.txt\n", "sub/*\n!sub/a.md\n"])
OPERATIONS = st.one_of(
    st.tuples(st.just("write"), NAMES, TEXTS),
    st.tuples(st.just("ignore"), RULES),
    st.tuples(st.just("delete"), NAMES),
    st.tuples(st.just("rename"), NAMES, NAMES),
    st.tuples(st.just("link"), NAMES, NAMES),
    st.tuples(st.just("remove"), st.sampled_from(["sub", "out", "sub/deep"])),
    st.tuples(st.just("synchronise")),
)


def apply(root: Path, operation: tuple[str, ...]) -> None:
    kind, *names = operation
    if kind == "ignore":
        (root / ".gitignore").write_text(names[0])
        return
    path = root / names[0]
    if kind == "remove":
        shutil.rmtree(path, ignore_errors=True)
    elif kind == "delete":
        path.unlink(missing_ok=True)
    elif kind == "write" and not path.is_symlink():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f'{{"id": "{names[1]}", "text": "{names[1]}"}}\n' if path.suffix == ".jsonl" else names[1])
    elif kind in ("rename", "link"):
        target = root / names[1]
        target.parent.mkdir(parents=True, exist_ok=True)
        if kind == "rename" and path.is_file():
            path.replace(target)
        elif kind == "link" and not target.exists() and not target.is_symlink() and target.suffix == path.suffix:
            target.symlink_to(path)


def expected(root: Path) -> dict[str, str]:
    """uri -> text of what an ingest takes, each file having one document."""
    files = [found for found in find_files([root]) if not isinstance(found, Skipped)]
    found = {}
    for path in files:
        text = path.read_text()
        name = str(path)
        if path.suffix == ".jsonl" and text.startswith("{"):
            text = text.split('"')[3]
            name = f"{name}#{text}"
        elif path.suffix == ".jsonl":
            continue  # what was renamed into it is no row
        found[name] = text
    return found


@settings(max_examples=10, deadline=None)
@given(st.lists(OPERATIONS, max_size=12))
def test_after_any_changes_and_a_synchronisation_the_store_has_what_the_files_say(
    operations: list[tuple[str, ...]],
) -> None:
    with tempfile.TemporaryDirectory() as folder, Store(Path(folder) / "m.db", ToyEmbedder(8)) as store:
        root = Path(folder).resolve() / "root"
        root.mkdir()
        (root / "always.md").write_text("here")
        for operation in [*operations, ("synchronise",)]:
            if operation[0] != "synchronise":
                apply(root, operation)
                continue
            skipped = {str(event.path) for event in watch(store, root, once=True) if event.kind == "skipped"}
            unsure = {uri for uri in texts(store) if uri.partition("#")[0] in skipped}
            assert {uri: text for uri, text in texts(store).items() if uri not in unsure} == expected(root)

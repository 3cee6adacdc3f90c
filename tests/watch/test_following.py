"""A watch that goes on: what happens to files happens to the store, with the system's notices and without."""

from __future__ import annotations

import shutil
import sys
import threading
from pathlib import Path

import pytest
from db.processes import python
from toy import ToyEmbedder
from watch.following import Following, texts, until

from vstore import Store, config, place, restore
from vstore.db.connection import Database
from vstore.errors import MissingExtraError, StoreError
from vstore.watch import notices, watch

ON_LINUX = pytest.mark.skipif(sys.platform != "linux", reason="inotify is Linux'")


def inotify_watches() -> int:
    """How many folders this process has the kernel watch."""
    lines = []
    for descriptor in Path("/proc/self/fdinfo").iterdir():
        try:
            lines += descriptor.read_text().splitlines()
        except OSError:  # that of the listing itself
            continue
    return sum(line.startswith("inotify ") for line in lines)


@pytest.mark.parametrize("poll", [False, True], ids=["notices", "polling"])
def test_additions_changes_removals_and_moves_are_followed(store: Store, notes: Path, poll: bool) -> None:
    with Following(store, notes, poll=poll) as following:
        (notes / "new").mkdir()
        (notes / "new" / "c.md").write_text("cherries")
        following.wait("added", notes / "new" / "c.md")
        (notes / "new" / "c.md").write_text("cherries are dear")
        following.wait("updated", notes / "new" / "c.md")
        (notes / "a.md").unlink()
        following.wait("forgotten", notes / "a.md")
        (notes / "sub").rename(notes / "moved")
        following.wait("added", notes / "moved" / "b.md")
        following.wait("forgotten", notes / "sub" / "b.md")
        (notes / "moved" / "b.md").rename(notes / "moved" / "d.md")
        following.wait("added", notes / "moved" / "d.md")
        following.wait("forgotten", notes / "moved" / "b.md")
        assert texts(store) == {
            str(notes / "new" / "c.md"): "cherries are dear",
            str(notes / "moved" / "d.md"): "# Bread\n\nis brown",
        }
    assert following.kinds(notes / "moved" / "b.md") == ["added", "forgotten"]
    assert not any(event.kind in ("skipped", "waiting", "refused", "busy") for event in following.events)


@ON_LINUX
def test_ignored_folders_are_not_watched(store: Store, notes: Path) -> None:
    for number in range(200):
        (notes / "node_modules" / f"package{number}").mkdir(parents=True)
        (notes / "out" / f"{number}").mkdir(parents=True)
    (notes / ".gitignore").write_text("out/\n")
    before = inotify_watches()
    with Following(store, notes) as following:
        assert inotify_watches() - before == 2  # of 405 folders
        (notes / "new").mkdir()
        (notes / "new" / "c.md").write_text("cherries")
        following.wait("added", notes / "new" / "c.md")
        until(lambda: inotify_watches() - before == 3)
        (notes / ".gitignore").write_text("")
        (notes / "out" / "7" / "d.md").write_text("dates")
        following.wait("added", notes / "out" / "7" / "d.md")
        until(lambda: inotify_watches() - before == 204)
        (notes / ".gitignore").write_text("out/\n")
        following.wait("forgotten", notes / "out" / "7" / "d.md")
        until(lambda: inotify_watches() - before == 3)
    assert inotify_watches() == before


@ON_LINUX
def test_a_folder_that_is_made_again_in_the_same_place_is_watched_again(store: Store, notes: Path) -> None:
    with Following(store, notes) as following:
        for number in range(3):
            shutil.rmtree(notes / "sub")
            (notes / "sub").mkdir()
            file = notes / "sub" / f"{number}.md"
            file.write_text("cherries")
            following.wait("added", file)
            file.write_text("dear cherries")  # of which only the folder itself gives notice
            following.wait("updated", file)


def test_a_root_that_vanishes_keeps_its_memories_and_is_followed_when_it_is_back(store: Store, notes: Path) -> None:
    away = notes.with_name("away")
    with Following(store, notes) as following:
        notes.rename(away)
        event = following.wait("waiting", notes)
        assert "it is gone" in event.reason
        notes.mkdir()  # as the place where a disk was mounted
        assert "nothing is in it" in following.wait("waiting", notes, 2).reason
        assert len(texts(store)) == 2
        notes.rmdir()
        (away / "a.md").write_text("# Apples\n\nare gone")
        away.rename(notes)
        following.wait("back", notes)
        following.wait("updated", notes / "a.md")
        (notes / "c.md").write_text("cherries")
        following.wait("added", notes / "c.md")
    assert len(texts(store)) == 3


def test_a_root_that_is_emptied_file_by_file_is_followed(store: Store, notes: Path) -> None:
    with Following(store, notes) as following:
        (notes / "a.md").unlink()
        (notes / "sub" / "b.md").unlink()
        following.wait("forgotten", notes / "a.md")
        following.wait("forgotten", notes / "sub" / "b.md")
    assert texts(store) == {}


def test_a_mass_of_deletions_is_refused_and_the_rest_followed(store: Store, notes: Path) -> None:
    for number in range(12):
        (notes / "sub" / f"{number}.md").write_text(f"number {number}")
    with Following(store, notes) as following:
        shutil.rmtree(notes / "sub")
        assert following.wait("refused", notes).documents == 13
        (notes / "c.md").write_text("cherries")
        following.wait("added", notes / "c.md")
        (notes / "c.md").write_text("dear cherries")
        following.wait("updated", notes / "c.md")
    assert len(texts(store)) == 15
    assert following.kinds(notes) == ["refused"]


def test_a_file_as_root_survives_editors_that_replace_it(store: Store, notes: Path) -> None:
    file = notes / "a.md"
    with Following(store, file) as following:
        (notes / ".a.md.swp").write_text("draft")
        (notes / "a.new").write_text("# Apples\n\nare sweet")
        (notes / "a.new").replace(file)
        following.wait("updated", file)
        file.unlink()
        following.wait("waiting", file)
        assert len(texts(store)) == 1
        file.write_text("# Apples\n\nare back")
        following.wait("updated", file, 2)
    assert list(texts(store)) == [str(file)]


def test_a_file_that_cannot_be_read_is_named_once_and_tried_again_when_it_changes(store: Store, notes: Path) -> None:
    strange = notes / "c.md"
    with Following(store, notes) as following:
        strange.write_bytes(bytes(100))
        following.wait("skipped", strange)
        (notes / "d.md").write_text("dates")
        following.wait("added", notes / "d.md")
        strange.write_text("cherries")
        following.wait("added", strange)
    assert following.kinds(strange) == ["skipped", "added"]


def test_a_file_is_read_when_it_has_been_written(
    store: Store, notes: Path, embedder: ToyEmbedder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(config, "WATCH_SETTLE_S", 0.3)
    with Following(store, notes) as following:
        with (notes / "c.md").open("w") as file:
            for number in range(20):
                file.write(f"line {number}\n")
                file.flush()
                threading.Event().wait(0.02)
        following.wait("added", notes / "c.md")
    assert following.kinds(notes / "c.md") == ["added"]
    assert "line 19" in texts(store)[str(notes / "c.md")]


def test_nothing_is_forgotten_while_something_is_being_written_that_may_be_the_same(
    store: Store, notes: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(config, "WATCH_SETTLE_S", 0.4)  # longer than a loss is waited for
    with Following(store, notes) as following:
        (notes / "c.md").write_text("# Apples\n\nare red")
        (notes / "a.md").unlink()
        following.wait("forgotten", notes / "a.md")
    assert [(event.kind, event.path.name) for event in following.events[-2:]] == [
        ("added", "c.md"),
        ("forgotten", "a.md"),
    ]


def test_a_limit_of_the_system_is_told_once_and_folders_are_walked_instead(
    store: Store, notes: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from watchfiles import _rust_notify

    def refuse(*_: object) -> None:
        raise OSError("OS file watch limit reached.")

    monkeypatch.setattr(_rust_notify, "RustNotify", refuse)
    with Following(store, notes) as following:
        (notes / "c.md").write_text("cherries")
        following.wait("added", notes / "c.md")
    (event,) = [event for event in following.events if event.kind == "polling"]
    assert "OS file watch limit reached" in event.reason
    if sys.platform == "linux":
        assert "fs.inotify.max_user_watches" in event.reason


def test_a_network_file_system_is_polled_and_that_is_said(
    store: Store, notes: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(place, "network", lambda path: "nfs4")
    with Following(store, notes) as following:
        (notes / "c.md").write_text("cherries")
        following.wait("added", notes / "c.md")
    (event,) = [event for event in following.events if event.kind == "polling"]
    assert (event.path, "nfs4" in event.reason) == (notes, True)


def test_without_watchfiles_the_extra_is_named_and_polling_works(
    store: Store, notes: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "watchfiles", None)
    with pytest.raises(MissingExtraError, match=r"vstore\[watch\]"):
        watch(store, notes)
    with Following(store, notes, poll=True) as following:
        following.wait("added", notes / "a.md")


def test_a_store_that_others_write_to_is_tried_again(
    store: Store, notes: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = Database(store.path, 99, create=False)
    lock = other.write()
    monkeypatch.setattr(config, "BUSY_TIMEOUT_MS", 20)  # of connections that are opened from now on
    with Following(store, notes) as following:
        lock.__enter__()
        (notes / "c.md").write_text("cherries")
        (notes / "d.md").write_text("dates")
        store.index._database.connection()
        following.wait("busy")
        lock.__exit__(None, None, None)
        following.wait("added", notes / "c.md")
        following.wait("added", notes / "d.md")
    other.close()
    assert following.kinds(store.path).count("busy") == 1


def test_a_store_that_was_replaced_ends_it(notes: Path, tmp_path: Path, embedder: ToyEmbedder) -> None:
    with Store(tmp_path / "one.db", embedder) as store, Following(store, notes) as following:
        with Store(tmp_path / "two.db", embedder) as other:
            other.remember("another store")
        (tmp_path / "two.db").replace(tmp_path / "one.db")
        (notes / "c.md").write_text("cherries")
        error = following.ended()
        assert isinstance(error, StoreError)
        assert "replaced or deleted" in str(error)


def test_a_store_that_was_restored_to_an_earlier_state_ends_it(store: Store, notes: Path, tmp_path: Path) -> None:
    store.remember("before")
    backup = store.backup(tmp_path / "backup.db")
    with Following(store, notes) as following:
        restore(backup.path, store.path)
        error = following.ended()
    assert isinstance(error, StoreError)
    assert "restored to an earlier state" in str(error)


def test_a_restore_that_takes_nothing_back_is_followed_by_a_comparison(
    store: Store, notes: Path, tmp_path: Path
) -> None:
    with Following(store, notes) as following:
        backup = store.backup(tmp_path / "backup.db")
        restore(backup.path, store.path)
        (notes / "c.md").write_text("cherries")
        following.wait("added", notes / "c.md")
    assert len(texts(store)) == 3


def test_two_watches_of_one_tree_do_no_harm(store: Store, notes: Path, embedder: ToyEmbedder) -> None:
    with (
        Store(store.path, embedder) as other,
        Following(store, notes) as one,
        Following(other, notes) as two,
    ):
        for number in range(8):
            (notes / f"{number}.md").write_text(f"number {number}")
        until(lambda: len(texts(store)) == 10)
        (notes / "sub" / "b.md").rename(notes / "c.md")
        until(lambda: str(notes / "sub" / "b.md") not in texts(store) and str(notes / "c.md") in texts(store))
    assert len(texts(store)) == 10
    assert not any(event.kind in ("skipped", "refused") for event in one.events + two.events)


def test_another_process_may_write_meanwhile(store: Store, notes: Path) -> None:
    script = (
        "import sys\nfrom toy import ToyEmbedder\nfrom vstore import Store\n"
        "with Store(sys.argv[1], ToyEmbedder(16)) as store:\n"
        "    for number in range(30):\n        store.remember(f'thought {number}', uri=f't:{number}')\n"
    )
    with Following(store, notes) as following:
        writer = threading.Thread(target=python, args=(script, store.path))
        writer.start()
        for number in range(5):
            (notes / f"{number}.md").write_text(f"number {number}")
            following.wait("added", notes / f"{number}.md")
        writer.join()
    assert len(texts(store)) == 37


def test_what_is_forgotten_by_hand_is_not_brought_back_until_it_changes(store: Store, notes: Path) -> None:
    with Following(store, notes) as following:
        store.forget(notes / "a.md")
        (notes / "c.md").write_text("cherries")
        following.wait("added", notes / "c.md")
        assert str(notes / "a.md") not in texts(store)
        (notes / "a.md").write_text("# Apples\n\nagain")
        following.wait("added", notes / "a.md", 2)


def test_notices_of_what_is_ignored_and_of_the_store_itself_are_dropped(notes: Path) -> None:
    from vstore.watch.listing import look

    own = notes / "memory.db-wal"
    watching = notices.Watching(notes / "memory.db")
    try:
        found = look([notes], notes / "memory.db")
        assert watching.follow(found)
        dropped = [own, notes / ".a.md.swp", notes / "node_modules", notes / "node_modules" / "x" / "y.js"]
        taken = [notes / "a.md", notes / "new.md", notes / ".gitignore", notes / "sub", notes / "sub" / "x.md", notes]
        assert [path.name for path in (*dropped, *taken) if watching._concerns(2, path)] == [
            path.name for path in taken
        ]
        assert not watching.follow(found)
        watching._concerns(notices._DELETED, notes / "sub")  # and one is made with the same number, perhaps
        assert watching.follow(found)
        assert not watching.follow(found)
    finally:
        watching.close()

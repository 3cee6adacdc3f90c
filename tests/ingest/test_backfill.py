"""A space is filled beside the one that serves: killed, interrupted, on a full disk, and while others write."""

from __future__ import annotations

import random
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
from db.material import assert_consistent, rows
from db.processes import python, start
from toy import ToyEmbedder

from vstore import Store, config
from vstore.db.index import SqliteIndex
from vstore.errors import IncompleteSpaceError, NotFoundError, SpaceMismatchError
from vstore.ingest.backfill import caught_up, fill, switch, switch_back
from vstore.runs import Conclusion

OLD, NEW = ToyEmbedder(16), ToyEmbedder(24, "new")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "memory.db"


@pytest.fixture
def store(path: Path) -> Iterator[Store]:
    with Store(path, OLD) as opened:
        for number in range(10):
            opened.remember(f"Note {number} is about fish.", title=f"Title {number}", uri=str(number))
        yield opened


@pytest.fixture
def index(store: Store) -> Iterator[SqliteIndex]:
    with closing(SqliteIndex(store.path)) as opened:
        yield opened


def begin(index: SqliteIndex, embedder: ToyEmbedder = NEW) -> int:
    return index.begin_encoder(embedder.fingerprint, embedder.dimension, {})


def serving(index: SqliteIndex) -> str:
    space = index.active_space()
    assert space is not None
    return space.fingerprint


def test_every_chunk_gets_the_vector_of_the_text_that_ingest_would_embed(store: Store, index: SqliteIndex) -> None:
    model_id = begin(index)
    space = index.space_of(model_id)
    added: list[int] = []
    NEW.embedded.clear()
    assert fill(index, space, NEW, progress=added.append)
    assert sum(added) == 10
    OLD.embedded.clear()
    store.remember("Note 10 is about fish.", title="Title 10")
    assert OLD.embedded == ["Title 10\nNote 10 is about fish."]
    assert sorted(NEW.embedded)[:2] == ["Title 0\nNote 0 is about fish.", "Title 1\nNote 1 is about fish."]
    with index.snapshot() as snapshot:
        ids = [chunk for document in range(1, 11) for chunk in snapshot.chunk_ids(document)]
        found = snapshot.serving(None, space=space).vectors(ids)
        for chunk_id, chunk in snapshot.chunks(ids).items():
            (wanted,) = NEW.embed_documents([f"{chunk.document.title}\n{chunk.text}"])
            assert np.array_equal(found[chunk_id], wanted)


def test_filling_stops_at_the_deadline_and_goes_on_from_there(
    index: SqliteIndex, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(config, "EMBED_CHUNKS", 3)
    monkeypatch.setattr(config, "WINDOW_CHUNKS", 4)
    space = index.space_of(begin(index))
    assert not fill(index, space, NEW, deadline=time.monotonic())
    assert len(index.lacking(space, 100)) == 10
    moments = iter([0.0, 0.0, 2.0])
    monkeypatch.setattr(time, "monotonic", lambda: next(moments))
    assert not fill(index, space, NEW, deadline=1.0)
    monkeypatch.undo()
    assert 0 < len(index.lacking(space, 100)) < 10
    assert fill(index, space, NEW)
    assert index.lacking(space, 100) == []


def test_the_embedder_of_another_space_is_refused(index: SqliteIndex) -> None:
    with pytest.raises(SpaceMismatchError):
        fill(index, index.space_of(begin(index)), OLD)


def test_documents_that_are_added_changed_and_forgotten_meanwhile_are_caught_up_with(
    store: Store, index: SqliteIndex, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(config, "EMBED_CHUNKS", 2)
    model_id = begin(index)
    changes = iter(
        [
            lambda: store.remember("A late note about birds.", uri="late"),
            lambda: store.remember("Note 3 is about whales now.", uri="3"),
            lambda: store.forget("4"),
            lambda: store.forget("9"),
        ]
    )

    def meddle(_: int) -> None:
        next(changes, lambda: None)()

    index.complete_encoder(model_id, {})
    assert switch(index, model_id, NEW, progress=meddle)
    assert serving(index) == NEW.fingerprint
    texts = [row[0] for row in rows(path, "SELECT text FROM chunks")]
    assert "A late note about birds." in texts and "Note 3 is about whales now." in texts and len(texts) == 9
    assert_consistent(path, 2)


def test_what_comes_in_between_the_last_vector_and_the_switch_is_not_lost(
    store: Store, index: SqliteIndex, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model_id = begin(index)
    index.complete_encoder(model_id, {})
    activate = index.activate
    late = iter(["one", "two"])

    def write_first(model_id: int) -> None:
        for text in late:
            store.remember(text)
            break
        activate(model_id)

    monkeypatch.setattr(index, "activate", write_first)
    assert switch(index, model_id, NEW)
    assert_consistent(path, 2)


def test_a_switch_is_given_up_when_others_write_faster(
    store: Store, index: SqliteIndex, monkeypatch: pytest.MonkeyPatch
) -> None:
    model_id = begin(index)
    index.complete_encoder(model_id, {})
    activate, tries = index.activate, []

    def write_first(model_id: int) -> None:
        store.remember(f"again {len(tries)}")
        tries.append(1)
        activate(model_id)

    monkeypatch.setattr(index, "activate", write_first)
    with pytest.raises(IncompleteSpaceError):
        switch(index, model_id, NEW)
    assert len(tries) == config.SWITCH_ATTEMPTS
    assert serving(index) == OLD.fingerprint
    assert store.search("again 3", k=1)[0].text == "again 3"


def test_a_switch_that_has_no_time_left_changes_nothing(index: SqliteIndex) -> None:
    model_id = begin(index)
    index.complete_encoder(model_id, {})
    assert not switch(index, model_id, NEW, deadline=time.monotonic())
    assert serving(index) == OLD.fingerprint


def test_rolling_back_embeds_what_came_in_since_with_the_old_model(
    store: Store, index: SqliteIndex, path: Path
) -> None:
    model_id = begin(index)
    index.complete_encoder(model_id, {})
    switch(index, model_id, NEW)
    with Store(path, NEW) as renewed:
        renewed.remember("A late note about birds.", title="Late")
    OLD.embedded.clear()
    assert switch_back(index, lambda space: {OLD.fingerprint: OLD, NEW.fingerprint: NEW}[space.fingerprint]) == 1
    assert OLD.embedded == ["Late\nA late note about birds."]
    assert serving(index) == OLD.fingerprint
    assert_consistent(path, 1)
    with pytest.raises(NotFoundError, match="nothing to roll back"):
        switch_back(index, lambda space: OLD)


def test_a_run_promotes_an_encoder_only_when_it_has_caught_up(store: Store, index: SqliteIndex, path: Path) -> None:
    model_id = begin(index)
    index.complete_encoder(model_id, {})
    run_id = index.begin_run({})
    conclusion = Conclusion("promoted", "it is better", promoted=model_id, over=1)
    with pytest.raises(IncompleteSpaceError, match="10 chunks"):
        index.conclude_run(run_id, conclusion)
    assert index.runs()[0].status == "running"
    assert caught_up(index, model_id, NEW, lambda: index.conclude_run(run_id, conclusion)) == model_id
    assert serving(index) == NEW.fingerprint
    assert (index.runs()[0].status, index.runs()[0].model) == ("promoted", model_id)


# Prints a line when something was done, in one process that is killed at any moment of it.
BUILDER = """
import sys
from pathlib import Path
from toy import ToyEmbedder
from vstore import config
from vstore.db.index import SqliteIndex
from vstore.ingest.backfill import switch
config.EMBED_CHUNKS = config.DROPPED_AT_ONCE = 4
config.WINDOW_CHUNKS = 8
new = ToyEmbedder(24, "new")
index = SqliteIndex(Path(sys.argv[1]))
print("open", flush=True)
model_id = index.begin_encoder(new.fingerprint, new.dimension, {})
index.save_file(model_id, "weights", [bytes(1000)] * 20)
index.complete_encoder(model_id, {})
print("begun", flush=True)
switch(index, model_id, new, progress=lambda _: print("batch", flush=True))
print("switched", flush=True)
"""


@pytest.mark.parametrize("lines", [1, 2, 3, 5, 8])
def test_after_kill_9_at_any_moment_the_old_model_serves_whole_and_the_next_run_completes(
    store: Store, path: Path, lines: int
) -> None:
    for number in range(10, 30):
        store.remember(f"Note {number} is about fish.", uri=str(number))
    moments = random.Random(lines)
    with start(BUILDER, path) as process:
        assert process.stdout is not None
        for _ in range(lines):
            process.stdout.readline()
        time.sleep(moments.uniform(0.0, 0.01))
        process.kill()
        seen = process.stdout.read()
    with closing(SqliteIndex(path)) as index:
        if "switched" not in seen and serving(index) == OLD.fingerprint:
            assert_consistent(path, 1)
            assert store.search("note 7 fish", k=1).degraded is None
        if serving(index) == OLD.fingerprint:
            assert python(BUILDER, path).endswith("switched")
        assert serving(index) == NEW.fingerprint
        assert index.roll_back() == 1
    assert_consistent(path, 1)
    assert_consistent(path, 2)


FILLER = """
import resource, sys
from pathlib import Path
from toy import ToyEmbedder
from vstore import config
from vstore.db.index import SqliteIndex
from vstore.errors import StoreError
from vstore.ingest.backfill import switch
config.EMBED_CHUNKS = 4
new = ToyEmbedder(1024, "large")
path = Path(sys.argv[1])
index = SqliteIndex(path)
wal = path.with_name(path.name + "-wal")
limit = max(path.stat().st_size, wal.stat().st_size if wal.exists() else 0) + int(sys.argv[2])
resource.setrlimit(resource.RLIMIT_FSIZE, (limit, resource.RLIM_INFINITY))
try:
    model_id = index.begin_encoder(new.fingerprint, new.dimension, {})
    index.complete_encoder(model_id, {})
    switch(index, model_id, new)
except StoreError as error:
    print(error)
"""


@pytest.mark.parametrize("room", [5_000, 60_000, 120_000])
def test_a_full_disk_leaves_the_old_model_serving_and_the_next_run_completes(
    store: Store, path: Path, room: int
) -> None:
    for number in range(10, 60):
        store.remember(f"Note {number} is about fish.", uri=str(number))
    assert "space" in python(FILLER, path, room)
    assert_consistent(path, 1)
    assert store.search("note 7 fish", k=1).degraded is None
    assert python(FILLER, path, 10**9) == ""
    with closing(SqliteIndex(path)) as index:
        assert serving(index) != OLD.fingerprint
    assert_consistent(path, 2)

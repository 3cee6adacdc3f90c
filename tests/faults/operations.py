"""Everything that changes a store's file, each with the states it may leave behind when it is cut off.

A new operation is one entry of OPERATIONS: how to make the file, what to do with it, and which states are allowed
besides the one before and the one after.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from contextlib import closing
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Protocol

import apsw
import numpy as np
from faults.checks import State, opened, problems, state
from faults.disk import Disk
from toy import ToyEmbedder

from vstore import Store
from vstore.adapter import Adapter
from vstore.db import migrate as migrations
from vstore.db.connection import Database
from vstore.db.index import SqliteIndex
from vstore.db.migrate import latest, migrate, scripts
from vstore.db.restore import restore
from vstore.ingest.backfill import fill, switch
from vstore.judgements import Verdict
from vstore.maintenance import repair
from vstore.moving import export_to, import_from

TOY = ToyEmbedder(16)
NEXT = ToyEmbedder(12, "next")  # the model of another space
TEXTS = {
    "notes/tea": "Green tea is brewed at seventy degrees.\n\n" + "Water that boils makes it bitter. " * 30,
    "notes/birch": "Birch bark burns even when it is wet.",
    "notes/harbour": "The harbour master keeps the key of the crane.",
}
UPDATED = "Green tea is brewed at eighty degrees, said somebody else. " * 25
LONG = "\n\n".join(f"Day {day}: " + f"the wind was {day} knots from the west. " * 20 for day in range(5))
FILES = {
    "1-oak.txt": "Oak planks for the deck, " * 60,
    "2-pine.md": "# Pine\n\nResin seals the seams.\n\n# Tar\n\n" + "Tar keeps the water out. " * 50,
    "3-rope.txt": "Hemp rope shrinks when it is wet. " * 40,
    "4-sail.txt": "The sail maker sews by hand.",
    "5-keel.txt": "The keel was laid in spring. " * 70,
}
MODEL_FILES = {"weights": [b"w" * 9_000, b"x" * 9_000, b"y" * 50], "tokenizer": [b"words"]}


class Run(Protocol):
    """What an operation tells the one that runs it."""

    def begin(self) -> None:
        """Faults count from here."""

    def acknowledge(self) -> None:
        """The operation has reported success."""

    def go_on(self, store: Store) -> None:
        """The disk may have been cured; the same handle must work then."""


Act = Callable[[Path, Run], None]
Allowed = Callable[[State, State, State], bool]  # of the states before, after, and found: whether it may be in between


@dataclass(frozen=True)
class Operation:
    """One kind of change.

    `between` are states it may be cut off in, `kept` those there may be when it has reported success. `beside` says
    what is wrong with other files. What is cut off is done `again` where the file was not whole before. `lossy` ones
    promise nothing for a power loss. `settings` stand in for those of config.
    """

    name: str
    prepare: Callable[[Path], None]
    act: Act
    between: Allowed = lambda before, after, found: False
    kept: Allowed = lambda before, after, found: found == after
    beside: Callable[[Path, State, State], Iterable[str]] = lambda path, before, after: ()
    again: Callable[[Path], object] | None = None
    lossy: bool = False
    settings: Mapping[str, object] = field(default_factory=dict)


def store(path: Path, embedder: ToyEmbedder = TOY, **options: bool) -> Store:
    return Store(path, embedder, **{"log": False, "metrics": False, **options})


def on_store(step: Callable[[Store], object], **options: bool) -> Act:
    """An operation of a store that is open already; a step that returns False has promised nothing."""

    def act(path: Path, run: Run) -> None:
        with store(path, **options) as opened_store:
            run.begin()
            try:
                if step(opened_store) is not False:
                    run.acknowledge()
            finally:
                run.go_on(opened_store)

    return act


# --- files before -----------------------------------------------------------------------------------------------------


def nothing(path: Path) -> None:
    """No file at all."""


def small(path: Path) -> None:
    """Three documents, a judgement, a logged query."""
    with store(path, log=True, metrics=True) as made:
        for uri, text in TEXTS.items():
            made.remember(text, uri=uri, title=uri.title())
        made.feedback("when is bark useful", "notes/birch", grade=2)
        made.search("who has the key of the crane")


def with_folder(path: Path) -> None:
    """The small store beside a folder of files."""
    small(path)
    folder = path.parent / "folder"
    folder.mkdir()
    for name, text in FILES.items():
        (folder / name).write_text(text)


def with_long(path: Path) -> None:
    """A document of several chunks, one of which was judged, among others."""
    small(path)
    with store(path) as made:
        made.remember(LONG, uri="notes/log", title="Log")
        (hit,) = made.search("wind", 1)
        made.feedback("how strong", hit.chunk_id)


def with_adapters(path: Path) -> None:
    """One adapter serves, a second one is a candidate."""
    small(path)
    with closing(SqliteIndex(path)) as index:
        index.activate(index.save_adapter(adapter(1), {}, {}))
        index.save_adapter(adapter(2), {}, {})


def adapter(seed: int) -> Adapter:
    weights = np.random.default_rng(seed).normal(size=(TOY.dimension, TOY.dimension)) / 10
    return Adapter(weights.astype(np.float32), 0.3, 0.2)


def with_encoder(path: Path) -> None:
    """A space beside the active one, filled, of a complete encoder with its files."""
    small(path)
    with closing(SqliteIndex(path)) as index:
        model_id = index.begin_encoder(NEXT.fingerprint, NEXT.dimension, {})
        for name, parts in MODEL_FILES.items():
            index.save_file(model_id, name, parts)
        assert fill(index, index.space_of(model_id), NEXT)
        index.complete_encoder(model_id, {})


def with_served_encoder(path: Path) -> None:
    """The encoder serves, and a document came in since, that the space before has no vector of."""
    with_encoder(path)
    with closing(SqliteIndex(path)) as index:
        assert switch(index, 2, NEXT)
    with store(path, NEXT) as later:
        later.remember("Cork floats because of its air.", uri="notes/cork")


def with_log(path: Path, disk: Disk) -> None:
    """A log with commits that are not in the file yet, left by a process that died."""
    small(path)
    disk.reset()
    with disk.mounted():
        dying = store(path)
        for number in range(4):
            dying.remember(f"The {number}. lantern hangs at the pier. " * 20, uri=f"notes/lantern-{number}")
        disk.die()
        dying.close()


def with_expired(path: Path) -> None:
    """Two documents have expired, and are in the file still."""
    small(path)
    with closing(opened(path)) as connection:
        connection.execute("UPDATE documents SET expires_at = 1 WHERE uri <> 'notes/tea'")


def with_backup(path: Path) -> None:
    """A backup of an earlier time beside the small store."""
    small(path)
    with store(path) as made:
        made.forget("notes/birch")
        made.remember("What the backup has.", uri="notes/backup")
        made.backup(path.with_name("backup.db"))
        made.forget("notes/backup")
        made.remember("What came after the backup.", uri="notes/later")


def with_export(path: Path) -> None:
    """The export of another store beside the small one."""
    other = path.with_name("other.db")
    with store(other) as made:
        made.remember("Copper pipes turn green.", uri="notes/copper")
        made.remember(UPDATED, uri="notes/tea", title="Notes/Tea")
        made.feedback("what turns green", "notes/copper")
        export_to(made, path.with_name("export.jsonl"), vectors=True)
    other.unlink()
    small(path)


def damaged(path: Path) -> None:
    """Much of what is derived is missing or wrong."""
    small(path)
    with closing(opened(path)) as connection:
        connection.config(apsw.SQLITE_DBCONFIG_DEFENSIVE, 0)
        connection.execute(
            "DELETE FROM codes_g1 WHERE chunk_id = 2; UPDATE vectors_g1 SET crc32 = 7 WHERE chunk_id = 1"
        )
        connection.execute("DELETE FROM chunk_terms WHERE chunk_id = 3; DELETE FROM chunks_fts_docsize WHERE id = 1")


def of_schema(version: int) -> Callable[[Path], None]:
    """A file as an earlier version of vstore left it: its migrations alone, and what the small store has."""

    def prepare(path: Path) -> None:
        source = path.with_name("source.db")
        small(source)
        known = scripts
        migrations.scripts = lambda: known()[:version]  # type: ignore[assignment]
        try:
            old = Database(path, version, create=True)
            migrate(old)
            old.close()
        finally:
            migrations.scripts = known
        with closing(opened(path)) as connection:
            connection.execute("ATTACH ? AS source", (str(source),))
            spaces = "SELECT sql FROM source.sqlite_schema WHERE name IN ('vectors_g1', 'codes_g1')"
            for (sql,) in [*connection.execute(spaces)]:
                connection.execute(sql)
            for table in _copied(connection):
                columns = ", ".join(f'"{row[1]}"' for row in [*connection.execute(f"PRAGMA main.table_info({table})")])
                connection.execute(f"INSERT INTO main.{table} ({columns}) SELECT {columns} FROM source.{table}")
            connection.execute("INSERT INTO chunks_fts (chunks_fts) VALUES ('rebuild')")
        source.unlink()

    return prepare


def _copied(connection: apsw.Connection) -> list[str]:
    """The ordinary tables, those that others refer to first."""
    sql = (
        "SELECT name FROM main.sqlite_schema WHERE type = 'table' AND name NOT LIKE 'chunks\\_fts%' ESCAPE '\\' "
        "AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\' AND name <> 'chunks_vocabulary' ORDER BY rowid"
    )
    return [name for (name,) in [*connection.execute(sql)]]


# --- states in between ------------------------------------------------------------------------------------------------


def files_in_order(before: State, after: State, found: State) -> bool:
    """The first files of the folder are there, whole, and nothing else has changed."""
    new = sorted(key for key in after.documents if key not in before.documents)
    return any(
        found == replace(before, documents=before.documents | {key: after.documents[key] for key in new[:count]})
        for count in range(len(new))
    )


def some_vectors(before: State, after: State, found: State) -> bool:
    """What an encoder needs is there in part; documents, judgements and what serves are as they were."""
    same = ("schema", "feedback", "asked", "counters", "active")
    return (
        all(getattr(found, name) == getattr(before, name) for name in same)
        and before.spaces <= found.spaces <= after.spaces
        and found.models[: len(before.models)] == before.models
        and set(found.files) <= set(after.files)
        and all(_within(found.documents[key], after.documents[key]) for key in after.documents)
        and found.documents.keys() == after.documents.keys()
    )


def _within(one: tuple[object, ...], other: tuple[object, ...]) -> bool:
    """The same document, with some of the vectors."""
    chunks, all_chunks = one[-1], other[-1]
    assert isinstance(chunks, tuple) and isinstance(all_chunks, tuple)
    return (
        one[:-1] == other[:-1]
        and [chunk[:-1] for chunk in chunks] == [chunk[:-1] for chunk in all_chunks]
        and all(set(mine[-1]) <= set(full[-1]) for mine, full in zip(chunks, all_chunks, strict=True))
    )


def decided(before: State, after: State, found: State) -> bool:
    """The decision is made, and of what nobody can go back to some is still there."""
    return (
        found.models == after.models
        and found.active == after.active
        and after.spaces <= found.spaces <= before.spaces
        and set(after.files) <= set(found.files) <= set(before.files)
        and found.documents.keys() == after.documents.keys()
        and all(_within(after.documents[key], found.documents[key]) for key in after.documents)
        and all(getattr(found, name) == getattr(after, name) for name in ("schema", "feedback", "counters"))
    )


def caught_up(before: State, after: State, found: State) -> bool:
    """The vectors that came late are there, and the model that served does so still."""
    return replace(found, documents=after.documents) == replace(before, documents=after.documents) and (
        found.documents.keys() == after.documents.keys()
        and all(_within(found.documents[key], after.documents[key]) for key in after.documents)
    )


def older_schema(before: State, after: State, found: State) -> bool:
    """Made, and not migrated yet: without tables."""
    return not found.documents and found.schema == 0


def some_imported(before: State, after: State, found: State) -> bool:
    """Documents come one by one, and the judgements with them or after them."""
    both = [before.documents, after.documents]
    return (
        found.documents.keys() >= before.documents.keys()
        and all(facts in (one.get(key) for one in both) for key, facts in found.documents.items())
        and set(before.feedback) <= set(found.feedback) <= set(after.feedback)
    )


def some_forgotten(before: State, after: State, found: State) -> bool:
    """Documents go one by one, each whole with its judgements."""
    left = found.documents.items()
    return after.documents.items() <= left <= before.documents.items() and set(found.feedback) <= set(before.feedback)


# --- what is done -----------------------------------------------------------------------------------------------------


def remember(opened_store: Store) -> None:
    opened_store.remember("The lighthouse was built of granite. " * 20, uri="notes/lighthouse", title="Lighthouse")


def update(opened_store: Store) -> None:
    opened_store.remember(UPDATED, uri="notes/tea", title="Notes/Tea")


def remember_long(opened_store: Store) -> None:
    opened_store.remember(LONG, uri="notes/log", title="Log")


def update_long(opened_store: Store) -> None:
    """Some chunks are new, some stay, and all of those have another place."""
    opened_store.remember(LONG.replace("Day 1", "Day one").replace("Day 0", "A day"), uri="notes/log", title="Log")


def forget(opened_store: Store) -> None:
    opened_store.forget("notes/birch")


def forget_long(opened_store: Store) -> None:
    opened_store.forget("notes/log")


def forget_several(opened_store: Store) -> None:
    opened_store.forget("notes/tea")
    for uri in ("notes/birch", "notes/harbour"):
        opened_store.forget(uri)


def ingest(opened_store: Store) -> None:
    opened_store.add(opened_store.path.parent / "folder")


def reindex(opened_store: Store) -> None:
    index = opened_store.index
    model_id = index.begin_encoder(NEXT.fingerprint, NEXT.dimension, {})
    for name, parts in MODEL_FILES.items():
        index.save_file(model_id, name, parts)
    assert fill(index, index.space_of(model_id), NEXT)
    index.complete_encoder(model_id, {})


def save_adapter(opened_store: Store) -> None:
    opened_store.index.save_adapter(adapter(3), {"trainer": "test"}, {})


def switch_adapter(opened_store: Store) -> None:
    opened_store.index.activate(3)


def switch_encoder(opened_store: Store) -> None:
    assert switch(opened_store.index, 2, NEXT)


def discard_encoder(opened_store: Store) -> None:
    opened_store.index.discard_encoder(2)


def roll_back(opened_store: Store) -> None:
    opened_store.roll_back()


def judge(opened_store: Store) -> None:
    verdicts = [Verdict.of(f"question {number}", "notes/tea", True, number % 4) for number in range(4)]
    opened_store.judge([*verdicts, Verdict.of("when is bark useful", "notes/birch", True, 1)])


def note_searches(opened_store: Store) -> bool:
    for number in range(5):
        opened_store.search(f"which lantern is number {number}", 3)
    return opened_store._journal.flush()


def erase_searches(opened_store: Store) -> None:
    opened_store.erase_searches()


def keep(opened_store: Store) -> None:
    opened_store.keep("notes/tea", expires="2100-01-01", pinned=True)


def compact(opened_store: Store) -> None:
    opened_store.compact()


def back_up(opened_store: Store) -> None:
    opened_store.backup(opened_store.path.with_name("backup.db"))


def whole_backup(path: Path, before: State, after: State) -> Iterable[str]:
    """A file of that name is a whole backup, and there is no other of it."""
    backup = path.with_name("backup.db")
    if backup.exists():
        yield from (f"the backup: {problem}" for problem in problems(backup))
        if state(backup) != before:
            yield "the backup is not what the store was"


def restore_backup(path: Path, run: Run) -> None:
    run.begin()
    restore(path.with_name("backup.db"), path)
    run.acknowledge()


def kept_aside(path: Path, before: State, after: State) -> Iterable[str]:
    """What was there before is kept whole, if it is."""
    for kept in path.parent.glob("*.before-*.db"):
        yield from (f"{kept.name}: {problem}" for problem in problems(kept))
        if state(kept) != before:
            yield f"{kept.name} is not what the store was"


def import_export(opened_store: Store) -> None:
    import_from(opened_store, opened_store.path.with_name("export.jsonl"))


def mend(path: Path) -> None:
    assert repair(path, TOY).after.ok


def repair_file(path: Path, run: Run) -> None:
    run.begin()
    report = repair(path, TOY)
    if report.after.ok and not report.left:
        run.acknowledge()


def open_file(path: Path, run: Run) -> None:
    """Open, which makes or migrates a file, or reads the log that a dead process left; and close."""
    run.begin()
    with store(path):
        run.acknowledge()


def checkpoint(opened_store: Store) -> None:
    with opened_store.index.bulk():
        pass


def operations(disk: Disk) -> dict[str, Operation]:
    """All of them by name. Some files are made with the help of a disk that fails."""

    def left_log(path: Path) -> None:
        with_log(path, disk)

    one_by_one = {"ADDED_AT_ONCE": 1, "WRITE_HOLD_S": 0.0, "WINDOW_CHUNKS": 2, "EMBED_CHUNKS": 2}
    in_parts = one_by_one | {"WRITTEN_AT_ONCE": 1}
    small_log = {"WAL_SIZE_LIMIT": 30_000}
    few_at_once = {"DROPPED_AT_ONCE": 2, "MODEL_PART_BYTES": 4_096}
    every = [
        Operation("create", nothing, open_file, older_schema),
        Operation("remember first", nothing, on_store(remember), lambda before, after, found: not found.documents),
        Operation("remember", small, on_store(remember)),
        Operation("update", small, on_store(update)),
        Operation("remember, in parts", small, on_store(remember_long), settings=in_parts),
        Operation("update, in parts", with_long, on_store(update_long), settings=in_parts),
        Operation("update, anew", with_long, on_store(update_long), settings=in_parts | {"PLACED_AT_ONCE": 1}),
        Operation("forget", small, on_store(forget)),
        Operation("forget, in parts", with_long, on_store(forget_long), settings=in_parts),
        Operation("forget several", small, on_store(forget_several), some_forgotten),
        Operation("ingest", with_folder, on_store(ingest), files_in_order, settings=one_by_one),
        Operation("ingest, small log", with_folder, on_store(ingest), files_in_order, settings=one_by_one | small_log),
        Operation("reindex", small, on_store(reindex), some_vectors, settings=one_by_one | few_at_once),
        Operation(
            "discard encoder",
            with_encoder,
            on_store(discard_encoder),
            between=decided,
            kept=decided,  # what could not be erased goes the next time
            settings=few_at_once,
        ),
        Operation("save adapter", small, on_store(save_adapter)),
        Operation("switch adapter", with_adapters, on_store(switch_adapter)),
        Operation("switch encoder", with_encoder, on_store(switch_encoder)),
        Operation("roll back adapter", with_adapters, on_store(roll_back)),
        Operation("roll back encoder", with_served_encoder, on_store(roll_back), caught_up),
        *(Operation(f"migrate from {version}", of_schema(version), open_file) for version in range(1, latest())),
        Operation("judge", small, on_store(judge)),
        Operation("note searches", small, on_store(note_searches, log=True, metrics=True), lossy=True),
        Operation("erase searches", small, on_store(erase_searches)),
        Operation("keep", small, on_store(keep)),
        Operation("compact", with_expired, on_store(compact), some_forgotten, settings={"FREE_SHARE": 0.0}),
        Operation("back up", small, on_store(back_up), beside=whole_backup),
        Operation("restore", with_backup, restore_backup, beside=kept_aside),
        Operation("import", with_export, on_store(import_export), some_imported, settings=one_by_one),
        Operation("repair", damaged, repair_file, again=mend),
        Operation("recover log", left_log, open_file),
        Operation("checkpoint", left_log, on_store(checkpoint)),
    ]
    return {operation.name: operation for operation in every}

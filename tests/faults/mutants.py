"""Broken variants of vstore, each a few lines, and the check of this suite that must notice it.

A check raises AssertionError, or returns what it found to be wrong; of the real vstore it finds nothing.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import apsw
import numpy as np
import pytest
from faults.cases import AT_ONCE, OPERATIONS, Bench, chosen
from faults.checks import opened, problems
from faults.disk import Mode
from faults.machine import SMALL
from faults.operations import LONG, TEXTS, TOY, adapter, small, store, with_encoder
from toy import ToyEmbedder

from vstore import Store, config
from vstore.adapter import Adapter
from vstore.db import connection as connections
from vstore.db import documents, drafts, encoders, expiry, lexical, migrate, models, scope
from vstore.db.codes import ResidentCodes
from vstore.db.connection import Database, run
from vstore.db.index import SqliteIndex
from vstore.errors import IncompleteSpaceError, ModelDamagedError, StoreBusyError, StoreError
from vstore.ingest.backfill import fill, switch
from vstore.search.journal import Journal
from vstore.search.stages import Facts
from vstore.serving import Serving

Patch = pytest.MonkeyPatch
SECRET = "zanzibar"  # in one document, and in no other text


@dataclass(frozen=True)
class Mutant:
    """What is broken, and the check that must notice it; `check` gets an empty folder."""

    name: str
    apply: Callable[[Patch], None]
    check: Callable[[Path], Sequence[str]]

    def found(self, *, broken: bool) -> Sequence[str]:
        """What the check finds, in the broken variant or in the real one."""
        with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
            if broken:
                self.apply(patch)
            try:
                return self.check(Path(folder))
            except (AssertionError, apsw.Error, StoreError, ModelDamagedError, LookupError) as error:
                return [f"{type(error).__name__}: {error}"]


def mutants() -> dict[str, Mutant]:
    return {mutant.name: mutant for mutant in EVERY}


# --- checks -----------------------------------------------------------------------------------------------------------


def matrix(name: str, mode: Mode, points: int = 10) -> Callable[[Path], Sequence[str]]:
    """Some points of the fault matrix."""

    def check(folder: Path) -> Sequence[str]:
        bench = Bench(OPERATIONS[name], folder)
        some = chosen(mode, bench.points, points)
        return [violation for point in some for violation in bench.case(mode, point, seed=point).violations]

    return check


def forgotten_bytes(folder: Path) -> Sequence[str]:
    """What is forgotten is in no byte of the file."""
    path = folder / "memory.db"
    with store(path, log=True) as made:
        made.remember(f"The way to {SECRET} is long, said the {SECRET} guide. " * 30, uri="secret", title=SECRET)
        for number in range(20):
            made.remember(f"Something else, number {number}. " * 20, uri=str(number), collection="others")
    with store(path, log=True) as made:
        made.search(f"the way to {SECRET}", collection="others")
        made.forget("secret")
    content = path.read_bytes().lower()
    return [f"{word} is at {content.find(word)}" for word in (SECRET.encode(), b"long, said") if word in content]


class Meddler:
    """A stage that lets another process change the store in the middle of a search."""

    name = "meddler"

    def __init__(self, path: Path) -> None:
        self._path = path

    def read(self, *_: object) -> Facts:
        with store(self._path) as other:
            for uri in ("notes/tea", "notes/birch"):
                other.forget(uri)
        return Facts()

    def __call__(self, candidates: list[Any], _: Facts) -> list[Any]:
        return candidates


def one_moment(folder: Path) -> Sequence[str]:
    """A search sees what there was when it began, whatever happens meanwhile."""
    path = folder / "memory.db"
    small(path)
    with store(path) as made:
        found = made.search("birch", 10, stages=[Meddler(path)], explain=True)
    uris = {hit.document.uri for hit in found}
    return [] if uris == {"notes/tea", "notes/birch", "notes/harbour"} else [f"found {uris}"]


def writers_queue(folder: Path) -> Sequence[str]:
    """Who has begun to write is not overtaken."""
    path = folder / "memory.db"
    small(path)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(config, "BUSY_TIMEOUT_MS", 50)
        with closing(SqliteIndex(path)) as one, store(path) as other, one._database.write() as connection:
            run(connection, "SELECT count(*) FROM documents")
            with suppress(StoreBusyError):
                other.remember("overtaking", uri="overtaking")
            run(connection, "UPDATE documents SET pinned = 1")
    return []


def operators_are_words(folder: Path) -> Sequence[str]:
    path = folder / "memory.db"
    with store(path) as made:
        made.remember("They waited near the harbour and did not speak, or hardly.", uri="a")
        queries = ["AND", "NOT", "NEAR", "harbour AND", "OR near NOT"]
        return [query for query in queries if len(made.search(query, mode="lexical")) != 1]


@contextmanager
def low_thresholds() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        for name, value in SMALL.items():
            patch.setattr(config, name, value)
        yield


def codes_of_the_space(folder: Path) -> Sequence[str]:
    """After a switch, a search by codes finds what an exact one finds."""
    path, other = folder / "memory.db", ToyEmbedder(TOY.dimension, "other")
    words = ("amber", "birch", "cedar", "delta", "ember", "fjord", "grove", "heath")
    wrong = []
    with low_thresholds(), pytest.MonkeyPatch.context() as patch:
        patch.setattr(Serving, "_from_file", lambda *_: other)
        with store(path) as made:
            for word in words:
                made.remember(f"{word} {word} stone", uri=word)
            for word in words:
                made.search(word, 1, mode="dense")
            index = made.index
            model_id = index.begin_encoder(other.fingerprint, other.dimension, {})
            assert fill(index, index.space_of(model_id), other)
            index.complete_encoder(model_id, {})
            assert switch(index, model_id, other)
            for go_back in (True, False):
                for word in words:
                    (near,), (exact,) = (made.search(word, 1, mode="dense", exact=exact) for exact in (False, True))
                    wrong += [word] if near.text != exact.text else []
                if go_back:
                    made.roll_back()
    return wrong


def others_writes_are_seen(folder: Path) -> Sequence[str]:
    """A filter that was asked for before finds what another process has written since."""
    path = folder / "memory.db"
    with store(path) as one, store(path) as other:
        one.remember("amber light", uri="a", tags=["lamp"])
        one.search("light", tags=["lamp"])
        other.remember("light of day", uri="b", tags=["lamp"])
        found = {hit.document.uri for hit in one.search("light", tags=["lamp"])}
    return [] if found == {"a", "b"} else [f"found {found}"]


def damaged_adapters_do_not_serve(folder: Path) -> Sequence[str]:
    path = folder / "memory.db"
    small(path)
    with closing(SqliteIndex(path)) as index:
        index.activate(index.save_adapter(adapter(1), {}, {}))
    with closing(opened(path)) as connection:
        ((weights,),) = connection.execute("SELECT weights FROM models WHERE id = 2").fetchall()
        changed = weights[:40] + bytes([weights[40] ^ 1]) + weights[41:]
        connection.execute("UPDATE models SET weights = ? WHERE id = 2", (changed,))
    with store(path) as made:
        try:
            made.search("tea", mode="dense")
        except ModelDamagedError:
            return []
    return ["it served"]


def incomplete_spaces_do_not_serve(folder: Path) -> Sequence[str]:
    path = folder / "memory.db"
    with_encoder(path)
    with store(path) as made:
        made.remember("came late", uri="late")
        with suppress(IncompleteSpaceError):
            made.index.activate(2)
    return problems(path)


def drafts_are_hidden(folder: Path) -> Sequence[str]:
    """What is there of a document of many chunks before its last transaction."""
    path = folder / "memory.db"
    small(path)
    usual = Database.write
    seen: list[str] = []
    with store(path) as made, store(path) as other, pytest.MonkeyPatch.context() as patch:

        @contextmanager
        def watched(self: Database) -> Iterator[apsw.Connection]:
            with usual(self) as connection:
                yield connection
            if self.path == path and not seen:
                found = {hit.document.uri for hit in other.search("the wind was from the west", 50)}
                seen.extend(sorted(found - set(TEXTS)))

        patch.setattr(config, "WRITTEN_AT_ONCE", 1)
        patch.setattr(Database, "write", watched)
        with suppress(ZeroDivisionError):
            patch.setattr(drafts, "_publish", lambda *_: 1 / 0)
            made.remember(LONG, uri="notes/log")
    return seen


def replaced_files_are_noticed(folder: Path) -> Sequence[str]:
    path = folder / "memory.db"
    small(path)
    with store(path) as made:
        path.rename(folder / "moved.db")
        try:
            made.remember("into the void", uri="lost")
        except StoreError:
            return []
    return ["written to a file that is gone"]


def sound_after_update(folder: Path) -> Sequence[str]:
    path = folder / "memory.db"
    small(path)
    with store(path) as made:
        made.remember("Green tea, and nothing else.", uri="notes/tea", title="Other")
    return problems(path)


def lasts(name: str) -> Callable[[Path], Sequence[str]]:
    """What has just been acknowledged survives a power loss."""

    def check(folder: Path) -> Sequence[str]:
        bench = Bench(OPERATIONS[name], folder)
        return [violation for seed in range(6) for violation in bench.case("power loss", AT_ONCE, seed).violations]

    return check


# --- what is broken ---------------------------------------------------------------------------------------------------


def autocommit(patch: Patch) -> None:
    @contextmanager
    def write(self: Database) -> Iterator[apsw.Connection]:
        with connections.translated(self.path):
            yield self._idle_connection()

    patch.setattr(Database, "write", write)


def deferred(patch: Patch) -> None:
    usual = connections.run
    patch.setattr(
        connections, "run", lambda connection, sql, *values: usual(connection, sql.replace(" IMMEDIATE", ""), *values)
    )


def no_read_transaction(patch: Patch) -> None:
    @contextmanager
    def read(self: Database) -> Iterator[apsw.Connection]:
        with connections.translated(self.path):
            yield self.connection()

    patch.setattr(Database, "read", read)


def raw_match(patch: Patch) -> None:
    patch.setattr(lexical, "match", lambda terms, operator: " ".join(term.text.upper() for term in terms))


def swallowed_errors(patch: Patch) -> None:
    usual = SqliteIndex.write

    def write(self: SqliteIndex, cuts: Any, vectors: Any, space: Any) -> Any:
        try:
            return usual(self, cuts, vectors, space)
        except StoreError:
            return ["added"] * len(cuts)

    patch.setattr(SqliteIndex, "write", write)
    patch.setattr(Store, "_find", lambda *_: None)


def with_pragma(pragma: str) -> Callable[[Patch], None]:
    """Another connection profile."""

    def apply(patch: Patch) -> None:
        usual = connections._apply_profile

        def profile(connection: apsw.Connection) -> None:
            usual(connection)
            run(connection, f"PRAGMA {pragma}")

        patch.setattr(connections, "_apply_profile", profile)

    return apply


def words_stay(patch: Patch) -> None:
    usual = migrate.scripts()
    changed = tuple((version, script.replace("'secure-delete', 1", "'secure-delete', 0")) for version, script in usual)
    assert changed != usual
    patch.setattr(migrate, "scripts", lambda: changed)


def any_space(patch: Patch) -> None:
    usual = ResidentCodes.read

    def read(self: ResidentCodes, connection: apsw.Connection, space: Any, *rest: Any) -> Any:
        if self._codes is not None:
            self._codes = replace(self._codes, space=space)
        return usual(self, connection, space, *rest)

    patch.setattr(ResidentCodes, "read", read)


def any_version(patch: Patch) -> None:
    known: dict[Any, Any] = {}

    def read(self: Any, connection: apsw.Connection, compiled: Any, *_: Any) -> Any:
        if compiled not in known:
            known[compiled] = scope.chunks_in(connection, compiled)
        return known[compiled]

    patch.setattr(scope.ResidentScopes, "_read", read)


def unchecked_weights(patch: Patch) -> None:
    def decoded(blob: bytes, _: int) -> Adapter:
        alpha, pull = np.frombuffer(blob, "<f8", count=2).tolist()
        weights = np.frombuffer(blob[16:-4], "<f4")
        side = round(len(weights) ** 0.5)
        return Adapter(np.nan_to_num(weights.reshape(side, side)), alpha, pull)

    patch.setattr(models, "_from_blob", decoded)


def any_space_serves(patch: Patch) -> None:
    patch.setattr(encoders, "require_complete", lambda *_: None)


def draft_in_sight(patch: Patch) -> None:
    patch.setattr(expiry, "passed", lambda *_: None)


def unsettled(patch: Patch) -> None:
    patch.setattr(Journal, "settle", lambda _: None)


def other_words(patch: Patch) -> None:
    usual = documents.run

    def told(connection: apsw.Connection, sql: str, values: Any = ()) -> Any:
        return usual(connection, sql.replace("'delete', id, title", "'delete', id, 'new title'"), values)

    patch.setattr(documents, "run", told)


def bulk_without_end(patch: Patch) -> None:
    @contextmanager
    def bulk(self: Database) -> Iterator[None]:
        connection = self._idle_connection()
        run(connection, "PRAGMA synchronous = NORMAL")
        yield

    patch.setattr(Database, "bulk", bulk)


def any_file(patch: Patch) -> None:
    patch.setattr(Database, "_check_identity", lambda _: None)


def readable_by_all(patch: Patch) -> None:
    usual = Database._prepare

    def prepare(self: Database, create: bool) -> None:
        usual(self, create)
        self.path.chmod(0o644)

    patch.setattr(Database, "_prepare", prepare)


EVERY = (
    Mutant("each statement commits by itself", autocommit, matrix("update", "error once", 8)),
    Mutant("a write takes no lock at its beginning", deferred, writers_queue),
    Mutant("a search has no read transaction", no_read_transaction, one_moment),
    Mutant("a query is handed to FTS5 as it is", raw_match, operators_are_words),
    Mutant("an error of a write is swallowed", swallowed_errors, matrix("remember", "error once", 6)),
    Mutant("FTS5 keeps forgotten words", words_stay, forgotten_bytes),
    Mutant("SQLite keeps deleted bytes", with_pragma("secure_delete = OFF"), forgotten_bytes),
    Mutant("a part of a document is found", draft_in_sight, drafts_are_hidden),
    Mutant("the journal is not settled before forgetting", unsettled, forgotten_bytes),
    Mutant("codes of another space are used", any_space, codes_of_the_space),
    Mutant("what another process writes is not noticed", any_version, others_writes_are_seen),
    Mutant("the checksum of an adapter is not looked at", unchecked_weights, damaged_adapters_do_not_serve),
    Mutant("a space serves before it is filled", any_space_serves, incomplete_spaces_do_not_serve),
    Mutant("a commit waits for no disk", with_pragma("synchronous = NORMAL"), lasts("remember")),
    Mutant("many writes end without a flush", bulk_without_end, lasts("ingest")),
    Mutant("the keyword index is told other words", other_words, sound_after_update),
    Mutant("a file that was replaced is written to", any_file, replaced_files_are_noticed),
    *([Mutant("the file is readable by all", readable_by_all, sound_after_update)] if os.name == "posix" else []),
)

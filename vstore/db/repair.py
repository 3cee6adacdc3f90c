"""What a repair does to the file. Only what is derived is made anew, and only of what is proven.

Every step may be killed at any point and done again: each of its transactions leaves the file no worse than it was. A
step sees for itself, under the lock, what there is to do; the checks only say that it is worth while.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import closing, contextmanager
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import apsw
import numpy as np

from vstore import atomic, config
from vstore.db import check_models, check_schema, models, vectors
from vstore.db.check_index import KEYWORDS, SHADOWS, words
from vstore.db.check_scan import Kept, Scan, reading, stream
from vstore.db.check_text import Whole, Witness, damaged_queries, renumbered, suspects, wholes
from vstore.db.check_vectors import judge, rows_of
from vstore.db.codes import sign_code
from vstore.db.connection import Database, run
from vstore.db.failures import translated
from vstore.db.migrate import latest
from vstore.db.salvage import salvage
from vstore.errors import StoreError

if TYPE_CHECKING:
    from vstore.types import FloatArray, Space


def save(path: Path) -> Path:
    """Copy the file as it is, page by page, to one beside it that only its owner may read. Raises StoreError."""
    place = atomic.dated(path.parent, f"{path.stem}.before-repair", ".db")
    with (
        atomic.appearing(place) as copy,
        translated(place),
        reading(path) as (source, _),
        closing(apsw.Connection(str(copy))) as target,
        target.backup("main", source, "main") as backup,
    ):
        backup.step()
    return place


def rescue(path: Path) -> int:
    """See `salvage`: for a file with pages that cannot be read."""
    with atomic.partial(path) as work:
        return salvage(path, work)


@contextmanager
def mending(path: Path) -> Iterator[Mender]:
    """The file opened for repair. Raises what opening a store raises."""
    database = Database(path, latest(), create=False)
    try:
        database.connection().config(apsw.SQLITE_DBCONFIG_DEFENSIVE, 0)  # the keyword index may have to be taken apart
        yield Mender(database)
    finally:
        database.close()


class Mender:
    """A file under repair. Every step is a method that returns how much it mended."""

    def __init__(self, database: Database) -> None:
        self._database = database

    @cached_property
    def suspects(self) -> set[int]:
        """The chunks of whose words nothing is made: see `check_text.suspects`. Asked when texts have been mended."""
        with self._database.read() as connection:
            return suspects(connection)

    # --- the schema ---------------------------------------------------------------------------------------------------

    def schema(self) -> int:
        """Make missing or changed indexes, views and derived tables anew, and fill all indexes again."""
        with self._database.write() as connection:
            scan = self._scan(connection)
            wanted = [
                (kind, name, found, sql)
                for kind, name, found, sql in check_schema.changed(scan)
                if check_schema.is_derived(kind, name) and not name.startswith(KEYWORDS)
            ]
            for kind, name, found, sql in wanted:
                if found is not None:
                    run(connection, f"DROP {kind} {name}")
                run(connection, sql)
            for (number,) in run(connection, check_schema.ACTIVE_SPACE):
                vectors.create_tables(connection, number)
        with self._database.write() as connection:
            run(connection, "REINDEX")
        return len(wanted)

    def references(self) -> int:
        """Remove rows that say something of what is gone, or free them, as their foreign keys say."""
        with self._database.read() as connection:
            statements = list(_released(self._scan(connection)))
        removed = 0
        for statement in statements:
            with self._database.write() as connection:
                run(connection, statement)
                removed += connection.changes()
        return removed

    # --- what was put in ----------------------------------------------------------------------------------------------

    def chunk_texts(self) -> int:
        """Cut chunks anew out of their documents where their hashes say that this was their text."""
        witness = Witness()

        def mend(connection: apsw.Connection | None, whole: Whole) -> int:
            wrong = [piece for piece in whole.pieces if whole.text is not None and whole.cut(piece) != piece.text]
            proven = [piece for piece in wrong if witness.proves(whole, piece, whole.cut(piece))]
            if connection is not None:
                for piece in proven:
                    run(connection, "UPDATE chunks SET text = ? WHERE id = ?", (whole.cut(piece), piece.id))
            return len(proven)

        return self._each_document(mend)

    def chunk_order(self) -> int:
        """Number the chunks anew of documents of which none is missing."""

        def mend(connection: apsw.Connection | None, whole: Whole) -> int:
            wrong = [(at, piece) for at, piece in enumerate(renumbered(whole) or ()) if piece.ordinal != at]
            if connection is not None:
                for shift in (config.UNLIMITED, 0):  # so that no two share a number on the way
                    for at, piece in wrong:
                        run(connection, "UPDATE chunks SET ordinal = ? WHERE id = ?", (shift + at, piece.id))
            return bool(wrong)

        return self._each_document(mend)

    def _each_document(self, mend: Callable[[apsw.Connection | None, Whole], int]) -> int:
        """Mend document by document, each in a transaction; `mend` without a connection only says how much is wrong."""
        with self._database.read() as connection:
            ids = [whole.id for whole in wholes(connection) if mend(None, whole)]
        mended = 0
        for document_id in ids:
            with self._database.write() as connection:
                mended += sum(mend(connection, whole) for whole in wholes(connection, document_id))
        return mended

    def logged_queries(self) -> int:
        """Take damaged vectors away from logged queries."""
        with self._database.write() as connection:
            ids = list(damaged_queries(self._scan(connection)))
            among = "id IN (SELECT value FROM json_each(?))"
            run(connection, f"UPDATE queries SET space = NULL, vector = NULL WHERE {among}", (json.dumps(ids),))
        return len(ids)

    # --- what is made of words ----------------------------------------------------------------------------------------

    def words(self) -> int:
        """Write the further words and the forward index of chunks anew, where they are not what the chunk says."""
        mended = last = 0
        while True:
            with self._database.write() as connection:
                batch = list(words(connection, last, config.REPAIR_ROWS))
                for chunk in batch:
                    if not chunk.is_right and chunk.chunk_id not in self.suspects:
                        sql = "INSERT OR REPLACE INTO chunk_terms (chunk_id, length, head, body) VALUES (?, ?, ?, ?)"
                        run(connection, sql, (chunk.chunk_id, *chunk.entry))
                        run(connection, "UPDATE chunks SET extra = ? WHERE id = ?", (chunk.extra, chunk.chunk_id))
                        mended += 1
            if not batch:
                return mended
            last = batch[-1].chunk_id

    def keyword_index(self) -> int:
        """Make the keyword index anew, whatever is left of it. Raises StoreError while there are suspects."""
        if self.suspects:
            raise StoreError(
                f"{len(self.suspects):,} chunks are not what their hashes say, and a keyword index made of them would "
                "hide that; forget their documents, add their sources again, and repeat"
            )
        with self._database.write() as connection:
            sql = check_schema.expected(self._scan(connection).version)["table", KEYWORDS]
            run(connection, "PRAGMA writable_schema = ON")
            try:
                # A table whose shadows are damaged cannot be opened, and so not be dropped as tables are.
                run(connection, "DELETE FROM sqlite_schema WHERE name = ?", (KEYWORDS,))
            finally:
                run(connection, "PRAGMA writable_schema = RESET")
            for shadow in SHADOWS:
                run(connection, f"DROP TABLE IF EXISTS {KEYWORDS}_{shadow}")
            run(connection, sql)
            run(connection, f"INSERT INTO {KEYWORDS} ({KEYWORDS}, rank) VALUES ('secure-delete', 1)")
            run(connection, f"INSERT INTO {KEYWORDS} ({KEYWORDS}) VALUES ('rebuild')")
            return int(run(connection, "SELECT count(*) FROM chunks")[0][0])

    # --- models -------------------------------------------------------------------------------------------------------

    def models(self) -> int:
        """Set the pointer to the model that is noted as serving; drop damaged adapters, and go back where one serves.

        Raises NotFoundError when there is nothing to go back to.
        """
        with self._database.write() as connection:
            scan = self._scan(connection)
            damaged = check_models.damaged_adapters(scan)
            ((pointed,),) = run(connection, "SELECT count(*) FROM active AS a JOIN models AS m ON m.id = a.model")
            successor = check_models.successor(scan)
            if not pointed and successor is not None:
                run(connection, "INSERT OR REPLACE INTO active (one, model) VALUES (1, ?)", (successor,))
            among = "id IN (SELECT value FROM json_each(?))"
            run(connection, f"UPDATE models SET weights = NULL WHERE {among}", (json.dumps(damaged),))
            useless = "kind = 'adapter' AND weights IS NULL AND id = (SELECT model FROM active)"
            back = bool(run(connection, f"SELECT 1 FROM models WHERE {useless}"))
            if back:
                models.roll_back(connection)
        return len(damaged) + (not pointed and successor is not None) + (back and not damaged)

    # --- vectors ------------------------------------------------------------------------------------------------------

    def without_vector(self) -> list[int]:
        """The chunks that have no vector, or a damaged one, in the space that serves, but those that are suspect."""
        with self._database.read() as connection:
            scan = self._scan(connection)
            if scan.active is None:
                return []
            has = f"EXISTS (SELECT 1 FROM vectors_g{scan.active.number} WHERE chunk_id = c.id)"
            missing = [row[0] for row in stream(connection, f"SELECT id FROM chunks AS c WHERE NOT {has}")]
            alone = "SELECT id FROM chunks WHERE document_id NOT IN (SELECT id FROM documents)"
            without_document = {row[0] for row in stream(connection, alone)}
            return sorted({*missing, *_damaged(scan, scan.active)} - self.suspects - without_document)

    def texts(self, chunk_ids: Iterable[int]) -> dict[int, tuple[str, str, str]]:
        """Title, heading and text of chunks, by id."""
        sql = (
            "SELECT c.id, d.title, c.heading, c.text FROM chunks AS c JOIN documents AS d ON d.id = c.document_id "
            "WHERE c.id IN (SELECT value FROM json_each(?))"
        )
        with self._database.read() as connection:
            return {id_: (*parts,) for id_, *parts in run(connection, sql, (json.dumps(list(chunk_ids)),))}

    def put_vectors(self, space: Space, new: Mapping[int, FloatArray]) -> int:
        """Put these vectors in the place of what is there. Chunks that are gone meanwhile are passed over."""
        with self._database.write() as connection:
            among = "id IN (SELECT value FROM json_each(?))"
            rows = run(connection, f"SELECT id FROM chunks WHERE {among}", (json.dumps(list(new)),))
            here = [chunk_id for (chunk_id,) in rows]
            _drop(connection, space.number, here)
            vectors.put(connection, space, here, [new[chunk_id] for chunk_id in here])
        return len(here)

    def vectors_beside(self) -> int:
        """Drop damaged vectors of spaces that do not serve: what they lack is embedded before they serve again."""
        with self._database.read() as connection:
            scan = self._scan(connection)
            found = [(space.number, _damaged(scan, space)) for space in scan.kept if space != scan.active]
        for number, ids in found:
            for part in _parts(ids):
                with self._database.write() as connection:
                    _drop(connection, number, part)
        return sum(len(ids) for _, ids in found)

    def codes(self) -> int:
        """Make codes anew that are missing or not those of their vectors, and drop those without a vector."""
        with self._database.read() as connection:
            kept = self._scan(connection).kept
        return sum(self._codes(space) for space in kept)

    def _codes(self, space: Kept) -> int:
        table = f"codes_g{space.number}"
        with self._database.read() as connection:
            scan = self._scan(connection)
            wrong = [id_ for rows in scan.batches(rows_of(space)) for id_ in judge(rows, space.dimension).codeless]
        for part in _parts(wrong):
            with self._database.write() as connection:
                sql = f"{rows_of(space)} WHERE v.chunk_id IN (SELECT value FROM json_each(?))"
                for chunk_id, blob, _, _ in run(connection, sql, (json.dumps(part),)):
                    code = sign_code(np.frombuffer(blob, dtype="<f4"))
                    run(connection, f"INSERT OR REPLACE INTO {table} (chunk_id, code) VALUES (?, ?)", (chunk_id, code))
        with self._database.write() as connection:
            run(connection, f"DELETE FROM {table} WHERE chunk_id NOT IN (SELECT chunk_id FROM vectors_g{space.number})")
            return len(wrong) + connection.changes()

    def _scan(self, connection: apsw.Connection) -> Scan:
        return Scan(connection, self._database.path, deep=True)


def _released(scan: Scan) -> Iterator[str]:
    """For each foreign key that something derived has: what becomes of rows whose other end is gone."""
    for table in sorted(scan.tables):
        if not check_schema.is_following(table):
            continue
        sql = 'SELECT "table", "from", "to", on_delete FROM pragma_foreign_key_list(?)'
        for parent, column, key, action in run(scan.connection, sql, (table,)):
            gone = f"{column} IS NOT NULL AND {column} NOT IN (SELECT {key or 'id'} FROM {parent})"
            if action == "CASCADE":
                yield f"DELETE FROM {table} WHERE {gone}"
            else:
                also = ", vector = NULL" if (table, column) == ("queries", "space") else ""
                yield f"UPDATE {table} SET {column} = NULL{also} WHERE {gone}"


def _damaged(scan: Scan, space: Kept) -> list[int]:
    return [id_ for rows in scan.batches(rows_of(space)) for id_ in judge(rows, space.dimension).damaged]


def _drop(connection: apsw.Connection, number: int, chunk_ids: Iterable[int]) -> None:
    for table in ("codes", "vectors"):
        sql = f"DELETE FROM {table}_g{number} WHERE chunk_id IN (SELECT value FROM json_each(?))"
        run(connection, sql, (json.dumps(list(chunk_ids)),))


def _parts(ids: list[int]) -> Iterator[list[int]]:
    for start in range(0, len(ids), config.REPAIR_ROWS):
        yield ids[start : start + config.REPAIR_ROWS]

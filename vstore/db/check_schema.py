"""Checks of the file as SQLite sees it: whose it is, its pages, its tables, its references; and where it lies."""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterator
from functools import lru_cache

import apsw

from vstore import config, place
from vstore.db.check_scan import Fault, Invariant, Scan, Tallies, Tally
from vstore.db.connection import run
from vstore.db.migrate import latest, scripts
from vstore.paths import files_of, log_of

_OBJECTS = "SELECT type, name, sql FROM sqlite_schema WHERE name NOT LIKE 'sqlite_%'"
_OURS = re.compile(r"(vectors|codes)_g[1-9][0-9]*")
_OF_INDEX = re.compile(r"index (\S+)$")
_KEYWORDS = "chunks_fts"
_DERIVED = ("chunk_terms", "chunks_vocabulary", "chunks_indexed")  # and all that belongs to the keyword index
ACTIVE_SPACE = "SELECT m.space FROM active AS a JOIN models AS m ON m.id = a.model"


# --- whose it is ------------------------------------------------------------------------------------------------------


def _header(scan: Scan) -> Iterator[Fault]:
    ((objects,),) = run(scan.connection, "SELECT count(*) FROM sqlite_schema")
    if not (objects or scan.application_id or scan.version):
        yield Fault("the file is empty; if there was a store in it, all of it is lost")
    elif scan.application_id != config.APPLICATION_ID or scan.version == 0:
        yield Fault("it is an SQLite file of another program")
    elif scan.version > latest():
        yield Fault(f"it was written by a newer vstore (schema {scan.version}, this one knows {latest()})")


# --- pages ------------------------------------------------------------------------------------------------------------


def _structure(scan: Scan) -> Tallies:
    """SQLite's own check, which runs FTS5's of the keyword index as well."""
    found = {name: Tally() for name in ("pages", "keyword structure")}
    for message in _messages(scan):
        index = _OF_INDEX.search(message)
        if index:
            found["pages"].add(Fault(f"an index does not fit its table: {index[1]}", mendable=True))
        elif "fts5" in message.lower():
            found["keyword structure"].add(Fault(message, mendable=True))
        else:
            found["pages"].add(Fault(message))
    return found


def _messages(scan: Scan) -> list[str]:
    pragma = "integrity_check" if scan.deep else "quick_check"
    # CHECK constraints are left to the checks of values, for an expression that fails would end this one.
    run(scan.connection, "PRAGMA ignore_check_constraints = ON")
    try:
        messages = run(scan.connection, f"PRAGMA {pragma}({config.CHECK_MESSAGES})")
    except apsw.SQLError as error:  # the keyword index cannot even be opened: then table by table, without it
        messages = [(f"fts5: {error}",)]
        for (table,) in run(scan.connection, "SELECT name FROM sqlite_schema WHERE type = 'table' AND rootpage > 0"):
            messages += run(scan.connection, f"PRAGMA {pragma}({_quoted(table)})")
    return [line for (message,) in messages for line in str(message).splitlines() if line != "ok"]


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


# --- tables -----------------------------------------------------------------------------------------------------------


@lru_cache
def expected(version: int) -> dict[tuple[str, str], str]:
    """What a file of this schema consists of: (type, name) -> SQL, made by the migrations themselves."""
    made = apsw.Connection(":memory:")
    try:
        for number, script in scripts():
            if number <= version:
                run(made, script)
        return {(kind, name): sql for kind, name, sql in run(made, _OBJECTS) if sql}
    finally:
        made.close()


def _present(scan: Scan) -> dict[tuple[str, str], str]:
    return {(kind, name): sql for kind, name, sql in run(scan.connection, _OBJECTS) if sql}


def changed(scan: Scan) -> Iterator[tuple[str, str, str | None, str]]:
    """What is missing or not as vstore makes it: type, name, SQL (None: missing), and what that should be."""
    present = _present(scan)
    for (kind, name), sql in expected(scan.version).items():
        found = present.get((kind, name))
        shadow = name.startswith(f"{_KEYWORDS}_")  # made by SQLite, of whose versions each may make them in its own way
        if found is None or (found.split() != sql.split() and not shadow):
            yield kind, name, found, sql


def is_derived(kind: str, name: str) -> bool:
    """Whether nothing is lost with it."""
    return kind == "index" or name in _DERIVED or name.startswith(_KEYWORDS)


def _tables(scan: Scan) -> Iterator[Fault]:
    for kind, name, found, _ in changed(scan):
        what = "is missing" if found is None else "is not as vstore makes it"
        yield Fault(f"the {kind} {name} {what}", mendable=is_derived(kind, name))
    if {"active", "models"} <= scan.tables:
        for (number,) in run(scan.connection, ACTIVE_SPACE):
            for table in (f"vectors_g{number}", f"codes_g{number}"):
                if table not in scan.tables:
                    yield Fault("a table of the space that serves is missing", table, mendable=True)


def _additions(scan: Scan) -> Iterator[Fault]:
    known = expected(scan.version)
    for kind, name in _present(scan):
        if kind in ("trigger", "view") and (kind, name) not in known:
            yield Fault(f"a {kind} that vstore did not make", name)


def _unknown(scan: Scan) -> Iterator[Fault]:
    known = expected(scan.version)
    for kind, name in _present(scan):
        if kind in ("table", "index") and (kind, name) not in known and not is_of_space(name):
            yield Fault(f"a {kind} that vstore did not make", name)


# --- references -------------------------------------------------------------------------------------------------------

# What says something of another row, and nothing without it: its foreign keys say what becomes of it.
_FOLLOWING = ("chunk_terms", "answers", "feedback", "queries", "refine_queries", "refine_runs", "model_files")


def _references(scan: Scan) -> Iterator[Fault]:
    for table, rowid, parent, _ in scan.rows("SELECT * FROM pragma_foreign_key_check"):
        yield Fault(
            f"a row of {table} refers to a row of {parent} that is not there",
            f"{table} {rowid}" if rowid is not None else "",
            is_following(table),
        )


def is_of_space(table: str) -> bool:
    """Whether it is a table of the vectors or the codes of a space."""
    return _OURS.fullmatch(table) is not None


def put_in(version: int) -> list[str]:
    """The tables of a schema of which nothing can be made anew."""
    made = (name for kind, name in expected(version) if kind == "table")
    return [name for name in made if not is_derived("table", name)]


def is_following(table: str) -> bool:
    """Whether rows of a table may go, or be set free, when what they refer to is gone."""
    return table in _FOLLOWING or is_of_space(table)


# --- where it lies ----------------------------------------------------------------------------------------------------


def _permissions(scan: Scan) -> Iterator[Fault]:
    if os.name != "posix":
        return
    for path in reversed(files_of(scan.path)):
        if path.exists() and path.stat().st_mode & (stat.S_IRWXG | stat.S_IRWXO):
            yield Fault(f"others may use {path.name} (mode {path.stat().st_mode & 0o777:04o})")
            return  # SQLite gives the files beside it the same mode


def _log(scan: Scan) -> Iterator[Fault]:
    log = log_of(scan.path)
    if log.exists() and log.stat().st_size > config.CHECK_LOG_BYTES:
        yield Fault(f"the log {log.name} has grown to {log.stat().st_size / 1e6:,.0f} MB")


def _free_pages(scan: Scan) -> Iterator[Fault]:
    ((free,),) = run(scan.connection, "PRAGMA freelist_count")
    ((pages,),) = run(scan.connection, "PRAGMA page_count")
    ((size,),) = run(scan.connection, "PRAGMA page_size")
    if free * size > config.CHECK_FREE_BYTES and free > config.CHECK_FREE_SHARE * pages:
        yield Fault(f"{free * size / 1e6:,.0f} MB of the file, {100 * free // pages}%, are free pages")


def _place(scan: Scan) -> Iterator[Fault]:
    if scan.path.stat().st_nlink > 1:
        yield Fault("the file has several names (hard links); opened by two of them it would be damaged")
    for concern in place.concerns(scan.path):
        yield Fault(concern)
    if scan.alone:
        yield Fault("the folder may not be written to, so the file was read without locks; nobody may write to it")


HEADER = Invariant(
    "header",
    "the file is an SQLite file, a store's, and of a known schema",
    "a newer file: upgrade vstore; else name the right file with --db, or restore a backup",
    _header,
    anywhere=True,
)
INVARIANTS = (
    HEADER,
    Invariant(
        "pages",
        "SQLite can read every page, and the pages fit together",
        "restore a backup; without one, save what can be read with: vstore export",
        _structure,
        anywhere=True,
    ),
    Invariant(
        "keyword structure",
        "the segments of the keyword index are whole",
        "vstore check --repair makes it anew",
        _structure,
        ("chunks_fts",),
        derived=True,
    ),
    Invariant(
        "tables",
        "all tables, columns, indexes and views are there and as vstore makes them",
        "restore a backup; what was in these tables is not in this file",
        _tables,
    ),
    Invariant(
        "additions",
        "no trigger and no view is there that vstore did not make",
        "somebody put it there, and it may change what is stored: drop it, or restore a backup",
        _additions,
    ),
    Invariant(
        "references",
        "every row that refers to another one finds it",
        "the rows referred to are lost; restore a backup, or forget these documents and add them again",
        _references,
    ),
)
WARNINGS = (
    Invariant(
        "unknown tables",
        "no table and no index is there that vstore did not make",
        "vstore does not touch them; drop them if nobody needs them",
        _unknown,
        warning=True,
    ),
    Invariant(
        "permissions",
        "only the owner may read and write the file",
        "chmod 600 the file, and the two beside it",
        _permissions,
        warning=True,
        anywhere=True,
    ),
    Invariant(
        "log size",
        "the log beside the file is short",
        "a reader that does not end keeps it; close the programs that have the store open",
        _log,
        warning=True,
        anywhere=True,
    ),
    Invariant(
        "free pages",
        "little of the file is empty",
        "new documents will use them; nothing needs to be done",
        _free_pages,
        warning=True,
        anywhere=True,
    ),
    Invariant(
        "place",
        "the file lies where SQLite can keep its locks",
        "keep the store on a local disk, outside synchronised folders, under one name",
        _place,
        warning=True,
        anywhere=True,
    ),
)

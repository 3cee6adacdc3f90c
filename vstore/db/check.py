"""`check_file`: every invariant of a store's file, one by one, by reading alone.

It opens what a `Store` refuses, loads no model, and goes on where one check cannot: see docs/check.md.
"""

from __future__ import annotations

import stat
from dataclasses import replace
from pathlib import Path

import apsw

from vstore import config
from vstore.checks import Check, CheckReport
from vstore.db import check_index, check_models, check_schema, check_text, check_vectors
from vstore.db.check_scan import Fault, Invariant, Scan, Tally, reading
from vstore.db.driver import check_driver
from vstore.db.migrate import latest
from vstore.errors import NotFoundError, VstoreError
from vstore.paths import expanded, log_of

INVARIANTS: tuple[Invariant, ...] = (
    *check_schema.INVARIANTS,
    *check_text.INVARIANTS,
    *check_index.INVARIANTS,
    *check_vectors.INVARIANTS,
    *check_models.INVARIANTS,
    *check_schema.WARNINGS,
)
HEADER = check_schema.HEADER.name
# What reading a damaged file may raise: SQLite's errors, and Python's for values that are not what they must be.
UNREADABLE = (apsw.Error, ValueError, TypeError, LookupError, OverflowError, OSError, VstoreError)


def check_file(path: Path, *, deep: bool = False) -> CheckReport:
    """Put every invariant of the file at `path` to the test; see docs/check.md for what each one is.

    Never writes to it. Raises NotFoundError when there is no such file, and DriverError; all else is in the report.
    """
    check_driver()
    path = expanded(path)
    try:
        if not stat.S_ISREG(path.stat().st_mode):  # a pipe would be waited for
            raise OSError("it is no file")
        with reading(path) as (connection, alone):
            return _report(Scan(connection, path, deep, alone))
    except FileNotFoundError as error:
        raise NotFoundError(f"there is no store at {path}; name another file with --db") from error
    except UNREADABLE as error:
        return CheckReport(path, deep, None, _unreadable(path, error))


def _unreadable(path: Path, error: Exception) -> tuple[Check, ...]:
    """The report on a file that cannot even be opened."""
    header, *others = INVARIANTS
    advice = header.advice
    if isinstance(error, (apsw.CantOpenError, apsw.ReadOnlyError)):
        log = log_of(path)
        advice = f"copy it, together with {log.name} if there is one, to a folder you may write to, and check the copy"
    failed = replace(_unchecked(header, f"SQLite cannot read it: {error}"), status="failed", affected=1, advice=advice)
    return failed, *(_unchecked(invariant, "the file cannot be read") for invariant in others)


def _report(scan: Scan) -> CheckReport:
    checks: list[Check] = []
    for invariant in INVARIANTS:
        reason = _why_not(scan, invariant, checks)
        checks.append(_unchecked(invariant, reason) if reason else _put_to_test(scan, invariant))
    return CheckReport(scan.path, scan.deep, scan.version, tuple(checks))


def _why_not(scan: Scan, invariant: Invariant, checks: list[Check]) -> str | None:
    """Why an invariant cannot, or need not, be put to the test; None when it can."""
    if invariant.anywhere:
        return None
    if checks[0].status == "failed":
        if scan.application_id == config.APPLICATION_ID and scan.version > latest():
            return "only a newer vstore knows"
        return "it is not a store"
    missing = [table for table in invariant.needs if table not in scan.tables]
    if missing:
        return f"the table {missing[0]} is missing"
    if invariant.deep and not scan.deep:
        return "takes --deep"
    return None


def _unchecked(invariant: Invariant, reason: str) -> Check:
    return Check(invariant.name, invariant.holds, "not checked", found=reason)


def _put_to_test(scan: Scan, invariant: Invariant) -> Check:
    try:
        tally = scan.tally(invariant)
    except UNREADABLE as error:
        tally = Tally()
        tally.add(Fault(f"reading it failed: {error}", mendable=invariant.derived))
    if not tally.affected:
        return Check(invariant.name, invariant.holds, "ok")
    found = "; ".join(f"{count:,} x {text}" if count > 1 else text for text, count in tally.what.items())
    return Check(
        invariant.name,
        invariant.holds,
        "warning" if invariant.warning else "failed",
        tally.affected,
        tally.mendable,
        found,
        "" if tally.mendable == tally.affected else invariant.advice,
        tuple(tally.examples),
    )

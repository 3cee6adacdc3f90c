"""Signals that come as files: queries that were asked, and judgements of answers."""

from __future__ import annotations

import codecs
import json
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vstore.errors import InputError, VstoreError
from vstore.ingest.source import load
from vstore.judgements import Verdict, query_text
from vstore.paths import expanded
from vstore.searches import LoggedQuery

if TYPE_CHECKING:
    from vstore.store import Store


@dataclass(frozen=True, slots=True)
class JudgedRows:
    """The usable rows of a file of judgements, and why the others are not usable, both by line number from 1."""

    verdicts: Mapping[int, Verdict]
    problems: Mapping[int, str]


@dataclass(frozen=True, slots=True)
class FeedbackReport:
    """What came of a file of judgements: how many rows were judged, and why others were skipped, by line number."""

    judged: int
    problems: Mapping[int, str]

    def to_dict(self) -> dict[str, Any]:
        """Plain types only, ready for `json.dumps`."""
        problems = [{"line": line, "reason": reason} for line, reason in self.problems.items()]
        return {"judged": self.judged, "problems": problems}


def read_queries(path: str | Path) -> list[LoggedQuery]:
    """The queries of a file, each once with the number of its occurrences, in the order of the first ones.

    A file whose first character is `{` is JSONL: {"query": ..., "collection": ...}, without a collection for all of
    them. Any other has a query on each line. Raises InputError for a file that cannot be read, and with its number for
    the first line that is no query; blank lines do not count.
    """
    lines = _lines(path)
    is_jsonl = any(line.startswith("{") for line in list(lines.values())[:1])
    times: Counter[tuple[str, str]] = Counter()
    for number, line in lines.items():
        with _located(path, number):
            times[_asked(line) if is_jsonl else (query_text(line), "")] += 1
    return [LoggedQuery(text, collection, count) for (text, collection), count in times.items()]


def read_judgements(path: str | Path) -> JudgedRows:
    """The rows of a JSONL file: {"query": ..., "uri": ..., "grade": ...}, or with "chunk_id" instead of "uri".

    "collection" may say where the document is. Raises InputError when the file cannot be read or is not UTF-8.
    """
    verdicts: dict[int, Verdict] = {}
    problems: dict[int, str] = {}
    for number, line in _lines(path).items():
        try:
            verdicts[number] = _verdict(line)
        except InputError as error:
            problems[number] = str(error)
    return JudgedRows(verdicts, problems)


def add_judgements(store: Store, path: str | Path) -> FeedbackReport:
    """Give the store the judgements of a file, as `store.feedback` would one by one; unusable rows are skipped.

    Raises InputError as `read_judgements` does, and then nothing was given.
    """
    rows = read_judgements(path)
    outcomes = store.judge(list(rows.verdicts.values()))
    given = zip(rows.verdicts, outcomes, strict=True)
    refused = {number: str(outcome) for number, outcome in given if isinstance(outcome, VstoreError)}
    return FeedbackReport(len(outcomes) - len(refused), dict(sorted({**rows.problems, **refused}.items())))


def _lines(path: str | Path) -> dict[int, str]:
    """The lines of a text file that are not blank, trimmed, by their numbers from 1."""
    try:
        data = load(expanded(path)).data
    except InputError as error:
        raise InputError(f"{path}: {error}") from error
    lines = {}
    for number, raw in enumerate(data.removeprefix(codecs.BOM_UTF8).split(b"\n"), start=1):
        try:
            line = raw.decode("utf-8").strip()
        except UnicodeDecodeError as error:
            raise InputError(f"{path}, line {number}: not UTF-8; save the file as UTF-8") from error
        if "\0" in line:
            raise InputError(f"{path}, line {number}: not a text, it has a NUL; save the file as UTF-8")
        if line:
            lines[number] = line
    return lines


def _asked(line: str) -> tuple[str, str]:
    row = _record(line)
    collection = row.get("collection") or ""
    if not isinstance(collection, str):
        raise InputError(f"a collection has a name, not {collection!r}")
    return query_text(row.get("query", "")), collection


def _verdict(line: str) -> Verdict:
    row = _record(line)
    uri, chunk_id, grade = row.get("uri"), row.get("chunk_id"), row.get("grade")
    target = uri if chunk_id is None else chunk_id
    if not isinstance(target, str if chunk_id is None else int) or (uri is not None and chunk_id is not None):
        raise InputError('a row names what it judges by "uri", a text, or by "chunk_id", a number')
    if grade is None:
        raise InputError('a row has no "grade"')
    return Verdict.of(row.get("query", ""), target, grade=grade, collection=row.get("collection"))


def _record(line: str) -> dict[str, Any]:
    try:
        row = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise InputError(f"not JSON ({error})") from error
    if not isinstance(row, dict):
        raise InputError("not a JSON object")
    return row


@contextmanager
def _located(path: str | Path, number: int) -> Iterator[None]:
    """Say where in the file an unusable line is."""
    try:
        yield
    except InputError as error:
        raise InputError(f"{path}, line {number}: {error}") from error

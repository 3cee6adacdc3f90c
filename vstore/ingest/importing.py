"""Read an export into a store: what is there already is left alone, what cannot be used is named with its line.

Documents go the way of all that is ingested, but for their cuts: chunks are made where they were, if the model is the
one that they were cut for, or else anew within their headings. An import that is interrupted has lost nothing, and the
next one goes on where it stopped.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timezone
from itertools import groupby
from typing import TYPE_CHECKING, Any

from vstore import config
from vstore.errors import InputError, VstoreError
from vstore.filters import conjunction
from vstore.ingest import lines
from vstore.ingest.lines import Imported, Judged
from vstore.ingest.parsed import Unreadable
from vstore.ingest.pipeline import Model, Ready, ingest
from vstore.ingest.report import Progress, Tally
from vstore.judgements import Verdict
from vstore.storage import Index
from vstore.types import Chunk, Cut, Document, Scope, Section, WriteOutcome

if TYPE_CHECKING:
    from typing import BinaryIO

Name = tuple[str, str]  # collection and uri of a document


@dataclass(frozen=True, slots=True)
class ImportReport:
    """What became of an export's lines. `embedded` counts chunks that went through the model.

    `recut` documents had chunks that could not be placed as they were. `expired` ones were left out. `problems` says
    by line number why others were skipped, `incomplete` why something may be missing from the file itself.
    """

    added: int
    updated: int
    unchanged: int
    expired: int
    recut: int
    embedded: int
    judgements: int
    problems: Mapping[int, str]
    incomplete: str | None
    seconds: float

    def to_dict(self) -> dict[str, Any]:
        """Plain types only, ready for `json.dumps`."""
        return {
            "added": self.added,
            "updated": self.updated,
            "unchanged": self.unchanged,
            "expired": self.expired,
            "recut": self.recut,
            "embedded": self.embedded,
            "judgements": self.judgements,
            "problems": [{"line": line, "reason": reason} for line, reason in self.problems.items()],
            "incomplete": self.incomplete,
            "seconds": self.seconds,
        }


@dataclass
class _Tally(Tally):
    """Counters of an import, which knows the lines of the documents that are under way."""

    lines: dict[Name, int] = field(default_factory=dict)
    problems: dict[int, str] = field(default_factory=dict)
    expired: int = 0
    recut: int = 0

    def count(self, document: Document, outcome: WriteOutcome | InputError) -> None:
        """What came of writing a document."""
        line = self.lines.pop((document.collection, document.uri), 0)
        if isinstance(outcome, InputError):
            self.problems[line] = str(outcome)
        else:
            super().count(document, outcome)


@dataclass
class _File:
    """The lines of an export, as they come, and what is not a document in them."""

    stream: BinaryIO
    tally: _Tally
    fingerprint: str = ""
    judgements: dict[int, Judged] = field(default_factory=dict)
    expired: set[Name] = field(default_factory=set)
    number: int = 0  # of the line at hand, from 1
    records: int = 0  # that the last line should have counted
    end: dict[str, Any] | None = None
    stopped: bool = False

    def read_header(self) -> None:
        """Read the first line. Raises InputError when it is not that of an export, or of a later version."""
        try:
            self.number, header = 1, lines.decoded(self.stream.readline(config.MAX_EXPORT_HEADER))
        except Unreadable:
            header = {}
        lines.check_header(header)
        self.fingerprint = lines.fingerprint(header)

    def documents(self) -> Iterator[Imported]:
        """The documents that can be used, with their line in the tally; the rest is noted."""
        now = datetime.now(timezone.utc)
        while line := self._next_line():
            self.number += 1
            self.tally.bytes_passed += len(line)
            if not line.strip():
                continue
            try:
                imported = self._read(line, now)
            except InputError as error:
                self.tally.problems[self.number] = str(error)
                if len(self.tally.problems) >= config.MAX_BAD_ROWS:
                    self.stopped = True
                    return
            else:
                if imported is not None:
                    yield imported

    def incomplete(self) -> str | None:
        """Why something may be missing."""
        if self.stopped:
            return f"{len(self.tally.problems)} lines cannot be used: those after {self.number} were not read"
        if self.end is None:
            return f"the file ends in line {self.number} without the last line of an export: it was cut off"
        documents, judgements = self.end.get("documents"), self.end.get("judgements")
        if not (isinstance(documents, int) and isinstance(judgements, int)) or documents + judgements != self.records:
            counts = f"{documents} documents and {judgements} judgements"
            return f"the last line counts {counts}, but {self.records} lines of the two are there"
        return None

    def _next_line(self) -> bytes:
        """A line, or of one that is too long its first part, with which it is no JSON; b"" at the end."""
        line = self.stream.readline(config.MAX_EXPORT_LINE)
        rest = line
        while len(rest) == config.MAX_EXPORT_LINE and not rest.endswith(b"\n"):
            rest = self.stream.readline(config.MAX_EXPORT_LINE)
        return line

    def _read(self, line: bytes, now: datetime) -> Imported | None:
        """A document; None for what is none, which is noted. Raises InputError for what cannot be used."""
        if self.end is not None:
            raise Unreadable("it stands behind the last line of the export")
        try:
            record = lines.decoded(line)
        except Unreadable:
            self.records += 1
            raise
        kind = record.get("type")
        if kind == "end":
            self.end = record
            return None
        self.records += 1
        if kind == "judgement":
            self._keep(lines.to_judgement(record))
            return None
        if kind != "document":
            raise Unreadable(f"neither a document nor a judgement, but {kind!r}")
        imported = lines.to_document(record, now)
        if imported is None:
            self.tally.expired += 1
            self.expired.add((record["collection"], record["uri"]))
        return imported

    def _keep(self, judged: Judged) -> None:
        if len(self.judgements) >= config.MAX_JUDGEMENTS:
            raise Unreadable(f"only {config.MAX_JUDGEMENTS:,} judgements are kept")
        self.judgements[self.number] = judged


def import_lines(
    index: Index,
    model: Callable[[], Model],
    stream: BinaryIO,
    size: int,
    progress: Callable[[Progress], None],
) -> ImportReport:
    """Put an export into a store. `size` is that of the whole, in bytes, for `progress` alone.

    `model` is called when the first document turns up that is new or has changed. Raises InputError for what is no
    export or has a later version of the format, and then nothing was written, and whatever `model` raises.
    """
    tally = _Tally(bytes_total=size)
    file = _File(stream, tally)
    file.read_header()
    ready = Ready(file.fingerprint, {})
    ingest(index, model, _cuts(index, model, file, ready), tally, progress, ready=ready)
    judged = _judge(index, _without(index, file.expired, file.judgements), tally.problems)
    found = tally.report()
    return ImportReport(
        found.added,
        found.updated,
        found.unchanged,
        tally.expired,
        tally.recut,
        found.embedded,
        judged,
        dict(sorted(tally.problems.items())),
        file.incomplete(),
        found.seconds,
    )


# --- documents --------------------------------------------------------------------------------------------------------


def _cuts(index: Index, model: Callable[[], Model], file: _File, ready: Ready) -> Iterator[Cut]:
    """The documents that are not in the store as they are, in pieces."""
    for imported in file.documents():
        document = imported.document
        if index.content_hash(document.collection, document.uri) == document.content_hash:
            file.tally.outcomes["unchanged"] += 1
            continue
        file.tally.lines[document.collection, document.uri] = file.number
        made = model()
        chunks = _placed(made, file.fingerprint, imported)
        if chunks is None:
            file.tally.recut += 1
            chunks = made.chunker.chunk(replace(document, sections=_sections(imported.places or ())))
        for chunk in chunks:
            vector = imported.vectors.get(chunk.content_hash)
            if vector is not None and vector.shape == (made.space.dimension,):
                ready.vectors[chunk.content_hash] = vector
        yield document, chunks


def _placed(made: Model, fingerprint: str, imported: Imported) -> list[Chunk] | None:
    """The chunks where they were, if they were cut for this model."""
    if imported.places is None or fingerprint != made.embedder.fingerprint:
        return None
    return made.chunker.placed(imported.document, imported.places)


def _sections(places: Iterable[Section]) -> tuple[Section, ...]:
    """The stretches of text under one heading, as far as the chunks show them."""
    found = []
    for heading, some in groupby(places, key=lambda place: place.heading):
        inside = list(some)
        found.append(Section(inside[0].start, inside[-1].end, heading))
    return tuple(found)


# --- judgements -------------------------------------------------------------------------------------------------------


def _without(index: Index, expired: set[Name], judgements: Mapping[int, Judged]) -> dict[int, Judged]:
    """The judgements but those of documents that were left out, unless the store has them."""
    gone = {name for name in expired if index.content_hash(*name) is None}
    return {number: one for number, one in judgements.items() if _name(one.verdict) not in gone}


def _name(verdict: Verdict) -> Name:
    return str(verdict.collection), str(verdict.target)


def _judge(index: Index, judgements: Mapping[int, Judged], problems: dict[int, str]) -> int:
    """Give the judgements to the documents as they are in the store now; how many it has."""
    verdicts = _targeted(index, judgements, problems)
    numbers = list(verdicts)
    given = 0
    for at in range(0, len(numbers), config.JUDGED_AT_ONCE):
        some = numbers[at : at + config.JUDGED_AT_ONCE]
        for number, outcome in zip(some, index.judge([verdicts[number] for number in some]), strict=True):
            if isinstance(outcome, VstoreError):
                problems[number] = str(outcome)
            else:
                given += 1
    return given


def _targeted(index: Index, judgements: Mapping[int, Judged], problems: dict[int, str]) -> dict[int, Verdict]:
    """Verdicts by line, those of chunks with the ids that the chunks at their places have."""
    verdicts: dict[int, Verdict] = {}
    places: dict[Name, dict[tuple[int, int], int]] = {}
    for number, (verdict, place) in ((number, (one.verdict, one.place)) for number, one in judgements.items()):
        if place is None:
            verdicts[number] = verdict
            continue
        name = _name(verdict)
        if name not in places:
            places[name] = _chunks_of(index, *name)
        chunk_id = places[name].get(place)
        if chunk_id is not None:
            verdicts[number] = replace(verdict, target=chunk_id)
        elif verdict.grade > 0:  # that another part of it was no answer says nothing about the document
            verdicts[number] = verdict
        else:
            problems[number] = "what it judges, a chunk that was no answer, is cut otherwise in this store"
    return verdicts


def _chunks_of(index: Index, collection: str, uri: str) -> dict[tuple[int, int], int]:
    """The ids of a document's chunks by their places; none when there is no such document."""
    with index.snapshot() as snapshot:
        found = snapshot.documents(Scope((collection,), conjunction({"@uri": uri})), 1)
        if not found:
            return {}
        chunks = snapshot.chunks(snapshot.chunk_ids(found[0].id))
    return {(chunk.start, chunk.end): chunk_id for chunk_id, chunk in chunks.items()}

"""Text and JSON on stdout, progress on stderr."""

from __future__ import annotations

import sys
import textwrap
import time
from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

import click

from vstore.config import PLAIN_INTERVAL_S
from vstore.printable import json_escaped, json_text, printable, printable_lines, snippet

if TYPE_CHECKING:
    from vstore.ingest.report import AddReport, Progress
    from vstore.results import Hit, Results
    from vstore.types import StoredDocument

LEGS = {"lexical": "keywords", "dense": "meaning"}


class JsonLines:
    """Takes JSONL for stdout, and gives it the same escapes."""

    def write(self, lines: bytes) -> None:
        """Write whole lines."""
        sys.stdout.buffer.write(json_escaped(lines.decode()).encode())


def emit_json(value: Any) -> None:
    """One JSON value on stdout."""
    click.echo(json_text(value, indent=2))


def print_results(results: Results, *, explain: bool) -> None:
    """Hits for a person to read."""
    notes = [note for note in (results.degraded, *results.remarks, results.uncalibrated if explain else None) if note]
    if len(results) and results.answerable is False:
        notes.append(f"perhaps none of this is an answer (confidence {results.confidence:.2f})")
    for note in notes:
        click.secho(f"note: {printable(note)}", fg="yellow", err=True)
    if not len(results):
        click.echo("nothing found", err=True)
    for number, hit in enumerate(results, start=1):
        print_hit(number, hit, results.query)
        print_around(hit)
        if explain:
            click.echo(f"    why: {why(hit)}")


def print_hit(number: int, hit: Hit, query: str) -> None:
    """One hit in three lines: title and score, place, snippet."""
    title = hit.document.title or hit.document.uri
    if hit.heading:
        title = f"{title} > {hit.heading}"
    click.secho(f"{number:2}. {printable(title)}", bold=True, nl=False)
    click.echo(f"  {hit.score:.4f}" + ("" if hit.confidence is None else f"  confidence {hit.confidence:.2f}"))
    click.secho(printable(f"    {hit.document.uri}  [chunk {hit.chunk_id}, {hit.document.collection}]"), dim=True)
    click.echo(f"    {snippet(hit.text, query)}")


def print_around(hit: Hit) -> None:
    """The context of a hit in full, under its place, and the near-copies that stand behind."""
    if hit.context:
        chunks = ", ".join(str(chunk_id) for chunk_id in hit.context.chunk_ids)
        click.secho(f"    [chunk {chunks}, characters {hit.context.start}-{hit.context.end}]", dim=True)
        click.echo(textwrap.indent(printable_lines(hit.context.text), "    "))
    if hit.duplicates:
        click.secho(f"    near-copies: chunk {', '.join(str(chunk_id) for chunk_id in hit.duplicates)}", dim=True)


def why(hit: Hit) -> str:
    """The addends of a hit's score in words."""
    parts = []
    for part in hit.why:
        place = f" #{part.rank}" if part.rank is not None else ""
        raw = f" ({part.raw:.3f})" if part.raw is not None else ""
        parts.append(f"{LEGS.get(part.source, part.source)}{place}{raw} {part.points:+.4f}")
    words = f"; words: {', '.join(hit.matched)}" if hit.matched else "; no word in common"
    return printable(" ".join(parts) + words)


def print_report(report: AddReport, *, verbose: bool) -> None:
    """What an ingest did, in a line; why files were skipped, on stderr."""
    click.echo(
        f"{report.added} added, {report.updated} updated, {report.unchanged} unchanged, {len(report.skipped)} skipped "
        f"({report.embedded} chunks embedded, {report.seconds:.1f} s)"
    )
    shown = report.skipped if verbose else report.skipped[:10]
    for skipped in shown:
        click.echo(f"skipped {printable(str(skipped.path))}: {printable(skipped.reason)}", err=True)
    if len(shown) < len(report.skipped):
        click.echo(f"and {len(report.skipped) - len(shown)} more; see them all with: vstore -v add ...", err=True)


def local(moment: datetime) -> datetime:
    """A time as the clock here shows it; the last and first hours that there are have none in some zones."""
    try:
        return moment.astimezone()
    except (OverflowError, OSError, ValueError):
        return moment


def print_documents(documents: Sequence[StoredDocument]) -> None:
    """One line a document: date, collection, title, uri."""
    for document in documents:
        date = local(document.updated_at).strftime("%Y-%m-%d")
        kept = "  pinned" if document.pinned else ""
        if document.expires_at and not document.pinned:
            kept = f"  expires {local(document.expires_at).strftime('%Y-%m-%d %H:%M')}"
        click.echo(printable(f"{date}  {document.collection}  {document.title or '-'}  {document.uri}{kept}"))


class AddProgress:
    """A bar with rate and time left on a terminal; elsewhere a counter every few seconds."""

    def __init__(self, quiet: bool) -> None:
        self._quiet = quiet
        self._bar: Any = None
        self._started = self._last = time.monotonic()

    def __enter__(self) -> AddProgress:
        return self

    def __exit__(self, *_: object) -> None:
        if self._bar is not None:
            self._bar.render_finish()

    def __call__(self, progress: Progress) -> None:
        """Show how far it is."""
        if self._quiet:
            return
        rate = progress.embedded / max(time.monotonic() - self._started, 1e-9)
        line = f"{progress.documents:,} documents, {progress.embedded:,} chunks embedded, {rate:,.1f} chunks/s"
        if sys.stderr.isatty():
            self._draw(progress, line)
        elif time.monotonic() - self._last >= PLAIN_INTERVAL_S:
            self._last = time.monotonic()
            click.echo(f"{line}, {100 * progress.bytes_done // max(progress.bytes_total, 1)}%", err=True)

    def _draw(self, progress: Progress, line: str) -> None:
        if self._bar is None:
            self._bar = click.progressbar(
                length=progress.bytes_total, label="adding", file=sys.stderr, item_show_func=lambda item: item
            )
        self._bar.update(progress.bytes_done - self._bar.pos, line)


class DownloadProgress:
    """The download of a model: a bar on a terminal, else one line when it starts."""

    def __init__(self, quiet: bool) -> None:
        self._quiet = quiet
        self._bar: Any = None
        self._source: str | None = None

    def __call__(self, source: str, done: int, total: int | None) -> None:
        """Called again and again with the bytes so far."""
        if self._quiet:
            return
        if source != self._source:
            self._source, self._bar = source, None
            if not sys.stderr.isatty():
                click.echo(f"fetching the model from {source}", err=True)
        if sys.stderr.isatty() and total:
            if self._bar is None:
                self._bar = click.progressbar(length=total, label=f"fetching the model from {source}", file=sys.stderr)
            self._bar.update(done - self._bar.pos)
            if done >= total:
                self._bar.render_finish()

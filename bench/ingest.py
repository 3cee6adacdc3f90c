"""Speed of ingest against its ceiling, the embedder: both measured on the same chunks, in turns, in one run.

    python bench/ingest.py --data FOLDER/corpus.jsonl --documents 500 --repetitions 4

One turn adds the documents to a fresh store through the public API, from opening the store to closing it; the other
only embeds the very texts that the first one embedded, in one call. Loading the model counts for neither. Turns
alternate in order, so that a machine that slows down or speeds up favours neither. Prints documents and chunks a
second of both and the ratio, whose target is 0.90.
"""

from __future__ import annotations

import sys

if not __package__:  # run as a file: this folder is on the path, where collections.py hides Python's own
    sys.path.insert(0, sys.path.pop(0) + "/..")

import argparse
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from statistics import median
from typing import Final

from bench.embedders import RecordingEmbedder, WindowEmbedder
from vstore import Store, settings
from vstore.embed import load

TARGET: Final = 0.95  # share of the embedder's own speed that ingest must reach


@dataclass(frozen=True, slots=True)
class Turns:
    """Seconds of each repetition, of ingest and of the embedder alone, on the same documents and chunks."""

    documents: int
    chunks: int
    ingest: list[float]
    embed: list[float]

    @property
    def ratios(self) -> list[float]:
        """Speed of ingest as a share of the embedder's, for each repetition."""
        return [alone / whole for alone, whole in zip(self.embed, self.ingest, strict=True)]


def main(arguments: list[str] | None = None) -> None:
    """Measure and print."""
    options = _parser().parse_args(arguments)
    embedder = load(options.model, threads=options.threads)
    with tempfile.TemporaryDirectory(prefix="vstore-bench-") as folder:
        part = Path(folder) / "part.jsonl"
        with options.data.open("rb") as source:
            part.write_bytes(b"".join(islice(source, options.documents)))
        print(report(alternate(embedder, part, options.repetitions)))


def alternate(embedder: WindowEmbedder, corpus: Path, repetitions: int) -> Turns:
    """Time both turns `repetitions` times, after an untimed ingest that finds the texts and warms everything up."""
    recording = RecordingEmbedder(embedder)
    documents = _ingest(recording, corpus)
    texts = recording.texts
    turns = Turns(documents, len(texts), ingest=[], embed=[])
    for repetition in range(repetitions):
        pair: list[tuple[list[float], Callable[[], object]]] = [
            (turns.ingest, lambda: _ingest(embedder, corpus)),
            (turns.embed, lambda: embedder.embed_documents(texts)),
        ]
        for seconds, turn in pair if repetition % 2 == 0 else reversed(pair):
            started = time.perf_counter()
            turn()
            seconds.append(time.perf_counter() - started)
    return turns


def report(turns: Turns) -> str:
    """A Markdown table of speeds, and the ratio with its spread."""
    rows = [f"{turns.documents} documents, {turns.chunks} chunks, {len(turns.ingest)} repetitions in turns", ""]
    rows += ["| | documents/s | chunks/s | slowest-fastest chunks/s |", "|---|---|---|---|"]
    for name, seconds in (("ingest", turns.ingest), ("embedder alone", turns.embed)):
        middle, slow, fast = median(seconds), max(seconds), min(seconds)
        spread = f"{turns.chunks / slow:.1f}-{turns.chunks / fast:.1f}"
        rows.append(f"| {name} | {turns.documents / middle:.1f} | {turns.chunks / middle:.1f} | {spread} |")
    ratio = median(turns.ratios)
    verdict = "reached" if ratio >= TARGET else "missed"
    spread = f"{min(turns.ratios):.3f} to {max(turns.ratios):.3f}"
    rows += ["", f"ratio: median {ratio:.3f}, {spread}; target {TARGET:.2f} {verdict}"]
    return "\n".join(rows)


def _ingest(embedder: WindowEmbedder, corpus: Path) -> int:
    with (
        tempfile.TemporaryDirectory(prefix="vstore-bench-") as folder,
        Store(Path(folder) / "bench.db", embedder=embedder, log=False, metrics=False) as store,
    ):
        return store.add([corpus]).added


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="a corpus.jsonl")
    parser.add_argument("--documents", type=int, default=500, help="its first documents to use (default: 500)")
    parser.add_argument("--repetitions", type=int, default=4, help="times each is measured (default: 4)")
    parser.add_argument("--model", default=settings.DEFAULT_MODEL, help="name or folder of the embedding model")
    parser.add_argument("--threads", type=int, help="of the embedder (default: its own choice)")
    return parser


if __name__ == "__main__":
    main()

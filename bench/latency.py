"""How long a search takes, as the store grows: from 1,000 chunks to a million.

    python bench/latency.py --data FOLDER --names scifact --sizes 1000 10000 50000 200000 1000000 --plot latency.svg

Stores are built as in bench/mixed.py; questions are real, embedded by the real model, and asked once each, so that no
cache has seen them. Each store is measured in a new process: milliseconds at the 50th, 95th and 99th percentile, the
first search of the process, and the memory that searching takes beyond the model. `--keep` names a folder in which
stores stay for the next time.
"""

from __future__ import annotations

import sys

if __name__ == "__main__" and not __package__:  # run as a file: this folder hides Python's own collections
    sys.path.insert(0, sys.path.pop(0) + "/..")

import argparse
import json
import multiprocessing
import random
import tempfile
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from platformdirs import user_cache_path

from bench.cache import CachedEmbedder
from bench.datasets import find_collections
from bench.mixed import cut, fill, mixed, passages
from bench.provenance import provenance
from bench.refine import show
from vstore import Store, settings
from vstore.embed import load

if TYPE_CHECKING:
    from collections.abc import Iterator
    from multiprocessing.synchronize import Event

    from bench.mixed import Passages
    from vstore.results import Results

    Search = Callable[[str], Results]

WARM: Final = 6  # untimed searches of each kind, after which codes are in memory
PERCENTILES: Final = (50, 95, 99)
MEAN: Final = "12 words"  # the kind of question that all other ways to search are compared with
LONG: Final = 190  # words of the longest questions


@dataclass(frozen=True, slots=True)
class Questions:
    """Texts of three lengths, each asked once: timed ones, with WARM further ones before them."""

    short: list[str]
    mean: list[str]
    long: list[str]


def questions(folders: Sequence[Path], count: int, seed: int = 0) -> Questions:
    """Real questions of 10 to 14 words; three of their longest words; and passages of LONG words."""
    draw = random.Random(seed)
    asked = [" ".join(text.split()) for text in _texts([folder / "queries.jsonl" for folder in folders])]
    mean = [text for text in dict.fromkeys(asked) if 10 <= len(text.split()) <= 14]
    draw.shuffle(mean)
    long = [text for text in _texts([folder / "corpus.jsonl" for folder in folders]) if len(text.split()) >= LONG]
    draw.shuffle(long)
    # Of each kind enough for all the ways to search that use it, for a text asked twice is answered from a cache.
    need = 5 * (count + WARM)
    short = [" ".join(sorted(text.split(), key=len)[-3:]) for text in asked if text not in set(mean)]
    if len(mean) < need or min(len(short), len(long)) < count + WARM:
        raise SystemExit(f"{len(mean)} questions of 10 to 14 words are too few for {count} a kind; name more --names")
    return Questions(short, mean, [" ".join(text.split()[:LONG]) for text in long])


def _texts(files: Sequence[Path]) -> list[str]:
    return [json.loads(line)["text"] for file in files for line in file.read_text(encoding="utf-8").splitlines()]


# --- measuring, in a process of its own -------------------------------------------------------------------------------


def measure(path: Path, asked: Questions, count: int, source: Passages | None) -> list[dict[str, Any]]:
    """A row for each way to search; with a `source`, the last one while another process writes without a pause."""
    embedder = load(settings.DEFAULT_MODEL)
    embedder.embed_queries(["load the model"])
    before = resident()
    with Store(path, embedder) as store:
        chunks = store.stats().chunks
        mean = iter(asked.mean)
        ways: list[tuple[str, Iterator[str], Search]] = [
            ("3 words", iter(asked.short), lambda text: store.search(text)),
            (MEAN, mean, lambda text: store.search(text)),
            (f"{LONG} words", iter(asked.long), lambda text: store.search(text)),
            (f"{MEAN}, dense", mean, lambda text: store.search(text, mode="dense")),
            (f"{MEAN}, lexical", mean, lambda text: store.search(text, mode="lexical")),
            (f"{MEAN}, filter to 1%", mean, lambda text: store.search(text, where={"group": 7})),
        ]
        first = _milliseconds(ways[1][2], next(mean))
        rows = []
        for name, texts, search in ways:
            rows.append(_row(chunks, name, texts, search, count))
        for row in rows:
            row |= {"first search": round(first), "MB beyond the model": round((resident() - before) / 2**20)}
        if source is not None:
            with _writing(path, source, chunks):
                rows.append({**rows[0], **_row(chunks, f"{MEAN}, while writing", mean, ways[1][2], count)})
    return rows


def _row(chunks: int, name: str, texts: Iterator[str], search: Search, count: int) -> dict[str, Any]:
    for _ in range(WARM):
        search(next(texts))
    times = [_milliseconds(search, next(texts)) for _ in range(count)]
    return {"chunks": chunks, "search": name} | {
        f"p{percentile}": round(float(np.percentile(times, percentile)), 1) for percentile in PERCENTILES
    }


def _milliseconds(search: Search, text: str) -> float:
    started = time.perf_counter()
    search(text)
    return 1000.0 * (time.perf_counter() - started)


def resident() -> int:
    """Bytes of memory that this process holds now (on Linux)."""
    fields = Path("/proc/self/statm").read_text(encoding="ascii").split()
    return int(fields[1]) * 4096


@contextmanager
def _writing(path: Path, source: Passages, chunks: int) -> Iterator[None]:
    """Another process adds documents, one a commit, for as long as the `with` block lasts."""
    context = multiprocessing.get_context("spawn")
    ready, stop = context.Event(), context.Event()
    writer = context.Process(target=_write, args=(path, source, chunks, ready, stop))
    writer.start()
    ready.wait(60)
    try:
        yield
    finally:
        stop.set()
        writer.join()


def _write(path: Path, source: Passages, chunks: int, ready: Event, stop: Event) -> None:
    with Store(path, load(settings.DEFAULT_MODEL)) as store:
        space = store.index.active_space()
        assert space is not None, "the store was filled"
        for number, (text, vector) in enumerate(mixed(source, seed=1), start=chunks):
            one = cut(number, text)
            store.index.write([one], {one[1][0].content_hash: vector}, space)
            ready.set()
            if stop.is_set():
                break


# --- all sizes --------------------------------------------------------------------------------------------------------


def main(arguments: list[str] | None = None) -> None:
    """Build, measure, print, and draw."""
    options = _parser().parse_args(arguments)
    folders = find_collections(options.data, options.names)
    embedder = CachedEmbedder(load(settings.DEFAULT_MODEL), options.cache)
    source = passages([folder / "corpus.jsonl" for folder in folders], embedder)
    asked = questions(folders, options.queries)
    rows: list[dict[str, Any]] = []
    with nullcontext(options.keep) if options.keep else tempfile.TemporaryDirectory(prefix="vstore-bench-") as place:
        for size in options.sizes:
            path = Path(place) / f"{size}.db"
            built = None
            if not path.exists():
                with Store(path, embedder, log=False, metrics=False) as store:
                    built = round(size / fill(store, embedder, source, size))
            with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as processes:
                measured = processes.submit(measure, path, asked, options.queries, source).result()
            more = {"MB of file": round(path.stat().st_size / 2**20), "chunks written a second": built}
            rows += [{**row, **more} for row in measured]
            if options.out:
                options.out.write_text(json.dumps({**provenance(), "rows": rows}) + "\n", encoding="utf-8")
    show(rows)
    if options.plot:
        plot(rows, options.plot)


def plot(rows: Sequence[dict[str, Any]], path: Path) -> None:
    """Median milliseconds against the size of the store, both logarithmic, as an SVG file."""
    import matplotlib

    matplotlib.use("svg")
    from matplotlib import pyplot

    matplotlib.rcParams["svg.hashsalt"] = "vstore"  # the same figures make the same file
    figure, axes = pyplot.subplots(figsize=(8, 4.5), layout="constrained")
    for name in dict.fromkeys(row["search"] for row in rows):
        of_kind = [row for row in rows if row["search"] == name]
        axes.plot([row["chunks"] for row in of_kind], [row["p50"] for row in of_kind], marker="o", label=name)
    axes.set(xscale="log", yscale="log", xlabel="chunks in the store", ylabel="milliseconds, median")
    axes.grid(visible=True, which="both", alpha=0.3)
    figure.legend(loc="outside right upper", frameon=False)
    figure.savefig(path, metadata={"Date": None})


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder that holds the collections' folders")
    parser.add_argument("--names", nargs="+", default=["scifact"], help="collections to take texts and questions from")
    parser.add_argument("--sizes", type=int, nargs="+", default=[1_000, 10_000, 50_000], help="chunks of the stores")
    parser.add_argument("--queries", type=int, default=60, help="timed searches of each kind (default: 60)")
    parser.add_argument("--cache", type=Path, default=user_cache_path("vstore") / "bench", help="folder for vectors")
    parser.add_argument("--keep", type=Path, help="folder in which the stores stay, and are looked for")
    parser.add_argument("--out", type=Path, help="JSON file for the figures")
    parser.add_argument("--plot", type=Path, help="SVG file for the curves (needs matplotlib)")
    return parser


if __name__ == "__main__":
    main()

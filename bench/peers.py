"""vstore and other ways to search on one machine, on the same chunks and vectors, each question asked of each in turn.

    pip install lancedb chromadb bm25s
    python bench/peers.py --data FOLDER --names scifact --chunks 50000 --quality scifact cranfield qmsum

Each peer is used as its own documentation shows, with its defaults; one that is not installed is left out and named.
`plain` is what one would write with sqlite-vec and FTS5 at hand: vec0, an OR of the question's words, and reciprocal
ranks. Only vstore has a place for titles; the others get them as the first line of the text. A search is timed with the
embedding of the question, by one model for all; what ranks by keywords alone embeds nothing.
"""

from __future__ import annotations

import sys

if not __package__:  # run as a file: this folder is on the path, where collections.py hides Python's own
    sys.path.insert(0, sys.path.pop(0) + "/..")

import argparse
import itertools
import json
import os
import re
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from statistics import fmean, median
from typing import TYPE_CHECKING, Any, Final, Protocol
from unittest.mock import patch

import apsw
import numpy as np
import sqlite_vec
from packaging.requirements import Requirement
from platformdirs import user_cache_path

from bench.cache import CachedEmbedder
from bench.datasets import find_collections
from bench.latency import questions
from bench.mixed import mixed
from bench.mixed import passages as sources
from bench.provenance import provenance
from bench.refine import Bench, opened, show
from bench.size import tree_size
from vstore import Store, settings
from vstore.embed import load, runtime
from vstore.metrics import bootstrap_interval, ndcg
from vstore.types import Chunk, Cut, Document, Scope

if TYPE_CHECKING:
    from bench.embedders import WindowEmbedder
    from vstore.types import FloatArray

    Embed = Callable[[str], FloatArray]
    Passages = Sequence[tuple[str, str]]  # title, which may be empty, and text

K: Final = 10  # results asked for
POOL: Final = 50  # results of each leg that `plain` fuses
RRF_K: Final = 60  # its constant
AT_ONCE: Final = 2_000  # chunks handed over at a time
WARM: Final = 6  # untimed questions


class Peer(Protocol):
    """One way to search. `folder` is its own and empty; rows are numbered from 0."""

    name: str
    package: str  # the distribution that one installs

    def build(self, folder: Path, passages: Passages, vectors: FloatArray) -> None:
        """Index the passages and their vectors, float32 (n, dimension)."""

    def search(self, text: str, embed: Embed) -> list[int]:
        """The rows of the first K results."""

    def close(self) -> None:
        """Let go of all files."""


class Vstore:
    """This package."""

    name, package = "vstore", "vstore"

    def __init__(self, embedder: WindowEmbedder) -> None:
        self._embedder = embedder
        self._store: Store | None = None

    def build(self, folder: Path, passages: Passages, vectors: FloatArray) -> None:
        """Through the door that ingest uses."""
        self._store = store = Store(folder / "memory.db", self._embedder, log=False, metrics=False)
        model = self._embedder
        space = store.index.open_space(model.fingerprint, model.dimension, model.name)
        with store.index.bulk():
            for start in range(0, len(passages), AT_ONCE):
                keys = [str(number) for number in range(start, min(start + AT_ONCE, len(passages)))]
                cuts: list[Cut] = [
                    (Document(key, text, title, key), [Chunk(0, 0, len(text), "", text, key)])
                    for key, (title, text) in zip(keys, passages[start:], strict=False)
                ]
                by_key = dict(zip(keys, vectors[start:], strict=False))
                while cuts:
                    del cuts[: len(store.index.write(cuts, by_key, space))]

    def search(self, text: str, embed: Embed) -> list[int]:
        """The store has the model itself."""
        assert self._store is not None, "build comes first"
        return [int(hit.document.uri) for hit in self._store.search(text, K, diversity=False, collapse=False)]

    def close(self) -> None:
        """Close the store."""
        if self._store is not None:
            self._store.close()


class Plain:
    """sqlite-vec's vec0 and FTS5 in one file, fused by reciprocal ranks."""

    name, package = "plain vec0 + FTS5", "sqlite-vec"

    def build(self, folder: Path, passages: Passages, vectors: FloatArray) -> None:
        """One transaction."""
        self._connection = connection = apsw.Connection(str(folder / "plain.db"))
        connection.enable_load_extension(True)
        connection.load_extension(sqlite_vec.loadable_path())
        connection.execute("PRAGMA journal_mode = WAL")
        dimension = vectors.shape[1]
        connection.execute(f"CREATE VIRTUAL TABLE v USING vec0(embedding float[{dimension}] distance_metric=cosine)")
        connection.execute("CREATE VIRTUAL TABLE f USING fts5(text, tokenize='porter unicode61')")
        with connection:
            rows = [(number, vector.tobytes()) for number, vector in enumerate(vectors)]
            connection.executemany("INSERT INTO v (rowid, embedding) VALUES (?, ?)", rows)
            connection.executemany("INSERT INTO f (rowid, text) VALUES (?, ?)", list(enumerate(lines(passages))))

    def search(self, text: str, embed: Embed) -> list[int]:
        """Both legs, then the sum of 1 / (60 + rank)."""
        words = " OR ".join(f'"{word}"' for word in re.findall(r"\w+", text))
        nearest = "SELECT rowid FROM v WHERE embedding MATCH ? AND k = ? ORDER BY distance"
        matching = "SELECT rowid FROM f WHERE f MATCH ? ORDER BY rank LIMIT ?"
        scores: dict[int, float] = {}
        for sql, sought in ((nearest, embed(text).tobytes()), (matching, words)):
            for rank, (row,) in enumerate(list(self._connection.execute(sql, (sought, POOL))), start=1):
                scores[row] = scores.get(row, 0.0) + 1.0 / (RRF_K + rank)
        return sorted(scores, key=lambda row: -scores[row])[:K]

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()


class Lance:
    """LanceDB: full text and vectors, fused by its default, reciprocal ranks."""

    name, package = "LanceDB hybrid", "lancedb"

    def build(self, folder: Path, passages: Passages, vectors: FloatArray) -> None:
        """A table with a full-text index; vectors are scanned, which is its default."""
        os.environ.setdefault("LANCEDB_LOG", "error")  # or it warns of its own defaults at every search
        import lancedb
        import pyarrow

        flat = pyarrow.FixedSizeListArray.from_arrays(pyarrow.array(vectors.ravel()), vectors.shape[1])
        table = pyarrow.table({"id": list(range(len(passages))), "text": lines(passages), "vector": flat})
        self._table = lancedb.connect(str(folder)).create_table("chunks", table)
        self._table.create_fts_index("text")

    def search(self, text: str, embed: Embed) -> list[int]:
        """A hybrid query."""
        query = self._table.search(query_type="hybrid").vector(embed(text)).text(text).select(["id"]).limit(K)
        return [row["id"] for row in query.to_list()]

    def close(self) -> None:
        """Nothing is open."""


class Chroma:
    """Chroma: vectors alone, for its local store has no keyword ranking."""

    name, package = "Chroma dense", "chromadb"

    def build(self, folder: Path, passages: Passages, vectors: FloatArray) -> None:
        """A collection with cosine distance."""
        import chromadb

        client = chromadb.PersistentClient(str(folder), chromadb.Settings(anonymized_telemetry=False))
        self._collection = client.create_collection("chunks", metadata={"hnsw:space": "cosine"})
        for start in range(0, len(passages), AT_ONCE):
            some = lines(passages[start : start + AT_ONCE])
            ids = [str(number) for number in range(start, start + len(some))]
            self._collection.add(ids=ids, embeddings=vectors[start : start + AT_ONCE], documents=some)

    def search(self, text: str, embed: Embed) -> list[int]:
        """Nearest neighbours."""
        found = self._collection.query(query_embeddings=[embed(text)], n_results=K, include=[])
        return [int(row) for row in found["ids"][0]]

    def close(self) -> None:
        """Nothing can be closed."""


class Bm25s:
    """bm25s: keywords alone, in memory."""

    name, package = "bm25s", "bm25s"

    def build(self, folder: Path, passages: Passages, vectors: FloatArray) -> None:
        """With its English stop words; saved, so that its size is known."""
        import bm25s

        self._module = bm25s
        self._index = bm25s.BM25()
        self._index.index(bm25s.tokenize(lines(passages), stopwords="en", show_progress=False), show_progress=False)
        self._index.save(str(folder))

    def search(self, text: str, embed: Embed) -> list[int]:
        """The best by BM25."""
        tokens = self._module.tokenize(text, stopwords="en", show_progress=False)
        found, scores = self._index.retrieve(tokens, k=K, show_progress=False)
        return [int(row) for row, score in zip(found[0], scores[0], strict=True) if score > 0]

    def close(self) -> None:
        """Nothing is open."""


def lines(passages: Passages) -> list[str]:
    """Texts with their titles above them."""
    return ["\n".join(filter(None, passage)) for passage in passages]


def installed(embedder: WindowEmbedder) -> list[Peer]:
    """The peers that can be run here; others are named."""
    found: list[Peer] = []
    for peer in (Vstore(embedder), Plain(), Lance(), Chroma(), Bm25s()):
        try:
            distribution(peer.package)
        except PackageNotFoundError:
            print(f"{peer.name} is left out: pip install {peer.package}", file=sys.stderr)
        else:
            found.append(peer)
    return found


@contextmanager
def built(peers: Sequence[Peer], passages: Passages, vectors: FloatArray) -> Iterator[dict[str, tuple[float, float]]]:
    """All peers, filled for the length of a `with` block: seconds that it took, and MB on disk, by name."""
    folder = Path(tempfile.mkdtemp(prefix="vstore-bench-"))
    costs = {}
    try:
        for number, peer in enumerate(peers):
            place = folder / str(number)
            place.mkdir()
            started = time.perf_counter()
            peer.build(place, passages, vectors)
            costs[peer.name] = (time.perf_counter() - started, tree_size(place) / 2**20)
            print(f"{peer.name}: built", file=sys.stderr, flush=True)
        yield costs
    finally:
        for peer in peers:
            peer.close()
        shutil.rmtree(folder, ignore_errors=True)


# --- latency ----------------------------------------------------------------------------------------------------------


def forgetful() -> WindowEmbedder:
    """The default model, without its memory of the last questions: each peer asks the same one."""
    with patch.object(runtime, "QUERY_VECTORS", 0):
        return load(settings.DEFAULT_MODEL)


def latency(embedder: CachedEmbedder, folders: Sequence[Path], chunks: int, count: int) -> list[dict[str, Any]]:
    """Milliseconds of a search, each question asked of every peer in turn; and what building took."""
    model = forgetful()
    peers = installed(model)
    source = sources([folder / "corpus.jsonl" for folder in folders], embedder)
    some = list(itertools.islice(mixed(source, seed=chunks), chunks))
    vectors = np.stack([vector for _, vector in some])
    asked = questions(folders, count).mean[: count + WARM]
    times: dict[str, list[float]] = {peer.name: [] for peer in peers}
    with built(peers, [("", text) for text, _ in some], vectors) as costs:
        for text in asked:
            for peer in peers:
                started = time.perf_counter()
                peer.search(text, lambda text: model.embed_queries([text])[0])
                times[peer.name].append(1000.0 * (time.perf_counter() - started))
    rows = []
    ours = times[peers[0].name][WARM:]
    for peer in peers:
        timed = times[peer.name][WARM:]
        seconds, megabytes = costs[peer.name]
        rows.append(
            {
                "peer": f"{peer.name} {distribution(peer.package).version}",
                "p50 ms": f"{median(timed):.1f}",
                "p95 ms": f"{np.percentile(timed, 95):.1f}",
                "times vstore": f"{median(theirs / own for theirs, own in zip(timed, ours, strict=True)):.2f}",
                "built in s": round(seconds),
                "MB on disk": round(megabytes),
                "MB installed": round(install_size(peer.package) / 1e6),
            }
        )
    return rows


def install_size(package: str) -> int:
    """Bytes of a distribution and of all that it requires, without extras."""
    sizes: dict[str, int] = {}
    waiting = [package]
    while waiting:
        name = waiting.pop()
        if name in sizes:
            continue
        try:
            found = distribution(name)
        except PackageNotFoundError:  # for another platform
            continue
        files = (Path(str(file.locate())) for file in found.files or ())
        sizes[name] = sum(file.stat().st_size for file in files if file.is_file())
        needed = map(Requirement, found.requires or ())
        waiting += [one.name for one in needed if one.marker is None or one.marker.evaluate({"extra": ""})]
    return sum(sizes.values())


# --- quality ----------------------------------------------------------------------------------------------------------


def quality(peers: Sequence[Peer], bench: Bench) -> list[dict[str, Any]]:
    """NDCG@10 of the first K results, each a chunk standing for its document, on the reported questions."""
    with bench.store.index.snapshot() as snapshot:
        documents = snapshot.documents(Scope(), 10**9)
        ids = [chunk_id for document in documents for chunk_id in snapshot.chunk_ids(document.id)]
        chunks, found = snapshot.chunks(ids), snapshot.vectors(ids)
    by_document = {number: name for name, (number, _) in bench.documents.items()}
    names = [by_document[chunks[chunk_id].document.id] for chunk_id in ids]
    texts = [(chunks[one].document.title, chunks[one].text) for one in ids]
    asked = [question for question in bench.reported if question.group is None]
    scores: dict[str, list[float]] = {peer.name: [] for peer in peers}
    with built(peers, texts, np.stack([found[chunk_id] for chunk_id in ids])):
        for question in asked:
            for peer in peers:
                found_rows = peer.search(question.text, lambda text: bench.embedder.embed_queries([text])[0])
                ranked = list(dict.fromkeys(names[row] for row in found_rows))
                scores[peer.name].append(ndcg(ranked, dict(question.judgements), K))
    rows = []
    ours = scores[peers[0].name]
    for name, own in scores.items():
        low, high = bootstrap_interval([own_ - other for own_, other in zip(own, ours, strict=True)], seed=2009)
        row = {"collection": bench.name, "questions": len(asked), "peer": name, "NDCG@10": f"{fmean(own):.4f}"}
        rows.append({**row, "against vstore": f"{fmean(own) - fmean(ours):+.4f} [{low:+.4f}, {high:+.4f}]"})
    return rows


def main(arguments: list[str] | None = None) -> None:
    """Build, ask, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder that holds the collections' folders")
    parser.add_argument(
        "--names", nargs="+", default=["scifact"], help="collections to put the large store together of"
    )
    parser.add_argument("--chunks", type=int, default=50_000, help="chunks of the large store, 0 for none")
    parser.add_argument("--queries", type=int, default=60, help="timed questions (default: 60)")
    parser.add_argument("--quality", nargs="*", default=[], help="collections to measure NDCG@10 on")
    parser.add_argument("--cache", type=Path, default=user_cache_path("vstore") / "bench", help="folder for vectors")
    parser.add_argument("--out", type=Path, help="JSON file for the figures")
    options = parser.parse_args(arguments)
    embedder = CachedEmbedder(load(settings.DEFAULT_MODEL), options.cache)
    rows: list[dict[str, Any]] = []
    if options.chunks:
        rows = latency(embedder, find_collections(options.data, options.names), options.chunks, options.queries)
        show(rows)
    better: list[dict[str, Any]] = []
    for folder in find_collections(options.data, options.quality) if options.quality else ():
        with opened(folder, embedder) as bench:
            better += quality(installed(embedder), bench)
    if better:
        show(better)
    if options.out:
        options.out.write_text(
            json.dumps({**provenance(), "latency": rows, "quality": better}) + "\n", encoding="utf-8"
        )


if __name__ == "__main__":
    main()

"""Dense search as the model's figures are published: one vector a document, cut off, no chunks, no store.

    python bench/reference.py --data FOLDER --names scifact --tokens 256

If this disagrees with the published figure, the embedder is wrong; if it agrees, what `collections.py` prints for dense
search differs by chunking alone.
"""

from __future__ import annotations

import sys

if not __package__:  # run as a file: this folder is on the path, where collections.py hides Python's own
    sys.path.insert(0, sys.path.pop(0) + "/..")

import argparse
import json
from pathlib import Path
from statistics import fmean

import numpy as np
from platformdirs import user_cache_path

from bench.cache import CachedEmbedder
from bench.datasets import find_collections, load_collection
from bench.scoring import SEED
from vstore import settings
from vstore.embed import load
from vstore.metrics import bootstrap_interval, ndcg


def main() -> None:
    """Print NDCG@10 of each collection with its interval."""
    options = _parser().parse_args()
    embedder = CachedEmbedder(load(settings.DEFAULT_MODEL), options.cache)
    for folder in find_collections(options.data, options.names):
        collection = load_collection(folder, "test")
        rows = [json.loads(line) for line in collection.corpus.open(encoding="utf-8")]
        texts = [cut(embedder, f"{row.get('title', '')} {row['text']}", options.tokens) for row in rows]
        ids = [row["_id"] for row in rows]
        similarity = embedder.embed_queries([question.text for question in collection.questions])
        similarity = similarity @ embedder.embed_documents(texts).T
        scores = [
            ndcg([ids[row] for row in np.argsort(-cosines, kind="stable")[:10]], question.judgements, 10)
            for question, cosines in zip(collection.questions, similarity, strict=True)
        ]
        low, high = bootstrap_interval(scores, seed=SEED)
        interval = f"[{low:.3f}, {high:.3f}]"
        print(f"{collection.name}: NDCG@10 {fmean(scores):.4f} {interval}, cut off at {options.tokens} tokens")


def cut(embedder: CachedEmbedder, text: str, tokens: int) -> str:
    """The beginning of a text that fits `tokens` tokens, the model's special tokens included."""
    room = tokens - embedder.tokenizer.num_special_tokens_to_add(False)
    offsets = embedder.tokenizer.encode(text, add_special_tokens=False).offsets
    return text if len(offsets) <= room else text[: offsets[room - 1][1]]


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder that holds the collections' folders")
    parser.add_argument("--names", nargs="+", required=True, help="collections without groups to measure")
    parser.add_argument("--tokens", type=int, default=256, help="where documents are cut off (default: 256)")
    parser.add_argument("--cache", type=Path, default=user_cache_path("vstore") / "bench", help="folder for vectors")
    return parser


if __name__ == "__main__":
    main()

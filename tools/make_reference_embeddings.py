"""Make tests/data/reference_embeddings.npz: what sentence-transformers gives for tests/data/reference_texts.json.

Needs sentence-transformers (and torch), which vstore itself never does. Run it when the texts change:

    python tools/make_reference_embeddings.py MODEL_FOLDER

MODEL_FOLDER holds all-MiniLM-L6-v2 as sentence-transformers saves it, for instance a download of the hub's repository.
The result holds `vectors`, float32 of shape (texts, 384) with rows of length 1, and `versions`, what made them.
"""

import json
import sys
from pathlib import Path

import numpy as np
import sentence_transformers
import torch

DATA = Path(__file__).parent.parent / "tests" / "data"


def main(folder: str) -> None:
    """Embed the texts one at a time, so that padding cannot play a part, and write the fixture."""
    texts = json.loads((DATA / "reference_texts.json").read_text(encoding="utf-8"))
    model = sentence_transformers.SentenceTransformer(folder, device="cpu")
    model.max_seq_length = 512  # as in vstore/embed/registry.py: all positions of the model, where its default is 256
    vectors = model.encode(texts, batch_size=1, normalize_embeddings=True, convert_to_numpy=True)
    versions = f"sentence-transformers {sentence_transformers.__version__}, torch {torch.__version__}"
    np.savez_compressed(DATA / "reference_embeddings.npz", vectors=vectors.astype(np.float32), versions=versions)


if __name__ == "__main__":
    main(*sys.argv[1:])

"""A local model as an `Embedder`: tokenise, batch by length, run the graph, normalise."""

from __future__ import annotations

import os
import re
import threading
from collections.abc import Sequence
from functools import cached_property, lru_cache
from typing import TYPE_CHECKING

import numpy as np
import onnxruntime  # type: ignore[import-untyped]  # it has no stubs
from tokenizers import Tokenizer

from vstore.config import BATCH_TOKENS, QUERY_VECTORS
from vstore.embed.graph import ATTENTION_MASK, INPUT_IDS, build_graph
from vstore.embed.model import LocalModel
from vstore.embed.tokenizer import load_tokenizer
from vstore.embed.weights import read_weights
from vstore.errors import ModelDamagedError

if TYPE_CHECKING:
    from vstore.types import FloatArray

_LONE_SURROGATE = re.compile("[\ud800-\udfff]")
_QUIET = 4  # ONNX Runtime's severity "fatal": its errors are raised as well, its warnings are about graphs in general


class OnnxEmbedder:
    """Implements `vstore.types.Embedder` and `TokenWindow`; safe to share between threads.

    The session is created at the first text, so that asking for the fingerprint costs nothing.
    """

    def __init__(self, model: LocalModel, *, threads: int | None = None) -> None:
        """`threads` None means all cores that this process may use."""
        self.name = model.name
        self.dimension = model.architecture.hidden
        self.fingerprint = model.fingerprint
        self.max_tokens = model.recipe.max_tokens
        self.model = model
        self._threads = min(threads or available_cores(), available_cores())
        self._lock = threading.Lock()
        self._session: onnxruntime.InferenceSession | None = None
        self._query = lru_cache(QUERY_VECTORS)(lambda text: self._embed(model.recipe.query_prefix, [text]))
        self._truncating = load_tokenizer(model)
        self._truncating.enable_truncation(self.max_tokens)

    @cached_property
    def tokenizer(self) -> Tokenizer:
        """A tokenizer without truncation or padding, for cutting texts to `max_tokens`."""
        return load_tokenizer(self.model)

    def embed_documents(self, texts: list[str]) -> FloatArray:
        """Embed passages: float32, shape (len(texts), dimension), rows of length 1.

        What lies beyond `max_tokens` tokens is not read. Raises ModelDamagedError when the weights make no sense.
        """
        return self._embed(self.model.recipe.document_prefix, texts)

    def embed_queries(self, texts: list[str]) -> FloatArray:
        """Embed queries, with the model's instruction in front: float32, shape (len(texts), dimension).

        A single one that was embedded lately is remembered: people and agents repeat themselves.
        """
        if len(texts) == 1:
            return self._query(texts[0]).copy()
        return self._embed(self.model.recipe.query_prefix, texts)

    def _embed(self, prefix: str, texts: list[str]) -> FloatArray:
        if not texts:
            return np.empty((0, self.dimension), dtype=np.float32)
        session = self._ready_session()  # first, for it finds out whether the dimension is true
        pooled = np.empty((len(texts), self.dimension), dtype=np.float32)
        encodings = self._truncating.encode_batch([prefix + _LONE_SURROGATE.sub("\ufffd", text) for text in texts])
        tokens = [encoding.ids for encoding in encodings]
        for batch in pack([len(ids) for ids in tokens], BATCH_TOKENS):
            try:
                (pooled[batch],) = session.run(None, _padded([tokens[row] for row in batch]))
            except Exception as error:  # the library has a class for each of its codes: here a token beyond the table
                raise ModelDamagedError(f"the model {self.name} cannot be run ({error}); get it again") from error
        return self._normalise(pooled)

    def _normalise(self, pooled: FloatArray) -> FloatArray:
        lengths = np.linalg.norm(pooled, axis=1, keepdims=True)
        if not (np.isfinite(lengths).all() and lengths.all()):
            raise ModelDamagedError(f"the model {self.name} gives vectors without a direction; choose another model")
        pooled /= lengths
        return pooled

    def _ready_session(self) -> onnxruntime.InferenceSession:
        with self._lock:
            if self._session is None:
                self._session = _create_session(self.model, self._threads)
            return self._session


def pack(lengths: Sequence[int], budget: int) -> list[list[int]]:
    """Cut the row numbers, longest row first, into batches of at most `budget` tokens, padding included.

    Rows of similar length share a batch, so little is padded; a row longer than the budget has one to itself.
    """
    batches: list[list[int]] = []
    for row in sorted(range(len(lengths)), key=lambda row: -lengths[row]):
        if batches and lengths[batches[-1][0]] * (len(batches[-1]) + 1) <= budget:
            batches[-1].append(row)
        else:
            batches.append([row])
    return batches


def available_cores() -> int:
    """Cores that this process may use, which can be fewer than the machine has."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _padded(tokens: list[list[int]]) -> dict[str, np.ndarray]:
    """The graph's inputs, int32 of shape (rows, longest row), padded on the right."""
    shape = (len(tokens), max(map(len, tokens)))
    ids, mask = np.zeros(shape, dtype=np.int32), np.zeros(shape, dtype=np.int32)
    for row, row_tokens in enumerate(tokens):
        ids[row, : len(row_tokens)] = row_tokens
        mask[row, : len(row_tokens)] = 1
    return {INPUT_IDS: ids, ATTENTION_MASK: mask}


def _create_session(model: LocalModel, threads: int) -> onnxruntime.InferenceSession:
    weights = read_weights(model.weights, model.architecture)
    shapes = {name: tensor.shape for name, tensor in weights.items()}
    graph = build_graph(model.architecture, model.recipe.pooling, shapes)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = _QUIET
    options.enable_mem_pattern = False  # plans memory for each new shape and keeps the plan; shapes never repeat here
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")  # idle threads must not burn a core
    values = [onnxruntime.OrtValue.ortvalue_from_numpy(tensor) for tensor in weights.values()]
    options.add_external_initializers(list(weights), values)  # copied: the arrays may go once the session is there
    return onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])

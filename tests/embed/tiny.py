"""A BERT small enough for tests: a model folder with random weights, and its arithmetic in plain numpy."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors

HIDDEN, WIDE, HEADS, LAYERS, POSITIONS, EPSILON = 8, 16, 2, 2, 16, 1e-12
WORDS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "query", ":", "the", "cat", "sat", "on", "mat", "##s", "a", "dog"]
CLS, SEP = 2, 3
CONFIG: dict[str, Any] = {
    "architectures": ["BertModel"],
    "model_type": "bert",
    "hidden_act": "gelu",
    "hidden_size": HIDDEN,
    "intermediate_size": WIDE,
    "num_attention_heads": HEADS,
    "num_hidden_layers": LAYERS,
    "max_position_embeddings": POSITIONS,
    "type_vocab_size": 2,
    "vocab_size": len(WORDS),
    "layer_norm_eps": EPSILON,
    "position_embedding_type": "absolute",
}
MODULES = [
    {"idx": 0, "name": "0", "path": "", "type": "sentence_transformers.models.Transformer"},
    {"idx": 1, "name": "1", "path": "1_Pooling", "type": "sentence_transformers.models.Pooling"},
]

Weights = dict[str, np.ndarray]


def weights(seed: int = 0) -> Weights:
    """Random weights of BERT's names and shapes, large enough for the order of operations to matter."""
    rng = np.random.default_rng(seed)
    shapes: dict[str, tuple[int, ...]] = {
        "embeddings.word_embeddings.weight": (len(WORDS), HIDDEN),
        "embeddings.position_embeddings.weight": (POSITIONS, HIDDEN),
        "embeddings.token_type_embeddings.weight": (2, HIDDEN),
        "embeddings.LayerNorm.weight": (HIDDEN,),
        "embeddings.LayerNorm.bias": (HIDDEN,),
    }
    for layer in range(LAYERS):
        dense = {f"attention.self.{part}": (HIDDEN, HIDDEN) for part in ("query", "key", "value")}
        dense |= {"attention.output.dense": (HIDDEN, HIDDEN), "intermediate.dense": (WIDE, HIDDEN)}
        dense |= {"output.dense": (HIDDEN, WIDE)}
        for name, shape in dense.items():
            shapes[f"encoder.layer.{layer}.{name}.weight"] = shape
            shapes[f"encoder.layer.{layer}.{name}.bias"] = shape[:1]
        for name in ("attention.output.LayerNorm", "output.LayerNorm"):
            shapes[f"encoder.layer.{layer}.{name}.weight"] = (HIDDEN,)
            shapes[f"encoder.layer.{layer}.{name}.bias"] = (HIDDEN,)
    return {name: rng.normal(0, 0.7, shape).astype(np.float32) for name, shape in shapes.items()}


def save_weights(path: Path, tensors: Weights, kind: str = "F32") -> None:
    """Write safetensors by hand: 8 bytes with the header's length, JSON, then the tensors."""
    header, body = {}, b""
    for name, tensor in tensors.items():
        stored = tensor.astype("<f4")
        data = {
            "F32": stored.tobytes(),
            "F16": stored.astype("<f2").tobytes(),
            "BF16": (stored.view("<u4") >> 16).astype("<u2").tobytes(),
            "F64": stored.astype("<f8").tobytes(),
        }[kind]
        header[name] = {"dtype": kind, "shape": list(tensor.shape), "data_offsets": [len(body), len(body) + len(data)]}
        body += data
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)  # the library demands that tensors are aligned
    path.write_bytes(len(text).to_bytes(8, "little") + text + body)


def make_folder(
    folder: Path,
    *,
    tensors: Weights | None = None,
    kind: str = "F32",
    pooling: dict[str, Any] | None = None,
    prompts: dict[str, str] | None = None,
    config: dict[str, Any] | None = None,
) -> Path:
    """A model folder as sentence-transformers saves it."""
    (folder / "1_Pooling").mkdir(parents=True)
    save_weights(folder / "model.safetensors", weights() if tensors is None else tensors, kind)
    write_json(folder / "config.json", CONFIG | (config or {}))
    write_json(folder / "modules.json", MODULES)
    write_json(folder / "1_Pooling" / "config.json", pooling or {"pooling_mode_mean_tokens": True})
    write_json(folder / "sentence_bert_config.json", {"max_seq_length": 12, "do_lower_case": False})
    write_json(folder / "config_sentence_transformers.json", {"prompts": prompts or {}})
    tokenizer = Tokenizer(models.WordPiece({word: id for id, word in enumerate(WORDS)}, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.post_processor = processors.TemplateProcessing("[CLS] $A [SEP]", None, [("[CLS]", CLS), ("[SEP]", SEP)])
    tokenizer.save(str(folder / "tokenizer.json"))
    return folder


def write_json(path: Path, value: Any) -> None:
    path.write_text(json.dumps(value), encoding="utf-8")


def forward(tensors: Weights, ids: list[int], pooling: str) -> np.ndarray:
    """One text through BERT in float64, written as the paper has it; the pooled state with length 1."""
    w = {name: tensor.astype(np.float64) for name, tensor in tensors.items()}
    states = w["embeddings.word_embeddings.weight"][ids] + w["embeddings.token_type_embeddings.weight"][0]
    states = norm(w, "embeddings.LayerNorm", states + w["embeddings.position_embeddings.weight"][: len(ids)])
    for layer in range(LAYERS):
        at = f"encoder.layer.{layer}."
        query, key, value = (heads(dense(w, f"{at}attention.self.{x}", states)) for x in ("query", "key", "value"))
        scores = query @ key.transpose(0, 2, 1) / math.sqrt(HIDDEN // HEADS)
        shares = np.exp(scores - scores.max(axis=-1, keepdims=True))
        shares /= shares.sum(axis=-1, keepdims=True)
        attended = (shares @ value).transpose(1, 0, 2).reshape(len(ids), HIDDEN)
        states = norm(w, f"{at}attention.output.LayerNorm", states + dense(w, f"{at}attention.output.dense", attended))
        widened = dense(w, f"{at}intermediate.dense", states)
        activated = 0.5 * widened * (1 + np.vectorize(math.erf)(widened / math.sqrt(2)))
        states = norm(w, f"{at}output.LayerNorm", states + dense(w, f"{at}output.dense", activated))
    pooled: np.ndarray = states.mean(axis=0) if pooling == "mean" else states[0]
    return pooled / np.linalg.norm(pooled)


def dense(w: Weights, name: str, x: np.ndarray) -> np.ndarray:
    return x @ w[f"{name}.weight"].T + w[f"{name}.bias"]


def norm(w: Weights, name: str, x: np.ndarray) -> np.ndarray:
    centred = x - x.mean(axis=-1, keepdims=True)
    return centred / np.sqrt(x.var(axis=-1, keepdims=True) + EPSILON) * w[f"{name}.weight"] + w[f"{name}.bias"]


def heads(x: np.ndarray) -> np.ndarray:
    """(tokens, hidden) -> (heads, tokens, hidden / heads)."""
    return x.reshape(len(x), HEADS, HIDDEN // HEADS).transpose(1, 0, 2)

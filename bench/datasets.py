"""Collections with human relevance judgements, read from folders in the layout of the BEIR benchmark.

A folder holds `corpus.jsonl`, `queries.jsonl` and `qrels/<split>.tsv`. Rows may carry a `group`: such a question is
answered from the documents of its own group only.
"""

from __future__ import annotations

import csv
import json
import zlib
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from vstore.errors import InputError, NotFoundError


@dataclass(frozen=True, slots=True)
class Question:
    """A query somebody judged documents for: grades by document id, at least one of them above 0."""

    id: str
    text: str
    group: str | None
    judgements: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Collection:
    """The documents (a file, ready to be added) and the questions of one split."""

    name: str
    split: str
    corpus: Path
    questions: tuple[Question, ...]


def find_collections(data: Path, names: list[str]) -> list[Path]:
    """The named folders of `data`, or, for the single name "all", every folder with a corpus.

    Raises NotFoundError for a folder without `corpus.jsonl`.
    """
    if names == ["all"]:
        return sorted(corpus.parent for corpus in data.glob("*/corpus.jsonl"))
    folders = [data / name for name in names]
    for folder in folders:
        if not (folder / "corpus.jsonl").is_file():
            raise NotFoundError(f"{folder} has no corpus.jsonl: name a folder in the BEIR layout, or 'all'")
    return folders


def load_collection(folder: Path, split: str) -> Collection:
    """Read one collection; questions without a relevant document are left out.

    Raises NotFoundError when the split does not exist and InputError when it judges a question that does not.
    """
    texts = {row["_id"]: row for row in _rows(folder / "queries.jsonl")}
    judgements = _judgements(folder / "qrels", split)
    if unknown := judgements.keys() - texts.keys():
        raise InputError(f"{folder.name}: the {split} split judges {min(unknown)!r}, which queries.jsonl does not have")
    questions = tuple(
        Question(query_id, row["text"], row.get("group"), judgements[query_id])
        for query_id, row in texts.items()
        if query_id in judgements and max(judgements[query_id].values()) > 0
    )
    return Collection(folder.name, split, (folder / "corpus.jsonl").resolve(), questions)


def fitting_and_reported(folder: Path) -> tuple[Collection, Collection]:
    """The questions numbers may be chosen on, and those whose results are reported: the test split.

    Where there is neither a train nor a dev split, the test split is halved.
    """
    reported = load_collection(folder, "test")
    for split in ("train", "dev"):
        if (folder / "qrels" / f"{split}.tsv").is_file():
            return load_collection(folder, split), reported
    return halves(reported)


def halves(collection: Collection) -> tuple[Collection, Collection]:
    """The questions whose id has an even CRC-32, and those where it is odd."""
    sides: tuple[list[Question], list[Question]] = ([], [])
    for question in collection.questions:
        sides[zlib.crc32(question.id.encode()) % 2].append(question)
    even, odd = (replace(collection, questions=tuple(side)) for side in sides)
    return even, odd


def _rows(path: Path) -> list[dict[str, Any]]:
    with path.open(encoding="utf-8") as lines:
        return [json.loads(line) for line in lines if line.strip()]


def _judgements(folder: Path, split: str) -> dict[str, dict[str, float]]:
    path = folder / f"{split}.tsv"
    if not path.is_file():
        present = ", ".join(sorted(file.stem for file in folder.glob("*.tsv")))
        raise NotFoundError(f"{folder} has no split {split!r}: choose one of {present or '(none)'}")
    judgements: defaultdict[str, dict[str, float]] = defaultdict(dict)
    with path.open(encoding="utf-8", newline="") as lines:
        for row in csv.DictReader(lines, delimiter="\t", quoting=csv.QUOTE_NONE):
            judgements[row["query-id"]][row["corpus-id"]] = float(row["score"])
    return dict(judgements)

"""The encoder as a trainer: mined examples -> trained weights -> a space beside the active one -> a candidate.

Each step may take longer than a night. What there is of it is kept, beside the models and in the store, and the next
night goes on from there, with the examples it began with.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import time
from collections.abc import Collection, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from vstore import config, embed
from vstore.embed.cache import write_atomically
from vstore.errors import InputError
from vstore.ingest.backfill import fill
from vstore.ingest.chunk import Chunker
from vstore.refine import beside
from vstore.refine.adapter import Lesson, divergences
from vstore.refine.carry import carried_over
from vstore.refine.evaluate import System
from vstore.refine.examples import Example
from vstore.refine.mine import mine
from vstore.refine.queries import AskedQuery
from vstore.refine.teacher import as_asked, embedded
from vstore.refine.trainers import Candidate, Material, digest
from vstore.types import Embedder, Space

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from vstore.refine.encoder import EncoderRecipe
    from vstore.refine.trainers import Lessons

_PLAN = "plan.json"


def encoder(material: Material, recipe: EncoderRecipe | None = None) -> Sequence[Candidate]:
    """The model itself, trained on what was mined, with all chunks embedded anew; none when time ran out before.

    Raises MissingExtraError without torch, InputError for a model that vstore did not load itself.
    """
    from vstore.refine.encoder import EncoderRecipe, train  # here, because it needs torch

    base = getattr(material.embedder, "model", None)
    if base is None:
        raise InputError(
            f"only a model that vstore loads itself can be trained, not {type(material.embedder).__name__}; "
            "use the trainer adapter"
        )
    recipe = recipe or EncoderRecipe(epochs=epochs(material.lessons))
    key, examples = _examples(material)
    if not key:
        return []
    made = train(
        base,
        examples,
        recipe,
        output=material.workplace / "encoder",
        checkpoints=material.workplace / "steps",
        seed=material.seed,
        deadline=material.deadline,
        key=key,
    )
    if made is None:
        return []
    notes = {"trainer": "encoder", **recipe.to_dict(), "examples": len(examples), "losses": made.losses}
    material.renew()
    model_id = beside.begin(material.index, made.folder, notes)
    space, new = material.index.space_of(model_id), embed.load(str(made.folder))
    if not fill(material.index, space, new, deadline=material.deadline, progress=lambda _: material.renew()):
        return []
    queries = [as_asked(query) for query in material.lessons]
    calibration = carried_over(material.index, material.embedder, new, space, queries[: config.MAX_SHOWN])
    material.index.complete_encoder(model_id, {"learned_from": len(material.lessons)}, calibration)
    space = replace(space, calibration=calibration)

    def done(promoted: bool) -> None:
        if not promoted:
            material.index.discard_encoder(model_id)
        shutil.rmtree(material.workplace, ignore_errors=True)

    return [
        Candidate(
            system=System(new, lambda snapshot: snapshot.serving(None, space=space)),
            recipe=notes,
            promoted=model_id,
            divergences=lambda lessons: _divergences(material, new, space, lessons),
            done=done,
        )
    ]


def epochs(queries: Collection[AskedQuery]) -> int:
    """Passes over the examples of these queries: more where people, not the teacher, said what answers most of them."""
    answered = sum(query.answered for query in queries)
    return config.ENCODER_JUDGED_EPOCHS if 2 * answered >= len(queries) else config.ENCODER_EPOCHS


def _examples(material: Material) -> tuple[str, list[Example]]:
    """What names the training that is under way, and its examples, else newly mined ones; none without time to mine.

    Between nights only ids of chunks and hashes of queries are kept. What was forgotten is not learned any more; when a
    query is held out by now, or half of them are gone, the training begins anew.
    """
    path = material.workplace / _PLAN
    plan = _read(path)
    known = {digest(query): query for query in material.lessons}
    kept = sum(key in known for key, _, _ in plan)
    if 2 * kept <= len(plan) or any(key in material.held_out for key, _, _ in plan):
        shutil.rmtree(material.workplace, ignore_errors=True)
        mined = mine(material.index, material.embedder, list(material.lessons), deadline=material.deadline)
        if time.monotonic() >= material.deadline:
            return "", []
        plan = [
            (digest(each.query), positive.chunk_id, [chunk.chunk_id for chunk in each.negatives])
            for each in mined
            for positive in each.positives
        ]
        material.workplace.mkdir(parents=True, mode=0o700)
        write_atomically(path, json.dumps(plan).encode())
    triples = [(known[key], positive, negatives) for key, positive, negatives in plan if key in known]
    return hashlib.sha256(json.dumps(plan).encode()).hexdigest(), examples_of(material, triples)


def _read(path: Path) -> list[tuple[str, int, list[int]]]:
    """A plan that an earlier night left; empty when there is none that makes sense."""
    try:
        return [
            (str(key), int(positive), [int(one) for one in negatives])
            for key, positive, negatives in json.loads(path.read_bytes())
        ]
    except (OSError, ValueError, TypeError):
        return []


def examples_of(material: Material, triples: Sequence[tuple[AskedQuery, int, Sequence[int]]]) -> list[Example]:
    """Queries, positives and negatives as texts that the embedder sees; without chunks that are gone."""
    chunker = Chunker(material.embedder)
    examples = []
    for query, positive, negatives in triples:
        with material.index.snapshot() as snapshot:
            chunks = snapshot.chunks([positive, *negatives])
        texts = {
            chunk_id: chunker.embedding_text(chunk.document.title, chunk.heading, chunk.text)
            for chunk_id, chunk in chunks.items()
        }
        if positive in texts:
            wrong = tuple(texts[chunk_id] for chunk_id in negatives if chunk_id in texts)
            examples.append(Example(query.text, texts[positive], wrong))
    return examples


def _divergences(material: Material, new: Embedder, space: Space, lessons: Lessons) -> NDArray[np.float64]:
    """How far the new model's ranking by meaning is from the same teacher's, by query."""
    restated = []
    vectors = embedded(new, list(lessons))
    with material.index.snapshot() as snapshot:
        view = snapshot.serving(None, space=space)
        for lesson, vector in zip(lessons.values(), vectors, strict=True):
            restated.append(_restated(lesson, vector, view.vectors(lesson.chunk_ids)))
    return divergences(restated, None)


def _restated(lesson: Lesson, vector: Any, vectors: dict[int, Any]) -> Lesson:
    """The lesson with another model's vectors; chunks that went away meanwhile have left their shares to the others.

    When all of them did, it stays as it was and speaks for neither model.
    """
    if not vectors:
        return lesson
    known = [place for place, chunk_id in enumerate(lesson.chunk_ids) if chunk_id in vectors]
    ids = tuple(lesson.chunk_ids[place] for place in known)
    target = lesson.target[known]
    return Lesson(vector, np.stack([vectors[chunk_id] for chunk_id in ids]), target / target.sum(), ids)

"""Checks of models: adapters, the pointer to the one that serves, and the files of trained encoders."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from typing import Any

from vstore.db import models, spaces
from vstore.db.check_scan import Fault, Invariant, Scan
from vstore.db.connection import run
from vstore.db.migrate import latest
from vstore.errors import InputError, ModelDamagedError


def _adapters(scan: Scan) -> Iterator[Fault]:
    for model_id in damaged_adapters(scan):
        yield Fault("the weights of an adapter are damaged", f"model {model_id}", True)


def damaged_adapters(scan: Scan) -> list[int]:
    """The adapters whose weights cannot be used, by id."""
    sql = (
        "SELECT m.id, s.dimension FROM models AS m LEFT JOIN spaces AS s ON s.number = m.space "
        "WHERE m.kind = 'adapter' AND m.weights IS NOT NULL ORDER BY m.id"
    )
    found = []
    for model_id, dimension in run(scan.connection, sql):
        try:
            sound = models.load(scan.connection, model_id).dimension == dimension
        except (ModelDamagedError, InputError, ValueError):
            sound = False
        if not sound:
            found.append(model_id)
    return found


def _active(scan: Scan) -> Iterator[Fault]:
    certain = successor(scan) is not None
    rows = run(
        scan.connection,
        "SELECT a.model, m.kind, m.status, m.space, m.weights IS NULL FROM active AS a "
        "LEFT JOIN models AS m ON m.id = a.model",
    )
    if not rows:
        if run(scan.connection, "SELECT 1 FROM models LIMIT 1"):
            yield Fault("nothing says which model serves", mendable=certain)
        return
    ((model_id, kind, status, number, weightless),) = rows
    name = f"model {model_id}"
    if kind is None:
        yield Fault("the model that is to serve is not there", name, certain)
    elif number not in {space.number for space in scan.kept}:
        yield Fault("the vectors of the model that serves are not kept", name)
    elif kind == "adapter" and weightless:
        yield Fault("the adapter that serves has no weights", name, mendable=True)
    elif status != "active":
        yield Fault(f"the model that serves is noted as {status}", name)
    elif scan.version == latest():
        spaces.active(scan.connection)  # what a search does first: raises for a calibration that makes no sense


def successor(scan: Scan) -> int | None:
    """The one model that is noted as serving, if it can: the pointer says the same, but for damage."""
    sql = "SELECT id, space FROM models WHERE status = 'active' AND (kind = 'base' OR weights IS NOT NULL)"
    rows = run(scan.connection, sql)
    kept = {space.number for space in scan.kept}
    return rows[0][0] if len(rows) == 1 and rows[0][1] in kept else None


def _files(scan: Scan) -> Iterator[Fault]:
    kept = {space.number for space in scan.kept}
    sql = "SELECT id, space, status, recipe FROM models WHERE kind = 'base' AND parent IS NOT NULL ORDER BY id"
    for model_id, number, status, recipe in run(scan.connection, sql):
        if status == "discarded" or number not in kept:
            continue  # nobody can go back to it, and what is left of it goes at the next switch
        for file in _described(recipe):
            what = _file_fault(scan, model_id, file, unfinished=status == "building")
            if what:
                yield Fault(what, f"{file.get('name')} of model {model_id}")


def _described(recipe: str) -> list[dict[str, Any]]:
    found = json.loads(recipe)
    files = found.get("files") if isinstance(found, dict) else None
    return [file for file in files if isinstance(file, dict)] if isinstance(files, list) else []


def _file_fault(scan: Scan, model_id: int, file: dict[str, Any], *, unfinished: bool) -> str | None:
    """What is wrong with a file of an encoder; parts are read one by one."""
    sql = "SELECT part, length(content) FROM model_files WHERE model = ? AND name = ? ORDER BY part"
    parts = run(scan.connection, sql, (model_id, file.get("name")))
    if [part for part, _ in parts] != list(range(len(parts))):
        return "a part of a file of an encoder is missing"
    if unfinished:
        return None
    if sum(size for _, size in parts) != file.get("size"):
        return "a file of an encoder is not as long as it was"
    if scan.deep:
        digest = hashlib.sha256()
        sql = "SELECT content FROM model_files WHERE model = ? AND name = ? ORDER BY part"
        for (content,) in scan.rows(sql, model_id, file.get("name")):
            digest.update(content)
        if digest.hexdigest() != file.get("sha256"):
            return "a file of an encoder does not match its sha256"
    return None


INVARIANTS = (
    Invariant(
        "adapters",
        "the weights of every adapter match their checksum and their space",
        "go back to the model before: vstore refine rollback",
        _adapters,
        ("models", "spaces"),
        derived=True,
    ),
    Invariant(
        "active model",
        "the pointer leads to a model that can serve",
        "restore a backup; keyword searches work as before",
        _active,
        ("models", "spaces", "active"),
    ),
    Invariant(
        "encoder files",
        "the files of every trained encoder that is kept are whole",
        "go back to the model before: vstore refine rollback; or restore a backup",
        _files,
        ("models", "spaces", "model_files"),
    ),
)

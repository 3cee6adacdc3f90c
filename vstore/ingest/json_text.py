"""JSON as readable text: a `path: value` line for each leaf."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from vstore.ingest.parsed import Parsed, check_length, join_sections
from vstore.ingest.text import clean


def parse(text: str) -> Parsed:
    """Read JSON; an array of objects has a section for each of them.

    What is not JSON (comments, say) or is nested too deeply for the parser is taken as plain text.
    """
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return Parsed(text)
    if isinstance(value, list) and value and all(isinstance(item, dict) for item in value):
        whole, sections = join_sections(("", render(item)) for item in value)
        return Parsed(whole, sections=sections)
    return Parsed(render(value))


def render(value: object) -> str:
    """`path: value` lines such as `author.name: Ada`; a list of plain values is one line, empty values are left out.

    Raises Unreadable when the result would be longer than a document may be: paths repeat at every leaf.
    """
    lines = []
    length = 0
    for path, leaf in _leaves(value):
        line = f"{path}: {leaf}" if path else leaf
        lines.append(line)
        length += len(line) + 1
        check_length(length)
    return clean("\n".join(lines))


def _leaves(root: object) -> Iterator[tuple[str, str]]:
    """Path and text of each leaf. A path is joined there only, for a long one may have a million branches."""
    names: list[str] = []
    ways: list[Iterator[tuple[str, Any]]] = [iter([("", root)])]  # a stack: JSON may nest as deep as Python recurses
    while ways:
        step = next(ways[-1], None)
        if step is None:
            del ways[-1], names[-1:]
            continue
        name, value = step
        if isinstance(value, dict):
            ways.append((f".{key}", item) for key, item in value.items())
            names.append(name)
        elif isinstance(value, list) and any(isinstance(item, dict | list) for item in value):
            ways.append((f"[{index}]", item) for index, item in enumerate(value))
            names.append(name)
        else:
            leaf = ", ".join(map(_scalar, value)) if isinstance(value, list) else _scalar(value)
            if leaf.strip():
                yield "".join([*names, name]).removeprefix("."), leaf


def _scalar(value: object) -> str:
    if value is None:
        return ""
    return value if isinstance(value, str) else json.dumps(value)

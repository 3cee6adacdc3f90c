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
    pending: list[tuple[str, Any]] = [("", root)]  # a stack, as JSON may nest as deep as the interpreter's own limit
    while pending:
        path, value = pending.pop()
        if isinstance(value, dict):
            pending += [(f"{path}.{key}" if path else key, item) for key, item in reversed(value.items())]
        elif isinstance(value, list) and any(isinstance(item, dict | list) for item in value):
            pending += [(f"{path}[{index}]", item) for index, item in reversed(list(enumerate(value)))]
        else:
            leaf = ", ".join(map(_scalar, value)) if isinstance(value, list) else _scalar(value)
            if leaf.strip():
                yield path, leaf


def _scalar(value: object) -> str:
    if value is None:
        return ""
    return value if isinstance(value, str) else json.dumps(value)

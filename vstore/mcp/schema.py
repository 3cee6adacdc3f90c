"""Arguments of a tool against its schema: the part of JSON Schema that the tools use, refused in one line each."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from vstore.errors import InputError

Schema = Mapping[str, Any]

_KINDS: Final[Mapping[str, tuple[type[Any], str]]] = {
    "string": (str, "a text"),
    "integer": (int, "a whole number"),
    "boolean": (bool, "true or false"),
    "object": (dict, "an object"),
    "array": (list, "a list"),
}


def checked(schema: Schema, arguments: Mapping[str, Any]) -> None:
    """Raise InputError for the first argument that the schema of an object does not allow."""
    properties = schema["properties"]
    unknown = [name for name in arguments if name not in properties]
    if unknown:
        known = ", ".join(properties) or "none"
        raise InputError(f"there is no argument {unknown[0]!r}; there are: {known}")
    for name in schema.get("required", ()):
        if name not in arguments:
            raise InputError(f"the argument {name!r} is missing")
    for name, value in arguments.items():
        _check(name, properties[name], value)


def _check(name: str, schema: Schema, value: Any) -> None:
    kind, wanted = _KINDS[schema["type"]]
    if type(value) is not kind:  # not isinstance(), which takes true for a whole number
        raise InputError(f"{name} is {wanted}, not {_shown(value)}")
    most = schema.get("maximum", 2**63 - 1)
    if kind is int and not schema["minimum"] <= value <= most:
        raise InputError(f"{name} is from {schema['minimum']} to {most}, not {_shown(value)}")
    if kind is str:
        _check_length(name, len(value), schema.get("minLength", 0), schema.get("maxLength"), "characters")
    if kind is list:
        _check_length(name, len(value), schema.get("minItems", 0), schema.get("maxItems"), "entries")
        for item in value:
            _check(f"an entry of {name}", schema["items"], item)


def _check_length(name: str, length: int, least: int, most: int | None, unit: str) -> None:
    if length < least:
        raise InputError(f"{name} is empty")
    if most is not None and length > most:
        raise InputError(f"{name} has {length:,} {unit}; at most {most:,} are taken")


def _shown(value: Any) -> str:
    if isinstance(value, list | dict):  # its repr may be long, or nested too deep for one
        return "a list" if isinstance(value, list) else "an object"
    text = repr(value)
    return text if len(text) <= 40 else f"{text[:40]}..."

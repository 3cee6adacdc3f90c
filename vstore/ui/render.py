"""Pages out of templates. Every text that a template shows is neutralised and escaped, whoever wrote it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import suppress
from datetime import datetime
from functools import partial
from typing import Any, Final
from urllib.parse import urlencode

import jinja2
from markupsafe import Markup

from vstore.printable import printable_lines


def shown(value: Any) -> Any:
    """A value as a template may show it; jinja2 calls this for each one before it escapes it."""
    return value if isinstance(value, Markup) else printable_lines(str(value))


def moment(value: datetime) -> str:
    """A time by the machine's own clock, or as it is where that one has no such time: at the end of the year 9999."""
    with suppress(OverflowError, ValueError, OSError):
        value = value.astimezone()
    return value.strftime("%Y-%m-%d %H:%M")


def size(count: int) -> str:
    """A number of bytes for people."""
    for unit, factor in (("GB", 10**9), ("MB", 10**6), ("KB", 10**3)):
        if count >= factor:
            return f"{count / factor:.1f} {unit}"
    return f"{count} bytes"


def milliseconds(value: float) -> str:
    """Three digits or so: 0.42, 4.2, 42, 4,200."""
    return f"{value:.2f}" if value < 1 else f"{value:.1f}" if value < 10 else f"{value:,.0f}"


def address(path: str, fields: Mapping[str, Any], **more: Any) -> str:
    """An address with those of the fields that have something in them, percent-encoded."""
    given = {name: value for name, value in {**fields, **more}.items() if value not in ("", None)}
    return path + (f"?{urlencode(given)}" if given else "")


ENVIRONMENT: Final = jinja2.Environment(
    loader=jinja2.PackageLoader("vstore.ui"),
    autoescape=True,
    finalize=shown,
    undefined=jinja2.StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
    auto_reload=False,
)
ENVIRONMENT.filters.update(moment=moment, size=size, ms=milliseconds)
ENVIRONMENT.globals.update(address=address, json=partial(json.dumps, ensure_ascii=False))


def page(template: str, **values: Any) -> str:
    """A page as HTML."""
    return str(ENVIRONMENT.get_template(template).render(**values))

"""Which files an agent may have added: those below the folders that the user named, and of these not all."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from vstore.errors import InputError, NotFoundError
from vstore.ingest.ignore import is_conventional, may_hold_secrets
from vstore.paths import belongs_to, expanded

_URL: Final = re.compile(r"[a-zA-Z][a-zA-Z0-9+.-]*://")


def allowed(targets: Sequence[str], roots: Sequence[Path], store: Path, *, urls: bool) -> list[str]:
    """What to add: each path without links, URLs as they are. Raises InputError for the first that is not allowed."""
    return [_url(target, urls) if _URL.match(target) else str(_path(target, roots, store)) for target in targets]


def _url(target: str, urls: bool) -> str:
    if not urls:
        raise InputError(f"{target} is no path below a root; the server takes URLs only with --allow-urls")
    if not target.lower().startswith(("http://", "https://")):
        raise InputError(f"{target} is neither a path nor a URL with http: or https:")
    return target


def _path(target: str, roots: Sequence[Path], store: Path) -> Path:
    """The resolved path, which must be there and below a root; a relative one is looked for in each root."""
    below = [(root, place) for root in roots if (place := expanded(root / target)).is_relative_to(root)]
    if not below:
        raise InputError(f"{target} is not below a root of this server: {', '.join(map(str, roots))}")
    for root, place in below:
        if place.exists():
            _check(target, place, place.relative_to(root).parts, store)
            return place
    raise NotFoundError(
        f"no such file or folder below a root of this server: {target}; globs are not taken, folders are"
    )


def _check(target: str, place: Path, parts: Sequence[str], store: Path) -> None:
    if belongs_to(place, store):
        raise InputError(f"{target} is the store itself, which is not added to itself")
    if may_hold_secrets(place.name):
        raise InputError(f"{target} may hold secrets; whoever wants it in the store adds it with: vstore add")
    if any(is_conventional(part) for part in parts):
        raise InputError(f"{target} is hidden or generated; whoever wants it in the store adds it with: vstore add")

"""Which files an agent may have added: those below the folders that the user named, and of these not all."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from vstore.addresses import is_address
from vstore.errors import InputError, NotFoundError
from vstore.ingest.ignore import is_conventional, may_hold_secrets
from vstore.paths import belongs_to, expanded


def allowed(targets: Sequence[str], roots: Sequence[Path], store: Path, *, urls: bool) -> tuple[list[str], list[str]]:
    """Paths without links, and web addresses as they are. Raises InputError for the first that is not allowed."""
    pages = [target for target in targets if is_address(target)]
    for page in pages:
        _check_page(page, urls)
    return [str(_path(target, roots, store)) for target in targets if not is_address(target)], pages


def _check_page(page: str, urls: bool) -> None:
    if not urls:
        raise InputError(f"{page} is no path below a root; the server takes URLs only with --allow-urls")
    if not page.lower().startswith(("http://", "https://")):
        raise InputError(f"{page} is neither a path nor a URL with http: or https:")


def _path(target: str, roots: Sequence[Path], store: Path) -> Path:
    """The resolved path, which must be there and below a root; a relative one is looked for in each root."""
    below = [(root, place) for root in roots if (place := expanded(root / target)).is_relative_to(root)]
    if not below:
        raise InputError(f"{target} is not below a root of this server: {', '.join(map(str, roots))}")
    for _, place in below:
        if place.exists():
            if reason := refusal(place, roots, store):
                raise InputError(f"{target} {reason}")
            return place
    raise NotFoundError(
        f"no such file or folder below a root of this server: {target}; globs are not taken, folders are"
    )


def refusal(place: Path, roots: Sequence[Path], store: Path) -> str | None:
    """Why a resolved path is not for agents, or None. What was found is asked as well: links change meanwhile."""
    below = [place.relative_to(root).parts for root in roots if place.is_relative_to(root)]
    if not below:
        return "is not below a root of this server"
    if belongs_to(place, store):
        return "is the store itself, which is not added to itself"
    if may_hold_secrets(place.name):
        return "may hold secrets; whoever wants it in the store adds it with: vstore add"
    if all(any(map(is_conventional, parts)) for parts in below):
        return "is hidden or generated; whoever wants it in the store adds it with: vstore add"
    return None

"""What callers of `Store` write, checked: names of collections, tags, metadata, and what may name a document.

Each function raises InputError for what cannot be meant.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta, timezone
from typing import Any, Final

from vstore import config
from vstore.addresses import uris
from vstore.errors import FilterError, InputError
from vstore.filters import conjunction, to_milliseconds
from vstore.paths import beginnings
from vstore.types import Mode, Query, Scope, Span, StoredDocument


def targets(name: str) -> Iterator[dict[str, Any]]:
    """Filters for what a name may stand for, in the order in which they are tried."""
    for uri in uris(name):
        yield {"@uri": uri}
    yield below(uri)  # the last one is that of a path, or an address in its normal form


def below(uri: str) -> dict[str, Any]:
    """Everything in a folder, and every row of a file with many documents (`path#row`): ranges of uris."""
    ranges = []
    for root in beginnings(uri):
        ranges.append({"@uri": {"$gte": f"{root}/", "$lt": f"{root}0"}})  # "0" follows "/"
        ranges.append({"@uri": {"$gte": f"{root}#", "$lt": f"{root}$"}})  # "$" follows "#"
    return {"$or": ranges}


def collection_name(collection: str) -> str:
    """A collection's name as it stands."""
    if not isinstance(collection, str) or not collection.strip():
        raise InputError(f"a collection has a name, not {collection!r}")
    return collection


def collections(collection: str | Sequence[str] | None) -> tuple[str, ...]:
    """The names of one, several or no collections. An iterator is refused: it would be empty the second time."""
    if isinstance(collection, str):
        return (collection,)
    names = () if collection is None else collection
    if not isinstance(names, Collection) or not all(isinstance(name, str) for name in names):
        raise InputError(f"collections are a name or a list of names, not {collection!r}")
    return tuple(names)


def documents(found: Sequence[StoredDocument]) -> list[StoredDocument]:
    """Documents as a store returns them."""
    if not isinstance(found, Sequence) or not all(isinstance(document, StoredDocument) for document in found):
        raise InputError(f"documents are named by a uri or a path, or are those that a store returned, not {found!r}")
    return list(found)


def tag_names(tags: Sequence[str]) -> tuple[str, ...]:
    """Each tag once, in order. A lone string is refused: it would become a tag for each letter; so is an iterator."""
    if isinstance(tags, str) or not isinstance(tags, Collection) or not all(isinstance(t, str) and t for t in tags):
        raise InputError(f"tags are a list of names such as ['auth', 'gateway'], not {tags!r}")
    return tuple(dict.fromkeys(tags))


def metadata(metadata: Mapping[str, Any] | None) -> dict[str, Any]:
    """A mapping with names as keys; None is an empty one."""
    if metadata is None:
        return {}
    if not isinstance(metadata, Mapping) or not all(isinstance(key, str) for key in metadata):
        raise InputError(
            f"metadata is a mapping from names to values such as {{'project': 'gateway'}}, not {metadata!r}"
        )
    check_depth(metadata)
    return dict(metadata)


def check_depth(value: Any) -> None:
    """Raise InputError for a value nested more than MAX_METADATA_DEPTH levels deep, or in itself."""
    level = [value]
    for _ in range(config.MAX_METADATA_DEPTH):
        level = [item for outer in level for item in _items(outer)]
        if not level:
            return
    raise InputError(f"metadata is nested more than {config.MAX_METADATA_DEPTH} levels deep; flatten it")


def _items(value: Any) -> Iterable[Any]:
    if isinstance(value, Mapping):
        return value.values()
    return value if isinstance(value, (list, tuple)) else ()


_LENGTH: Final = re.compile(r"(\d+(?:\.\d+)?)\s*([smhdw]?)")
_SECONDS: Final = {"": 1.0, "s": 1.0, "m": 60.0, "h": 3_600.0, "d": 86_400.0, "w": 604_800.0}


def seconds(text: str) -> float:
    """A length of time such as 90, 90s, 10m, 1.5h, 30d or 2w, in seconds."""
    match = _LENGTH.fullmatch(text.strip().lower())
    if match is None or float(match[1]) <= 0:
        raise InputError(f"{text!r} is not a length of time such as 90s, 10m, 1.5h or 30d")
    return float(match[1]) * _SECONDS[match[2]]


def expiry(when: Any) -> datetime | None:
    """When something expires, in UTC: a date or time as in filters, or a length of time from now; None for never."""
    if when is None:
        return None
    now = datetime.now(timezone.utc)
    try:
        if isinstance(when, str) and _LENGTH.fullmatch(when.strip().lower()):
            when = timedelta(seconds=seconds(when))
        moment = now + when if isinstance(when, timedelta) else to_milliseconds(when)
        expires = moment if isinstance(moment, datetime) else datetime.fromtimestamp(moment / 1000, timezone.utc)
    except (FilterError, OverflowError) as error:
        raise InputError(f"{when!r} is no time to expire at; write 30d or 2027-01-31T12:00+01:00") from error
    if expires <= now:
        raise InputError(f"{expires.isoformat(timespec='minutes')} has passed; to remove something now, forget it")
    return expires


def pin(pinned: bool) -> bool:
    """Whether something is pinned."""
    if not isinstance(pinned, bool):
        raise InputError(f"pinned is True or False, not {pinned!r}")
    return pinned


def memory(text: str, title: str, uri: str | None) -> str:
    """The uri of a text to remember under this title: the caller's, or one of its own."""
    if not isinstance(text, str) or not text.strip():
        raise InputError("there is nothing to remember: the text is empty")
    if not isinstance(title, str) or not isinstance(uri, (str, type(None))):
        raise InputError(f"title and uri are texts, not {title!r} and {uri!r}")
    if len(text) > config.MAX_DOCUMENT_CHARS:
        raise InputError(f"the text has {len(text):,} characters; at most {config.MAX_DOCUMENT_CHARS:,} are kept")
    return uri or memory_uri(title, text)


def memory_uri(title: str, text: str) -> str:
    """The same title and text always get the same uri, so that remembering twice keeps one."""
    digest = hashlib.sha256(f"{title}\0{text}".encode("utf-8", "replace")).hexdigest()
    return f"memory:{digest[:16]}"


def asked(
    query: str,
    k: int,
    mode: Mode = "hybrid",
    fusion: str = config.DEFAULT_FUSION,
    diversity: bool = True,
    collapse: bool = True,
    context: Span = 0,
    context_tokens: int = config.CONTEXT_TOKENS,
    stages: Sequence[Any] = (),
    exact: bool = False,
    **filters: Any,
) -> Query:
    """What a caller of `Store.search` wrote as a Query; its `check` comes later."""
    built_in = tuple(name for name, on in (("diversity", diversity), ("collapse", collapse)) if on)
    optional = tuple(stages) if isinstance(stages, Sequence) else stages  # anything else is refused with the rest
    return Query(query, k, mode, fusion, scope(**filters), built_in, optional, context, context_tokens, exact)


def scope(
    collection: str | Sequence[str] | None = None,
    where: Mapping[str, Any] | None = None,
    tags: Sequence[str] = (),
    since: Any = None,
    until: Any = None,
) -> Scope:
    """Which documents are meant; raises FilterError, too."""
    return Scope(collections(collection), conjunction(where, tags=tag_names(tags), since=since, until=until))

"""What people say about answers: how relevant a chunk or a document is for a query."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from vstore import config
from vstore.errors import InputError, QueryError
from vstore.paths import is_unicode


@dataclass(frozen=True, slots=True)
class Verdict:
    """A judgement as it is given: `target` is a chunk's id, or a document's uri or path.

    `collection` is the one it is in; None when there is only one such document. `given_at` is None for now.
    """

    query: str
    target: int | str
    grade: float
    collection: str | None = None
    given_at: datetime | None = None

    @classmethod
    def of(
        cls,
        query: str,
        target: int | str | Path,
        relevant: bool = True,
        grade: float | None = None,
        collection: str | None = None,
    ) -> Verdict:
        """Check what a caller wrote; for the query see `query_text`.

        Raises QueryError for an empty query, InputError for a target, grade or collection that is none.
        """
        query = query_text(query)
        target = str(target) if isinstance(target, Path) else target
        if isinstance(target, bool) or not isinstance(target, int | str) or target == "":
            raise InputError(f"judge a chunk by its id or a document by its uri or path, not {target!r}")
        if isinstance(target, int) and not 0 < target < 2**63:
            raise InputError(f"a chunk's id is a number from 1 on, not {target}")
        if collection is not None and (not isinstance(collection, str) or not is_unicode(collection)):
            raise InputError(f"a collection has a name, not {collection!r}")
        return cls(query, target, _grade(relevant, grade), collection)


@dataclass(frozen=True, slots=True)
class Judgement:
    """How relevant something is for a query: `grade` from 0 (not relevant) to MAX_GRADE, 1 being plainly relevant.

    It is about a chunk, or where `chunk_id` is None about a whole document.
    """

    query: str
    collection: str
    uri: str
    document_id: int
    chunk_id: int | None
    grade: float
    given_at: datetime

    def to_dict(self) -> dict[str, Any]:
        """Plain types only, ready for `json.dumps`."""
        return {
            "query": self.query,
            "collection": self.collection,
            "uri": self.uri,
            "chunk_id": self.chunk_id,
            "grade": self.grade,
            "given_at": self.given_at.isoformat(),
        }


def query_text(query: str) -> str:
    """A query trimmed, and cut to MAX_LOGGED_CHARS as in the log. Raises QueryError when nothing is left of it."""
    if not isinstance(query, str) or not query.strip() or not is_unicode(query):
        raise QueryError(f"a query is a text with words, not {query!r}")
    return query.strip()[: config.MAX_LOGGED_CHARS]


def _grade(relevant: bool, grade: float | None) -> float:
    if not isinstance(relevant, bool):
        raise InputError(f"relevant is True or False, not {relevant!r}; a grade goes into grade=...")
    if grade is None:
        return 1.0 if relevant else 0.0
    if isinstance(grade, bool) or not isinstance(grade, int | float) or not 0 <= grade <= config.MAX_GRADE:
        raise InputError(f"a grade is a number from 0 (not relevant) to {config.MAX_GRADE:g}, not {grade!r}")
    if grade > 0 and not relevant:
        raise InputError(f"what has the grade {grade:g} is relevant; give one of the two")
    return float(grade)

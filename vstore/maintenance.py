"""`check` and `repair`: whether a store's file is sound, and making anew what can be made of the rest.

They are functions, not methods of `Store`, for they work on files that `Store` refuses.
"""

from __future__ import annotations

from pathlib import Path

from vstore.checks import CheckReport


def check(path: str | Path, deep: bool = False) -> CheckReport:
    """Put every invariant of a store's file to the test, by reading alone; see docs/check.md.

    `deep` compares everything with everything: words with texts, entries with words, files with their hashes. Works on
    files that `Store` refuses, and says so. Raises NotFoundError when there is no such file.
    """
    from vstore.db.check import check_file

    return check_file(Path(path), deep=deep)

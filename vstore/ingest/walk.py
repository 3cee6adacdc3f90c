"""Find the files that targets stand for.

Inside folders, and below the fixed part of a glob, .gitignore files are respected and hidden or generated files and
folders are left out; neither is reported, for there may be a hundred thousand of them. All else that is left out is
yielded as Skipped. A file that is named itself is always taken.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Final

from pathspec import GitIgnoreSpec

from vstore.errors import InputError, NotFoundError
from vstore.ingest.ignore import Rules, is_conventional, may_hold_secrets

_MAGIC: Final = re.compile(r"[*?\[]")


@dataclass(frozen=True, slots=True)
class Skipped:
    """Something that was not stored, and why: a file's path, or a web address, which is a text."""

    path: Path | str
    reason: str


def find_files(targets: Iterable[str | Path]) -> Iterator[Path | Skipped]:
    """Yield the files of all targets, each once, as absolute paths without links, in a fixed order.

    A target is a file, a folder (with all below it) or a glob (`*`, `?`, `[...]`, `**`), in which folders that match
    are taken whole. Raises NotFoundError, before anything is yielded, for a target that does not exist and for a glob
    that matches nothing.
    """
    names = [targets] if isinstance(targets, str | Path) else list(targets)
    return _distinct(chain.from_iterable([_found(name) for name in names]))


def find_below(root: Path, entered: Callable[[Path, os.stat_result], None]) -> Iterator[Path | Skipped]:
    """The files of one folder as `find_files` gives them; `entered` is told of each folder whose entries are read.

    `root` is absolute and without links. A folder that cannot be read is yielded as Skipped, also the root itself.
    """
    return _distinct(_walk(root, None, entered))


def _distinct(found: Iterable[Path | Skipped]) -> Iterator[Path | Skipped]:
    seen = set()
    for item in found:
        path = item.path if isinstance(item, Skipped) else item
        if path not in seen:
            seen.add(path)
            yield item


def _found(target: str | Path) -> Iterator[Path | Skipped]:
    if not isinstance(target, str | os.PathLike):
        raise InputError(f"a path is a text or a Path, not {target!r}")
    if not str(target).strip():
        raise InputError("a path is empty; name a file or folder, or . for the current one")
    try:
        path = Path(target).expanduser()
    except RuntimeError as error:  # an unknown ~user
        raise NotFoundError(f"no such file or folder: {target}") from error
    try:
        mode = path.stat().st_mode
    except (OSError, ValueError) as error:  # ValueError: a NUL in the name
        if _MAGIC.search(str(target)):
            return _glob(path)
        raise NotFoundError(f"no such file or folder: {target}") from error
    if stat.S_ISDIR(mode):
        return _walk(path.resolve(), None)
    return iter([path.resolve() if stat.S_ISREG(mode) else Skipped(path, "not a regular file")])


@dataclass(frozen=True, slots=True)
class _Glob:
    """The part of a glob from its first wildcard on. Its syntax is that of .gitignore, anchored."""

    spec: GitIgnoreSpec
    depth: int | None  # folders below this many levels cannot match; None with `**`

    @classmethod
    def of(cls, parts: tuple[str, ...]) -> _Glob:
        return cls(GitIgnoreSpec.from_lines(["/" + "/".join(parts)]), None if "**" in parts else len(parts))

    def takes(self, below: Path, *, is_folder: bool) -> bool:
        """Whether a file matches, or a folder matches or may have something below it that does."""
        if self.spec.match_file(below.as_posix() + ("/" if is_folder else "")):
            return True
        return is_folder and (self.depth is None or len(below.parts) < self.depth)


def _glob(pattern: Path) -> Iterator[Path | Skipped]:
    parts = pattern.parts
    fixed = next(index for index, part in enumerate(parts) if _MAGIC.search(part))
    root = Path(*parts[:fixed])
    matches = _walk(root.resolve(), _Glob.of(parts[fixed:])) if root.is_dir() else iter(())
    first = next(matches, None)
    if first is None:
        raise NotFoundError(f"nothing matches {pattern}")
    return chain([first], matches)


def _walk(
    root: Path, glob: _Glob | None, entered: Callable[[Path, os.stat_result], None] = lambda *_: None
) -> Iterator[Path | Skipped]:
    """A folder's files by name, then its folders by name. `visited` ends loops of links."""
    visited: set[tuple[int, int]] = set()
    pending = [(root, Rules.above(root))]
    while pending:
        folder, rules = pending.pop()
        try:
            status = folder.stat()
            names = sorted(os.listdir(folder))  # noqa: PTH208 - iterdir would build paths only to sort them
        except OSError as error:
            yield Skipped(folder, f"cannot be read: {error.strerror}")
            continue
        if (status.st_dev, status.st_ino) in visited:
            continue
        visited.add((status.st_dev, status.st_ino))
        entered(folder, status)
        rules = rules.within(folder)
        folders = []
        for name in names:
            found = _look(folder / name, root, rules, glob)
            if isinstance(found, _Folder):
                folders.append((found.path, rules))
            elif found is not None:
                yield found
        pending.extend(reversed(folders))


@dataclass(frozen=True, slots=True)
class _Folder:
    path: Path


def _look(path: Path, root: Path, rules: Rules, glob: _Glob | None) -> Path | Skipped | _Folder | None:
    """What to do with an entry of a folder: take the file, enter the folder, report it, or (None) pass over it."""
    try:
        actual = path.resolve(strict=True) if path.is_symlink() else path
        mode = actual.stat().st_mode
    except (OSError, RuntimeError) as error:  # RuntimeError: a link to itself, before Python 3.13
        if is_conventional(path.name) or (glob and not glob.takes(path.relative_to(root), is_folder=False)):
            return None
        return Skipped(path, f"cannot be read: {getattr(error, 'strerror', 'a link to itself')}")
    is_folder = stat.S_ISDIR(mode)
    if (glob and not glob.takes(path.relative_to(root), is_folder=is_folder)) or rules.exclude(
        path, is_folder=is_folder
    ):
        return None
    if not is_folder and (may_hold_secrets(path.name) or may_hold_secrets(actual.name)):
        return Skipped(path, "may hold secrets (name the file itself to add it)")
    if is_conventional(path.name):
        return None
    if actual is not path:  # of what is reached without a link, the folders around it were looked at before
        if not actual.is_relative_to(root):
            return Skipped(path, "a link that leads out of the folder (name its target to add it)")
        if any(is_conventional(part) for part in actual.relative_to(root).parts):
            return None
    if is_folder:
        return _Folder(actual)
    return actual if stat.S_ISREG(mode) else Skipped(path, "not a regular file")

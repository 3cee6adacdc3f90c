"""Which of many short texts occur in a long one, in a few passes over it instead of one for each."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterator
from typing import TYPE_CHECKING, Final

import numpy as np

from vstore.searches import folded

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Numbers = NDArray[np.uint64]

_WIDEST: Final = 16  # characters of a window: two of them tell nearly all texts apart that start and end alike
_BLOCK: Final = 2**18  # characters looked at together: their fingerprints fit into the cache
_POWERS: Final = np.cumprod(np.full(_WIDEST, 0x9E3779B97F4A7C15, dtype=np.uint64))  # the golden ratio, odd: no collapse
_SHIFT: Final = np.uint64(44)  # bits of a fingerprint that the table of marks does without: it has 2**20 entries


def occurring(needles: Collection[str], text: str) -> set[str]:
    """Those of the needles that are part of the text; case and white space do not matter. A blank one is part of none.

    A needle is searched for only when the fingerprints of its first and its last window are among those of all windows
    of the text (after Karp and Rabin, Efficient randomized pattern-matching algorithms, 1987).
    """
    text = folded(text)
    by_width: defaultdict[int, dict[str, str]] = defaultdict(dict)
    for needle in needles:
        if pattern := folded(needle):
            by_width[_width(pattern)][needle] = pattern
    found = set()
    for width, patterns in by_width.items():
        likely = _likely(list(patterns.values()), text, width)
        for (needle, pattern), may_occur in zip(patterns.items(), likely, strict=True):
            if may_occur and pattern in text:
                found.add(needle)
    return found


def _width(pattern: str) -> int:
    """The largest power of two that is no longer than the pattern, up to _WIDEST."""
    return 1 << (min(len(pattern), _WIDEST).bit_length() - 1)


def _likely(patterns: list[str], text: str, width: int) -> NDArray[np.bool_]:
    """For each pattern, whether its first and its last window may occur in the text: bool (len(patterns),)."""
    ends = "".join(f"{pattern[:width]}{pattern[-width:]}" for pattern in patterns)
    wanted = (_codes(ends).reshape(-1, width) @ _POWERS[:width]).reshape(-1, 2)
    marks = np.zeros(2**20, dtype=bool)
    marks[wanted >> _SHIFT] = True
    met = [prints[marks[prints >> _SHIFT]] for prints in _fingerprints(text, width)]
    seen = np.unique(np.concatenate(met)) if met else np.empty(0, dtype=np.uint64)
    return np.isin(wanted[:, 0], seen) & np.isin(wanted[:, 1], seen)


def _fingerprints(text: str, width: int) -> Iterator[Numbers]:
    """The fingerprints of all windows of the text, block by block."""
    for start in range(0, len(text) - width + 1, _BLOCK):
        codes = _codes(text[start : start + _BLOCK + width - 1])
        count = len(codes) - width + 1
        prints = codes[:count] * _POWERS[0]
        for place in range(1, width):
            prints += codes[place : place + count] * _POWERS[place]
        yield prints


def _codes(text: str) -> Numbers:
    """The numbers of the characters."""
    return np.frombuffer(text.encode("utf-32-le"), dtype="<u4").astype(np.uint64)

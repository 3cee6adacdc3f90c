"""Which queries are near-duplicates: the words that carry a text, and clusters of texts that share nearly all of them.

Two texts are near-duplicates when their content words are the same, when one has a single word more than the other's
two or more, or when they agree in a band of min-hashes, which long texts with a high overlap do. That is a relation
between two texts, whatever else there is; clusters are what it connects.

Sources: Broder, "On the resemblance and containment of documents", SEQUENCES 1997, for min-hashes; Harman, "How
effective is suffixing?", JASIS 1991, for weak stemming.
"""

from __future__ import annotations

import hashlib
import re
import unicodedata
from collections.abc import Sequence
from typing import Final

import numpy as np

from vstore.config import MINHASH_BANDS, MINHASH_ROWS, MINHASH_WORDS

Words = frozenset[str]

_WORD = re.compile(r"\w+")
_CJK = re.compile(r"([\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]+)")
_ENDINGS = (("ies", "y"), ("ied", "y"), ("ing", ""), ("ed", ""), ("es", ""), ("s", ""))
_VOWEL = re.compile("[aeiouy]")
# Cyrillic and Greek letters that look like Latin ones; NFKC leaves them apart.
_LOOKALIKES = str.maketrans(
    "\u0430\u0435\u043e\u0440\u0441\u0443\u0445\u0456\u0458\u0455\u04bb\u03bf\u03b1\u03b9\u03ba\u03bd\u03c1\u03c4\u03c5\u03c7",
    "aeopcyxijshoaikvptux",
)
_FUNCTION_WORDS: Final = """
    a about after all also am an and any are as at be been before being between both but by can could d did do does
    doing don done for from get give had has have having he her here him his how i if in into is it its just know ll
    m may me might more most my need no not of on one or our out over please re s she should show so some such t
    tell than that the their them then there these they this those through to too under up us use ve very want was
    we were what when where which while who whom whose why will with would you your
"""
_STOP_WORDS = frozenset(_FUNCTION_WORDS.split())


def content_words(text: str) -> Words:
    """The words of a text without case, accents, English endings and function words, as a set.

    Chinese, Japanese and Korean count by pairs of characters. A text of function words alone keeps them, and one
    without any word is its own only word.
    """
    words = _words(text)
    stems = {_stem(word) for word in words if word not in _STOP_WORDS}
    return frozenset(stems or words or {text.strip()})


def clusters(texts: Sequence[Words]) -> list[int]:
    """A label for each text, the same for all texts that near-duplicates connect.

    What is connected does not depend on the order, and stays so when texts are added. The time grows with the number
    of words in all texts: 100,000 short queries take about two seconds.
    """
    members = {words: number for number, words in enumerate(dict.fromkeys(texts))}
    joined = _Joined(len(members))
    digests: dict[str, int] = {}
    for words in members:
        for word in words:
            if word not in digests:
                digests[word] = _digest(word)
    totals = {words: _total(digests, words) for words in members}
    by_total = {total: members[words] for words, total in totals.items()}
    banded: dict[bytes, int] = {}
    for words, number in members.items():
        if len(words) > 2:
            for word in words:
                shorter = by_total.get(totals[words] ^ digests[word])
                if shorter is not None:
                    joined.join(number, shorter)
        if len(words) >= MINHASH_WORDS:
            for band in _bands([digests[word] for word in words]):
                joined.join(number, banded.setdefault(band, number))
    return [joined.root(members[words]) for words in texts]


class _Joined:
    """Disjoint sets of numbers (union-find)."""

    def __init__(self, size: int) -> None:
        self._parents = list(range(size))

    def root(self, number: int) -> int:
        parents = self._parents
        while parents[number] != number:
            parents[number] = parents[parents[number]]
            number = parents[number]
        return number

    def join(self, one: int, other: int) -> None:
        low, high = sorted((self.root(one), self.root(other)))
        self._parents[high] = low


def _words(text: str) -> list[str]:
    if text.isascii():
        return _WORD.findall(text.lower())
    apart = unicodedata.normalize("NFKD", text).casefold()
    shown = "".join(character for character in apart if unicodedata.category(character) not in ("Mn", "Cf"))
    folded = unicodedata.normalize("NFKC", shown).translate(_LOOKALIKES)
    words = []
    for word in _WORD.findall(folded):
        for number, part in enumerate(_CJK.split(word)):
            if number % 2:
                words += [part[at : at + 2] for at in range(max(1, len(part) - 1))]
            elif part:
                words.append(part)
    return words


def _stem(word: str) -> str:
    """A word without its inflection, roughly: one ending, a doubled consonant, a final e and y against i."""
    if not word.endswith(("eed", "ss", "us", "is")):
        for ending, instead in _ENDINGS:
            rest = word.removesuffix(ending)
            if rest != word and len(rest) > 1 and _VOWEL.search(rest):
                word = rest + instead
                break
    if len(word) > 3 and word[-1] == word[-2] and word[-1].isalpha():
        word = word[:-1]
    if len(word) > 2 and word.endswith("e"):
        word = word[:-1]
    return f"{word[:-1]}i" if len(word) > 2 and word.endswith("y") else word


def _digest(word: str) -> int:
    return int.from_bytes(hashlib.blake2b(word.encode("utf-8", "surrogatepass"), digest_size=8).digest(), "big")


def _total(digests: dict[str, int], words: Words) -> int:
    """One number for a set of words; taking a word's digest out again gives that of the set without it."""
    total = 0
    for word in words:
        total ^= digests[word]
    return total


def _multipliers() -> np.ndarray[tuple[int], np.dtype[np.uint64]]:
    """An odd number for each min-hash, always the same."""
    count = MINHASH_BANDS * MINHASH_ROWS
    drawn = hashlib.shake_256(b"min-hash").digest(8 * count)
    return np.frombuffer(drawn, dtype="<u8").astype(np.uint64) | np.uint64(1)


_MULTIPLIERS = _multipliers()


def _bands(digests: Sequence[int]) -> list[bytes]:
    """The min-hashes of a set in bands; two sets with Jaccard similarity J agree in a given band with J ** rows."""
    products = np.array(digests, dtype=np.uint64)[:, None] * _MULTIPLIERS[None, :]
    minima = products.min(axis=0).reshape(MINHASH_BANDS, MINHASH_ROWS)
    return [bytes([number]) + row.tobytes() for number, row in enumerate(minima)]

"""What the keyword index makes of text.

SQLite's tokenizer (`porter unicode61 remove_diacritics 2`) does the words. Three things it cannot do are added as
further tokens, kept in the `extra` column so that the text itself stays as it was written:

- runs of Chinese, Japanese and Korean, which it takes for one long word, as pairs of characters
- the parts of identifiers: `maxOpenConns` also as max, open, conns (it cuts snake_case and kebab-case itself)
- compatibility forms: `ﬁle` also as file, full-width letters as plain ones (Unicode NFKC, format characters dropped)
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from typing import cast

import apsw

from vstore import config

TOKENIZER = ("porter", ["unicode61", "remove_diacritics", "2"])

# Han with its extensions and compatibility forms, Hiragana, Katakana, Hangul syllables
_CJK = "\u3005-\u3007\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uac00-\ud7af\uf900-\ufaff\U00020000-\U0003ffff"
_CJK_RUN = re.compile(f"[{_CJK}]+")
_CAMEL_WORD = re.compile(r"(?<![^\W_])[^\W_]*[a-z][A-Z][^\W_]*")  # between underscores, too: _maxOpen
_CAMEL_PART = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|[0-9]+")
_WORD = re.compile(r"\w+")


@dataclass(frozen=True, slots=True)
class Token:
    """A word as it is written and as the index stores it."""

    text: str
    stem: str


def tokenizer(connection: apsw.Connection) -> apsw.FTS5Tokenizer:
    """The keyword index's own tokenizer, callable from Python."""
    return connection.fts5_tokenizer(*TOKENIZER)


def tokens(tokenize: apsw.FTS5Tokenizer, text: str) -> list[Token]:
    """Every token of a text, in order, repeated ones repeated."""
    encoded = text.encode("utf-8", "replace")
    found = tokenize(encoded, apsw.FTS5_TOKENIZE_DOCUMENT, None, include_colocated=False)
    offsets = cast("list[tuple[int, int, str]]", found)
    return [Token(encoded[start:end].decode("utf-8", "replace"), stem) for start, end, stem in offsets]


def stems(tokenize: apsw.FTS5Tokenizer, text: str) -> list[str]:
    """The stems of `tokens`, without the words they came from: five times faster."""
    encoded = text.encode("utf-8", "replace")
    flags = {"include_offsets": False, "include_colocated": False}
    return cast("list[str]", tokenize(encoded, apsw.FTS5_TOKENIZE_DOCUMENT, None, **flags))


def extra_text(text: str) -> str:
    """Further words under which a text shall be found, joined by blanks; mostly empty."""
    identifiers = (word for word in _CAMEL_WORD.findall(text) if len(word) <= config.MAX_IDENTIFIER)
    words = [part for identifier in identifiers for part in _CAMEL_PART.findall(identifier)]
    if not text.isascii():
        folded = fold(text)
        words += [pair for run in _CJK_RUN.findall(folded) for pair in _pairs(run)]
        # Words that folding changed, and Latin words that stood glued to Chinese ones.
        written = set(_WORD.findall(text))
        words += [word for word in _WORD.findall(_CJK_RUN.sub(" ", folded)) if word not in written]
    return " ".join(words)


def query_text(text: str) -> str:
    """A query rewritten so that its tokens are those of the index: folded, and with CJK runs in pairs.

    Identifiers stay whole: who writes `mRNA` or `maxOpenConns` does not look for every text with RNA or open.
    """
    if text.isascii():
        return text
    return _CJK_RUN.sub(lambda match: f" {' '.join(_pairs(match.group()))} ", fold(text))


def fold(text: str) -> str:
    """NFKC without format characters (zero-width blanks, soft hyphens, direction marks)."""
    normal = unicodedata.normalize("NFKC", text)
    return "".join(character for character in normal if unicodedata.category(character) != "Cf")


def _pairs(run: str) -> list[str]:
    """Overlapping pairs of a run of CJK characters; a lone character stays alone."""
    return [run[i : i + 2] for i in range(len(run) - 1)] or [run]

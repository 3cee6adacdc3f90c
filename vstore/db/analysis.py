"""What the keyword index makes of text.

SQLite's tokenizer (`porter unicode61 remove_diacritics 2`) does the words. Three things it cannot do are added as
further tokens, kept in the `extra` column so that the text itself stays as it was written:

- runs of Chinese, Japanese and Korean, which it takes for one long word, as pairs of characters and single ones
- the parts of identifiers: `maxOpenConns` also as max, open, conns (it cuts snake_case and kebab-case itself)
- compatibility forms: `ﬁle` also as file, full-width letters as plain ones (Unicode NFKC, format characters dropped)
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from itertools import filterfalse
from string import ascii_lowercase, ascii_uppercase
from typing import cast

import apsw

from vstore import config

TOKENIZER = ("porter", ["unicode61", "remove_diacritics", "2"])
# Without stems, with the vowel signs of Indic scripts as parts of words, and with what stays of + and # (see `exact`).
EXACT_TOKENIZER = ("unicode61", ["remove_diacritics", "2", "categories", "L* N* Co M*", "tokenchars", "+#"])

# Han with its extensions and compatibility forms, Hiragana, Katakana, Hangul syllables
_CJK = "\u3005-\u3007\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uac00-\ud7af\uf900-\ufaff\U00020000-\U0003ffff"
_CJK_RUN = re.compile(f"[{_CJK}]+")
# maxOpen, HTTPServer; between underscores, too: _maxOpen
_CAMEL_WORD = re.compile(r"(?<![^\W_])[^\W_]*(?:[a-z][A-Z]|[A-Z]{2}[a-z]{2})[^\W_]*")
_CASES = bytes.maketrans((ascii_lowercase + ascii_uppercase).encode(), b"a" * 26 + b"A" * 26)
_CAMEL_PART = re.compile(r"[A-Z]{2,}s(?![a-z])|[A-Z]+(?![a-z])|[A-Z]?[a-z]+|[0-9]+")  # the first: URLs, IDs
_SIGNS = re.compile(r"[+#]+")


@dataclass(frozen=True, slots=True)
class Token:
    """A word as it is written and as the index stores it."""

    text: str
    stem: str


def tokenizer(connection: apsw.Connection) -> apsw.FTS5Tokenizer:
    """The keyword index's own tokenizer, callable from Python."""
    return connection.fts5_tokenizer(*TOKENIZER)


def exact_tokenizer(connection: apsw.Connection) -> apsw.FTS5Tokenizer:
    """The tokenizer for `exact`."""
    return connection.fts5_tokenizer(*EXACT_TOKENIZER)


def tokens(tokenize: apsw.FTS5Tokenizer, text: str) -> list[Token]:
    """Every token of a text, in order, repeated ones repeated."""
    return [Token(word, stem) for word, stem in _words(tokenize, text)]


def _words(tokenize: apsw.FTS5Tokenizer, text: str) -> list[tuple[str, str]]:
    """`tokens` as plain pairs."""
    encoded = text.encode("utf-8", "replace")
    found = tokenize(encoded, apsw.FTS5_TOKENIZE_DOCUMENT, None, include_colocated=False)
    offsets = cast("list[tuple[int, int, str]]", found)
    return [(encoded[start:end].decode("utf-8", "replace"), stem) for start, end, stem in offsets]


def stems(tokenize: apsw.FTS5Tokenizer, text: str) -> list[str]:
    """The stems of `tokens`, without the words they came from: five times faster."""
    encoded = text.encode("utf-8", "replace")
    flags = {"include_offsets": False, "include_colocated": False}
    return cast("list[str]", tokenize(encoded, apsw.FTS5_TOKENIZE_DOCUMENT, None, **flags))


def extra_text(tokenize: apsw.FTS5Tokenizer, text: str) -> str:
    """Further words under which a text shall be found, joined by blanks; mostly empty."""
    words = [part for word in _identifiers(text) for part in _parts(word)]
    if text.isascii():
        return " ".join(words)
    folded = fold(text)
    runs = _CJK_RUN.findall(folded)
    if runs or folded != text:
        words += [piece for run in runs for piece in (*_pairs(run), *run)]
        # Words that folding changed, and Latin words that stood glued to Chinese ones.
        written = {word for word, _ in _words(tokenize, text)}
        words += [word for word, _ in _words(tokenize, _CJK_RUN.sub(" ", folded)) if word not in written]
    return " ".join(words)


def query_text(text: str) -> str:
    """A query rewritten so that its tokens are those of the index: folded, and with CJK runs in pairs.

    Identifiers stay whole: who writes `mRNA` or `maxOpenConns` does not look for every text with RNA or open.
    """
    if text.isascii():
        return text
    return _CJK_RUN.sub(lambda match: f" {' '.join(_pairs(match.group()) or match.group())} ", fold(text))


def spaced(text: str) -> str:
    """A text folded, with blanks around every CJK character, as quoted phrases are looked up."""
    return text if text.isascii() else _CJK_RUN.sub(lambda match: f" {' '.join(match.group())} ", fold(text))


def exact(tokenize: apsw.FTS5Tokenizer, text: str) -> str:
    """The words of a text as written, but for case and accents, each between blanks; CJK character by character.

    A text has a phrase word for word if and only if `exact(phrase) in exact(text)`. Signs that end a word belong to
    it, so that C, C++ and C# are three. `tokenize` is the `exact_tokenizer`.
    """
    words = stems(tokenize, _SIGNS.sub(_word_end, spaced(text)))
    return f" {' '.join(words)} "


def fold(text: str) -> str:
    """NFKC without format characters (zero-width blanks, soft hyphens, direction marks)."""
    normal = unicodedata.normalize("NFKC", text)
    for character in set(normal):
        if unicodedata.category(character) == "Cf":
            normal = normal.replace(character, "")
    return normal


def _identifiers(text: str) -> list[str]:
    """The words in mixed case, for which few texts are searched, and of these few words, as the expression is slow."""
    cases = text.encode("utf-8", "replace").translate(_CASES)
    if b"aA" not in cases and b"AAaa" not in cases:
        return []
    return _CAMEL_WORD.findall(" ".join(filterfalse(str.islower, text.split())))


def _parts(identifier: str) -> list[str]:
    """What an identifier is made of, without single letters; nothing for names and units such as mRNA, kHz, PDFs."""
    if not config.MIN_IDENTIFIER <= len(identifier) <= config.MAX_IDENTIFIER:
        return []
    return [part for part in _CAMEL_PART.findall(identifier) if len(part) > 1 or part.isdigit()]


def _word_end(signs: re.Match[str]) -> str:
    """The signs of C++ and F#, which end a word; a blank for those of +1, #5 and a+b."""
    text, start, end = signs.string, *signs.span()
    return signs[0] if start and text[start - 1].isalnum() and not text[end : end + 1].isalnum() else " "


def _pairs(run: str) -> list[str]:
    """Overlapping pairs of a run of CJK characters."""
    return [run[i : i + 2] for i in range(len(run) - 1)]

"""Cut documents into chunks that fit an embedder's window, each with the heading path it stands under.

An embedder that shows its tokenizer (`TokenWindow`) has its window counted in its own tokens, any other in characters.
Nothing is lost and nothing is changed: `document.text[chunk.start:chunk.end] == chunk.text`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import Any, Protocol

from semantic_text_splitter import MarkdownSplitter, TextSplitter

from vstore.config import BLOCK_CHARS, CHARS_PER_TOKEN, CHUNK_CHARS, PREFIX_CACHE, PREFIX_SHARE
from vstore.types import Chunk, Document, Section, TokenWindow

_MARKDOWN = "text/markdown"
_BOUNDARIES = ("\n\n", "\n", " ")  # where a block may end, best first


class _Ruler(Protocol):
    """Measures text in the unit of a window."""

    size: int  # units that fit in the window
    chars_per_unit: int  # text with more characters a unit hardly ever fits

    def count(self, text: str) -> int: ...

    def head(self, text: str, units: int) -> str:
        """The longest beginning of at most `units`."""

    def tail(self, text: str, units: int) -> str:
        """The longest end of at most `units`."""


class Chunker:
    """Cuts documents for one embedder."""

    def __init__(self, embedder: object) -> None:
        self._ruler: _Ruler = _Tokens(embedder) if isinstance(embedder, TokenWindow) else _Characters()
        self._prefix = lru_cache(maxsize=PREFIX_CACHE)(self._trimmed_prefix)

    def chunk(self, document: Document) -> list[Chunk]:
        """The chunks of a document in the order of its text; whitespace at their ends is left out.

        A section is never joined with another one, and split only when it is longer than the window has room for
        beside title and heading path.
        """
        chunks: list[Chunk] = []
        for section in document.sections or (Section(0, len(document.text)),):
            for start, end in self._pieces_of(document, section):
                chunks.append(self._made(document, section, len(chunks), start, end))
        return chunks

    def placed(self, document: Document, places: Sequence[Section]) -> list[Chunk] | None:
        """The chunks of a document at these places, each a piece of its text; None when one does not fit the window."""
        chunks: list[Chunk] = []
        for place in places:
            room = self._ruler.size - self._prefix(document.title, place.heading)[1]
            if self._ruler.count(document.text[place.start : place.end]) > room:
                return None
            chunks.append(self._made(document, place, len(chunks), place.start, place.end))
        return chunks

    def embedding_text(self, title: str, heading: str, text: str) -> str:
        """What the embedder sees of a chunk: title, heading path and text, those that are not empty, line by line.

        Title and heading path are trimmed to PREFIX_SHARE of the window together: the title loses its end, the path
        its beginning, for its last headings say most. For a chunk made by `chunk` the whole fits the window.
        """
        prefix, _ = self._prefix(title, heading)
        return f"{prefix}\n{text}" if prefix else text

    def content_hash(self, title: str, heading: str, text: str) -> str:
        """The hash of a chunk: of what the embedder sees of it, so that equal hashes have equal vectors."""
        return hashlib.sha256(self.embedding_text(title, heading, text).encode()).hexdigest()

    def _made(self, document: Document, section: Section, ordinal: int, start: int, end: int) -> Chunk:
        text = document.text[start:end]
        content_hash = self.content_hash(document.title, section.heading, text)
        return Chunk(ordinal, start, end, section.heading, text, content_hash)

    def _pieces_of(self, document: Document, section: Section) -> Iterator[tuple[int, int]]:
        """Split a section block by block: the splitter's time is quadratic in text without word boundaries.

        A block's last piece ended only because the block did, so it is split again as the beginning of the next one.
        """
        room = self._ruler.size - self._prefix(document.title, section.heading)[1]
        start = section.start
        while start < section.end:
            end = _block_end(document.text, start, section.end)
            pieces = list(self._split(document, start, end, room))
            carried = end < section.end and bool(pieces) and pieces[-1][0] >= start + BLOCK_CHARS // 2
            start = pieces.pop()[0] if carried else end
            yield from pieces

    def _split(self, document: Document, start: int, end: int, room: int) -> Iterator[tuple[int, int]]:
        start, end = _stripped(document.text, start, end)
        if start == end:
            return
        text = document.text[start:end]
        ruler = self._ruler
        if len(text) <= room * ruler.chars_per_unit and ruler.count(text) <= room:
            yield start, end
            return
        kind = MarkdownSplitter if document.media_type == _MARKDOWN else TextSplitter
        for offset, piece in kind.from_callback(ruler.count, room).chunk_indices(text):
            piece_start, piece_end = _stripped(document.text, start + offset, start + offset + len(piece))
            if piece_start < piece_end:
                yield piece_start, piece_end

    def _trimmed_prefix(self, title: str, heading: str) -> tuple[str, int]:
        """Title and heading path as they precede a chunk's text, and the units they take, their newline included."""
        ruler = self._ruler
        budget = int(ruler.size * PREFIX_SHARE)
        path = ruler.tail(heading, budget - ruler.count(ruler.head(title, budget // 2)))
        name = ruler.head(title, budget - ruler.count(path))
        prefix = "\n".join(part for part in (name, path) if part)
        return prefix, ruler.count(prefix + "\n") if prefix else 0


class _Characters:
    """A window of CHUNK_CHARS characters, for embedders whose own is not known."""

    size = CHUNK_CHARS
    chars_per_unit = 1

    def count(self, text: str) -> int:
        return len(text)

    def head(self, text: str, units: int) -> str:
        return text[: max(units, 0)].strip()

    def tail(self, text: str, units: int) -> str:
        return text[max(len(text) - max(units, 0), 0) :].strip()


class _Tokens:
    """The window of an embedder, less the special tokens it adds to every text."""

    chars_per_unit = CHARS_PER_TOKEN

    def __init__(self, embedder: TokenWindow) -> None:
        self._tokenizer: Any = embedder.tokenizer
        self.size = embedder.max_tokens - int(self._tokenizer.num_special_tokens_to_add(False))

    def count(self, text: str) -> int:
        return len(self._tokenizer.encode_batch_fast([text], add_special_tokens=False)[0])  # offsets are not needed

    def head(self, text: str, units: int) -> str:
        text = text[:BLOCK_CHARS]
        offsets = self._tokenizer.encode(text, add_special_tokens=False).offsets
        return text if len(offsets) <= units else text[: offsets[units - 1][1] if units > 0 else 0].strip()

    def tail(self, text: str, units: int) -> str:
        text = text[-BLOCK_CHARS:]
        offsets = self._tokenizer.encode(text, add_special_tokens=False).offsets
        return text if len(offsets) <= units else text[offsets[-units][0] if units > 0 else len(text) :].strip()


def _block_end(text: str, start: int, end: int) -> int:
    """Where the block from `start` ends: at `end`, or at the best boundary in the second half of BLOCK_CHARS."""
    limit = start + BLOCK_CHARS
    if end <= limit:
        return end
    found = (text.rfind(boundary, start + BLOCK_CHARS // 2, limit) for boundary in _BOUNDARIES)
    return next((position + 1 for position in found if position >= 0), limit)


def _stripped(text: str, start: int, end: int) -> tuple[int, int]:
    """Move both ends of a stretch inwards past whitespace."""
    piece = text[start:end]
    start += len(piece) - len(piece.lstrip())
    return start, start + len(piece.strip())

"""Chunks fit the window, keep their place in the text, and lose nothing."""

from __future__ import annotations

import hashlib
import time
from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors

from vstore.config import BLOCK_CHARS, CHUNK_CHARS, PREFIX_SHARE
from vstore.ingest.chunk import Chunker
from vstore.ingest.read import read_text
from vstore.types import Chunk, Document, Section


@dataclass
class Window:
    """All that a chunker asks of an embedder."""

    tokenizer: Tokenizer
    max_tokens: int

    def count(self, text: str) -> int:
        return len(self.tokenizer.encode(text))


def word_pieces(max_tokens: int) -> Window:
    """BERT's way: whole words or characters, split at whitespace and punctuation, with [CLS] and [SEP] around."""
    letters = [chr(code) for code in range(33, 127)] + list("äé的")
    names = ["[UNK]", "[CLS]", "[SEP]", *letters, *(f"##{letter}" for letter in letters), "the", "white", "matter"]
    vocabulary = {name: number for number, name in enumerate(names)}
    tokenizer = Tokenizer(models.WordPiece(vocabulary, unk_token="[UNK]", max_input_chars_per_word=20))
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.post_processor = processors.BertProcessing(("[SEP]", 2), ("[CLS]", 1))
    return Window(tokenizer, max_tokens)


def byte_pairs(max_tokens: int) -> Window:
    """A byte-level tokenizer, in which whitespace counts and a character may be several tokens."""
    vocabulary = {symbol: number for number, symbol in enumerate(sorted(pre_tokenizers.ByteLevel.alphabet()))}
    tokenizer = Tokenizer(models.BPE({**vocabulary, "th": 256, "the": 257}, [("t", "h"), ("th", "e")]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    return Window(tokenizer, max_tokens)


def document(
    text: str, title: str = "", media_type: str = "text/plain", sections: tuple[Section, ...] = ()
) -> Document:
    return Document("u", text, title, "hash", media_type=media_type, sections=sections)


def check(chunker: Chunker, made: Document) -> list[Chunk]:
    """What holds for the chunks of any document."""
    chunks = chunker.chunk(made)
    position = 0
    for number, chunk in enumerate(chunks):
        assert chunk.ordinal == number
        assert made.text[chunk.start : chunk.end] == chunk.text
        assert chunk.text == chunk.text.strip() != ""
        assert chunk.start >= position
        assert not made.text[position : chunk.start].strip() or made.sections
        position = chunk.end
        seen = chunker.embedding_text(made.title, chunk.heading, chunk.text)
        assert seen.endswith(chunk.text)
        assert chunk.content_hash == hashlib.sha256(seen.encode()).hexdigest()
    assert not made.text[position:].strip() or made.sections
    return chunks


words = st.sampled_from(
    ["the", "white", "matter", "Käse", "的的的", "a.b", "x" * 30, "🙂", "\n", "\n\n", "  ", "# ", "```", "- ", "|"]
)
texts = st.one_of(st.text(max_size=200), st.lists(words, max_size=120).map(" ".join))
headings = st.one_of(st.just(""), st.lists(words, min_size=1, max_size=40).map(" ".join))


@settings(deadline=None)
@given(texts, headings, headings, st.sampled_from([16, 40, 100]), st.sampled_from(["text/plain", "text/markdown"]))
def test_no_chunk_with_title_and_heading_exceeds_the_window(
    text: str, title: str, heading: str, size: int, media_type: str
) -> None:
    window = word_pieces(size)
    chunker = Chunker(window)
    sections = (Section(0, len(text), heading),) if heading else ()
    for chunk in check(chunker, document(text, title, media_type, sections)):
        assert window.count(chunker.embedding_text(title, chunk.heading, chunk.text)) <= size


@settings(deadline=None)
@given(texts, headings, st.sampled_from([40, 100]))
def test_the_same_with_a_byte_level_tokenizer(text: str, title: str, size: int) -> None:
    window = byte_pairs(size)
    chunker = Chunker(window)
    for chunk in check(chunker, document(text, title)):
        assert window.count(chunker.embedding_text(title, "", chunk.text)) <= size


@settings(deadline=None)
@given(st.text(max_size=5_000), headings, headings)
def test_without_a_tokenizer_the_window_is_counted_in_characters(text: str, title: str, heading: str) -> None:
    chunker = Chunker(object())
    sections = (Section(0, len(text), heading),) if heading else ()
    for chunk in check(chunker, document(text, title, sections=sections)):
        assert len(chunker.embedding_text(title, heading, chunk.text)) <= CHUNK_CHARS


@settings(deadline=None)
@given(
    st.lists(st.sampled_from(["# A\n", "## B\n", "the white\n", "matter 的\n", "\n", "```\n", "---\n"]), max_size=40)
)
def test_markdown_as_it_is_read_keeps_exact_offsets(lines: list[str]) -> None:
    text = "".join(lines)
    if text.strip():
        check(Chunker(word_pieces(16)), read_text(text, uri="u", collection="c", media_type="text/markdown"))


def test_what_fits_is_one_chunk_and_sections_are_never_joined() -> None:
    text = "the white\n\nmatter"
    chunker = Chunker(word_pieces(16))
    assert [chunk.text for chunk in chunker.chunk(document(text))] == [text]
    parts = (Section(0, 10, "A"), Section(10, len(text), "B"))
    chunks = chunker.chunk(document(text, sections=parts))
    assert [(chunk.heading, chunk.text) for chunk in chunks] == [("A", "the white"), ("B", "matter")]


def test_a_long_text_is_cut_at_the_best_boundary_that_fits() -> None:
    text = "the white. the white.\n\nmatter matter matter. the white matter"
    # room for ten tokens; the first paragraph has six, the second eight
    chunks = Chunker(word_pieces(12)).chunk(document(text))
    assert [chunk.text for chunk in chunks] == ["the white. the white.", "matter matter matter. the white matter"]


def test_the_window_is_used_to_the_last_token() -> None:
    window = word_pieces(32)
    chunks = Chunker(window).chunk(document("the " * 300))
    assert [window.count(chunk.text) for chunk in chunks] == [32] * 10


def test_title_and_heading_path_precede_the_text() -> None:
    chunker = Chunker(word_pieces(100))
    assert chunker.embedding_text("T", "A > B", "text") == "T\nA > B\ntext"
    assert chunker.embedding_text("", "A", "text") == "A\ntext"
    assert chunker.embedding_text("T", "", "text") == "T\ntext"
    assert chunker.embedding_text("", "", "text") == "text"


@pytest.mark.parametrize("make", [word_pieces, byte_pairs])
def test_a_long_prefix_is_trimmed_to_its_share_at_the_title_s_end_and_the_path_s_beginning(make: Any) -> None:
    window = make(82)
    chunker = Chunker(window)
    title = "the first " + "the " * 500
    path = "the > " * 500 + "the last"
    prefix = chunker.embedding_text(title, path, "")
    assert window.count(prefix) <= 82 * PREFIX_SHARE + 3  # special tokens, and the newline before the text
    assert prefix.startswith("the ") and prefix.endswith("last\n")


def test_a_title_alone_may_take_the_whole_share() -> None:
    window = word_pieces(42)
    assert Chunker(window).embedding_text("the " * 100, "", "") == " ".join(["the"] * 10) + "\n"


@pytest.mark.parametrize("text", ["", " ", "\n" * 1_000, "\t \u3000"])
def test_blank_text_has_no_chunks(text: str) -> None:
    assert Chunker(word_pieces(16)).chunk(document(text)) == []


@pytest.mark.parametrize("media_type", ["text/plain", "text/markdown"])
@pytest.mark.parametrize("piece", ["a", "的", "*", "> ", "[", "the ", "\n", "the\n", "`", "|a"])
def test_pathological_text_takes_linear_time_and_makes_bounded_chunks(piece: str, media_type: str) -> None:
    """100,000 characters; the splitter alone needs up to 13 s for some of them, and makes one chunk of others."""
    made = document(piece * (100_000 // len(piece)), media_type=media_type)
    begun = time.perf_counter()
    chunks = Chunker(word_pieces(256)).chunk(made)
    assert time.perf_counter() - begun < 8
    assert all(len(chunk.text) <= BLOCK_CHARS for chunk in chunks)


def test_the_real_tokenizer_s_window_holds_every_chunk(minilm: Any) -> None:
    text = "Diffusion-weighted MRI of cerebral white matter; 37.2 °C, naïve Bayes, 的的的, 🙂. " * 200
    made = document(text, "Microstructural development " * 40, sections=(Section(0, len(text), "A > B > " * 60 + "C"),))
    chunker = Chunker(minilm)
    chunks = check(chunker, made)
    sizes = [
        len(minilm.tokenizer.encode(chunker.embedding_text(made.title, chunk.heading, chunk.text))) for chunk in chunks
    ]
    assert max(sizes) <= minilm.max_tokens
    assert min(sizes[:-1]) > 0.8 * minilm.max_tokens  # also where a block of the splitter ends

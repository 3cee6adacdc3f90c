"""Bytes become text that can be stored, whatever they are."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vstore.ingest.parsed import Unreadable
from vstore.ingest.text import clean, decode


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-32"])
def test_encodings_with_and_without_a_mark(encoding: str) -> None:
    assert decode("Käse 的 🙂\r\nnext".encode(encoding)) == "Käse 的 🙂\nnext"


def test_big_endian_utf_16_by_its_mark() -> None:
    assert decode(b"\xfe\xff" + "Käse".encode("utf-16-be")) == "Käse"


def test_text_that_is_not_utf_8_is_read_as_windows_1252_or_latin_1() -> None:
    assert decode("Grüße … “ok”".encode("cp1252")) == "Grüße … “ok”"
    assert decode(b"caf\xe9 \x81") == "café \x81"  # 0x81 has no meaning in Windows-1252


@pytest.mark.parametrize("data", [b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR", b"text\0text", b"\xff\x01\x02\x03"])
def test_binary_data_are_refused(data: bytes) -> None:
    with pytest.raises(Unreadable, match="binary"):
        decode(data)


def test_a_nul_far_into_a_text_is_replaced() -> None:
    assert decode(b"a" * 10_000 + b"\0") == "a" * 10_000 + "\ufffd"


def test_characters_that_cannot_be_stored_are_replaced() -> None:
    assert clean("a\0b\ud800c\udfff") == "a\ufffdb\ufffdc\ufffd"
    assert clean("a\r\nb\rc\n\r\n") == "a\nb\nc\n\n"


@given(st.text(alphabet=st.characters(exclude_categories=())))
def test_clean_text_can_be_encoded_and_is_left_alone(text: str) -> None:
    once = clean(text)
    once.encode("utf-8")
    assert clean(once) == once
    assert "\0" not in once and "\r" not in once


@given(st.binary(max_size=200))
def test_any_bytes_are_decoded_or_refused(data: bytes) -> None:
    try:
        decode(data).encode("utf-8")
    except Unreadable as error:
        assert str(error) == "binary"

"""From bytes to characters that can be stored."""

from __future__ import annotations

import codecs
import re

from vstore.config import SNIFF_BYTES
from vstore.ingest.parsed import Unreadable

_NOT_STORABLE = re.compile("[\0\ud800-\udfff]")
_NEWLINE = re.compile("\r\n?")
# UTF-32 first: its little-endian mark begins with the one of UTF-16
_MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
# control characters that no text in an 8-bit encoding has: all but tab, newlines, form feed and escape
_CONTROLS = bytes(code for code in range(32) if code not in b"\t\n\v\f\r\x1b")


def clean(text: str) -> str:
    """Make any string storable: NUL and lone surrogates become U+FFFD, CRLF and CR become LF."""
    return _NEWLINE.sub("\n", _NOT_STORABLE.sub("\ufffd", text))


def decode(data: bytes) -> str:
    """Decode a text file and clean it: by its byte order mark, else as UTF-8, else as Windows-1252 or Latin-1.

    Raises Unreadable for binary data: a NUL in the first SNIFF_BYTES bytes, or, where the data are not UTF-8,
    control characters.
    """
    for mark, encoding in _MARKS:
        if data.startswith(mark):
            return clean(data.decode(encoding, errors="replace"))
    if b"\0" in data[:SNIFF_BYTES]:
        raise Unreadable("binary")
    try:
        return clean(data.decode("utf-8"))
    except UnicodeDecodeError:
        return clean(_decode_8_bit(data))


def _decode_8_bit(data: bytes) -> str:
    if len(data.translate(None, delete=_CONTROLS)) != len(data):
        raise Unreadable("binary")
    try:
        return data.decode("cp1252")
    except UnicodeDecodeError:  # five bytes have no meaning in it
        return data.decode("latin-1")

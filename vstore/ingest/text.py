"""From bytes to characters that can be stored."""

from __future__ import annotations

import codecs
import re

from vstore.config import META_BYTES, SNIFF_BYTES
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
_META_CHARSET = re.compile(rb"<meta[^>]{0,200}?charset\s{0,9}=\s{0,9}[\"']?([A-Za-z0-9._:-]{1,40})", re.IGNORECASE)
_TEXT_CODECS = re.compile(
    r"ascii|utf-(8|16|32)(-[bl]e)?|iso8859-\d+|cp\d+|koi8-[rtu]|mac-\w+|gbk?|gb2312|gb18030|hz|big5(hkscs)?|shift_jis\w*"
    r"|euc_\w+|iso2022_\w+|johab|tis-620"
)


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


def decode_declared(data: bytes, charset: str) -> str:
    """Decode what came with the name of its encoding and clean it; a byte order mark is believed first.

    Without a name that is known it is `decode`. Raises Unreadable for binary data as that does.
    """
    codec = _text_codec(charset)
    if not codec or any(data.startswith(mark) for mark, _ in _MARKS):
        return decode(data)
    text = data.decode(codec, errors="replace")
    if "\0" in text[:SNIFF_BYTES]:
        raise Unreadable("binary")
    return clean(text)


def charset_within(data: bytes) -> str:
    """The encoding that a page of HTML names in its first META_BYTES; "" for none, and for one that cannot be it."""
    named = _META_CHARSET.search(data[:META_BYTES])
    charset = named.group(1).decode("ascii") if named else ""
    return "" if charset.lower().startswith(("utf-16", "utf-32")) else charset


def _text_codec(charset: str) -> str:
    """The codec of an encoding that texts have; "" for others, some of which take quadratic time."""
    try:
        name = codecs.lookup(charset).name
    except (LookupError, ValueError):
        return ""
    return name if _TEXT_CODECS.fullmatch(name) else ""


def _decode_8_bit(data: bytes) -> str:
    if len(data.translate(None, delete=_CONTROLS)) != len(data):
        raise Unreadable("binary")
    try:
        return data.decode("cp1252")
    except UnicodeDecodeError:  # five bytes have no meaning in it
        return data.decode("latin-1")

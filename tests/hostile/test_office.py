"""Office files: archives that lie, and XML that was written against its reader."""

from __future__ import annotations

import io
import struct
import zipfile
from collections.abc import Callable
from functools import cache

import docx
import pytest
from hostile.inputs import Bad, Kept, Refused, Run

MAIN = "word/document.xml"
NAMESPACE = "http://schemas.openxmlformats.org/wordprocessingml/2006/main"
DAMAGED = Refused("^damaged docx file")
NOT_OFFICE = Refused("^not an Office Open XML file")
DOCTYPE = Refused("^its XML declares a document type$")
LAUGHS = "".join(f'<!ENTITY l{n} "{f"&l{n - 1};" * 10}">' for n in range(1, 10))
TIME = (2026, 1, 1, 0, 0, 0)
Change = Callable[[dict[str, bytes]], None]


def paragraphs(inner: str = "<w:p><w:r><w:t>harbour lights</w:t></w:r></w:p>", before: str = "") -> str:
    return f'<?xml version="1.0"?>{before}<w:document xmlns:w="{NAMESPACE}"><w:body>{inner}</w:body></w:document>'


@cache
def ordinary() -> bytes:
    buffer = io.BytesIO()
    docx.Document().save(buffer)
    return buffer.getvalue()


def parts() -> dict[str, bytes]:
    """The parts of an ordinary file, with one paragraph."""
    with zipfile.ZipFile(io.BytesIO(ordinary())) as archive:
        found = {name: archive.read(name) for name in archive.namelist()}
    found[MAIN] = paragraphs().encode()
    return found


def packed(found: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in found.items():
            archive.writestr(zipfile.ZipInfo(name, TIME), data, zipfile.ZIP_DEFLATED)  # the same bytes each time
    return buffer.getvalue()


def with_part(name: str, data: bytes | str | None) -> bytes:
    """An ordinary file with a part that is another one, or absent."""
    found = parts()
    found[name] = data.encode() if isinstance(data, str) else data or b""
    if data is None:
        del found[name]
    return packed(found)


def changed(old: bytes, new: bytes, count: int = -1) -> bytes:
    """The archive of an ordinary file with some of its own bytes replaced."""
    data = packed(parts())
    assert old in data
    return data.replace(old, new, count)


def entry(name: str) -> bytes:
    """The directory's record of a part, up to its name: what of it is changed is known by its place."""
    data = packed(parts())
    start = data.index(b"PK\x01\x02")
    while (at := data.index(b"PK\x01\x02", start)) >= 0:
        length = struct.unpack_from("<H", data, at + 28)[0]
        if data[at + 46 : at + 46 + length] == name.encode():
            return data[at : at + 46 + length]
        start = at + 4
    raise AssertionError(name)


def lying(offset: int, form: str, value: int) -> bytes:
    """A file whose directory says something else of its main part than is true."""
    true = entry(MAIN)
    lie = bytearray(true)
    struct.pack_into(form, lie, offset, value)
    return changed(true, bytes(lie))


def twice() -> bytes:
    with pytest.warns(UserWarning, match="Duplicate name"):
        buffer = io.BytesIO(packed(parts()))
        with zipfile.ZipFile(buffer, "a") as archive:
            archive.writestr(MAIN, paragraphs("<w:p><w:r><w:t>another text</w:t></w:r></w:p>"))
    return buffer.getvalue()


def overlapping() -> bytes:
    """Two parts that are the same bytes: the directory sends both to the first one."""
    data = packed(parts())
    first, second = (entry(name) for name in list(parts())[:2])
    lie = bytearray(second)
    lie[42:46] = first[42:46]
    return data.replace(second, bytes(lie))


def many() -> bytes:
    return packed(parts() | {f"x/{number}": b"" for number in range(10_001)})


def linked() -> bytes:
    """A part that is a symbolic link, to those who unpack archives."""
    buffer = io.BytesIO(packed(parts()))
    with zipfile.ZipFile(buffer, "a") as archive:
        link = zipfile.ZipInfo("word/link")
        link.external_attr = 0o120777 << 16
        archive.writestr(link, "/etc/passwd")
    return buffer.getvalue()


def relations(count: int) -> str:
    rows = "".join(
        f'<Relationship Id="x{n}" Type="t" Target="http://a/{n}" TargetMode="External"/>' for n in range(count)
    )
    kept = parts()["word/_rels/document.xml.rels"].decode()
    return kept.replace("</Relationships>", f"{rows}</Relationships>")


def office(name: str, data: Callable[[], bytes], expected: Kept | Refused) -> Bad:
    return Bad(name if "." in name else f"{name}.docx", data, expected)


GOOD = Kept("harbour lights", lacks="root:")
EXTERNAL = '<!DOCTYPE d [<!ENTITY x SYSTEM "{}">]>'
CASES = (
    office("ratio", lambda: with_part("word/big.xml", bytes(50 * 2**20)), Refused("unpacks to more than 100 times")),
    office("many-parts", many, Refused("^unpacks to more than an office file should$")),
    office("zip-in-zip", lambda: with_part("word/embeddings/a.docx", packed(parts())), GOOD),
    office("overlapping", overlapping, Refused("^two parts of it overlap$")),
    office("says-smaller", lambda: lying(24, "<L", 10), NOT_OFFICE),
    office("says-larger", lambda: lying(24, "<L", 2**30 - 1), Refused("unpacks to more than")),
    office("says-other-sum", lambda: lying(16, "<L", 1), NOT_OFFICE),
    office("encrypted", lambda: lying(8, "<H", 1), Refused("^encrypted$")),
    office("odd-method", lambda: lying(10, "<H", 99), NOT_OFFICE),
    office("same-name-twice", twice, Refused("^two parts of it have the same name$")),
    office("leads-out", lambda: with_part("../../evil.xml", "<a/>"), Refused("a name that leads out of the file$")),
    office("leads-out-backwards", lambda: with_part("x\\..\\evil.xml", "<a/>"), Refused("a name that leads out")),
    office("absolute", lambda: with_part("/etc/passwd", "root:"), Refused("a name that leads out")),
    office("link", linked, GOOD),
    office("no-main-part", lambda: with_part(MAIN, None), DAMAGED),
    office("no-types", lambda: with_part("[Content_Types].xml", None), DAMAGED),
    office("doctype", lambda: with_part(MAIN, paragraphs(before="<!DOCTYPE d>")), DOCTYPE),
    office(
        "doctype-in-16-bits",
        lambda: with_part(
            MAIN, paragraphs(before="<!DOCTYPE d>").replace("?>", ' encoding="utf-16"?>', 1).encode("utf-16")
        ),
        DOCTYPE,
    ),
    office(
        "doctype-behind-a-comment",
        lambda: with_part(MAIN, paragraphs(before=f"<!--{'x' * 2**20}--><!DOCTYPE d>")),
        DOCTYPE,
    ),
    office("laughs", lambda: with_part(MAIN, paragraphs("&l9;", f'<!DOCTYPE d [<!ENTITY l0 "ha">{LAUGHS}]>')), DOCTYPE),
    office(
        "quadratic",
        lambda: with_part(MAIN, paragraphs("&a;" * 10_000, f'<!DOCTYPE d [<!ENTITY a "{"a" * 10_000}">]>')),
        DOCTYPE,
    ),
    office("external-file", lambda: with_part(MAIN, paragraphs("&x;", EXTERNAL.format("file:///etc/passwd"))), DOCTYPE),
    office(
        "external-address",
        lambda: with_part("word/styles.xml", paragraphs("&x;", EXTERNAL.format("http://127.0.0.1:9/"))),
        DOCTYPE,
    ),
    office("unknown-entity", lambda: with_part(MAIN, paragraphs("&x;")), DAMAGED),
    office("deep-xml", lambda: with_part(MAIN, paragraphs("<w:p>" * 200_000)), DAMAGED),
    office("huge-attribute", lambda: with_part(MAIN, paragraphs(f"<w:p w:x='{'a' * 11_000_000}'/>")), DAMAGED),
    office("wrong-encoding", lambda: with_part(MAIN, paragraphs().encode().replace(b"harbour", b"\xff\xfe")), DAMAGED),
    office("cut", lambda: packed(parts())[:5_000], NOT_OFFICE),
    office("cut-directory", lambda: packed(parts())[:-30], NOT_OFFICE),
    office("wrong-directory", lambda: changed(b"PK\x01\x02", b"PK\x09\x09", 1), NOT_OFFICE),
    office("text-before-the-archive", lambda: b"%PDF-1.4\n" + packed(parts()), GOOD),
    office(
        "macros", lambda: with_part("word/vbaProject.bin", b"Sub AutoOpen()"), Kept("harbour lights", lacks="AutoOpen")
    ),
    office("relations", lambda: with_part("word/_rels/document.xml.rels", relations(10_000)), GOOD),
    office(
        "nul-and-escapes",
        lambda: with_part(MAIN, paragraphs("<w:p><w:r><w:t>harbour&#x202E;</w:t></w:r></w:p>")),
        Kept("harbour\u202e", word="harbour"),
    ),
    office("empty", lambda: b"", NOT_OFFICE),
    office("empty-archive", lambda: packed({}), DAMAGED),
    office("word-file.xlsx", lambda: packed(parts()), Refused("^damaged xlsx file")),
    office("word-file.pptx", lambda: packed(parts()), Refused("^damaged pptx file")),
    office("old-format.xlsx", lambda: b"\xd0\xcf\x11\xe0" + bytes(600), NOT_OFFICE),
)


@pytest.mark.parametrize("bad", CASES, ids=lambda bad: bad.name)
def test_a_bad_office_file_has_the_outcome_written_beside_it(run: Run, bad: Bad) -> None:
    run.check(bad)

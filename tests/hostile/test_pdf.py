"""PDF files that are cut, circular, swollen or none at all."""

from __future__ import annotations

import random
import zlib

import pytest
from hostile.inputs import Bad, Kept, Refused, Run
from ingest.test_pdf import make_pdf

GOOD = make_pdf(["harbour lights"])
DAMAGED = Refused("^damaged PDF")
NO_TEXT = Refused("^no text in this PDF")


def pdf(name: str, data: bytes, expected: Kept | Refused) -> Bad:
    return Bad(f"{name}.pdf", lambda: data, expected)


def with_objects(*bodies: str, root: int = 1) -> bytes:
    """A PDF of these objects, numbered from 1."""
    pieces = [b"%PDF-1.4\n"]
    offsets = []
    length = len(pieces[0])
    for number, body in enumerate(bodies, start=1):
        offsets.append(length)
        pieces.append(f"{number} 0 obj\n{body}\nendobj\n".encode("latin-1"))
        length += len(pieces[-1])
    out = b"".join(pieces)
    table = "".join(f"{offset:010} 00000 n \n" for offset in offsets)
    end = f"trailer\n<< /Size {len(bodies) + 1} /Root {root} 0 R >>\nstartxref\n{len(out)}\n%%EOF\n"
    return out + f"xref\n0 {len(bodies) + 1}\n0000000000 65535 f \n{table}{end}".encode("latin-1")


def deep_tree(depth: int) -> bytes:
    nodes = [f"<< /Type /Pages /Kids [{number + 1} 0 R] /Count 1 >>" for number in range(2, depth + 2)]
    return with_objects("<< /Type /Catalog /Pages 2 0 R >>", *nodes, "<< /Type /Page >>")


def swollen() -> bytes:
    """A page whose content unpacks to 400 MB."""
    packed = zlib.compress(zlib.compress(bytes(4 * 10**8), 1), 9).decode("latin-1")
    stream = f"<< /Length {len(packed)} /Filter [/FlateDecode /FlateDecode] >>\nstream\n{packed}\nendstream"
    page = "<< /Type /Page /Parent 2 0 R /MediaBox [0 0 9 9] /Contents 4 0 R >>"
    return with_objects("<< /Type /Catalog /Pages 2 0 R >>", "<< /Type /Pages /Kids [3 0 R] /Count 1 >>", page, stream)


def shuffled(seed: int) -> bytes:
    """A good file in which some bytes were changed."""
    chance = random.Random(seed)
    data = bytearray(GOOD)
    for _ in range(40):
        data[chance.randrange(len(data))] = chance.randrange(256)
    return bytes(data)


CASES = (
    pdf("cut", GOOD[:200], DAMAGED),
    pdf("no-table", GOOD[: GOOD.index(b"xref")], DAMAGED),
    pdf("circular-tables", make_pdf(["harbour lights"], trailer="/Prev 9"), Kept("harbour lights")),
    pdf(
        "own-table-before", make_pdf(["harbour lights"], trailer=f"/Prev {GOOD.index(b'xref')}"), Kept("harbour lights")
    ),
    pdf(
        "circular-pages",
        with_objects("<< /Type /Catalog /Pages 2 0 R >>", "<< /Type /Pages /Kids [2 0 R] /Count 1 >>"),
        DAMAGED,
    ),
    pdf(
        "circular-outlines",
        make_pdf(["harbour lights"], extra="<< /First 5 0 R /Next 5 0 R >>"),
        Kept("harbour lights"),
    ),
    pdf("deep-pages", deep_tree(5_000), DAMAGED),
    pdf(
        "a-billion-pages",
        with_objects("<< /Type /Catalog /Pages 2 0 R >>", "<< /Type /Pages /Kids [] /Count 1000000000 >>"),
        DAMAGED,
    ),
    Bad("swollen.pdf", swollen, Refused("memory|CPU|^no text in this PDF")),
    pdf("wrong-table", GOOD.replace(b"xref\n0", b"xref\n7"), Kept("harbour lights")),
    pdf(
        "encrypted",
        make_pdf(
            ["x"],
            extra=f"<< /Filter /Standard /V 1 /R 2 /O <{'00' * 32}> /U <{'00' * 32}> /P -4 >>",
            trailer="/Encrypt 5 0 R /ID [<00> <00>]",
        ),
        Refused("^encrypted PDF$"),
    ),
    pdf("no-pages", make_pdf([]), DAMAGED),
    pdf("blank", make_pdf([""]), NO_TEXT),
    pdf(
        "script",
        make_pdf(
            ["harbour lights"],
            extra="<< /S /JavaScript /JS (app.launchURL\\('http://a'\\)) >>",
            trailer="/OpenAction 5 0 R",
        ),
        Kept("harbour lights", lacks="launch"),
    ),
    pdf(
        "launch",
        make_pdf(["harbour lights"], extra="<< /S /Launch /F (/bin/sh) >>", trailer="/OpenAction 5 0 R"),
        Kept("harbour lights", lacks="/bin/sh"),
    ),
    pdf(
        "many-objects",
        with_objects("<< /Type /Catalog /Pages 2 0 R >>", "<< /Type /Pages /Kids [] /Count 0 >>", *["<< >>"] * 50_000),
        DAMAGED,
    ),
    pdf("late-header", bytes(500) + GOOD, Kept("harbour lights")),
    pdf("no-header", GOOD[9:], Refused("^damaged PDF")),
    pdf("text-file", b"harbour lights", DAMAGED),
    pdf("empty", b"", DAMAGED),
    pdf("zip", b"PK\x03\x04" + bytes(100), DAMAGED),
    pdf("huge-length", GOOD.replace(b"/Length 4", b"/Length 999999999 %", 1), Refused("no text|damaged")),
    *(pdf(f"changed-bytes-{seed}", shuffled(seed), Refused("^damaged PDF|^no text")) for seed in (1, 2, 3)),
    pdf("nul-title", make_pdf(["harbour lights"], title="a\\000b\\033"), Kept("harbour lights")),
)


@pytest.mark.parametrize("bad", CASES, ids=lambda bad: bad.name)
def test_a_bad_pdf_has_the_outcome_written_beside_it(run: Run, bad: Bad) -> None:
    run.check(bad)

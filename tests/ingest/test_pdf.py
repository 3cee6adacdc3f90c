"""PDF: pages are sections; what holds no text says so."""

from __future__ import annotations

import pytest

from vstore.ingest import pdf
from vstore.ingest.parsed import Unreadable


def make_pdf(pages: list[str], title: str = "", extra: str = "", trailer: str = "") -> bytes:
    """A PDF with one line of text a page."""
    objects = ["<< /Type /Catalog /Pages 2 0 R >>", "", "<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>"]
    objects += [f"<< /Title ({title}) >>", extra or "<< >>"]
    kids = []
    for line in pages:
        stream = f"BT /F1 12 Tf 72 700 Td ({line}) Tj ET"
        objects.append(f"<< /Length {len(stream)} >>\nstream\n{stream}\nendstream")
        objects.append(
            "<< /Type /Page /Parent 2 0 R /MediaBox [0 0 612 792] /Resources << /Font << /F1 3 0 R >> >> "
            f"/Contents {len(objects)} 0 R >>"
        )
        kids.append(f"{len(objects)} 0 R")
    objects[1] = f"<< /Type /Pages /Kids [{' '.join(kids)}] /Count {len(kids)} >>"
    out = b"%PDF-1.4\n"
    offsets = []
    for number, body in enumerate(objects, start=1):
        offsets.append(len(out))
        out += f"{number} 0 obj\n{body}\nendobj\n".encode("latin-1")
    table = "".join(f"{offset:010} 00000 n \n" for offset in offsets)
    end = f"trailer\n<< /Size {len(objects) + 1} /Root 1 0 R /Info 4 0 R {trailer} >>\nstartxref\n{len(out)}\n%%EOF\n"
    return out + f"xref\n0 {len(objects) + 1}\n0000000000 65535 f \n{table}{end}".encode("latin-1")


def test_pages_are_sections_and_the_title_is_the_file_s_own() -> None:
    parsed = pdf.parse(make_pdf(["First page", "", "Third page"], title="Annual report"))
    assert parsed.title == "Annual report"
    sections = [(section.heading, parsed.text[section.start : section.end]) for section in parsed.sections]
    assert sections == [("page 1", "First page"), ("page 3", "Third page")]


@pytest.mark.parametrize("title", ["", "untitled", "Microsoft Word - draft.doc", "thesis.dvi"])
def test_titles_made_up_by_programs_are_none(title: str) -> None:
    assert pdf.parse(make_pdf(["text"], title=title)).title == ""


def test_a_pdf_without_text_says_so() -> None:
    with pytest.raises(Unreadable, match="no text"):
        pdf.parse(make_pdf(["", ""]))


def test_an_encrypted_pdf_says_so() -> None:
    key = "00" * 32
    encrypted = make_pdf(
        ["text"],
        extra=f"<< /Filter /Standard /V 1 /R 2 /O <{key}> /U <{key}> /P -4 >>",
        trailer="/Encrypt 5 0 R /ID [<00> <00>]",
    )
    with pytest.raises(Unreadable, match="encrypted"):
        pdf.parse(encrypted)


@pytest.mark.parametrize("data", [b"", b"%PDF-1.4\n", b"not a pdf", make_pdf(["text"])[:60]])
def test_a_damaged_pdf_says_so(data: bytes) -> None:
    with pytest.raises(Unreadable, match="damaged"):
        pdf.parse(data)

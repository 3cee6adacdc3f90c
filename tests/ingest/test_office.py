"""Word, PowerPoint and Excel files, made with the packages that read them."""

from __future__ import annotations

import io
import sys
import zipfile

import docx
import openpyxl
import pptx
import pytest

from vstore.errors import MissingExtraError
from vstore.ingest import office
from vstore.ingest.parsed import Parsed, Unreadable


def outline(parsed: Parsed) -> list[tuple[str, str]]:
    return [(section.heading, parsed.text[section.start : section.end].strip()) for section in parsed.sections]


def word_file() -> bytes:
    document = docx.Document()
    document.core_properties.title = "Contract"
    document.add_heading("Contract", level=0)
    document.add_paragraph("Between two.")
    document.add_heading("Terms", level=1)
    document.add_paragraph("Pay.", style="List Bullet")
    document.add_paragraph("Ship.", style="List Bullet")
    table = document.add_table(rows=2, cols=2)
    for cell, text in zip(
        (cell for row in table.rows for cell in row.cells), ("item", "price", "tea", "4"), strict=True
    ):
        cell.text = text
    return saved(document)


def saved(document: object) -> bytes:
    buffer = io.BytesIO()
    document.save(buffer)
    return buffer.getvalue()


def test_word_headings_lists_and_tables() -> None:
    parsed = office.parse(word_file(), "docx")
    assert parsed.title == "Contract"
    assert outline(parsed) == [("", "Between two."), ("Terms", "Pay.\nShip.\n\nitem: tea\nprice: 4")]


def test_slides_are_sections_with_their_titles_and_notes() -> None:
    presentation = pptx.Presentation()
    slide = presentation.slides.add_slide(presentation.slide_layouts[1])
    slide.shapes.title.text = "Plan"
    slide.placeholders[1].text = "Ship it"
    slide.notes_slide.notes_text_frame.text = "say why"
    presentation.slides.add_slide(presentation.slide_layouts[6]).shapes.add_textbox(0, 0, 9, 9).text_frame.text = "Bare"
    parsed = office.parse(saved(presentation), "pptx")
    assert outline(parsed) == [("slide 1: Plan", "Plan\nShip it\nsay why"), ("slide 2", "Bare")]


def test_sheets_are_rows_under_the_sheet_s_name() -> None:
    workbook = openpyxl.Workbook()
    workbook.active.title = "Stock"
    for row in (["item", "count"], ["tea", 4], [None, None], ["milk", 2.5]):
        workbook.active.append(row)
    parsed = office.parse(saved(workbook), "xlsx")
    assert outline(parsed) == [("Stock", "item: tea\ncount: 4"), ("Stock", "item: milk\ncount: 2.5")]


@pytest.mark.parametrize("kind", ["docx", "pptx", "xlsx"])
def test_damaged_files_say_so(kind: str) -> None:
    empty = io.BytesIO()
    zipfile.ZipFile(empty, "w").close()
    for data in (b"", b"\xd0\xcf\x11\xe0 an older format, or encrypted", word_file()[:500]):
        with pytest.raises(Unreadable, match="not an Office Open XML file"):
            office.parse(data, kind)
    with pytest.raises(Unreadable, match=f"damaged {kind} file"):
        office.parse(empty.getvalue(), kind)


def test_a_zip_bomb_is_refused_before_it_is_unpacked() -> None:
    bomb = io.BytesIO()
    with zipfile.ZipFile(bomb, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        for number in range(9):
            archive.writestr(f"{number}.xml", bytes(64 * 2**20))
    with pytest.raises(Unreadable, match="unpacks to more"):
        office.parse(bomb.getvalue(), "docx")


def test_without_the_extra_the_reason_has_the_install_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "docx", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'vstore\[documents\]'"):
        office.parse(word_file(), "docx")

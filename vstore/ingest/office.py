"""Word, PowerPoint and Excel files (Office Open XML), with the packages of the extra `documents`."""

from __future__ import annotations

import io
import re
import warnings
import zipfile
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, Final

from vstore.config import MAX_ARCHIVE_ENTRIES, MAX_UNPACKED_BYTES
from vstore.errors import MissingExtraError
from vstore.ingest.headings import Outline
from vstore.ingest.parsed import Parsed, Unreadable, join_sections, usable_title
from vstore.ingest.tables import render_rows
from vstore.ingest.text import clean

if TYPE_CHECKING:
    from docx.document import Document as WordDocument
    from docx.table import Table

_HEADING_STYLE = re.compile(r"[Hh]eading ([1-9])")


def parse(data: bytes, kind: str) -> Parsed:
    """Read a file of kind "docx", "pptx" or "xlsx".

    Raises MissingExtraError when its package is not installed, and Unreadable when the file is damaged or unpacks to
    more than MAX_UNPACKED_BYTES.
    """
    _check_archive(data)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about styles and extensions that do not matter to text
            return _PARSERS[kind](io.BytesIO(data))
    except ImportError as error:
        raise MissingExtraError(f"{kind} files need an extra: pip install 'vstore[documents]'") from error
    except (Unreadable, MemoryError):
        raise
    except Exception as error:  # these packages raise whatever they stumble over in a damaged file
        if "memory" in str(error).lower():  # the XML parser has no exception of its own for it
            raise MemoryError from error
        raise Unreadable(f"damaged {kind} file ({type(error).__name__})") from error


def _check_archive(data: bytes) -> None:
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            entries = archive.infolist()
    except (zipfile.BadZipFile, ValueError, NotImplementedError) as error:
        # an encrypted file is not a zip archive at all
        raise Unreadable("not an Office Open XML file: damaged, encrypted or of an older format") from error
    if len(entries) > MAX_ARCHIVE_ENTRIES or sum(entry.file_size for entry in entries) > MAX_UNPACKED_BYTES:
        raise Unreadable("unpacks to more than an office file should")


def _word(file: io.BytesIO) -> Parsed:
    import docx

    document = docx.Document(file)
    outline = Outline()
    _add_body(document, outline)
    return outline.parsed(usable_title(document.core_properties.title))


def _add_body(document: WordDocument, outline: Outline) -> None:
    from docx.table import Table

    for block in document.iter_inner_content():
        if isinstance(block, Table):
            outline.add("\n".join(_table_rows(block)))
            continue
        text = clean(block.text)
        style = (block.style.name if block.style else None) or ""
        if match := _HEADING_STYLE.fullmatch(style):
            outline.add_heading(int(match.group(1)), text)
        elif style == "Title":
            outline.add_heading(1, text)
        else:
            outline.add(text, gap="\n" if style.startswith("List") else "\n\n")


def _table_rows(table: Table) -> Iterator[str]:
    rows = ([clean(cell.text) for cell in row.cells] for row in table.rows)
    return render_rows(rows)


def _slides(file: io.BytesIO) -> Parsed:
    import pptx

    presentation = pptx.Presentation(file)
    parts = []
    for number, slide in enumerate(presentation.slides, start=1):
        heading = slide.shapes.title
        title = usable_title(clean(heading.text_frame.text)) if heading is not None else ""
        parts.append((f"slide {number}: {title}" if title else f"slide {number}", "\n".join(_slide_texts(slide))))
    text, sections = join_sections(parts)
    return Parsed(text, usable_title(presentation.core_properties.title), sections)


def _slide_texts(slide: Any) -> Iterator[str]:
    for shape in slide.shapes:
        if shape.has_text_frame:
            yield clean(shape.text_frame.text)
        elif shape.has_table:
            yield from render_rows([clean(cell.text) for cell in row.cells] for row in shape.table.rows)
    if slide.has_notes_slide and slide.notes_slide.notes_text_frame is not None:
        yield clean(slide.notes_slide.notes_text_frame.text)


def _workbook(file: io.BytesIO) -> Parsed:
    import openpyxl  # type: ignore[import-untyped]  # has no type hints

    workbook = openpyxl.load_workbook(file, read_only=True, data_only=True)
    try:
        text, sections = join_sections(
            (sheet.title, row) for sheet in workbook.worksheets for row in render_rows(_cells(sheet))
        )
        return Parsed(text, usable_title(workbook.properties.title), sections)
    finally:
        workbook.close()


def _cells(sheet: Any) -> Iterator[list[str]]:
    for row in sheet.iter_rows(values_only=True):
        cells = ["" if value is None else clean(str(value)) for value in row]
        if any(cells):
            yield cells


_PARSERS: Final[dict[str, Callable[[io.BytesIO], Parsed]]] = {"docx": _word, "pptx": _slides, "xlsx": _workbook}

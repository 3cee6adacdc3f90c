"""Word, PowerPoint and Excel files (Office Open XML), with the packages of the extra `documents`."""

from __future__ import annotations

import io
import re
import warnings
import zipfile
import zlib
from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Final

from vstore.config import MAX_ARCHIVE_ENTRIES, MAX_UNPACK_RATIO, MAX_UNPACKED_BYTES, UNSUSPICIOUS_BYTES
from vstore.errors import MissingExtraError
from vstore.ingest.headings import Outline
from vstore.ingest.parsed import Parsed, Unreadable, join_sections, usable_title
from vstore.ingest.tables import render_rows
from vstore.ingest.text import clean

if TYPE_CHECKING:
    from docx.document import Document as WordDocument
    from docx.table import Table

_ENCRYPTED: Final = 1  # bit of a part's flags
_LOCAL_HEADER: Final = 30  # bytes before a part, at least
_XML: Final = (".xml", ".rels", ".vml")  # not .svg and .bin: drawings and settings of printers may declare one
_DOCTYPE: Final = b"<!DOCTYPE"
_HEADING_STYLE = re.compile(r"[Hh]eading ([1-9])")


def parse(data: bytes, kind: str) -> Parsed:
    """Read a file of kind "docx", "pptx" or "xlsx".

    Raises MissingExtraError when its package is not installed, and Unreadable when the file is damaged, unpacks to more
    than MAX_UNPACKED_BYTES, or has what no program writes.
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
    """Look at what the archive says of its parts, then read those that are XML for what XML must not have."""
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            entries = archive.infolist()
            _check_entries(entries)
            for entry in entries:
                if entry.filename.lower().endswith(_XML):
                    _check_part(archive, entry)
    except (zipfile.BadZipFile, zlib.error, EOFError, ValueError, NotImplementedError, RuntimeError) as error:
        # an encrypted file is not a zip archive at all
        raise Unreadable("not an Office Open XML file: damaged, encrypted or of an older format") from error


def _check_entries(entries: Sequence[zipfile.ZipInfo]) -> None:
    if len(entries) > MAX_ARCHIVE_ENTRIES or sum(entry.file_size for entry in entries) > MAX_UNPACKED_BYTES:
        raise Unreadable("unpacks to more than an office file should")
    if any(_is_bomb(entry) for entry in entries):
        raise Unreadable(f"a part of it unpacks to more than {MAX_UNPACK_RATIO} times its size")
    if any(entry.flag_bits & _ENCRYPTED for entry in entries):
        raise Unreadable("encrypted")
    names = [entry.filename for entry in entries]
    if len(set(names)) < len(names):
        raise Unreadable("two parts of it have the same name")
    if any(name.startswith("/") or ".." in re.split(r"[/\\]", name) for name in names):
        raise Unreadable("a part of it has a name that leads out of the file")
    in_order = sorted(entries, key=lambda entry: entry.header_offset)
    if any(
        one.header_offset + _LOCAL_HEADER + one.compress_size > two.header_offset for one, two in pairwise(in_order)
    ):
        raise Unreadable("two parts of it overlap")


def _is_bomb(entry: zipfile.ZipInfo) -> bool:
    return entry.file_size > max(UNSUSPICIOUS_BYTES, entry.compress_size * MAX_UNPACK_RATIO)


def _check_part(archive: zipfile.ZipFile, entry: zipfile.ZipInfo) -> None:
    """Raise Unreadable for a document type, which Office Open XML forbids and entities need."""
    end = b""
    with archive.open(entry) as part:
        while block := part.read(2**20):
            piece = end + block.replace(b"\0", b"")  # whether in 8 or in 16 bits
            if _DOCTYPE in piece:
                raise Unreadable("its XML declares a document type")
            end = piece[-len(_DOCTYPE) :]


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

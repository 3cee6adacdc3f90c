"""Which kind of file a name stands for."""

from __future__ import annotations

from pathlib import PurePath
from typing import Final

PLAIN: Final = "text/plain"
MARKDOWN: Final = "text/markdown"
ROWS: Final = "application/x-ndjson"
PDF: Final = "application/pdf"
CODE: Final = "text/x-"  # what the media type of source code begins with; the language follows
OFFICE: Final = "application/vnd.openxmlformats-officedocument."
HTML: Final = "text/html"
ARTICLE: Final = "text/html; main text"  # a page from the web, of which the main text is wanted; stored as HTML

_FORMATS = {
    MARKDOWN: "md markdown mdx mkd",
    "text/x-rst": "rst",
    HTML: "html htm xhtml",
    "text/csv": "csv",
    "text/tab-separated-values": "tsv tab",
    "application/json": "json geojson ipynb webmanifest",
    ROWS: "jsonl ndjson",
    PDF: "pdf",
    OFFICE + "wordprocessingml.document": "docx",
    OFFICE + "presentationml.presentation": "pptx",
    OFFICE + "spreadsheetml.sheet": "xlsx",
}
_LANGUAGES = {
    "c": "c h",
    "cpp": "cc cpp cxx hh hpp hxx",
    "csharp": "cs",
    "css": "css less scss",
    "dart": "dart",
    "elixir": "ex exs",
    "go": "go",
    "haskell": "hs",
    "ini": "cfg conf ini properties toml",
    "java": "java",
    "javascript": "cjs js jsx mjs",
    "julia": "jl",
    "kotlin": "kt kts",
    "lua": "lua",
    "makefile": "mk",
    "perl": "pl pm",
    "php": "php",
    "python": "py pyi",
    "r": "r",
    "ruby": "rb",
    "rust": "rs",
    "scala": "sc scala",
    "shell": "bash fish sh zsh",
    "sql": "sql",
    "swift": "swift",
    "typescript": "cts mts ts tsx",
    "yaml": "yaml yml",
}
_NAMES = {"dockerfile": CODE + "dockerfile", "containerfile": CODE + "dockerfile", "makefile": CODE + "makefile"}
_BYTES: Final = "application/octet-stream"
_SERVED = {
    HTML: HTML,
    "application/xhtml+xml": HTML,
    MARKDOWN: MARKDOWN,
    "text/x-markdown": MARKDOWN,
    "text/x-rst": "text/x-rst",
    "text/csv": "text/csv",
    "text/tab-separated-values": "text/tab-separated-values",
    "application/json": "application/json",
    PDF: PDF,
    ROWS: ROWS,
    **{name: name for name in _FORMATS if name.startswith(OFFICE)},
}
_SUFFIXES = {
    f".{suffix}": media_type
    for table in (_FORMATS, {CODE + language: suffixes for language, suffixes in _LANGUAGES.items()})
    for media_type, suffixes in table.items()
    for suffix in suffixes.split()
}


def media_type(path: PurePath) -> str:
    """The media type by the file's name or suffix, without regard to case; text/plain for all that is not known."""
    return _NAMES.get(path.name.lower()) or _SUFFIXES.get(path.suffix.lower(), PLAIN)


def is_foreign(media_type: str) -> bool:
    """Whether files of this type are read by a library of others, and so in a process of their own."""
    return media_type in (HTML, ARTICLE, PDF) or media_type.startswith(OFFICE)


def served_type(declared: str, path: PurePath) -> str | None:
    """The media type of what a server sent: as it `declared`, or by the name at the end of the address' path.

    The name decides where the server says no more than "text" or "bytes". None for what is not read.
    """
    by_name = media_type(path)
    if declared in _SERVED:
        return _SERVED[declared]
    if declared == _BYTES:
        return by_name if by_name == PDF or by_name.startswith(OFFICE) else None
    if declared in (PLAIN, "application/javascript") or declared.startswith(CODE):
        return PLAIN if by_name == HTML else by_name
    return None

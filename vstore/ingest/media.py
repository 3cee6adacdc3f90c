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
    return media_type in (HTML, PDF) or media_type.startswith(OFFICE)

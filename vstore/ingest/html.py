"""HTML: the main text, with its headings.

nh3 (a binding of the Rust library ammonia) parses as browsers do and returns a small, well-formed subset. Python's
own parser reads that in linear time, which it does not for pages as they come.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from html.parser import HTMLParser

import nh3

from vstore.config import MAX_HTML_DEPTH
from vstore.ingest.headings import Outline
from vstore.ingest.parsed import Parsed, Unreadable, usable_title

_LEVELS = {f"h{level}": level for level in range(1, 7)}
_PARAGRAPHS = frozenset(
    [
        "address",
        "article",
        "blockquote",
        "body",
        "div",
        "dl",
        "fieldset",
        "figure",
        "form",
        "main",
        "ol",
        "p",
        "pre",
        "section",
        "table",
        "ul",
    ]
)
_LINES = frozenset(["br", "dd", "dt", "figcaption", "hr", "li", "tr"])
_CELLS = frozenset(("td", "th"))
_VOID = frozenset(("br", "hr"))
_KEPT = {"title", "span", "a", *_LEVELS, *_PARAGRAPHS, *_LINES, *_CELLS}
_DROPPED = set(
    [
        "aside",
        "audio",
        "button",
        "canvas",
        "dialog",
        "footer",
        "iframe",
        "math",
        "nav",
        "noscript",
        "object",
        "script",
        "select",
        "style",
        "svg",
        "template",
        "textarea",
        "video",
    ]
)
_TAG = re.compile(r"<(/?)([A-Za-z][A-Za-z0-9]*)")
# elements that a following one closes, and elements without content: they do not nest
_FLAT = frozenset(
    [
        "a",
        "area",
        "base",
        "br",
        "caption",
        "col",
        "colgroup",
        "embed",
        "hr",
        "img",
        "input",
        "li",
        "link",
        "meta",
        "option",
        "p",
        "param",
        "source",
        "tbody",
        "td",
        "tfoot",
        "th",
        "thead",
        "tr",
        "track",
        "wbr",
    ]
)


def parse(text: str) -> Parsed:
    """Read HTML; the title is that of the page, else its first heading of level 1.

    Only the `main` element is taken where there is one with text. Raises Unreadable for elements nested deeper than
    MAX_HTML_DEPTH.
    """
    check_depth(text)
    markup = nh3.clean(
        text,
        tags=_KEPT,
        clean_content_tags=_DROPPED,
        attributes={"*": {"hidden", "aria-hidden", "style"}},
        link_rel=None,
    )
    parsed = _read(markup, main_only=True) if "<main" in markup else Parsed("")
    return parsed if parsed.text else _read(markup, main_only=False)


def check_depth(text: str) -> None:
    """Raise Unreadable for elements nested deeper than MAX_HTML_DEPTH."""
    depth = 0
    for match in _TAG.finditer(text):
        if match.group(2).lower() in _FLAT:
            continue
        depth = max(0, depth - 1) if match.group(1) else depth + 1
        if depth > MAX_HTML_DEPTH:
            raise Unreadable(f"HTML elements nested deeper than {MAX_HTML_DEPTH}")


def _read(markup: str, *, main_only: bool) -> Parsed:
    reader = _Reader(main_only=main_only)
    reader.feed(markup)
    reader.close()
    return reader.parsed()


def is_hidden(attributes: Sequence[tuple[str, str | None]]) -> bool:
    """Whether an element with these attributes is not shown."""
    values = dict(attributes)
    style = (values.get("style") or "").replace(" ", "").lower()
    return "hidden" in values or values.get("aria-hidden") == "true" or "display:none" in style


class _Reader(HTMLParser):
    """Turns well-formed markup into an outline."""

    def __init__(self, *, main_only: bool) -> None:
        super().__init__(convert_charrefs=True)
        self._outline = Outline()
        self._line: list[str] = []
        self._gap = "\n\n"
        self._title = ""
        self._hidden = 0  # open elements, counted from the hidden one
        self._main_only = main_only
        self._outside = main_only
        self._preformatted = 0

    def parsed(self) -> Parsed:
        """What was read."""
        self._flush()
        return self._outline.parsed(usable_title(self._title))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if self._hidden or is_hidden(attrs):
            self._hidden += tag not in _VOID
            return
        if tag in _CELLS:
            self._line.append(" ")
        self._break_before(tag)
        if tag == "main":
            self._outside = False
        self._preformatted += tag == "pre"

    def handle_endtag(self, tag: str) -> None:
        if self._hidden:
            self._hidden -= 1
            return
        if tag == "title":
            self._title = self._title or "".join(self._line)
            self._line.clear()
        elif tag in _LEVELS:
            words = "".join(self._line)
            self._line.clear()
            if not self._outside:
                self._outline.add_heading(_LEVELS[tag], words)
        self._break_before(tag)
        self._preformatted -= tag == "pre"
        if tag == "main":
            self._outside = self._main_only

    def handle_data(self, data: str) -> None:
        if not self._hidden:
            self._line.append(data)

    def _break_before(self, tag: str) -> None:
        if tag in _PARAGRAPHS or tag in _LEVELS or tag == "title":
            self._flush()
            self._gap = "\n\n"
        elif tag in _LINES:
            self._flush()

    def _flush(self) -> None:
        raw = "".join(self._line)
        self._line.clear()
        block = raw.rstrip() if self._preformatted else " ".join(raw.split())
        if block.strip() and not self._outside:
            self._outline.add(block, gap=self._gap)
            self._gap = "\n"

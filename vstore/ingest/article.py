"""The main text of a web page, with its headings, by trafilatura (the extra `web`).

Pages from the web are mostly menus, banners and lists of other pages. trafilatura tells them from the text, and says it
in Markdown, which our own parser reads. What cannot be seen is taken out before, for it would take that for text.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from vstore.errors import MissingExtraError
from vstore.ingest import html, markdown
from vstore.ingest.parsed import Parsed, Unreadable, usable_title
from vstore.ingest.text import clean

if TYPE_CHECKING:
    from lxml.html import HtmlElement

_TITLES = ("string(//meta[@property='og:title']/@content)", "string(//title)", "string(//h1)")


def parse(text: str) -> Parsed:
    """Read a page; the title is the one it gives itself for links, else that of its window, else its first heading.

    A page without a main text is read whole, as HTML from files is. Raises MissingExtraError without the extra, and
    Unreadable as `html.parse` does.
    """
    html.check_depth(text)
    try:
        title, found = _main_text(text)
    except ImportError as error:
        raise MissingExtraError("web pages need an extra: pip install 'vstore[web]'") from error
    except (MemoryError, RecursionError):
        raise
    except Exception as error:  # it raises whatever it stumbles over in a page
        raise Unreadable(f"its main text cannot be found ({type(error).__name__})") from error
    parsed = markdown.parse(clean(found), title)
    return parsed if parsed.text.strip() else html.parse(text)


def _main_text(text: str) -> tuple[str, str]:
    """Title and main text, the latter as Markdown; both may be empty."""
    import lxml.etree
    import lxml.html
    import trafilatura

    # bytes, because a text that names its own encoding is refused
    reader = lxml.html.HTMLParser(encoding="utf-8", remove_comments=True, remove_pis=True)
    try:
        page = lxml.html.document_fromstring(text.encode(), parser=reader)
    except lxml.etree.ParserError:  # there is nothing in it
        return "", ""
    _drop_hidden(page)
    title = _title(page)
    # Of its leanings the one to more text: the others lose headings above short paragraphs, as in lists of questions.
    found: Any = trafilatura.extract(page, output_format="markdown", include_comments=False, favor_recall=True)
    return title, found or ""


def _title(page: HtmlElement) -> str:
    return next((title for path in _TITLES if (title := usable_title(str(page.xpath(path))))), "")


def _drop_hidden(page: HtmlElement) -> None:
    for element in page.xpath("//*[@hidden or @aria-hidden or @style]"):
        if html.is_hidden(element.items()) and element.getparent() is not None:
            element.drop_tree()

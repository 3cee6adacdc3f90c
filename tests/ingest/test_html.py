"""HTML: the text a reader would read, under its headings, at a speed no page can spoil."""

from __future__ import annotations

import time

import pytest

from vstore.ingest import html
from vstore.ingest.parsed import Unreadable

PAGE = """<!DOCTYPE html><html><head><title>Tea &amp; Co &lt;3</title><style>p { color: red }</style>
<script>if (a < b) document.write("<h1>no</h1>")</script></head>
<body><nav><a href="/">Home</a></nav>
<h1>Tea</h1><p>Water  is <b>hot</b>.<br>Really.</p><!-- not this -->
<h2>Green</h2><ul><li>one</li><li>two</li></ul><table><tr><th>k</th><td>v</td></tr></table>
<pre>  a = 1
  b = 2</pre><div hidden>secret</div><p style="display: none">also <b>secret</b></p><span aria-hidden="true">icon</span>
<footer>imprint</footer></body></html>"""


def outline(text: str) -> list[tuple[str, str]]:
    parsed = html.parse(text)
    return [(section.heading, parsed.text[section.start : section.end].strip("\n")) for section in parsed.sections]


def test_a_page_is_its_visible_text_under_its_headings() -> None:
    assert html.parse(PAGE).title == "Tea & Co <3"
    assert outline(PAGE) == [
        ("Tea", "Water is hot.\nReally."),
        ("Tea > Green", "one\ntwo\n\nk v\n\n  a = 1\n  b = 2"),
    ]


def test_only_the_main_element_counts_where_there_is_one_with_text() -> None:
    assert html.parse("<p>menu</p><main><p>text</p></main><p>more</p>").text == "text"
    assert html.parse("<p>menu</p><main></main><p>more</p>").text == "menu\n\nmore"


def test_without_a_title_the_first_heading_is_it() -> None:
    parsed = html.parse("<h1>Head</h1><p>body</p>")
    assert (parsed.title, parsed.sections[0].heading) == ("Head", "")


def test_broken_markup_is_read_as_browsers_do() -> None:
    assert html.parse("<p>a<p>b</div><h2>c").text == "a\n\nb\n\nc"
    assert html.parse("1 < 2 &amp; 3 &unknown; &#x1F642;").text == "1 < 2 & 3 &unknown; 🙂"


@pytest.mark.parametrize(
    "piece",
    [
        "<a ",
        "<!--",
        "<",
        "&",
        "</a ",
        "<![CDATA[",
        "<p>",
        "<li>x",
        "<td>",
        "<a>",
        "<p><b>x</b>",
        "<a href='",
        "<!",
        "<?",
    ],
)
def test_hostile_pages_take_linear_time(piece: str) -> None:
    """100 KB of each; a quadratic parser needs seconds to minutes."""
    begun = time.process_time()
    html.parse(piece * (100_000 // len(piece)))
    assert time.process_time() - begun < 2


@pytest.mark.parametrize("piece", ["<div>", "<rt>", "<ul><li>", "<dl><dd>", "<b>", "<optgroup>", "<dd><li>"])
def test_elements_nested_beyond_reason_are_refused_at_once(piece: str) -> None:
    begun = time.process_time()
    with pytest.raises(Unreadable, match="512"):
        html.parse(piece * (1_000_000 // len(piece)))
    assert time.process_time() - begun < 1


def test_a_long_ordinary_page_is_not_taken_for_a_deep_one() -> None:
    page = "<ul>" + "<li>item<p>one<p>two<br>" * 5_000 + "</ul>" + "<div><b>x</b></div>" * 5_000
    assert html.parse(page).text.count("item") == 5_000

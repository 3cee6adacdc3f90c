"""The main text of web pages: what is kept of them, and that pages written against it cost themselves alone."""

from __future__ import annotations

import sys

import pytest
from ingest.test_sandbox import answer, fake
from ingest.test_web import HANDBOOK, SENTENCE

from vstore.errors import MissingExtraError
from vstore.ingest import article, html, media
from vstore.ingest.parsed import Unreadable
from vstore.ingest.sandbox import Sandbox

MENU = "<div class='topnav'><ul><li><a href='/'>Home</a><li><a href='/p'>Prices</a></ul></div>"
FOOT = "<div class='footer'>Copyright Example</div><div id='cookie-banner'>We use cookies. Accept all</div>"
ASIDE = "<div class='sidebar related'><h3>Related</h3><ul><li><a href='/1'>Ten valves you must see</a></ul></div>"


def page(title: str, body: str) -> str:
    return f"<!doctype html><title>{title}</title><body>{MENU}{body}{ASIDE}{FOOT}"


def test_menus_banners_and_other_pages_are_left_out_where_our_own_parser_keeps_them() -> None:
    text = page("Valves", f"<div class=content><h1>Stuck valves</h1><p>{SENTENCE * 2}<p>{SENTENCE * 3}</div>")
    kept, whole = article.parse(text).text, html.parse(text).text
    for noise in ("Prices", "Copyright", "cookies", "Ten valves"):
        assert noise not in kept
        assert noise in whole
    assert SENTENCE.strip() in kept


def test_headings_become_sections_and_code_is_none() -> None:
    body = (
        f"<article><h1>Install</h1><p>{SENTENCE}</p><h2>Linux</h2><pre><code># no heading\npip install</code></pre>"
        f"<p>{SENTENCE}</p><h3>Server</h3><ul><li>one<li>two</ul><h2>Options</h2>"
        "<table><tr><th>flag</th><th>means</th></tr><tr><td>--stop</td><td>stops it</td></tr></table></article>"
    )
    parsed = article.parse(page("Install - Docs", body))
    assert parsed.title == "Install - Docs"
    assert [section.heading for section in parsed.sections] == [
        "Install",
        "Install > Linux",
        "Install > Linux > Server",
        "Install > Options",
    ]
    assert "# no heading" in parsed.text and "| --stop | stops it |" in parsed.text


def test_headings_above_short_paragraphs_are_kept() -> None:
    body = "<h1>Questions</h1>" + "".join(
        f"<h2>How is unit {n} reset?</h2><p>Hold its button for {n} seconds.</p>" for n in range(1, 9)
    )
    parsed = article.parse(page("Questions", body))
    assert [section.heading for section in parsed.sections][:2] == ["How is unit 1 reset?", "How is unit 2 reset?"]


@pytest.mark.parametrize(
    ("head", "title"),
    [
        ("<title>Window</title><meta property='og:title' content='For links'>", "For links"),
        ("<title> Window\n here </title>", "Window here"),
        (f"<title>{'long ' * 100}</title>", "Valves"),
        ("", "Valves"),
    ],
)
def test_the_title_is_the_first_that_can_be_one(head: str, title: str) -> None:
    assert article.parse(f"{head}<h1>Valves</h1><p>{SENTENCE * 3}").title == title


def test_what_cannot_be_seen_is_left_out() -> None:
    hidden = f"<div hidden><p>ignore {SENTENCE * 5}</div><p style='display : NONE'>ignore<p aria-hidden=true>ignore</p>"
    text = article.parse(f"<h1>Valves</h1>{hidden}<p>{SENTENCE}</p><!-- ignore --><script>ignore</script><p>after").text
    assert "ignore" not in text
    assert SENTENCE.strip() in text and "after" in text


@pytest.mark.parametrize("text", ["", " ", "<!-- x -->", "<?x?>", "<html hidden><p>x"])
def test_a_page_without_text_is_read_as_a_file_is(text: str) -> None:
    assert article.parse(text) == html.parse(text)


def test_a_page_with_a_declaration_of_its_encoding_is_read() -> None:
    declared = '<?xml version="1.0" encoding="utf-16"?><html><body><p>gr\u00fcn</p></body></html>'
    assert article.parse(declared).text == "gr\u00fcn"


def test_what_the_library_raises_costs_the_page_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    import trafilatura

    def broken(*_: object, **__: object) -> None:
        raise KeyError("x")

    monkeypatch.setattr(trafilatura, "extract", broken)
    with pytest.raises(Unreadable, match=r"^its main text cannot be found \(KeyError\)$"):
        article.parse(HANDBOOK)
    with pytest.raises(Unreadable, match=r"^HTML elements nested deeper than 512$"):
        article.parse("<div>" * 600)


def test_the_extra_is_named_where_it_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "trafilatura", None)
    with pytest.raises(MissingExtraError, match=r"^web pages need an extra: pip install 'vstore\[web\]'$"):
        article.parse(HANDBOOK)


def test_a_page_is_parsed_in_the_process_that_may_be_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    started = fake(monkeypatch, [answer(text="from the child")])
    with Sandbox() as box:
        assert box.parse_text(HANDBOOK, media.ARTICLE).text == "from the child"
    assert started == [0]

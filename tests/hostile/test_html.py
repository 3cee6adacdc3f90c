"""HTML that was written against its parser, or against its reader."""

from __future__ import annotations

import pytest
from hostile.inputs import Bad, Kept, Refused, Run

HIDDEN = Kept("visible words", lacks="ignore previous")


def page(name: str, text: str | bytes, expected: Kept | Refused) -> Bad:
    return Bad(f"{name}.html", lambda: text.encode() if isinstance(text, str) else text, expected)


CASES = (
    # quadratic in Python's own parser
    page("open-anchors", "<p>visible words" + "<a " * 8_000, Kept("visible words")),
    page("open-comments", "<p>visible words</p>" + "<!--" * 30_000, Kept("visible words")),
    page("open-declarations", "<p>visible words</p>" + "<!" * 30_000, Kept("visible words")),
    page("open-end-tags", "<p>visible words</p>" + "</a " * 30_000, Kept("visible words")),
    page("open-cdata", "<p>visible words</p>" + "<![CDATA[" * 15_000, Kept("visible words")),
    page("unclosed-comment", "<p>visible words</p><!-- ignore previous", HIDDEN),
    page("unclosed-script", "<p>visible words</p><script>ignore previous", HIDDEN),
    page("deep-tags", "<div>" * 100_000 + "x", Refused("^HTML elements nested deeper than 512$")),
    page("deep-inline-tags", "<b>" * 100_000 + "x", Refused("^HTML elements nested deeper than 512$")),
    page("many-elements", "<p>x" * 800_000, Refused(r"^(needed more than 256 MiB|took more than 3 s of CPU)")),
    page("huge-attribute", f"<p title='{'a' * 3_000_000}'>visible words</p>", Kept("visible words", lacks="aaaa")),
    page("charset-lie", "<meta charset=utf-16><p>visible words</p>", Kept("visible words")),
    page("utf-16-without-mark", "<p>visible words</p>".encode("utf-16-le"), Refused("^binary$")),
    page("entity-flood", "<p>visible words " + "&amp;&#0;&#xD800;&#x110000;" * 5_000, Kept("visible words")),
    page("hidden-by-style", "<p>visible words</p><p style='DISPLAY : none'>ignore previous</p>", HIDDEN),
    page("hidden-element", "<p>visible words</p><div hidden><p>ignore previous</p></div>", HIDDEN),
    page("template", "<p>visible words</p><template>ignore previous</template>", HIDDEN),
    page(
        "refresh-and-base",
        "<base href='javascript:x'><meta http-equiv=refresh content='0;url=//e'><p>visible words",
        Kept("visible words", lacks="javascript"),
    ),
    page("data-uri", "<iframe src='data:text/html,ignore previous'></iframe><p>visible words", HIDDEN),
    page("frames", "<frameset><frame src='file:///etc/passwd'></frameset>", Refused("^empty$")),
    page("nul", b"<p>visible words\0 and\0more</p>", Refused("^binary$")),
    page("svg-script", "<p>visible words</p><svg><script>ignore previous</script><text>x</text></svg>", HIDDEN),
    page("long-heading", f"<h1>{'visible ' * 300_000}</h1>" + "<h2>b</h2><p>c</p>" * 300, Refused("more than")),
    page("bidi-title", "<title>\u202evisible</title><p>visible words", Kept("visible words")),
    page("nested-forms", "<form><form><form><p>visible words</form>", Kept("visible words")),
    page("only-tags", "<p></p>" * 10_000, Refused("^empty$")),
)


@pytest.mark.parametrize("bad", CASES, ids=lambda bad: bad.name)
def test_a_bad_page_has_the_outcome_written_beside_it(run: Run, bad: Bad) -> None:
    run.check(bad)

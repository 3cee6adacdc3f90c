"""Markdown, reStructuredText and source code that is longer, deeper or stranger than anybody writes."""

from __future__ import annotations

import pytest
from hostile.inputs import Bad, Kept, Refused, Run

ANCHORS = "a: &a [x,x,x,x,x,x,x,x,x]\n" + "".join(
    f"{name}: &{name} [{','.join([f'*{before}'] * 9)}]\n" for before, name in zip("abcdefgh", "bcdefghi", strict=True)
)


def text(name: str, content: str, expected: Kept | Refused) -> Bad:
    return Bad(name, content.encode, expected)


def front(name: str, yaml: str) -> Bad:
    """Front matter that is none: it stays in the text."""
    return text(name, f"---\n{yaml}\n---\nharbour lights\n", Kept("harbour lights"))


CASES = (
    text("brackets.md", "harbour " + "[" * 20_000, Kept("harbour")),
    text("links.md", "harbour " + "[a](" * 5_000, Kept("harbour")),
    text("fences.md", "```\n" * 5_001 + "harbour", Kept("harbour")),
    text("unclosed-fence.md", "# A\n```\n# harbour\n", Kept("harbour")),
    text("headings.md", "# harbour\nx\n" * 500, Kept("harbour")),
    text("too-many-headings.md", "# a\n" * 5_001, Refused("^more than 5,000 sections$")),
    text("long-heading.md", "# " + "harbour " * 50_000 + "\n" + "## b\nc\n" * 60, Refused("^more than 20,000,000 ch")),
    text("table.md", "|" + "harbour|" * 2_000 + "\n|" + "-|" * 2_000, Kept("harbour")),
    text("long-line.md", "harbour " + "x" * 50_000, Kept("harbour")),
    text("quotes.md", ">" * 10_000 + " harbour", Kept("harbour")),
    front("anchors.md", ANCHORS),
    front("merge-keys.md", "a: &a {x: 1}\nb: {<<: *a}"),
    front("bool-tag.md", "a: !!bool perhaps"),
    front("timestamp-tag.md", "a: !!timestamp tomorrow"),
    front("int-tag.md", "a: !!int ''"),
    front("python-tag.md", "a: !!python/object/apply:os.system ['true']"),
    front("deep.md", "a: " + "[" * 5_000),
    front("bad-date.md", "a: 2024-02-31"),
    front("unhashable-key.md", "? [a]\n: b"),
    text("hexadecimal.md", f"---\na: 0x{'f' * 5_000}\n---\nharbour lights", Kept("harbour lights", lacks="---")),
    text("sexagesimal.md", f"---\na: {'1:' * 3_000}1\n---\nharbour lights", Kept("harbour lights")),
    text("infinity.md", "---\na: .inf\nb: .nan\n---\nharbour lights", Kept("harbour lights", lacks=".inf")),
    text("underlines.rst", "harbour\n" + "=" * 30_000 + "\n" + "=\n" * 2_000, Kept("harbour", word="harbour")),
    text("newlines.rst", "harbour" + "\n" * 100_000, Kept("harbour")),
    text("definitions.py", "def harbour(): pass\n" * 300, Kept("harbour")),
    text("too-many-definitions.py", "def a\n" * 5_001, Refused("^more than 5,000 sections$")),
    text("one-line.js", "var harbour=" + "(function(){" * 3_000, Kept("harbour")),
    text("spaces.java", "harbour" + " " * 30_000 + "class", Kept("harbour")),
    text("colons.hs", "harbour " + "::" * 10_000, Kept("harbour")),
)


@pytest.mark.parametrize("bad", CASES, ids=lambda bad: bad.name)
def test_a_bad_text_has_the_outcome_written_beside_it(run: Run, bad: Bad) -> None:
    run.check(bad)

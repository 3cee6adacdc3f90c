"""Markdown: which lines are headings, what their sections hold, what front matter becomes."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from vstore.ingest import markdown
from vstore.ingest.parsed import Parsed


def outline(parsed: Parsed) -> list[tuple[str, str]]:
    return [(section.heading, parsed.text[section.start : section.end].strip()) for section in parsed.sections]


def test_sections_carry_the_path_of_their_headings_without_the_title() -> None:
    parsed = markdown.parse("# Guide\nintro\n## Install\npip\n### Linux\napt\n## Use\nrun\n# Other\nmore\n")
    assert parsed.title == "Guide"
    assert outline(parsed) == [
        ("", "intro"),
        ("Install", "pip"),
        ("Install > Linux", "apt"),
        ("Use", "run"),
        ("Other", "more"),
    ]


def test_text_before_the_first_heading_is_a_section() -> None:
    assert outline(markdown.parse("hello\n\n## A\nb")) == [("", "hello"), ("A", "b")]


def test_a_heading_without_body_is_a_section_only_if_no_sub_heading_carries_its_words() -> None:
    parsed = markdown.parse("# T\n## Parent\n### Child\ntext\n### Empty\n## Last")
    assert outline(parsed) == [("Parent > Child", "text"), ("Parent", "### Empty"), ("", "## Last")]


def test_no_headings_no_sections() -> None:
    assert markdown.parse("just\n\ntext") == Parsed("just\n\ntext")


def test_fenced_code_has_no_headings() -> None:
    text = "# T\n```sh\n# comment\n~~~\n## also\n```\n## Real\nx\n~~~~\n# no\n~~~\n# no\n~~~~\n## Two\ny"
    assert [heading for heading, _ in outline(markdown.parse(text))] == ["", "Real", "Two"]


def test_a_fence_that_never_closes_lasts_to_the_end() -> None:
    assert outline(markdown.parse("# T\n```\n# no")) == [("", "```\n# no")]


def test_what_only_looks_like_a_heading() -> None:
    for line in ("#hashtag", "    # indented code", "####### seven", "> # quoted", "- # in a list", "# "):
        assert markdown.parse(f"{line}\ntext").sections == (), line


def test_closing_hashes_are_not_part_of_a_heading() -> None:
    assert outline(markdown.parse("## C#\na\n## Two ##\nb\n## A  \t b # \nc")) == [
        ("C#", "a"),
        ("Two", "b"),
        ("A b", "c"),
    ]


def test_underlined_headings() -> None:
    parsed = markdown.parse("Title\n=====\nintro\n\nPart\n---\nbody\n")
    assert parsed.title == "Title"
    assert outline(parsed) == [("", "intro"), ("Part", "body")]


def test_a_rule_below_a_paragraph_or_a_list_makes_no_heading() -> None:
    assert markdown.parse("one\ntwo\n---\nthree").sections == ()
    assert markdown.parse("- item\nlazy\n---\nthree").sections == ()


def test_front_matter_becomes_title_tags_and_metadata() -> None:
    text = "---\ntitle: Note\ntags: [a, b]\ndate: 2024-05-06\nn: {x: [1, 2.5, null]}\n---\n\n# Head\nbody\n"
    parsed = markdown.parse(text)
    assert parsed.title == "Note"
    assert parsed.tags == ("a", "b")
    assert parsed.metadata == {"date": "2024-05-06", "n": {"x": [1, 2.5, None]}}
    assert parsed.text == "# Head\nbody\n"
    assert outline(parsed) == [("Head", "body")]


def test_a_given_title_comes_before_all_and_keeps_the_first_heading_in_the_path() -> None:
    parsed = markdown.parse("# Head\nbody", "Given")
    assert parsed.title == "Given"
    assert outline(parsed) == [("Head", "body")]


def test_what_is_not_front_matter_stays_in_the_text() -> None:
    bomb = "---\na: &a [x, x]\nb: &b [*a, *a]\nc: [*b, *b]\n---\ntext"
    for text in (
        "---\n- a list\n---\nx",
        "---\na: [1\n---\nx",
        "---\nday: 2024-02-31\n---\nx",
        "---\nnever closed: 1\n",
        "---\n" + "a: 1\n" * 5_000 + "---\nx",
        "---\n" + "[" * 10_000 + "\n---\nx",
        "---\na: !!python/object/apply:os.getcwd []\n---\nx",
        bomb,
    ):
        parsed = markdown.parse(text)
        assert (parsed.text, parsed.metadata) == (text, {}), text[:40]


pieces = st.sampled_from(
    ["# A\n", "## B\n", "### C\n", "text\n", "\n", "```\n", "Under\n", "---\n", "===\n", "- x\n", "é的🙂\n"]
)


@given(st.lists(pieces, max_size=30).map("".join))
def test_sections_are_in_order_apart_and_lose_no_word(text: str) -> None:
    parsed = markdown.parse(text)
    position = 0
    for section in parsed.sections:
        assert position <= section.start < section.end <= len(parsed.text)
        position = section.end
    if parsed.sections:
        held = " ".join([parsed.title, *(heading + " " + body for heading, body in outline(parsed))])
        for word in ("A", "B", "C", "text", "Under", "é的🙂"):
            assert (word in parsed.text) == (word in held)

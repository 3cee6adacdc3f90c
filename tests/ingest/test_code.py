"""Source code is cut where a definition begins, and a chunk knows which one it belongs to."""

from __future__ import annotations

import time

import pytest

from vstore.ingest import code

PYTHON = '''"""Module."""
import os

LIMIT = 3

# about retry
@decorator
def retry(call):
    def inner():
        pass
    return inner

class Client:
    def get(self): ...

async def main() -> None:
    pass
'''


def outline(text: str, language: str) -> list[tuple[str, str]]:
    parsed = code.parse(text, language)
    return [(section.heading, parsed.text[section.start : section.end]) for section in parsed.sections]


def test_python_definitions_with_the_comments_and_decorators_above() -> None:
    sections = outline(PYTHON, "python")
    assert [heading for heading, _ in sections] == ["", "def retry(call)", "class Client", "async def main() -> None"]
    assert sections[1][1].startswith("# about retry\n@decorator\ndef retry")
    assert "".join(text for _, text in sections) == PYTHON


@pytest.mark.parametrize(
    ("language", "text", "headings"),
    [
        (
            "javascript",
            "export async function go(a) {\n}\nconst f = async (x) => {\n}\nlet n = 1\n",
            ["export async function go(a)", "const f = async (x)"],
        ),
        ("typescript", "export interface A {\n}\ntype B<T> = T[]\n", ["export interface A", "type B<T> = T[]"]),
        (
            "go",
            "package x\nfunc (s *S) Run() error {\n}\ntype S struct {\n}\n",
            ["", "func (s *S) Run() error", "type S struct"],
        ),
        (
            "rust",
            "use a;\n#[test]\npub(crate) async fn f() {\n}\nimpl<T> X for Y {\n}\n",
            ["", "pub(crate) async fn f()", "impl<T> X for Y"],
        ),
        (
            "java",
            "import x;\npublic final class A {\n  class B {}\n}\nenum C { D }\n",
            ["", "public final class A", "enum C { D }"],
        ),
        (
            "c",
            "#include <x.h>\n\nint add(int a);\nstatic int add(int a)\n{\n  return f(a);\n}\n",
            ["", "static int add(int a)"],
        ),
        ("ruby", "module A\nend\ndef b\nend\n", ["module A", "def b"]),
        ("shell", "set -e\nbuild() {\n}\nfunction test {\n}\n", ["", "build()", "function test"]),
        (
            "sql",
            "CREATE TABLE a (x);\nINSERT INTO a VALUES (1);\ncreate index i on a(x);\n",
            ["CREATE TABLE a (x);", "create index i on a(x);"],
        ),
        ("ini", "[a]\nx = 1\n[b]\ny = 2\n", ["[a]", "[b]"]),
        ("makefile", "CC := gcc\nall: a b\n\tgcc\n", ["", "all: a b"]),
    ],
)
def test_definitions_of_other_languages(language: str, text: str, headings: list[str]) -> None:
    sections = outline(text, language)
    assert [heading for heading, _ in sections] == headings
    assert "".join(part for _, part in sections) == text


def test_a_language_without_rules_has_no_sections() -> None:
    assert code.parse("a: 1\n", "yaml").sections == ()


@pytest.mark.parametrize(
    "piece", ["a", " ", "a ", "class", "const a", "pub(", "(", "=", "* ", "\n", "@a\n", "f:", "export "]
)
def test_every_expression_is_linear_on_hostile_lines(piece: str) -> None:
    """100 KB of a piece, in every language; all of them together."""
    text = piece * (100_000 // len(piece))
    begun = time.process_time()
    for language in code.DEFINITIONS:
        code.parse(text, language)
    assert time.process_time() - begun < 5

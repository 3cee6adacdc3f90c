"""How many bad inputs there are, in how many categories."""

from __future__ import annotations

from hostile import (
    test_arguments,
    test_command_line,
    test_data,
    test_html,
    test_injection,
    test_markdown_and_code,
    test_models,
    test_office,
    test_paths,
    test_pdf,
    test_queries,
    test_secrets,
    test_texts,
    test_vectors,
    test_web,
)

# the least that each category has
LEAST = {
    "queries": (test_queries.CASES, 60),
    "texts": (test_texts.CASES, 50),
    "html": (test_html.CASES, 20),
    "markdown and code": (test_markdown_and_code.CASES, 15),
    "office": (test_office.CASES, 24),
    "pdf": (test_pdf.CASES, 14),
    "data": (test_data.CASES, 10),
    "paths": (test_paths.CASES + test_paths.CHANGES, 34),
    "vectors": (test_vectors.CASES + test_vectors.OF_DOCUMENTS, 24),
    "arguments": (test_arguments.CASES, 28),
    "injection": (test_injection.CASES, 16),
    "models": (test_models.CASES, 14),
    "secrets": (test_secrets.REPORTED + test_secrets.ORDINARY, 16),
    "calls": (test_command_line.CALLS, 50),
    "feedback": (test_command_line.ROWS, 20),
    "web": (test_web.CASES + test_web.SLOW, 36),
    "files of queries": (test_command_line.FILES, 10),
}


def test_every_category_has_its_share_and_no_case_is_there_twice() -> None:
    for name, (cases, least) in LEAST.items():
        assert len(cases) >= least, name
        names = [getattr(case, "name", None) or str(case) for case in cases]
        assert len(set(names)) == len(names), name


def test_there_are_400_bad_inputs() -> None:
    assert sum(len(cases) for cases, _ in LEAST.values()) >= 400

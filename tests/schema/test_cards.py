from __future__ import annotations

import time

import pytest

from bucketry.schema.documents.cards import card_sections, section_name


def written(text: str) -> dict[str, bool]:
    return {section.title: section.is_written for section in card_sections(text)}


def test_sections_are_found_with_their_levels() -> None:
    found = card_sections("# Model\n\nHello\n\n## Intended use ##\nx\n\nLimitations\n-----------\ny\n\nTitle\n===\nz\n")
    assert [(one.title, one.level) for one in found] == [
        ("Model", 1),
        ("Intended use", 2),
        ("Limitations", 2),
        ("Title", 1),
    ]
    assert all(one.is_written for one in found)


@pytest.mark.parametrize(
    "body",
    [
        "",
        "\n\n",
        "[More Information Needed]",
        "TODO",
        "**TBD**",
        "<!-- write this -->",
        "---",
        "> \n> ",
        "...",
        "```\n```",
    ],
)
def test_a_section_that_nobody_wrote_is_empty(body: str) -> None:
    assert written(f"## Limitations\n{body}\n## Next\nx\n") == {"Limitations": False, "Next": True}


def test_text_under_a_subheading_belongs_to_the_section_above() -> None:
    assert written("## Use\n### Direct\nyes\n## Other\n") == {"Use": True, "Direct": True, "Other": False}
    assert written("## Use\n# Next\nyes\n") == {"Use": False, "Next": True}


def test_what_only_looks_like_a_heading_is_none() -> None:
    text = (
        "---\n# yaml comment\ntitle: x\n---\n```\n# code\n```\n~~~~\n# more\n```\n# still\n~~~~\n<!--\n# hidden\n-->\n"
    )
    assert written(text + "#not\n    # indented\n# Real\nx") == {"Real": True}


def test_a_comment_that_is_never_closed_hides_the_rest() -> None:
    assert written("# A\nx\n<!-- \n# B\ny\n") == {"A": True}


@pytest.mark.parametrize("start", ["", "\ufeff", "\n\n", " \n"])
@pytest.mark.parametrize("end", ["---", "...", "--- "])
def test_front_matter_begins_and_ends_as_on_the_hub(start: str, end: str) -> None:
    assert written(f"{start}---\ntitle: x\n# yaml comment\n{end}\n# Real\nx") == {"Real": True}


def test_front_matter_that_is_never_closed_is_text() -> None:
    assert written("---\n# A\nx\n") == {"A": True}


def test_headings_are_compared_without_case_marks_and_ends() -> None:
    assert section_name("**Intended  Use**:") == section_name("intended use")
    assert section_name("Limits") != section_name("Limitations")


@pytest.mark.parametrize(
    ("line", "title"), [("## A ##", "A"), ("# C#", "C#"), ("#", ""), ("# ##", ""), ("   ### x  ", "x")]
)
def test_a_heading_may_be_closed(line: str, title: str) -> None:
    assert [section.title for section in card_sections(line)] == [title]


def test_a_line_of_blanks_costs_little() -> None:
    began = time.process_time()
    card_sections("# " + " " * 1_000_000 + "x")
    assert time.process_time() - began < 5


@pytest.mark.parametrize("unit", ["<!--", "#", "# a\n", "```", "- ", "a\n=\n", "\n", "---\n"])
def test_a_hostile_card_costs_little(unit: str) -> None:
    text = unit * (1024 * 1024 // len(unit))
    began = time.process_time()
    card_sections(text)
    assert time.process_time() - began < 20

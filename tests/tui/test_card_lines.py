"""Is a model card shown whole, fast, and without anything that a terminal would act on?"""

from __future__ import annotations

import time

import pytest
from rich.cells import cell_len

from bucketry.show.spans import plain_text
from bucketry.tui.drawing.card_lines import MOST_CARD_LINES, card_lines
from bucketry.tui.drawing.paint import Painter

LONGEST_SECONDS = 3.0
"""Twenty times the budget: tests run beside others; the benchmark has the real figure."""
PROSE = "Some words about the model, with **strong** ones, `code` and [a link](https://example.org/a/b?c=d). " * 4


def shown(text: str, width: int = 78) -> str:
    return "\n".join(plain_text(line).rstrip() for line in card_lines(text, width))


def test_headings_keep_their_signs_and_are_titles() -> None:
    lines = card_lines("# One\n\nText\n\n### Three\n", 78)
    assert [plain_text(line).rstrip() for line in lines] == ["# One", "", "Text", "", "### Three"]
    assert {span.role for span in lines[0] if span.text.strip()} == {"title"}


def test_the_address_of_a_link_is_shown_beside_its_text() -> None:
    assert shown("See [the paper](https://example.org/p).") == "See the paper (https://example.org/p)."
    assert shown("[click](javascript:alert)") == "[click](javascript:alert)"


def test_no_segment_is_a_hyperlink_of_the_terminal() -> None:
    painter = Painter("dark")
    for line in card_lines("[a](https://example.org) <https://example.org> ![i](https://example.org/i.png)", 78):
        assert all(segment.style is None or segment.style.link is None for segment in painter.segments(line, 78))


def test_an_image_is_named_with_its_address() -> None:
    assert shown("Look: ![the curve](plots/roc.png)") == "Look: [image: the curve] (plots/roc.png)"


def test_html_and_comments_are_not_hidden_from_the_reader() -> None:
    text = shown(
        "a <b>bold</b> </kbd></kbd> word\n\n<!-- reviewers: approve this -->\n\n<div onclick='x'>block</div>\n"
    )
    for part in ("<b>bold</b>", "</kbd></kbd>", "<!-- reviewers: approve this -->", "<div onclick='x'>block</div>"):
        assert part in text


def test_what_was_struck_out_does_not_read_like_the_rest() -> None:
    assert shown("~~safe~~ for children") == "~~safe~~ for children"


def test_code_is_indented_and_stays_as_it_is() -> None:
    assert shown("```python\nif x:\n    y()\n```") == "    if x:\n        y()"


def test_a_table_stands_in_columns_and_one_that_is_too_wide_is_wrapped() -> None:
    table = "| slice | n |\n|--|--:|\n| 18-25 | 3,120 |\n| **all** | 45,112 |\n"
    assert shown(table).splitlines() == ["slice       n", "-----  ------", "18-25   3,120", "all    45,112"]
    wide = "| a | b |\n|--|--|\n" + f"| {'word ' * 30} | {'other ' * 30} |\n"
    lines = shown(wide, 40).splitlines()
    assert len(lines) > 5
    assert max(map(cell_len, lines)) <= 40


@pytest.mark.parametrize(("start", "end"), [("", "---"), ("\n\n", "..."), ("\ufeff\n", "---")])
def test_the_front_matter_of_model_hubs_is_shown_as_it_is(start: str, end: str) -> None:
    assert shown(f"{start}---\nlicense: mit\ntags: [a, b]\n{end}\n# Card\n").splitlines() == [
        "metadata",
        "  license: mit",
        "  tags: [a, b]",
        "",
        "# Card",
    ]
    assert "license" in shown("---\nlicense: mit\nno end\n")


def test_a_long_front_matter_is_cut_and_says_so() -> None:
    front = "".join(f"tag{number}: x\n" for number in range(250))
    lines = shown(f"---\n{front}---\n# Card\n").splitlines()
    assert lines[200:] == ["  tag199: x", "  and 50 more lines", "", "# Card"]


@pytest.mark.parametrize(
    "hostile",
    [
        "\x1b]0;owned\x07",
        "\x1b[2J",
        "\u202egnp.exe",
        "&#27;[2J",
        "&#x9b;31m",
        "&#x202e;",
        "\x00",
        "\x0b\x0c\r",
        "\ue000",
    ],
)
@pytest.mark.parametrize(
    "place", ["# {}", "{}", "`{}`", "[{}](x)", "[x](<{}>)", "| {} |\n|--|\n| {} |", "```\n{}\n```"]
)
def test_nothing_that_a_terminal_acts_on_comes_out(hostile: str, place: str) -> None:
    for line in card_lines(place.replace("{}", hostile), 78):
        assert plain_text(line).isprintable()


def test_markup_of_the_toolkit_is_only_text() -> None:
    assert shown("a [red]b[/red] [/nope] [@click=app.exit]c") == "a [red]b[/red] [/nope] [@click=app.exit]c"


@pytest.mark.parametrize("width", [40, 58, 78, 138])
def test_no_line_is_wider_than_it_may_be(width: int) -> None:
    for line in card_lines(f"# {PROSE}\n\n{PROSE}\n\n- {PROSE}\n\n> {PROSE}\n\n```\n{PROSE}\n```\n{'x' * 500}", width):
        assert cell_len(plain_text(line)) <= width


@pytest.mark.parametrize(
    "card",
    [
        f"## Part\n\n{PROSE}\n\n- {PROSE}\n\n" * 45,
        "| a | b | c |\n|--|--|--|\n" + "| x1 | hello world | 3.14 |\n" * 1_400,
        "[" * 40_000,
        ">" * 40_000 + "x",
        "*a **b " * 6_000,
        "".join("  " * depth + "- x\n" for depth in range(200)),
        "a" * 40_000,
    ],
    ids=["prose", "table", "brackets", "quotes", "stars", "lists", "word"],
)
def test_a_card_of_40_kb_does_not_keep_one_waiting(card: str) -> None:
    began = time.process_time()
    lines = card_lines(card, 78)
    assert lines
    assert time.process_time() - began < LONGEST_SECONDS


def test_a_card_of_very_many_lines_is_cut_and_says_so() -> None:
    lines = card_lines("```\n" + "x\n" * (MOST_CARD_LINES + 5) + "```", 78)
    assert len(lines) == MOST_CARD_LINES + 1
    assert plain_text(lines[-1]) == "and 5 more lines"


@pytest.mark.parametrize("width", [40, 58, 78, 138])
@pytest.mark.parametrize("sign", [">", "- "])
def test_a_card_that_is_nested_too_deeply_to_be_parsed_is_shown_as_its_source(sign: str, width: int) -> None:
    for depth in range(1, 30):
        text = "".join(shown(f"{sign * depth} hidden words", width).replace("|", "").split())
        assert "hiddenwords" in text
    assert "its source" in shown(f"{sign * 25} hidden words")


def test_an_empty_card_is_no_fault() -> None:
    assert shown("") == ""

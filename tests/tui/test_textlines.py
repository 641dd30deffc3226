"""Do texts and tables keep to their width?"""

from __future__ import annotations

import pytest
from rich.cells import cell_len

from bucketry.tui.drawing.paint import Span, plain_text
from bucketry.tui.drawing.text_lines import MOST_WRAPPED_LINES, TextColumn, table_lines, wrapped

HEADINGS = (TextColumn("NAME", 4, 40), TextColumn("SIZE", 4, 8, right=True), TextColumn("KIND", 4, 20, rank=1))


def rows(*cells: tuple[str, str, str]) -> list[tuple[Span, ...]]:
    return [tuple(map(Span, row)) for row in cells]


def test_columns_are_as_wide_as_what_is_in_them() -> None:
    lines = table_lines(HEADINGS, rows(("a", "1 B", "text"), ("bcdefg", "10 kB", "-")), 80)
    assert [plain_text(line) for line in lines] == ["NAME    SIZE KIND", "a        1 B text", "bcdefg 10 kB -   "]


def test_the_last_rank_goes_where_there_is_no_room_and_long_cells_are_cut() -> None:
    lines = table_lines(HEADINGS, rows(("a" * 50, "1 B", "text")), 12)
    assert [plain_text(line) for line in lines] == ["NAME    SIZE", "aaaaaa~  1 B"]


def test_foreign_text_is_measured_as_it_is_shown() -> None:
    lines = table_lines(HEADINGS, rows(("a\x1b[2J", "1 B", "x"), ("b", "2 B", "y")), 80)
    assert len({cell_len(plain_text(line)) for line in lines}) == 1
    assert "a\\x1b[2J" in plain_text(lines[1])


@pytest.mark.parametrize("width", [12, 20, 33, 80])
def test_wrapped_lines_keep_to_the_width_and_lose_no_word(width: int) -> None:
    text = "some words and\n\na-very-long-one-that-is-wider-than-any-line-here \u4e2d\u6587\u5b57 end"
    lines = [plain_text(line) for line in wrapped(text, width, indent=4)]
    assert all(cell_len(line) <= width and line.startswith("    ") for line in lines)
    assert "".join("".join(lines).split()) == "".join(text.split())


def test_a_text_of_very_many_lines_is_cut_and_says_so() -> None:
    lines = wrapped("x\n" * (MOST_WRAPPED_LINES + 9) + "x", 40)
    assert plain_text(lines[-1]) == "and 10 more lines"
    assert len(lines) == MOST_WRAPPED_LINES + 1

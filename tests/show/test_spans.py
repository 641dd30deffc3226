"""Do texts keep to their width, and is that the width that a terminal will use?"""

from __future__ import annotations

import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from bucketry.schema.text import displayable
from bucketry.show.spans import (
    MOST_WRAPPED_LINES,
    Span,
    TextPage,
    beside,
    cut,
    cut_left,
    fit_line,
    flowing,
    line,
    pad,
    plain_text,
    text_width,
    wrapped,
)

NARROW_EMOJI = ("\u2764", "\u260e", "1", "#", "\u00a9")


def test_every_character_that_is_shown_is_as_wide_as_the_toolkit_draws_it() -> None:
    shown = (each for each in map(chr, range(0x20, sys.maxunicode + 1)) if displayable(each) == each)
    assert [ascii(each) for each in shown if text_width(each) != cell_len(each)] == []


@pytest.mark.parametrize("text", ["e\u0301", "\U0001f44d\U0001f3fd", *(f"{each}\ufe0f" for each in NARROW_EMOJI)])
def test_characters_that_change_others_are_measured_with_them(text: str) -> None:
    assert text_width(text) == cell_len(text)


@given(st.text(), st.integers(1, 30))
def test_a_cut_text_takes_exactly_its_width(foreign: str, width: int) -> None:
    text = displayable(foreign)
    shorter = cut(text, width)
    assert text_width(shorter) == min(width, text_width(text))
    assert text_width(pad(shorter, width)) == width
    assert text_width(cut_left(text, width)) <= width


def test_a_path_that_is_too_long_keeps_its_end() -> None:
    assert cut_left("/data/models/chat", 10) == "~dels/chat"
    assert cut_left("/chat", 10) == "/chat"


@pytest.mark.parametrize("width", [12, 20, 33, 80])
def test_wrapped_lines_keep_to_the_width_and_lose_no_word(width: int) -> None:
    text = "some words and\n\na-very-long-one-that-is-wider-than-any-line-here \u4e2d\u6587\u5b57 end"
    lines = [plain_text(each) for each in wrapped(text, width, indent=4)]
    assert all(text_width(each) <= width and each.startswith("    ") for each in lines)
    assert "".join("".join(lines).split()) == "".join(text.split())


def test_a_text_of_very_many_lines_is_cut_and_says_so() -> None:
    lines = wrapped("x\n" * (MOST_WRAPPED_LINES + 9) + "x", 40)
    assert plain_text(lines[-1]) == "and 10 more lines"
    assert len(lines) == MOST_WRAPPED_LINES + 1


def test_without_a_width_nothing_is_broken() -> None:
    assert [plain_text(each) for each in wrapped("one " * 99 + "\ntwo", None)] == ["one " * 99, "two"]
    assert len(flowing([Span("x" * 50)] * 9, None)) == 1


def test_pieces_flow_and_none_is_broken() -> None:
    lines = flowing([Span("aaa"), Span("bbb", "bad"), Span("cccccccccccc")], 10)
    assert [plain_text(each) for each in lines] == ["aaa  bbb", " cccccccccccc"]
    assert lines[0][3] == Span("bbb", "bad")


def test_two_texts_stand_side_by_side() -> None:
    shown = beside([line("left, too long")], [line("one"), line("two")], 6, TextPage(ascii_only=True))
    assert [plain_text(each) for each in shown] == ["left,~ | one", "       | two"]


def test_what_a_page_cannot_show_is_escaped() -> None:
    assert TextPage().text("\x1b[2J \u65e5") == "\\x1b[2J \u65e5"
    assert TextPage(ascii_only=True).text("\u65e5\u2026") == "<U+65E5>~"
    assert plain_text(fit_line(line("\x1b"), 6, TextPage())) == "\\x1b  "

"""Does a terminal show the same, whether it is sent everything or only what differs?"""

from __future__ import annotations

import hashlib
import inspect
from itertools import pairwise
from typing import TYPE_CHECKING

import pytest
import textual
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.cells import cell_len
from rich.color import ColorSystem
from rich.console import Console
from rich.segment import Segment
from rich.style import Style
from textual._compositor import ChopsUpdate, LayoutUpdate
from textual.app import App
from textual.geometry import Region
from textual.strip import Strip

from bucketry.tui.drawing.cell_diff import DrawnPiece, KnownCells
from bucketry.tui.drawing.display import can_diff, pieces_of
from examples import of_hundred
from tui.cells import Screen

if TYPE_CHECKING:
    from collections.abc import Sequence

COLUMNS, ROWS = 16, 2
CONSOLE = Console(color_system="truecolor", force_terminal=True, width=COLUMNS, height=ROWS)
PLAIN = Style.null()
STYLES = (
    PLAIN,
    Style(bold=True),
    Style(dim=True),
    Style(underline=True),
    Style(reverse=True, bold=True),
    Style(color="#8ab4f8"),
    Style(color="#8ab4f8", bold=True),
    Style(bgcolor="#2f3b52"),
    Style(color="red", bgcolor="#2f3b52"),
    Style(color="default", bgcolor="default"),
)
SURE = ("a", "b", "0", ".", " ", "  ", "    ", "é", "…", "世", "界")
UNSURE = ("e\u0301", "\u2764\ufe0f", "\U0001f600", "\U0001f469\u200d\U0001f467", "\U0001f1e9\U0001f1ea")
READ_SOURCE = "b025b92c5f8c7ec93851ad7ad2e2f395e67207bb5a1d5e2762d06dc84e99663c"


def strips(pieces: Sequence[str], width: int) -> st.SearchStrategy[Strip]:
    texts = st.lists(st.sampled_from(pieces), min_size=1, max_size=6).map("".join)
    segments = st.lists(st.tuples(texts, st.sampled_from(STYLES)).map(lambda pair: Segment(*pair)), max_size=4)
    return segments.map(lambda made: Strip(made).adjust_cell_length(width))


@st.composite
def layouts(draw: st.DrawFn, pieces: Sequence[str] = SURE) -> LayoutUpdate:
    cut = draw(st.integers(0, COLUMNS))
    widths = [width for width in (cut, COLUMNS - cut) if width]
    lines = [[draw(strips(pieces, width)) for width in widths] for _ in range(ROWS)]
    return LayoutUpdate(list(lines), Region(0, 0, COLUMNS, ROWS))


@st.composite
def chops(draw: st.DrawFn, pieces: Sequence[str] = SURE) -> ChopsUpdate:
    """Draw updates of parts of some lines, as of a widget that was drawn anew."""
    lines, ends, spans = [], [], []
    for y in range(ROWS):
        cuts = [0, *sorted(draw(st.sets(st.integers(1, COLUMNS - 1), max_size=3))), COLUMNS]
        widths = [end - start for start, end in pairwise(cuts)]
        lines.append({start: draw(strips(pieces, width)) for start, width in zip(cuts, widths, strict=False)})
        ends.append(cuts[1:])
        first, last = sorted(draw(st.tuples(st.integers(0, COLUMNS - 1), st.integers(0, COLUMNS))))
        if first < last and draw(st.booleans()):
            spans.append((y, first, last))
    return ChopsUpdate(lines, spans or [(0, 0, COLUMNS)], ends)


UPDATES = st.one_of(layouts(), chops())
ANY_UPDATES = st.one_of(layouts(SURE + UNSURE), chops(SURE + UNSURE))


def shown_by_all(updates: Sequence[LayoutUpdate | ChopsUpdate], screen: Screen) -> Screen:
    for update in updates:
        screen.feed(update.render_segments(CONSOLE))
    return screen


def shown_by_changes(updates: Sequence[LayoutUpdate | ChopsUpdate], screen: Screen) -> Screen:
    shown = KnownCells(COLUMNS, ROWS, ColorSystem.TRUECOLOR)
    for update in updates:
        screen.feed(shown.update(pieces_of(update)))
        assert screen.look == (frozenset(), "", ""), "what is written next must not look like what was written last"
        assert shown.update(pieces_of(update)) == "", "what is shown already is not sent"
    return screen


@given(st.lists(UPDATES, min_size=1, max_size=5))
@settings(max_examples=of_hundred(80))
def test_the_changes_show_the_same_as_everything(updates: list[LayoutUpdate | ChopsUpdate]) -> None:
    whole, changed = Screen(COLUMNS, ROWS), Screen(COLUMNS, ROWS)
    assert shown_by_changes(updates, changed).shown() == shown_by_all(updates, whole).shown()


@given(st.lists(ANY_UPDATES, min_size=1, max_size=4))
@settings(max_examples=of_hundred(80))
def test_emoji_and_combined_characters_show_the_same_too(updates: list[LayoutUpdate | ChopsUpdate]) -> None:
    whole, changed = Screen(COLUMNS, ROWS), Screen(COLUMNS, ROWS)
    assert shown_by_changes(updates, changed).shown() == shown_by_all(updates, whole).shown()


@given(st.lists(ANY_UPDATES, min_size=1, max_size=3), layouts())
@settings(max_examples=of_hundred(80))
def test_a_terminal_with_other_widths_for_emoji_keeps_no_trace_of_them(
    updates: list[LayoutUpdate | ChopsUpdate], last: LayoutUpdate
) -> None:
    right = shown_by_all([last], Screen(COLUMNS, ROWS))
    assert shown_by_changes([*updates, last], Screen(COLUMNS, ROWS, disagrees=True)).shown() == right.shown()


@given(layouts(), layouts())
@settings(max_examples=of_hundred(80))
def test_the_changes_are_never_longer_than_everything(before: LayoutUpdate, after: LayoutUpdate) -> None:
    shown = KnownCells(COLUMNS, ROWS, ColorSystem.TRUECOLOR)
    for update in (before, after):
        assert len(shown.update(pieces_of(update))) <= len(update.render_segments(CONSOLE))


def changes(before: list[Segment], after: list[Segment]) -> str:
    shown = KnownCells(COLUMNS, 1, ColorSystem.TRUECOLOR)
    shown.update([DrawnPiece(0, 0, before)])
    return shown.update([DrawnPiece(0, 0, after)])


def test_one_cell_costs_a_move_and_a_character() -> None:
    assert changes([Segment("0123456789")], [Segment("01234567_9")]) == "\x1b[1;9H_"


def test_a_short_gap_is_written_again_and_a_long_one_is_jumped_over() -> None:
    assert changes([Segment("0123456789abcdef")], [Segment("_123_56789abcde_")]) == "\x1b[1;1H_123_\x1b[1;16H_"


def test_a_style_that_changes_is_a_difference() -> None:
    assert changes([Segment("abc")], [Segment("a"), Segment("b", Style(bold=True)), Segment("c")]) == (
        "\x1b[1;2H\x1b[1mb\x1b[m"
    )


def test_the_colour_of_a_space_is_none() -> None:
    coloured = Segment("   ", Style(color="red", bold=True))
    assert changes([Segment("a   b")], [Segment("a"), coloured, Segment("b")]) == ""


def test_a_wide_character_is_sent_as_a_whole() -> None:
    assert changes([Segment("a世b")], [Segment("a界b")]) == "\x1b[1;2H界"
    assert changes([Segment("a世b")], [Segment("axyb")]) == "\x1b[1;2Hxy"


def test_the_half_that_is_left_of_a_wide_character_is_a_space() -> None:
    shown = KnownCells(COLUMNS, 1, ColorSystem.TRUECOLOR)
    shown.update([DrawnPiece(0, 0, [Segment("a世b世")])])
    assert shown.update([DrawnPiece(2, 0, [Segment("x")]), DrawnPiece(4, 0, [Segment("y")])]) == "\x1b[1;2H xby "


def test_a_line_with_an_emoji_is_sent_as_a_whole_when_anything_on_it_changes() -> None:
    sent = changes([Segment("\U0001f600 0123456 a")], [Segment("\U0001f600 0123456 b")])
    assert sent == "\x1b[1;1H\U0001f600\x1b[1;3H 0123456 b"


def test_what_is_forgotten_is_sent_again() -> None:
    shown = KnownCells(COLUMNS, 1, ColorSystem.TRUECOLOR)
    line = [DrawnPiece(0, 0, [Segment("a" * COLUMNS)])]
    first = shown.update(line)
    shown.forget()
    assert shown.update(line) == first != ""


def test_what_lies_beyond_the_terminal_is_not_sent() -> None:
    shown = KnownCells(4, 1, ColorSystem.TRUECOLOR)
    assert shown.update([DrawnPiece(2, 0, [Segment("abcd")]), DrawnPiece(0, 1, [Segment("below")])]) == "\x1b[1;3Hab"
    assert cell_len("abcd") == 4


@pytest.mark.parametrize("version", ["8.1.9", "8.20.0", "8.3.0", "9.0"])
def test_in_a_version_of_the_toolkit_that_was_not_read_its_own_way_is_taken(version: str) -> None:
    assert can_diff()
    assert not can_diff(version)


def test_a_method_with_other_parameters_is_not_replaced(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(App, "_display", lambda self, screen, renderable, again: None)  # noqa: ARG005 - another shape
    assert not can_diff()


def test_the_methods_of_the_toolkit_are_those_that_were_read() -> None:
    """After an upgrade: read them, mend `display.py`, and only then write the new digest here."""
    read = (App._display, LayoutUpdate.render_segments, ChopsUpdate.render_segments)  # noqa: SLF001 - which is the point
    digest = hashlib.sha256("".join(inspect.getsource(method) for method in read).encode()).hexdigest()
    assert digest == READ_SOURCE, f"Textual {textual.__version__} draws in another way"

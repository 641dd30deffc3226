"""Do the parts of the screens keep their promises: columns, text, keys, settings, figures, freshness?"""

from __future__ import annotations

import asyncio
import math
import time
from typing import TYPE_CHECKING

import pytest
from rich.cells import cell_len
from textual.app import App, ComposeResult

from bucketry.errors import DeniedError, UnavailableError, UsageError
from bucketry.show.spans import Span, line
from bucketry.show.tables import Column, fit_columns, row_line
from bucketry.tui.data.source import Freshness, ListSelection
from bucketry.tui.drawing.paint import Painter
from bucketry.tui.drawing.table import LineTable
from bucketry.tui.drawing.terminal import look_at_terminal
from bucketry.tui.shell.command_log import command_line
from bucketry.tui.shell.commands import Command, find_command, matching_commands
from bucketry.tui.shell.settings import load_settings, parse_settings
from tui.desk import HOSTILE

if TYPE_CHECKING:
    from collections.abc import Hashable, Sequence
    from pathlib import Path

MANY = 100_000


class Numbers:
    """A list of numbers that nobody has in memory."""

    def __init__(self, count: int, first: int = 0) -> None:
        self.count = count
        self.first = first
        self.reads = 0

    def rows(self, offset: int, limit: int) -> Sequence[int]:
        self.reads += 1
        return range(self.first + offset, self.first + min(self.count, offset + limit))

    def position_of(self, key: Hashable) -> int | None:
        return int(str(key)) - self.first if self.first <= int(str(key)) < self.first + self.count else None


COLUMNS: tuple[Column[int], ...] = (
    Column("number", "N", str, 8),
    Column("name", "NAME", lambda n: f"row {n}", 10, 40),
)


class OneTable(App[None]):
    def __init__(self) -> None:
        super().__init__()
        self.table: LineTable[int] = LineTable(COLUMNS, lambda number: number, Painter())

    def compose(self) -> ComposeResult:
        yield self.table


def test_a_table_of_100_000_rows_reads_only_what_is_on_the_screen() -> None:
    async def run() -> None:
        app = OneTable()
        async with app.run_test(size=(60, 20)) as pilot:
            numbers = Numbers(MANY)
            app.table.show(numbers)
            for position in (MANY - 1, 0, 50_000):
                app.table.move_to(position)
                await pilot.pause()
                assert app.table.current == position
            assert numbers.reads < 12

    asyncio.run(run())


def test_the_cursor_follows_its_row_and_stays_near_where_that_row_was() -> None:
    async def run() -> None:
        app = OneTable()
        async with app.run_test(size=(60, 20)):
            app.table.show(Numbers(1000, first=100))
            app.table.move_to(500)
            app.table.show(Numbers(1000, first=90))
            assert app.table.current == 600
            app.table.show(Numbers(20, first=0))
            assert app.table.current == 19
            app.table.show(Numbers(0))
            assert app.table.current is None

    asyncio.run(run())


def test_marks_are_of_rows_and_not_of_places() -> None:
    async def run() -> None:
        app = OneTable()
        async with app.run_test(size=(60, 20)):
            app.table.show(Numbers(10, first=5))
            app.table.toggle_mark()
            app.table.toggle_range()
            app.table.move_by(2)
            assert list(app.table.marks) == [5, 6, 7, 8]
            app.table.show(Numbers(10, first=0))
            assert list(app.table.marks) == [5, 6, 7, 8]
            app.table.toggle_all(100)
            assert not app.table.marks

    asyncio.run(run())


def test_a_range_that_is_being_marked_outlives_other_rows() -> None:
    async def run() -> None:
        app = OneTable()
        async with app.run_test(size=(60, 20)):
            app.table.show(Numbers(10, first=5))
            app.table.toggle_range()
            app.table.show(Numbers(10, first=3))
            assert app.table.range_start == 2
            app.table.move_by(1)
            assert list(app.table.marks) == [5, 6]
            app.table.show(Numbers(10, first=6))
            assert app.table.range_start is None

    asyncio.run(run())


@pytest.mark.parametrize("text", ["plain", "日本語のモデル", "e\u0301" * 9, HOSTILE, "👩‍🔬 model", "x" * 300, ""])
@pytest.mark.parametrize("ascii_only", [False, True])
def test_every_text_takes_exactly_its_width_and_cannot_act(text: str, *, ascii_only: bool) -> None:
    painter = Painter(ascii_only=ascii_only)
    for width in (1, 2, 7, 20):
        drawn = "".join(segment.text for segment in painter.segments(line(Span(text, "good"), text), width))
        assert cell_len(drawn) == width
        assert drawn.isprintable()
        assert drawn.isascii() or not ascii_only
    fitted = fit_columns([Column("a", "A", str, 9), Column("b", "B", str, 3)], 13)
    assert cell_len("".join(span.text for span in row_line(fitted, text, painter.page))) == 13


def test_sorting_again_by_the_same_column_turns_the_order_and_keeps_the_filter() -> None:
    by_size = ListSelection().filtered_by(" auc>0.9 ").sorted_by("size")
    assert by_size == ListSelection("auc>0.9", "size", descending=True)
    assert by_size.sorted_by("size") == ListSelection("auc>0.9", "size", descending=False)
    assert by_size.sorted_by("size").sorted_by("age") == ListSelection("auc>0.9", "age", descending=True)


def test_a_command_is_found_by_its_name_its_short_name_its_beginning_and_its_words() -> None:
    made = [
        Command(name, (), title, print, also=(name[0],)) for name, title in (("models", "Go"), ("mouse", "Turn off"))
    ]
    assert find_command(made, "models") is made[0]
    assert find_command(made, "mod") is made[0]
    assert find_command(made, "mo") is None
    assert find_command(made, "") is None
    assert matching_commands(made, "turn mou") == [made[1]]


@pytest.mark.parametrize(
    ("table", "said"),
    [
        ([], "is not a table"),
        ({"colour": 1}, "colour is not understood"),
        ({"theme": "pink"}, "theme is not one of"),
        ({"time": "mars"}, "time is not one of"),
        ({"mouse": "yes"}, "mouse is neither true nor false"),
        ({"refresh_seconds": True}, "refresh_seconds is not a number"),
        ({"refresh_seconds": 1}, "refresh_seconds is not a number from 5 to 86400"),
        ({"refresh_seconds": math.nan}, "refresh_seconds is not a number"),
        ({"refresh_seconds": math.inf}, "refresh_seconds is not a number"),
        ({"refresh_seconds": 10**400}, "refresh_seconds is not a number"),
    ],
)
def test_wrong_settings_say_what_is_wrong(table: object, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        parse_settings(table, where="tui")


def test_a_settings_file_with_a_number_of_thousands_of_digits_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "config.toml"
    path.write_text(f"[tui]\nrefresh_seconds = {'1' * 5_000}")
    monkeypatch.setenv("BUCKETRY_CONFIG", str(path))
    with pytest.raises(UsageError, match="cannot be read"):
        load_settings()


def test_settings_are_read() -> None:
    settings = parse_settings({"theme": "light", "time": "utc", "keys": {"open": "x"}}, where="tui")
    assert (settings.theme, settings.time, settings.keymap.remapped) == ("light", "utc", {"open": ("x",)})


def test_how_fresh_rows_are_is_said_in_one_word() -> None:
    fresh = Freshness()
    assert fresh.span().text == "LOADING"
    fresh.seen_at = time.monotonic() - 5
    assert fresh.span().text == "LIVE <1m"
    fresh.seen_at = time.monotonic() - 200
    assert fresh.span().text == "STALE 3m"
    fresh.failure = UnavailableError("away")
    assert fresh.span().text == "OFFLINE 3m"
    fresh.failure = DeniedError("no")
    assert fresh.span().text == "ERROR 3m"


def test_a_command_line_can_be_pasted_into_a_shell() -> None:
    assert command_line("edit", "a:1", "--notes", "it's \x1b") == "bucketry edit a:1 --notes 'it'\"'\"'s \\x1b'"
    assert command_line("models", registry="s3://b") == "bucketry -r s3://b models"


@pytest.mark.parametrize(
    ("environment", "theme"),
    [
        ({"TERM": "xterm-256color"}, "dark"),
        ({"TERM": "xterm-256color", "COLORFGBG": "0;15"}, "light"),
        ({"TERM": "linux"}, "terminal"),
        ({"TERM": "xterm", "COLORTERM": "truecolor"}, "dark"),
    ],
)
def test_the_colours_are_those_that_the_terminal_has(environment: dict[str, str], theme: str) -> None:
    assert look_at_terminal(environment).theme == theme

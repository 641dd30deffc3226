"""Are columns aligned whatever is in them, and do they fit the page?"""

from __future__ import annotations

from bucketry.show.spans import Span, TextPage, line, plain_text, text_width
from bucketry.show.tables import Column, TextColumn, fact_lines, fit_columns, table_lines, text_table

HEADINGS = (TextColumn("NAME", 4, 40), TextColumn("SIZE", 4, 8, right=True), TextColumn("KIND", 4, 20, rank=1))
TERMINAL = TextPage(gap=2)


def texts(*cells: tuple[str, str, str], width: int | None = 80) -> list[str]:
    return [plain_text(each) for each in text_table(HEADINGS, cells, TextPage(width, ascii_only=True))]


def test_columns_are_as_wide_as_what_is_in_them() -> None:
    lines = texts(("a", "1 B", "text"), ("bcdefg", "10 kB", "-"))
    assert lines == ["NAME    SIZE KIND", "a        1 B text", "bcdefg 10 kB -   "]


def test_the_last_rank_goes_where_there_is_no_room_and_long_cells_are_cut() -> None:
    assert texts(("a" * 50, "1 B", "text"), width=12) == ["NAME    SIZE", "aaaaaa~  1 B"]


def test_an_empty_column_that_may_go_is_left_out() -> None:
    assert texts(("a", "1 B", "")) == ["NAME SIZE", "a     1 B"]


def test_without_a_width_nothing_is_cut() -> None:
    assert texts(("a" * 500, "1 B", "text"), width=None)[1] == f"{'a' * 500}  1 B text"


def test_foreign_text_is_measured_as_it_is_shown() -> None:
    lines = texts(("a\x1b[2J", "1 B", "x"), ("b", "2 B", "y"))
    assert len({text_width(each) for each in lines}) == 1
    assert "a\\x1b[2J" in lines[1]
    headings = (TextColumn("NAME", 8), TextColumn("N", right=True))
    rows = [("a", "1"), ("日本", "10"), ("e\u0301", "100"), ("\x1b", "7")]
    shown = [plain_text(each).rstrip() for each in text_table(headings, rows, TERMINAL)]
    assert shown == ["NAME    N", "a       1", "日本   10", "e\u0301     100", "\\x1b    7"]


def test_what_may_be_cut_is_cut_to_eight_columns_and_then_no_more() -> None:
    headings = (TextColumn("NAME", 8), TextColumn("N", right=True))
    rows = [("x" * 50, "1")]
    assert plain_text(text_table(headings, rows, TERMINAL.of(20))[1]) == "x" * 16 + "…  1"
    assert plain_text(text_table(headings, rows, TERMINAL.of(5))[1]) == "xxxxxxx…  1"
    assert [plain_text(each) for each in text_table(headings, [], TERMINAL)] == ["NAME  N"]


def test_columns_go_by_rank_where_there_is_no_room_and_grow_in_turn_where_there_is() -> None:
    columns: list[Column[int]] = [
        Column("a", "A", str, 10),
        Column("b", "B", str, 10, 20, rank=1),
        Column("c", "C", str, 10, 20, rank=2),
    ]
    assert [(fit.column.name, fit.width) for fit in fit_columns(columns, 9)] == [("a", 10)]
    assert [(fit.column.name, fit.width) for fit in fit_columns(columns, 31)] == [("a", 10), ("b", 20)]
    assert [(fit.column.name, fit.width) for fit in fit_columns(columns, 38)] == [("a", 10), ("b", 13), ("c", 13)]


def test_a_cell_keeps_its_role_and_a_title_is_one() -> None:
    columns: list[Column[int]] = [Column("a", "A", lambda value: Span(str(value), "bad"), 2)]
    titles, row = table_lines(columns, [7], TextPage(10))
    assert (titles, row) == ((Span("A ", "header"),), (Span("7 ", "bad"),))


def test_facts_are_aligned_without_those_that_say_nothing() -> None:
    facts = [("a", line("1")), ("empty", line("")), ("long", line("x", Span("y" * 40)))]
    assert [plain_text(each) for each in fact_lines(facts, TextPage())] == ["a     1", f"long  x{'y' * 40}"]
    assert [text_width(plain_text(each)) for each in fact_lines(facts, TextPage(20))] == [7, 20]

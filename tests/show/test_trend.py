"""Is a trend drawn for every terminal, with its bounds and extremes, and in few lines where there is little room?"""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from bucketry.schema.judging.trend import make_trend
from bucketry.show.spans import Span, plain_text
from bucketry.show.trend import PLOT_ROWS, TALL_PLOT_ROWS, plot_lines, trend_bars, trend_lines


def drawn(values: list[float], *, ascii_only: bool = True, width: int = 40) -> list[str]:
    trend = make_trend("auc", list(enumerate(values, start=1)))
    return [plain_text(each) for each in plot_lines(trend, {"production": 1}, width=width, ascii_only=ascii_only)]


def test_a_plot_rises_with_the_values_and_names_its_bounds() -> None:
    title, *lines, axis, said = drawn([0.1, 0.2, 0.9])
    assert title == "auc"
    assert len(lines) == TALL_PLOT_ROWS
    assert lines[0].startswith("0.9 | ")
    assert lines[-1].startswith("0.1 | *")
    assert [line.rfind("*") for line in (lines[0], lines[-2])] == [len(lines[0]) - 1, len(lines[0]) // 2 + 2]
    assert axis.split() == ["v1", "v3"]
    assert said == "newest v3 0.9; low v1 0.1; high v3 0.9; production v1 0.1"


def test_braille_draws_a_line_where_the_terminal_can() -> None:
    lines = drawn([0.1, 0.9, 0.1], ascii_only=False)
    dots = "".join(lines[1:-2])
    assert any("\u2801" <= character <= "\u28ff" for character in dots)
    assert "*" not in dots


def test_one_value_and_equal_values_have_one_bound() -> None:
    assert sum("0.5" in line for line in drawn([0.5])[:-1]) == 1
    assert sum("0.5" in line for line in drawn([0.5, 0.5])[:-1]) == 1


def test_nothing_measured_is_said() -> None:
    (said,) = plot_lines(make_trend("auc", [(1, None)]), {}, width=40, ascii_only=True)
    assert plain_text(said) == "no version has auc"


def test_a_peak_among_many_versions_is_not_lost() -> None:
    values = [0.5] * 5000
    values[2500] = 0.9
    lines = drawn(values)
    assert "*" in lines[1]
    assert max(map(len, lines[:-1])) <= 40


@given(
    st.lists(st.none() | st.floats(allow_nan=False, allow_infinity=False), max_size=300),
    st.integers(1, 300),
    st.booleans(),
)
def test_every_trend_can_be_drawn(values: list[float | None], width: int, ascii_only: bool) -> None:  # noqa: FBT001
    trend = make_trend("auc", list(enumerate(values, start=1)))
    for shown in plot_lines(trend, {}, width=width, ascii_only=ascii_only):
        assert plain_text(shown).isprintable()
        assert not ascii_only or plain_text(shown).isascii()
    assert len(trend_lines(trend, {}, [], max(20, width))) == PLOT_ROWS + 1


def test_a_small_plot_has_a_point_for_each_version_and_marks_some() -> None:
    trend = make_trend("auc", [(1, 0.1), (2, None), (3, 0.9)])
    top, *_, bottom, axis = trend_lines(trend, {3: "o"}, ["o v3 .9000"], 40)
    assert plain_text(top) == "  .9000 |    o    o v3 .9000"
    assert plain_text(bottom).rstrip() == "  .1000 |."
    assert plain_text(axis).split() == ["v1", "v3"]
    assert Span("o ", "accent") in top
    assert "there is no trend yet" in plain_text(trend_lines(make_trend("auc", [(1, 0.1)]), {}, [], 40)[0])


def test_bars_stand_between_the_extremes() -> None:
    assert trend_bars([1, 2, 3], 12, is_unicode=False) == "_+@"
    assert trend_bars([1, 1], 12, is_unicode=True) == "▅▅"
    assert trend_bars([1], 12, is_unicode=True) == "-"
    assert len(trend_bars([float(n) for n in range(50)], 12, is_unicode=True)) == 12

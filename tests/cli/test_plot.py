"""Is a trend drawn for every terminal, and is the data behind it there for scripts?"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bucketry.cli.plot import PLOT_ROWS, plot_lines
from bucketry.schema.judging.trend import make_trend
from cli.harness import run_alone

if TYPE_CHECKING:
    from pathlib import Path

    from cli.harness import Program


def drawn(values: list[float], *, ascii_only: bool = True, width: int = 40) -> list[str]:
    trend = make_trend("auc", list(enumerate(values, start=1)))
    return list(plot_lines(trend, {"production": 1}, width=width, ascii_only=ascii_only))


def test_a_plot_rises_with_the_values_and_names_its_bounds() -> None:
    title, *lines, axis, said = drawn([0.1, 0.2, 0.9])
    assert title == "auc"
    assert len(lines) == PLOT_ROWS
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
    assert list(plot_lines(make_trend("auc", [(1, None)]), {}, width=40, ascii_only=True)) == ["no version has auc"]


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
    for line in plot_lines(trend, {}, width=width, ascii_only=ascii_only):
        assert line.isprintable()
        assert not ascii_only or line.isascii()


@pytest.fixture
def published(program: Program, registry: Path, files: Path, tmp_path: Path) -> Path:
    file = tmp_path / "m.json"
    for value in (0.5, None, 0.7):
        file.write_text('{"other": 1}' if value is None else f'{{"auc": {value}}}')
        program.ok("publish", "acme/chat", files, "--metrics", file)
    return registry


def test_the_data_behind_a_plot(program: Program, published: Path) -> None:
    assert published.is_dir()
    listed = program.json("versions", "acme/chat", "--metric", "auc", "--plot")
    assert [(one["version"], one["metric"], one["value"]) for one in listed] == [
        (3, "auc", 0.7),
        (2, "auc", None),
        (1, "auc", 0.5),
    ]
    assert program.json("versions", "acme/chat", "--metric", "auc") == listed


def test_a_plot_and_a_column_for_people(program: Program, published: Path) -> None:
    assert published.is_dir()
    text = program.ok("versions", "acme/chat", "--metric", "auc", "--plot", "--no-color").text
    assert text.isascii()
    assert "1 of 3 versions were not measured" in text
    title, *rows = program.ok("versions", "acme/chat", "--metric", "auc").text.splitlines()
    assert title.split()[-1] == "auc"
    assert [row.split()[-1] for row in rows] == ["0.7", "-", "0.5"]


@pytest.mark.parametrize(
    ("environment", "is_plain"),
    [({"PYTHONIOENCODING": "utf-8"}, False), ({"PYTHONIOENCODING": "latin-1"}, True), ({"NO_COLOR": "1"}, True)],
)
def test_a_plot_is_plain_where_the_terminal_is(published: Path, environment: dict[str, str], *, is_plain: bool) -> None:
    assert published.is_dir()
    encoding = {"PYTHONIOENCODING": "utf-8"} | environment
    received = run_alone("versions", "acme/chat", "--metric", "auc", "--plot", environment=encoding).stdout
    assert (b"*" in received, received.isascii()) == (is_plain, is_plain)


def test_a_plot_needs_a_metric(program: Program, published: Path) -> None:
    assert published.is_dir()
    assert "--plot draws one metric" in program.fails(2, "versions", "acme/chat", "--plot")
    assert program.ok("versions", "acme/chat", "--metric", "none", "--plot").text == "no version has none\n"

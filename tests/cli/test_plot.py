"""Is a trend drawn for every terminal, and is the data behind it there for scripts?"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from cli.harness import run_alone

if TYPE_CHECKING:
    from pathlib import Path

    from cli.harness import Program


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
    assert title.split()[-1] == "AUC"
    assert [row.split()[-1] for row in rows] == [".7000", "-", ".5000"]


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

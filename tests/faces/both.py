"""How are the two faces put beside each other: the command line's tables as rows, and a screen as its words?"""

from __future__ import annotations

import asyncio
import csv
import re
from typing import TYPE_CHECKING

from tui.desk import open_desk

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from faces.conftest import Corpus
    from tui.desk import Desk

LARGEST_SCREEN = (200, 90)
"""So large that a screen cuts nothing of what is compared."""
WIDEST_LIST = (109, 90)
"""So wide that the list of versions has no panel beside it yet."""


def table_rows(lines: Sequence[str], first_title: str) -> list[dict[str, str]]:
    """Return the rows below a heading of the command line's output, by title; columns are two spaces apart."""
    place = next(place for place, line in enumerate(lines) if line.split("  ")[0].strip() == first_title)
    titles = re.split(r"\s{2,}", lines[place].strip())
    rows = []
    for line in lines[place + 1 :]:
        cells = re.split(r"\s{2,}", line.strip())
        if len(cells) != len(titles):
            break
        rows.append(dict(zip(titles, cells, strict=True)))
    return rows


def markdown_rows(lines: Sequence[str], first_title: str) -> list[dict[str, str]]:
    """Return the rows of a Markdown table, by title."""
    place = next(place for place, line in enumerate(lines) if line.startswith(f"| {first_title} |"))
    titles = _cells(lines[place])
    rows = []
    for line in lines[place + 2 :]:
        if not line.startswith("|"):
            break
        rows.append(dict(zip(titles, _cells(line), strict=True)))
    return rows


def csv_rows(lines: Sequence[str]) -> list[dict[str, str]]:
    """Return the rows of CSV."""
    return list(csv.DictReader(lines))


def screen(
    corpus: Corpus,
    *keys: str,
    act: Callable[[Desk], Awaitable[None]] | None = None,
    size: tuple[int, int] = LARGEST_SCREEN,
) -> list[str]:
    """Return the lines of a screen after some keys."""
    shown: list[str] = []

    async def run() -> None:
        async with open_desk(corpus.registry, size=size) as desk:
            await desk.press(*keys)
            if act is not None:
                await act(desk)
            await desk.wait(0.3)
            await desk.settle()
            shown.extend(desk.lines)

    asyncio.run(run())
    return shown


async def command(desk: Desk, text: str) -> None:
    """Type a command on the `:` line."""
    await desk.press("colon")
    await desk.type(text)
    await desk.press("enter")


def left_of(line: str) -> str:
    """Return what stands left of the bar between two texts."""
    return re.split(r" \|(?: |$)", line)[0].rstrip()


def words_of(lines: Sequence[str], first: str, *, after: int = 0) -> list[str]:
    """Return the words of the line that begins with a word, behind the cursor's sign and any mark."""
    for line in lines[after:]:
        words = left_of(line).lstrip(" >|+").split()
        if words[:1] == [first]:
            return words
    raise AssertionError(f"no line begins with {first}: {lines}")


def number_of(text: str) -> tuple[float, float]:
    """Return the number that a figure stands for, and how far it may be from the exact one."""
    decimals = len(text.partition(".")[2].partition("e")[0])
    scale = float(f"1e{text.partition('e')[2]}") if "e" in text else 1.0
    return float(text), 0.5000001 * scale * 10.0**-decimals


def _cells(line: str) -> list[str]:
    return [re.sub(r"\\(.)", r"\1", cell).strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]]

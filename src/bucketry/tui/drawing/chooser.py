"""The choice of which columns a list shows, and in which order: in lines below it, by a few keys."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, Protocol

from bucketry.frozen import frozen
from bucketry.show.spans import Span, line, pad
from bucketry.tui.drawing.lineview import LineView
from bucketry.tui.shell.commands import Command

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Sequence

    from bucketry.show.spans import Line, Role
    from bucketry.show.tables import Column
    from bucketry.tui.drawing.paint import Painter

MOST_LINES = 12
TITLE_COLUMNS = 16


class Choosing(Protocol):
    """A view in which columns may be chosen."""

    @property
    def chooser(self) -> Chooser | None:
        """What shows them, while they are."""


@frozen
class OfferedColumn:
    """A column that may be shown."""

    column: Column[Any]
    is_shown: bool


class Chooser(LineView):
    """The columns on offer: those that are shown first, in their order.

    `keep` gets the names to show, none for the usual ones; `close` ends it either way.
    """

    def __init__(
        self,
        painter: Painter,
        columns: Sequence[Column[Any]],
        shown: Sequence[str],
        *,
        keep: Callable[[tuple[str, ...]], None],
        close: Callable[[], None],
    ) -> None:
        super().__init__(painter)
        self._keep = keep
        self._close = close
        self._at = 0
        self._offered: list[OfferedColumn] = []
        self.offer(columns, shown)

    @property
    def whereabouts(self) -> Hashable:
        """The column under the cursor."""
        return self._at

    @property
    def hint(self) -> Line:
        """What the column under the cursor means."""
        column = self._offered[self._at].column
        return line(f" {column.title}  ", Span(column.about, "dim"))

    def offer(self, columns: Sequence[Column[Any]], shown: Sequence[str]) -> None:
        """Offer other columns as well; what was changed here already stays."""
        known = {each.column.name for each in self._offered}
        by_name = {column.name: column for column in columns}
        first = [OfferedColumn(by_name[name], is_shown=True) for name in shown if name in by_name and name not in known]
        names = known | {each.column.name for each in first}
        rest = [OfferedColumn(column, is_shown=False) for column in columns if column.name not in names]
        self._offered = [*self._offered, *first, *rest]
        self.styles.height = min(MOST_LINES, len(self._offered) + 1)
        self._draw()

    def _draw(self) -> None:
        count = sum(each.is_shown for each in self._offered)
        title = f"-- COLUMNS  {count} of {len(self._offered)} chosen, from left to right, as far as they fit"
        room = max(1, int(self.styles.height.value if self.styles.height else MOST_LINES) - 1)
        top = max(0, min(self._at - room // 2, len(self._offered) - room))
        lines = [line(Span(title, "header"))]
        for place in range(top, min(top + room, len(self._offered))):
            each = self._offered[place]
            box = f"{'>' if place == self._at else ' '} [{'x' if each.is_shown else ' '}] "
            name = pad(each.column.title, TITLE_COLUMNS)
            role: Role = "strong" if place == self._at else "plain"
            lines.append(line(Span(box, "accent"), Span(name, role), " ", Span(each.column.about, "dim")))
        self.show(lines, keep_place=True)

    def move(self, step: int) -> None:
        """Move the cursor."""
        self._at = max(0, min(self._at + step, len(self._offered) - 1))
        self._draw()

    def toggle(self) -> None:
        """Show or hide the column."""
        each = self._offered[self._at]
        self._offered[self._at] = replace(each, is_shown=not each.is_shown)
        self._draw()

    def shift(self, step: int) -> None:
        """Put the column further to the right, or to the left."""
        to = self._at + step
        if 0 <= to < len(self._offered):
            here = self._offered.pop(self._at)
            self._offered.insert(to, here)
            self._at = to
        self._draw()

    def finish(self) -> None:
        """Keep what is chosen."""
        self.leave(tuple(each.column.name for each in self._offered if each.is_shown))

    def leave(self, names: tuple[str, ...] | None = None) -> None:
        """End the choice, with these columns if any are given: none of them for the usual ones."""
        self._close()
        if names is not None:
            self._keep(names)


def _by(act: Callable[[Chooser], None]) -> Callable[[Choosing, str], None]:
    """Return what does something with the columns that are being chosen."""

    def run(view: Choosing, _: str) -> None:
        if view.chooser is not None:
            act(view.chooser)

    return run


CHOOSING: tuple[Command[Choosing], ...] = (
    Command("column-toggle", ("space",), "Show or hide the column", _by(Chooser.toggle), hint="show/hide"),
    Command("column-earlier", ("<",), "Further to the left", _by(lambda chooser: chooser.shift(-1)), hint="left"),
    Command("column-later", (">",), "Further to the right", _by(lambda chooser: chooser.shift(1)), hint="right"),
    Command("columns-keep", ("enter",), "Show these columns", _by(Chooser.finish), hint="keep"),
    Command("columns-usual", ("u",), "Show the usual columns", _by(lambda chooser: chooser.leave(())), hint="usual"),
    Command(
        "columns-leave",
        ("escape", "h", "left", "backspace", "q", "o"),
        "Leave the columns as they are",
        _by(Chooser.leave),
        hint="leave",
    ),
    Command("down", ("j", "down"), "Down", _by(lambda chooser: chooser.move(1)), group="Move"),
    Command("up", ("k", "up"), "Up", _by(lambda chooser: chooser.move(-1)), group="Move"),
    Command("page-down", ("pagedown", "ctrl+d"), "Down by ten", _by(lambda chooser: chooser.move(10)), group="Move"),
    Command("page-up", ("pageup", "ctrl+u"), "Up by ten", _by(lambda chooser: chooser.move(-10)), group="Move"),
)
"""What the keys do while columns are chosen."""

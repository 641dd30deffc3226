"""How what the toolkit drew reaches the terminal: in as few bytes as will do, with the cursor where the user is.

The toolkit sends every region that was drawn. Its method that does so is private, so it is replaced only in the version
in which it was read; in others everything works as the toolkit does it, with more bytes.
"""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

import textual
from rich.color import ColorSystem
from textual._compositor import ChopsUpdate, LayoutUpdate
from textual.app import App
from textual.geometry import Offset

from bucketry.tui.drawing.cell_diff import DrawnPiece, KnownCells, move_to

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rich.console import RenderableType
    from textual import events
    from textual.screen import Screen
    from textual.widget import Widget

READ_VERSION = "8.2."
"""The version of the toolkit in which the method was read that is replaced here."""
SHOW_CURSOR = "\x1b[?25h"
_EXPECTED_PARAMETERS = (
    (App, "_display", ("self", "screen", "renderable")),
    (App, "_begin_update", ("self",)),
    (App, "_end_update", ("self",)),
    (LayoutUpdate, "__init__", ("self", "strips", "region")),
    (ChopsUpdate, "__init__", ("self", "chops", "spans", "chop_ends")),
)


def can_diff(version: str = "") -> bool:
    """Return whether the toolkit's private method is the one that this module knows how to replace."""
    if not (version or textual.__version__).startswith(READ_VERSION):
        return False
    for owner, name, names in _EXPECTED_PARAMETERS:
        method = getattr(owner, name, None)
        if not callable(method) or tuple(inspect.signature(method).parameters) != names:
            return False
    return True


def pieces_of(update: LayoutUpdate | ChopsUpdate) -> Iterator[DrawnPiece]:
    """Yield what an update draws, cut as the toolkit cuts it."""
    if isinstance(update, LayoutUpdate):
        for y, strips in enumerate(update.strips, update.region.y):
            x = update.region.x
            for strip in strips:
                yield DrawnPiece(x, y, strip)
                x += strip.cell_length
        return
    for y, start, end in update.spans:
        for cut_end, (x, drawn) in zip(update.chop_ends[y], update.chops[y].items(), strict=False):
            if drawn is not None and x <= end and cut_end > start:
                is_inside = start <= x < end and cut_end <= end
                yield DrawnPiece(x, y, drawn if is_inside else drawn.crop(0, min(cut_end, end) - x))


@runtime_checkable
class HasCursor(Protocol):
    """A widget that knows where in it the user is."""

    @property
    def cursor_offset(self) -> Offset:
        """Columns and lines from the widget's corner."""
        ...


class DisplayedApp(App[None], inherit_bindings=False):
    """An app that sends the cells that differ. With `shows_cursor`, the terminal's cursor stands where the user is."""

    def __init__(self, *, cell_diff: bool, shows_cursor: bool) -> None:
        super().__init__(ansi_color=True)
        self.shows_cursor = shows_cursor
        self._differs = cell_diff and can_diff()
        self._on_terminal: KnownCells | None = None
        self._cursor_on_terminal: Offset | None = None

    @property
    def cursor_widget(self) -> Widget | None:
        """The widget that the keys work on."""
        return None

    def forget_display(self) -> None:
        """Send everything anew: somebody else may have written on the terminal."""
        self._forget()
        self.refresh()

    def on_mount(self) -> None:
        """Send everything anew after a time in which another program had the terminal."""
        self.app_resume_signal.subscribe(self, lambda _: self.forget_display(), immediate=True)

    def on_resize(self, event: events.Resize) -> None:
        """Send everything anew. The toolkit does so only if the size is another, which it is not after a stop."""
        self._forget()
        if self.screen.size == event.size:
            self.refresh()

    def set_mouse(self, *, is_on: bool) -> None:
        """Let the terminal send the mouse's doings, or keep them to itself."""
        driver: Any = self._driver
        if driver is not None and hasattr(driver, "_enable_mouse_support"):  # the toolkit has no other way
            if not is_on:
                driver._disable_mouse_support()  # noqa: SLF001 - the toolkit has no other way
            driver._mouse = is_on  # noqa: SLF001 - the toolkit has no other way
            if is_on:
                driver._enable_mouse_support()  # noqa: SLF001 - the toolkit has no other way

    def _forget(self) -> None:
        self._on_terminal = None
        self._cursor_on_terminal = None

    def _display(self, screen: Screen[Any], renderable: RenderableType | None) -> None:
        driver = self._driver
        is_seen = self._running and not self._closed and not self.is_headless and not self._batch_count
        if renderable is None or driver is None or not is_seen:
            super()._display(screen, renderable)
            return
        widget = self.cursor_widget
        place = Offset(0, 0) if widget is None else widget.region.offset
        inside = widget.cursor_offset if isinstance(widget, HasCursor) else Offset(0, 0)
        self.cursor_position = screen.outer_size.clamp_offset(place + inside)
        changes = self._changes(renderable) if self._differs else None
        if changes is None:
            if self.shows_cursor and self._cursor_on_terminal is None:
                driver.write(SHOW_CURSOR)
            self._on_terminal, self._cursor_on_terminal = None, self.cursor_position
            super()._display(screen, renderable)
            return
        try:
            sent = changes + self._cursor_move(has_moved=bool(changes))
            if sent:
                self._begin_update()
                driver.write(sent)
                self._end_update()
                driver.flush()
        finally:
            self.post_display_hook()

    def _changes(self, renderable: RenderableType) -> str | None:
        """Return what is to be sent of an update, or None for one that the toolkit has to send itself."""
        if isinstance(renderable, LayoutUpdate):
            size, shown = renderable.region.size, self._on_terminal
            if shown is None or (shown.width, shown.height) != size:
                colours = self.console._color_system or ColorSystem.TRUECOLOR  # noqa: SLF001 - as the toolkit does
                shown = self._on_terminal = KnownCells(size.width, size.height, colours)
            return shown.update(pieces_of(renderable))
        if isinstance(renderable, ChopsUpdate) and self._on_terminal is not None:
            return self._on_terminal.update(pieces_of(renderable))
        return None

    def _cursor_move(self, *, has_moved: bool) -> str:
        """Return what brings the terminal's cursor where the user is: nothing unless it is wanted and elsewhere."""
        place, before = self.cursor_position, self._cursor_on_terminal
        if not self.shows_cursor or (place == before and not has_moved):
            return ""
        self._cursor_on_terminal = place
        return move_to(*place) + (SHOW_CURSOR if before is None else "")

"""What is a screen? A view fills the body between the top line and the rule, and says what can be done in it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from textual import events
from textual.containers import Container

if TYPE_CHECKING:
    from collections.abc import Hashable, Sequence

    from textual.geometry import Size
    from textual.widget import Widget

    from bucketry.tui.drawing.paint import Line
    from bucketry.tui.shell.app import BucketryApp
    from bucketry.tui.shell.commands import Command


class View(Container):
    """One screen. Subclasses override what differs; `shell` is everything around it."""

    DEFAULT_CSS = "View { height: 1fr; width: 1fr; layout: vertical; }"

    says_transfers = False
    """Whether the view itself says what the top line would of the transfers."""

    def __init__(self, shell: BucketryApp) -> None:
        super().__init__()
        self.shell = shell
        self._told_size: Size | None = None

    @property
    def crumbs(self) -> tuple[str, ...]:
        """Where this is, behind the registry's own name."""
        return ()

    @property
    def place(self) -> str:
        """How many rows of how many there are, for the top line."""
        return ""

    @property
    def notice(self) -> Line:
        """What the line below the rule says when there is no news."""
        return ()

    @property
    def commands(self) -> tuple[Command, ...]:
        """What can be done here; these come before what can be done everywhere."""
        return ()

    @property
    def legend(self) -> Sequence[tuple[str, str]]:
        """What the columns here are called and mean, for the help."""
        return ()

    @property
    def whereabouts(self) -> Hashable:
        """Where the cursor is and what is in sight: what a key that moves changes."""
        return None

    @property
    def target(self) -> Widget | None:
        """The widget that has the keys."""
        return None

    @property
    def is_ready(self) -> bool:
        """Whether there is something to show; a view that is not calls the shell's `swap_in` when there is."""
        return True

    def shown(self) -> None:
        """Answer to being in front, for the first time or again."""

    def data_changed(self) -> None:
        """Answer to a change of the local index."""

    def transfers_changed(self) -> None:
        """Answer to a change of what is known of the transfers."""

    def escape(self) -> bool:
        """Take back one step inside the view, such as its filter; return whether there was one."""
        return False

    def on_resize(self) -> None:
        """Note which size the view was told."""
        self._told_size = self.size

    def watch_virtual_size(self) -> None:
        """Look, behind what waits already, whether the view was told its size.

        The toolkit tells it to a widget that is laid out for the first time; to one whose place was asked for between
        its being shown and the next layout it does not, and what is laid out by its width would stay empty.
        """
        self.call_later(self.call_later, self._tell_size)

    def repaint(self) -> None:
        """Draw everything anew, after a change of theme."""
        self.refresh()
        for widget in self.query("*"):
            widget.refresh()

    def _tell_size(self) -> None:
        if self.display and self._told_size != self.size:
            self.post_message(events.Resize(self.size, self.virtual_size, self.container_size))

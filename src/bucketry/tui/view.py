"""What is a screen? A view fills the body between the top line and the rule, and says what can be done in it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from textual.containers import Container

if TYPE_CHECKING:
    from collections.abc import Sequence

    from textual.widget import Widget

    from bucketry.tui.app import BucketryApp
    from bucketry.tui.commands import Command
    from bucketry.tui.paint import Line


class View(Container):
    """One screen. Subclasses override what differs; `shell` is everything around it."""

    DEFAULT_CSS = "View { height: 1fr; width: 1fr; layout: vertical; }"

    says_transfers = False
    """Whether the view itself says what the top line would of the transfers."""

    def __init__(self, shell: BucketryApp) -> None:
        super().__init__()
        self.shell = shell

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

    def repaint(self) -> None:
        """Draw everything anew, after a change of theme."""
        self.refresh()
        for widget in self.query("*"):
            widget.refresh()

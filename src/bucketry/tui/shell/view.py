"""A screen and what is around it: a view fills the body between the top line and the rule; the shell is all the rest.

A view knows the shell only as the protocol that stands here, so that no screen depends on the app that holds it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Protocol, TypeVar

from textual import events
from textual.containers import Container

from bucketry.tui.shell.host import Host

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Sequence
    from contextlib import AbstractContextManager

    from textual.geometry import Size
    from textual.widget import Widget

    from bucketry.errors import BucketryError
    from bucketry.index.views import VersionLine
    from bucketry.registry.core.session import Session
    from bucketry.schema.names import Digest, ModelName
    from bucketry.show.figures import Zone
    from bucketry.show.spans import Line
    from bucketry.tui.data.transfer_board import TransferBoard
    from bucketry.tui.drawing.paint import Painter
    from bucketry.tui.drawing.terminal import Terminal
    from bucketry.tui.shell.asking import Asking, Choice, Question
    from bucketry.tui.shell.commands import Command, KeyFaults
    from bucketry.tui.shell.places import Place
    from bucketry.tui.shell.refreshing import Refreshing

Result = TypeVar("Result")

LOADING_WORD_SECONDS = 0.4
"""Until then an empty frame says enough; a word that flickers is worse than none."""


class Shell(Host, Protocol):
    """Everything around the views: what they read, ask and say goes through here."""

    terminal: Terminal
    painter: Painter
    zone: Zone
    registry: str | None
    """The profile, URL or folder that was named on the command line."""
    read_only: bool
    write_lock: bool
    undo: tuple[str, Callable[[], None]] | None
    """What `U` takes back: what it is called, and what does it."""
    refreshing: Refreshing
    transfers: TransferBoard
    asking: Asking
    key_faults: KeyFaults

    @property
    def view(self) -> View:
        """The view in front."""

    @property
    def depth(self) -> int:
        """How many views are stacked."""

    @property
    def commands(self) -> tuple[Command[Any], ...]:
        """Everything that can be done now, the view's own first."""

    @property
    def size(self) -> Size:
        """The terminal's columns and rows."""

    def go(self, place: Place) -> None:
        """Open a screen in front of the one that is there."""

    def swap_in(self, view: View) -> None:
        """Show the view in front, now that it has something to show."""

    def back(self) -> None:
        """Close the view in front, unless it is the first."""

    def reopen_last(self) -> None:
        """Open the view again that was closed last."""

    def leave(self) -> None:
        """End the program."""

    def ask(self, question: Question) -> None:
        """Ask for a text on the line above the hints."""

    def choose(self, choice: Choice) -> None:
        """Ask for one key of several."""

    def run_command(self, command: Command[Any], argument: str) -> None:
        """Do what a command says, or say why it cannot be done now."""

    def command_line(self, *words: str) -> str:
        """Return the command line that does the same, for this registry."""

    def write(
        self,
        words: tuple[str, ...],
        work: Callable[[Session], Result],
        done: Callable[[Result], None],
        failed: Callable[[BucketryError], None] | None = None,
    ) -> None:
        """Change the registry by a service of it, then refresh. What fails is said, with its advice."""

    def why_not_write(self) -> str:
        """Return why the registry cannot be changed from here, or ""."""

    def copy(self, text: str, *, told: str = "") -> None:
        """Put a text into the clipboard, and show it or what is told of it, whatever became of that."""

    def repaint(self) -> None:
        """Draw everything anew, after a change of theme."""

    def forget_display(self) -> None:
        """Send every cell anew with the next picture."""

    def set_mouse(self, *, is_on: bool) -> None:
        """Turn the mouse on or off."""

    def suspend(self) -> AbstractContextManager[Any]:
        """Leave the terminal to another program for a while."""


class View(Container):
    """One screen. Subclasses override what differs; `shell` is everything around it."""

    DEFAULT_CSS = "View { height: 1fr; width: 1fr; layout: vertical; }"

    COMMANDS: ClassVar[tuple[Command[Any], ...]] = ()
    """What can be done here; these come before what can be done everywhere."""
    CALLED: ClassVar[str] = ""
    """What the screen is and how one gets there, for whoever presses one of its keys somewhere else."""
    says_transfers = False
    """Whether the view itself says what the top line would of the transfers."""
    model: ModelName | None = None
    """The model whose versions the screen is about, if it is about one."""

    def __init__(self, shell: Shell) -> None:
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
    def commands(self) -> tuple[Command[Any], ...]:
        """What can be done now: the class's own table, unless something is being chosen inside the view."""
        return self.COMMANDS

    @property
    def has_nothing(self) -> bool:
        """Whether there is nothing to do anything with: then what cannot be done has no hint."""
        return False

    @property
    def version(self) -> VersionLine | None:
        """The version that the commands about one mean, as it is shown here."""
        return None

    @property
    def version_name(self) -> str:
        """How the hints call that version, where more than one is on the screen."""
        return ""

    @property
    def chosen_versions(self) -> Sequence[VersionLine]:
        """What is compared: that version, unless others are marked."""
        version = self.version
        return [] if version is None else [version]

    @property
    def shown_comparison(self) -> Digest | None:
        """The comparison of that version which is on the screen, for the statement of who decides on it."""
        return None

    def why_no_version(self) -> str:
        """Return why there is no such version."""
        return "there is no version"

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

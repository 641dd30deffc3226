"""What the app offers to what works behind its views: the refresh of the index, and the board of the transfers.

The shell that the views know (`view.Shell`) is this and more. It names the refresh and the board, which therefore name
only this: no module is part of a circle, not even for types.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, TypeVar

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable

    from textual.message import Message

    from bucketry.errors import BucketryError
    from bucketry.registry.core.session import Session
    from bucketry.show.spans import Role
    from bucketry.tui.data.source import Source
    from bucketry.tui.shell.background import Background
    from bucketry.tui.shell.command_log import CommandLog
    from bucketry.tui.shell.settings import Settings

Result = TypeVar("Result")


class FrontView(Protocol):
    """A view, as far as it is told that something is other than before."""

    def data_changed(self) -> None:
        """Answer to a change of the local index."""

    def transfers_changed(self) -> None:
        """Answer to a change of what is known of the transfers."""


class Host(Protocol):
    """The app, for what works behind its views."""

    settings: Settings
    source: Source
    background: Background
    log_of_commands: CommandLog
    closing: threading.Event

    @property
    def session(self) -> Session:
        """The opened registry."""

    @property
    def view(self) -> FrontView:
        """The view in front."""

    def flash(self, text: str, role: Role = "plain") -> None:
        """Say something until the next key."""

    def fail(self, error: BucketryError) -> None:
        """Say what went wrong, and what to do now."""

    def read(
        self,
        name: str,
        words: tuple[str, ...],
        work: Callable[[Session], Result],
        done: Callable[[Result], None],
        failed: Callable[[BucketryError], None] | None = None,
    ) -> None:
        """Read from the bucket behind the keys; `words` are the command that does the same, for the command log."""

    def update_frame(self) -> None:
        """Bring the lines around the view up to date."""

    def post_message(self, message: Message) -> bool:
        """Hand a message over to the thread of the screens."""

    def set_timer(self, delay: float, callback: Callable[[], object]) -> object:
        """Call something once, later."""

    def set_interval(self, interval: float, callback: Callable[[], object]) -> object:
        """Call something again and again."""

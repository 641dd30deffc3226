"""What can be taken from a version wherever one is under the cursor: its files, its names, its card?"""

from __future__ import annotations

from typing import TYPE_CHECKING

from bucketry.tui.actions.download import download_command
from bucketry.tui.drawing.pager import card_command
from bucketry.tui.shell.commands import Command
from bucketry.tui.shell.prompts import Choice

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from bucketry.index.views import VersionLine
    from bucketry.tui.shell.view import Shell


def read_commands(shell: Shell, current: Callable[[], VersionLine | None]) -> tuple[Command, ...]:
    """Return the commands that get the version that `current` returns, copy one of its names, and show its card."""
    return (download_command(shell, current), yank_command(shell, current), card_command(shell, current))


def yank_command(shell: Shell, current: Callable[[], VersionLine | None]) -> Command:
    """Return the command that copies one of a version's names."""

    def run(_: str) -> None:
        row = current()
        if row is not None:
            yank_version(shell, row)

    def why_not() -> str:
        return "" if current() is not None else "there is no version"

    return Command("yank", ("y",), "Copy digest, name, URI or command", run, why_not, "copy", "Read")


def yank_version(
    shell: Shell, row: VersionLine, *, more: Mapping[str, tuple[str, Callable[[], None]]] | None = None
) -> None:
    """Offer what can be copied of a version, and perhaps more, each by its key."""
    reference = f"{row.model}:{row.version}"
    shell.choose(
        Choice(
            f"copy of {reference}",
            {
                "d": ("digest", lambda: shell.copy(f"sha256:{row.manifest}")),
                "n": ("name", lambda: shell.copy(reference)),
                "u": ("URI", lambda: shell.copy(f"{shell.session.store.name}#{row.model}@sha256:{row.manifest}")),
                "c": ("command", lambda: shell.copy(shell.command_line("pull", reference, "."))),
                **(more or {}),
            },
        )
    )

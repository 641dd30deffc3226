"""Which command compares versions, wherever some are under the cursor or marked?"""

from __future__ import annotations

from typing import TYPE_CHECKING

from bucketry.tui.shell.commands import Command

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from bucketry.index.views import VersionLine
    from bucketry.schema.names import ModelName
    from bucketry.tui.shell.app import BucketryApp

MOST_COMPARED = 4
"""More columns than four versions have no room at 80 columns."""


def compare_command(
    shell: BucketryApp, chosen: Callable[[], Sequence[VersionLine]], model: ModelName | None = None
) -> Command:
    """Return the command that compares the chosen versions, or on the `:` line those that are typed behind it.

    Numbers that are typed are versions of `model`, or of the model that a chosen one is of.
    """

    def run(text: str) -> None:
        from bucketry.tui.screens.compare.screen import open_marked, open_typed  # noqa: PLC0415 - only who compares needs it

        rows = chosen()
        if text:
            alone = f" {rows[0].version}" if len(text.split()) == 1 and len(rows) == 1 else ""
            open_typed(shell, rows[0].model if rows else model, text + alone)
        elif rows:
            open_marked(shell, rows)

    return Command(
        "compare",
        ("=",),
        "Compare what is marked, or with production",
        run,
        lambda: "" if chosen() else "there is no version",
        "compare",
        "Read",
        argument="[BASELINE] VERSION",
        is_typed_whole=True,
    )

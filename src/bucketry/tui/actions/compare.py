"""The way to a comparison: of what is marked, under the cursor, or typed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bucketry.errors import BucketryError
from bucketry.tui.shell.commands import Command
from bucketry.tui.shell.places import ComparisonPlace

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from bucketry.index.views import VersionLine
    from bucketry.schema.names import ModelName
    from bucketry.tui.shell.view import Shell


def compare_command(
    shell: Shell, chosen: Callable[[], Sequence[VersionLine]], model: ModelName | None = None
) -> Command:
    """Return the command that compares the chosen versions, or on the `:` line those that are typed behind it.

    Numbers that are typed are versions of `model`, or of the model that a chosen one is of.
    """

    def run(text: str) -> None:
        rows = chosen()
        if text:
            alone = f" {rows[0].version}" if len(text.split()) == 1 and len(rows) == 1 else ""
            compare_typed(shell, rows[0].model if rows else model, text + alone)
        elif rows:
            _compare_marked(shell, rows)

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


def compare_typed(shell: Shell, model: ModelName | None, text: str) -> None:
    """Compare the versions that a user typed; numbers and aliases alone are those of `model`."""
    from bucketry.tui.data.comparisons import typed_references  # noqa: PLC0415 - only who compares needs it

    try:
        shell.go(ComparisonPlace(tuple(typed_references(model, text))))
    except BucketryError as error:
        shell.fail(error)


def _compare_marked(shell: Shell, rows: Sequence[VersionLine]) -> None:
    """Compare the versions that are marked; one alone is compared with what serves production."""
    from bucketry.tui.data.comparisons import marked_references  # noqa: PLC0415 - only who compares needs it

    try:
        shell.go(ComparisonPlace(tuple(marked_references(shell.source.index, rows))))
    except BucketryError as error:
        shell.fail(error)

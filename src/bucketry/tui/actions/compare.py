"""The way to a comparison: of what is marked, under the cursor, or typed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bucketry.errors import BucketryError
from bucketry.tui.shell.commands import Command
from bucketry.tui.shell.places import ComparisonPlace

if TYPE_CHECKING:
    from bucketry.schema.names import ModelName
    from bucketry.tui.shell.view import Shell, View


def _compare(view: View, text: str) -> None:
    """Compare the chosen versions (one alone with what serves production), or those typed behind it on the `:` line.

    Numbers that are typed are versions of the model that the chosen one is of, else that the screen is about.
    """
    shell, rows = view.shell, view.chosen_versions
    if text:
        alone = f" {rows[0].version}" if len(text.split()) == 1 and len(rows) == 1 else ""
        compare_typed(shell, rows[0].model if rows else view.model, text + alone)
    elif rows:
        from bucketry.tui.data.comparisons import marked_references  # noqa: PLC0415 - only who compares needs it

        try:
            shell.go(ComparisonPlace(tuple(marked_references(shell.source.index, rows))))
        except BucketryError as error:
            shell.fail(error)


def compare_typed(shell: Shell, model: ModelName | None, text: str) -> None:
    """Compare the versions that a user typed; numbers and aliases alone are those of `model`."""
    from bucketry.tui.data.comparisons import typed_references  # noqa: PLC0415 - only who compares needs it

    try:
        shell.go(ComparisonPlace(tuple(typed_references(model, text))))
    except BucketryError as error:
        shell.fail(error)


COMPARE: Command[View] = Command(
    "compare",
    ("=",),
    "Compare what is marked, or with production",
    _compare,
    lambda view: "" if view.chosen_versions else "there is no version",
    "compare",
    "Read",
    argument="[BASELINE] VERSION",
    is_typed_whole=True,
)

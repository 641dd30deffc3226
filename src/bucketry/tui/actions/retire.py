"""Retire a version from a screen, or take it out of retirement."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from bucketry.registry.versions.lifecycle import retire, unretire
from bucketry.schema.documents.states import State
from bucketry.show.spans import Span
from bucketry.tui.actions.panels import ActionPanel, VersionAction, serving_alias, with_reason
from bucketry.tui.actions.seen import check_unchanged

if TYPE_CHECKING:
    from collections.abc import Callable

    from bucketry.errors import BucketryError
    from bucketry.index.views import VersionLine
    from bucketry.registry.core.session import Session
    from bucketry.schema.documents.head import Row
    from bucketry.tui.shell.view import Shell


def retirement_action(
    shell: Shell, row: VersionLine, generation: int | None, *, is_undo: bool = False
) -> VersionAction:
    """Return what retires a version, or takes it out of retirement."""
    back = row.state is State.RETIRED
    verb, service = ("unretire", unretire) if back else ("retire", retire)
    reference = f"{row.model}:{row.version}"
    serves = None if back else serving_alias(shell, row)

    def go(reason: str, failed: Callable[[BucketryError], None]) -> None:
        def work(session: Session) -> Row:
            check_unchanged(session, row)
            return service(session, row.model, row.version, reason=reason)

        def done(changed: Row) -> None:
            shell.flash(f"{reference} is {changed.state} {'again' if is_undo else 'now'}", "good")
            if not is_undo:
                counterpart = replace(row, state=changed.state)
                shell.undo = (f"{verb} {reference}", lambda: undo(counterpart))

        shell.write(with_reason((verb, reference), reason), work, done, failed)

    def undo(counterpart: VersionLine) -> None:
        ActionPanel(shell, retirement_action(shell, counterpart, None, is_undo=True)).open()

    means = (
        Span("It goes on being served, but no alias can be moved to it any more, nor rolled back to it."),
        Span("undo: U, or T, takes it out of retirement"),
    )
    return VersionAction(
        row=row,
        generation=generation,
        verb=verb,
        label=f"take {reference} out of retirement, reason (may be empty):"
        if back
        else f"retire {reference}, reason (may be empty):",
        words=(verb, reference),
        check=lambda session: check_unchanged(session, row),
        go=go,
        again=lambda now, seen: retirement_action(shell, now, seen, is_undo=is_undo),
        means=means if serves is not None else (),
        serves=serves,
    )

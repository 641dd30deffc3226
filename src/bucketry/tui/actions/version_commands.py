"""The commands of a version, wherever one is under the cursor: what can be done with it, and what can be taken from it.

They are declared here once, for all screens, with their keys and the rule that says why one cannot be done now; which
version is meant, the view says (`View.version`). How one is done is loaded when it is.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from bucketry.errors import BucketryError, CorruptError, RejectedError
from bucketry.schema.documents.reviews import Action
from bucketry.schema.documents.states import State, check_servable, state_after_retire
from bucketry.schema.judging.decisions import action_on, check_decidable
from bucketry.tui.actions.download import DOWNLOAD, why_no_version
from bucketry.tui.drawing.pager import CARD
from bucketry.tui.shell.asking import Choice
from bucketry.tui.shell.commands import Command

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from bucketry.index.views import VersionLine
    from bucketry.tui.shell.view import Shell, View

    Rule = Callable[[Shell, VersionLine], object]
    """Raises the registry's own word where it refuses something for a version's state."""


def _act(view: View, name: str) -> None:
    """Do what the command of this name does with the version under the cursor.

    Where there is more than one version on the screen, each prompt says which one it is about.
    """
    # ruff: noqa: PLC0415 - lists stand on the screen before anybody acts
    from bucketry.tui.actions.panels import ActionPanel
    from bucketry.tui.actions.seen import generation_shown

    shell, row, is_framed = view.shell, view.version, bool(view.version_name)
    if row is None:
        return
    generation = generation_shown(shell, row)
    match name:
        case "promote":
            from bucketry.tui.actions.promote import ask_promotion

            ask_promotion(shell, row)
        case "rollback":
            from bucketry.tui.actions.promote import ask_rollback

            ask_rollback(shell, row)
        case "edit":
            from bucketry.tui.actions.edit import ask_edit

            ask_edit(shell, row)
        case "retire":
            from bucketry.tui.actions.retire import retirement_action

            ActionPanel(shell, retirement_action(shell, row, generation), is_framed=is_framed).open()
        case "delete":
            from bucketry.tui.actions.delete import deletion_action

            ActionPanel(shell, deletion_action(shell, row, generation), is_framed=is_framed).open()
        case _:
            from bucketry.tui.actions.decide import decision_action

            verb, diff = action_on(Action(name), row.state), view.shown_comparison
            action = decision_action(shell, row, generation, action=verb, diff=diff)
            ActionPanel(shell, action, is_framed=is_framed).open()


def _why_not(view: View, rule: Rule) -> str:
    """Return why nothing can be done: the session, no version, or what the registry's own rule says of its state."""
    row = view.version
    if row is None:
        return view.why_no_version()
    if row.damaged and not row.manifest:
        return f"v{row.version} is damaged: {row.damaged}"
    try:
        rule(view.shell, row)
    except BucketryError as error:
        return error.message
    return view.shell.why_not_write()


def _check_promotable(_: Shell, row: VersionLine) -> None:
    _check_whole(row)
    check_servable(row.version, row.state)


def _check_whole(row: VersionLine) -> None:
    if row.damaged:
        raise CorruptError(f"v{row.version} is damaged: {row.damaged}")


def _check_decidable(name: str, _: Shell, row: VersionLine) -> None:
    if name == "approve":
        _check_whole(row)
    check_decidable(action_on(Action(name), row.state), row.version, row.state)


def _check_unnamed(shell: Shell, row: VersionLine) -> None:
    """Raise where an alias names the version, as far as the screens know; the registry is asked before it is typed."""
    named = next((one for one in shell.source.aliases(row.model) if one.version == row.version), None)
    if named is not None:
        raise RejectedError(f"{row.model}@{named.alias} names version {row.version}")


def _check_retirable(_: Shell, row: VersionLine) -> None:
    if row.state is not State.RETIRED:
        state_after_retire(row.version, row.state)


def _undo(view: View, _: str) -> None:
    shell = view.shell
    if shell.undo is not None:
        _, again = shell.undo
        shell.undo = None
        again()


def _why_not_undo(view: View) -> str:
    shell = view.shell
    if shell.undo is not None:
        return shell.why_not_write()
    last = next((entry for entry in shell.log_of_commands.newest_first() if entry.writes and not entry.failure), None)
    why = "nothing was changed from here" if last is None else f'"{last.line}" has no counterpart, or was one'
    return f"there is nothing to undo: {why}"


def _command(
    name: str,
    key: str,
    title: str,
    rule: Rule = lambda _shell, _row: None,
    hint: str | Callable[[View], str] = "",
) -> Command[View]:
    """Return a command that changes the version under the cursor, unless the rule raises; by itself none does."""

    def run(view: View, _: str) -> None:
        _act(view, name)

    return Command(name, (key,), title, run, partial(_why_not, rule=rule), hint, "Write", writes=True)


def _on_this(verb: str) -> Callable[[View], str]:
    """Return the word of a hint: the verb, and where there is more than one version, which of them."""
    return lambda view: f"{verb} {view.version_name}".strip()


VERSION_COMMANDS: tuple[Command[View], ...] = (
    _command("approve", "A", "Approve", partial(_check_decidable, "approve"), _on_this("approve")),
    _command("reject", "X", "Reject, with the reason", partial(_check_decidable, "reject")),
    _command("comment", "C", "Comment", partial(_check_decidable, "comment")),
    _command("request", "R", "Request a review", partial(_check_decidable, "request")),
    _command("promote", "P", "Promote", _check_promotable, _on_this("promote")),
    _command("rollback", "B", "Roll an alias back", hint="roll back"),
    _command("edit", "E", "Edit labels and notes"),
    _command("retire", "T", "Retire, or take out of retirement", _check_retirable),
    _command("delete", "D", "Delete", _check_unnamed),
    Command("undo", ("U",), "Undo your last change", _undo, _why_not_undo, group="Write", writes=True),
)
"""What can be done with a version."""


def _yank(view: View, _: str) -> None:
    row = view.version
    if row is not None:
        yank_version(view.shell, row)


READ_COMMANDS: tuple[Command[View], ...] = (
    DOWNLOAD,
    Command("yank", ("y",), "Copy digest, name, URI or command", _yank, why_no_version, "copy", "Read"),
    CARD,
)
"""What gets a version, copies one of its names, and shows its card."""


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

"""The commands of a version, wherever one is under the cursor: what can be done with it, and what can be taken from it.

They are declared here once, with their keys and the rule that says why one cannot be done now; how one is done is
loaded when it is.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from bucketry.errors import BucketryError, CorruptError, RejectedError
from bucketry.index.views import find_model_line
from bucketry.schema.documents.reviews import Action
from bucketry.schema.documents.states import State, check_servable, state_after_retire
from bucketry.schema.judging.decisions import action_on, check_decidable
from bucketry.tui.actions.download import download_command
from bucketry.tui.drawing.pager import card_command
from bucketry.tui.shell.commands import Command
from bucketry.tui.shell.prompts import Choice

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from bucketry.index.views import VersionLine
    from bucketry.schema.names import Digest
    from bucketry.tui.shell.command_log import LogEntry
    from bucketry.tui.shell.view import Shell


def version_commands(
    shell: Shell,
    current: Callable[[], VersionLine | None],
    *,
    diff: Callable[[], Digest | None] = lambda: None,
    name: Callable[[], str] = lambda: "",
    why_none: Callable[[], str] = lambda: "there is no version",
) -> tuple[Command, ...]:
    """Return what can be done with the version that `current` returns; `diff` is the comparison that is shown of it.

    Where more than one version is on the screen, `name` is how the hints call the one that is meant. `why_none` says
    why there may be none.
    """

    def command(
        name_of_it: str, key: str, title: str, rule: Callable[[VersionLine], object] = lambda _: None, hint: str = ""
    ) -> Command:
        def run(_: str) -> None:
            row = current()
            if row is not None:
                _act_on(shell, row, name_of_it, diff, is_framed=bool(name()))

        why_not = partial(_why_not, shell, current, rule, why_none)
        word = f"{hint} {name()}".strip() if hint and name_of_it in _OF_ONE_VERSION else hint
        return Command(name_of_it, (key,), title, run, why_not, word, "Write", writes=True)

    return (
        command("approve", "A", "Approve", partial(_check_decidable, "approve"), "approve"),
        command("reject", "X", "Reject, with the reason", partial(_check_decidable, "reject")),
        command("comment", "C", "Comment", partial(_check_decidable, "comment")),
        command("request", "R", "Request a review", partial(_check_decidable, "request")),
        command("promote", "P", "Promote", _check_promotable, "promote"),
        command("rollback", "B", "Roll an alias back", hint="roll back"),
        command("edit", "E", "Edit labels and notes"),
        command("retire", "T", "Retire, or take out of retirement", _check_retirable),
        command("delete", "D", "Delete", partial(_check_unnamed, shell)),
        Command(
            "undo",
            ("U",),
            "Undo your last change",
            lambda _: _undo(shell),
            lambda: _why_not_undo(shell),
            "",
            "Write",
            writes=True,
        ),
    )


_OF_ONE_VERSION = frozenset({"approve", "promote"})


def _act_on(
    shell: Shell, row: VersionLine, name: str, diff: Callable[[], Digest | None], *, is_framed: bool = False
) -> None:
    """Do what the command of this name does with a version; `diff` is the comparison that is shown of it.

    `is_framed`: there is more than one version on the screen, so that each prompt says which one it is about.
    """
    # ruff: noqa: PLC0415 - lists stand on the screen before anybody acts
    from bucketry.tui.actions.panels import ActionPanel
    from bucketry.tui.actions.seen import generation_shown

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

            action = decision_action(shell, row, generation, action=action_on(Action(name), row.state), diff=diff())
            ActionPanel(shell, action, is_framed=is_framed).open()


def _why_not(
    shell: Shell,
    current: Callable[[], VersionLine | None],
    rule: Callable[[VersionLine], object],
    why_none: Callable[[], str],
) -> str:
    """Return why nothing can be done: the session, no version, or what the registry's own rule says of its state."""
    row = current()
    if row is None:
        return why_none()
    if row.damaged and not row.manifest:
        return f"v{row.version} is damaged: {row.damaged}"
    try:
        rule(row)
    except BucketryError as error:
        return error.message
    return shell.why_not_write()


def _check_whole(row: VersionLine) -> None:
    if row.damaged:
        raise CorruptError(f"v{row.version} is damaged: {row.damaged}")


def _check_promotable(row: VersionLine) -> None:
    _check_whole(row)
    check_servable(row.version, row.state)


def _check_decidable(name: str, row: VersionLine) -> None:
    if name == "approve":
        _check_whole(row)
    check_decidable(action_on(Action(name), row.state), row.version, row.state)


def _check_unnamed(shell: Shell, row: VersionLine) -> None:
    """Raise where an alias names the version, as far as the screens know; the registry is asked before it is typed."""
    found = find_model_line(shell.source.index, row.model)
    named = next((one for one in (found.aliases if found else ()) if one.version == row.version), None)
    if named is not None:
        raise RejectedError(f"{row.model}@{named.alias} names version {row.version}")


def _check_retirable(row: VersionLine) -> None:
    if row.state is not State.RETIRED:
        state_after_retire(row.version, row.state)


def _why_not_undo(shell: Shell) -> str:
    if shell.undo is not None:
        return shell.why_not_write()
    last = next((entry for entry in shell.log_of_commands.newest_first() if entry.writes and not entry.failure), None)
    return f"there is nothing to undo: {'nothing was changed from here' if last is None else _no_counterpart(last)}"


def _no_counterpart(last: LogEntry) -> str:
    return f'"{last.line}" has no counterpart, or was one'


def _undo(shell: Shell) -> None:
    if shell.undo is not None:
        _, again = shell.undo
        shell.undo = None
        again()


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

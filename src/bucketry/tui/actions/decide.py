"""How is a version decided about, promoted, edited and given up from a screen?

Each action is a call of the same service as the command of that name, on what the user was shown: a version that
changed since then is not acted on, and who changed it is said.
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from bucketry.registry.core.registers import load_existing_head
from bucketry.registry.core.rows import load_dossier, load_row
from bucketry.registry.review.reviewing import check_may_decide
from bucketry.registry.versions.deletion import check_may_delete, delete_version
from bucketry.registry.versions.lifecycle import LabelEdit, edit_version, retire, unretire
from bucketry.schema.documents.reviews import REFUSALS, Action
from bucketry.schema.documents.states import State
from bucketry.schema.judging.decisions import action_on
from bucketry.show.spans import Span, line
from bucketry.tui.actions.deciding import DecisionDraft, decide, generation_shown
from bucketry.tui.actions.promote import ask_promotion, ask_rollback
from bucketry.tui.actions.seen import ANYTHING, EDITED, check_unchanged
from bucketry.tui.actions.version_actions import ActionPanel, VersionAction, serving_alias, with_reason
from bucketry.tui.shell.prompts import Choice, Question

if TYPE_CHECKING:
    from collections.abc import Callable

    from bucketry.errors import BucketryError
    from bucketry.index.views import VersionLine
    from bucketry.registry.core.session import Session
    from bucketry.schema.documents.head import Row
    from bucketry.schema.names import Digest
    from bucketry.tui.shell.view import Shell


def act_on(
    shell: Shell, row: VersionLine, name: str, diff: Callable[[], Digest | None], *, is_framed: bool = False
) -> None:
    """Do what the command of this name does with a version; `diff` is the comparison that is shown of it.

    `is_framed`: there is more than one version on the screen, so that each prompt says which one it is about.
    """
    generation = generation_shown(shell, row)
    match name:
        case "promote":
            ask_promotion(shell, row)
        case "rollback":
            ask_rollback(shell, row)
        case "edit":
            _ask_edit(shell, row)
        case "retire":
            ActionPanel(shell, _retirement(shell, row, generation), is_framed=is_framed).open()
        case "delete":
            ActionPanel(shell, _deletion(shell, row, generation), is_framed=is_framed).open()
        case _:
            deed = _decision(shell, row, generation, action=action_on(Action(name), row.state), diff=diff())
            ActionPanel(shell, deed, is_framed=is_framed).open()


_LABELS: dict[Action, str] = {
    Action.APPROVE: "approve {}, comment (may be empty):",
    Action.REJECT: "reject {} for ever, reason:",
    Action.REVOKE: "revoke the approval of {} for ever, reason:",
    Action.COMMENT: "comment on {}:",
    Action.REQUEST: "request a review of {}, comment (may be empty):",
}
_NEED_TEXT = frozenset({Action.REJECT, Action.REVOKE, Action.COMMENT})


def _decision(
    shell: Shell, row: VersionLine, generation: int | None, *, action: Action, diff: Digest | None
) -> VersionAction:
    reference = f"{row.model}:{row.version}"
    serves = serving_alias(shell, row) if action in REFUSALS else None
    means = (
        (Span(f"Whoever pulls {row.model}@{serves.alias} is refused from then on: roll it back first (B)."),)
        if serves is not None
        else ()
    )

    def again(now: VersionLine, seen: int) -> VersionAction:
        return _decision(shell, now, seen, action=action_on(action, now.state), diff=diff)

    return VersionAction(
        row=row,
        generation=generation,
        verb=action.value,
        label=_LABELS[action].format(reference),
        words=("review", action.value, reference),
        check=lambda session: check_may_decide(session, row.model, row.version, action),
        go=lambda text, failed: decide(shell, DecisionDraft(row, action, text, generation, diff), failed),
        again=again,
        means=means,
        serves=serves,
        needs_text=action in _NEED_TEXT,
    )


def _ask_edit(shell: Shell, row: VersionLine) -> None:
    shell.choose(
        Choice(
            f"edit {row.model}:{row.version}",
            {"l": ("labels", lambda: _ask_labels(shell, row)), "n": ("notes", lambda: _ask_notes(shell, row))},
        )
    )


def _ask_labels(shell: Shell, row: VersionLine) -> None:
    shown = ", ".join(f"{name}={value}" for name, value in row.labels.items()) or "none yet"
    panel = (line("labels now:  ", shown), line(Span("name=value sets one, -name takes one away", "dim")))
    generation = generation_shown(shell, row)

    def answer(text: str) -> None:
        edit = _parse_labels(text)
        before = {name: row.labels[name] for name in (*edit.put, *edit.drop) if name in row.labels}
        undone = LabelEdit(before, frozenset(name for name in edit.put if name not in row.labels))
        _edit_labels(shell, row, edit, generation, undone=undone)

    shell.ask(Question("labels:", answer, panel=panel, panel_title="LABELS", why_not=_why_not_labels, enter="save"))


def _edit_labels(
    shell: Shell, row: VersionLine, edit: LabelEdit, generation: int | None, *, undone: LabelEdit | None = None
) -> None:
    reference = f"{row.model}:{row.version}"
    words = ["edit", reference]
    for name, value in edit.put.items():
        words += ["--label", f"{name}={value}"]
    for name in sorted(edit.drop):
        words += ["--remove-label", name]

    def done(_: Row) -> None:
        shell.flash(f"changed the labels of {reference}", "good")
        if undone is not None:
            shell.undo = (f"edit {reference}", lambda: _edit_labels(shell, row, undone, generation))

    def work(session: Session) -> Row:
        check_unchanged(session, row, generation=generation, minds=EDITED)
        return edit_version(session, row.model, row.version, labels=edit)

    shell.write(tuple(words), work, done)


def _parse_labels(text: str) -> LabelEdit:
    parts = text.replace(",", " ").split()
    put = dict(part.split("=", 1) for part in parts if "=" in part and not part.startswith("-"))
    return LabelEdit(put, frozenset(part[1:] for part in parts if part.startswith("-")))


def _why_not_labels(text: str) -> str:
    wrong = [part for part in text.replace(",", " ").split() if not part.startswith("-") and "=" not in part]
    if wrong:
        return f'"{wrong[0]}" is neither name=value nor -name'
    return "" if text.strip() else "write name=value"


def _ask_notes(shell: Shell, row: VersionLine) -> None:
    """Read the notes as they are, then ask for the new ones behind them."""
    reference = f"{row.model}:{row.version}"
    generation = generation_shown(shell, row)

    def ask(before: str) -> None:
        if "\n" in before:
            shell.flash(f"these notes have several lines; use: bucketry edit {reference} --notes TEXT", "warn")
            return
        answer = partial(_edit_notes, shell, row, generation=generation, before=before)
        shell.ask(Question(f"notes of {reference}:", answer, initial=before, enter="save"))

    shell.read("notes", ("show", reference), partial(_load_notes, row=row), ask)


def _load_notes(session: Session, *, row: VersionLine) -> str:
    head = load_existing_head(session, row.model)
    dossier = load_dossier(session, head, load_row(session, head, row.version))
    return dossier.notes or ""


def _edit_notes(
    shell: Shell, row: VersionLine, text: str, *, generation: int | None, before: str | None = None
) -> None:
    reference = f"{row.model}:{row.version}"

    def work(session: Session) -> Row:
        check_unchanged(session, row, generation=generation, minds=EDITED)
        return edit_version(session, row.model, row.version, notes=text)

    def done(_: Row) -> None:
        shell.flash(f"changed the notes of {reference}", "good")
        if before is not None:
            shell.undo = (f"edit {reference}", lambda: _edit_notes(shell, row, before, generation=generation))

    shell.write(("edit", reference, "--notes", text), work, done)


def _retirement(shell: Shell, row: VersionLine, generation: int | None, *, is_undo: bool = False) -> VersionAction:
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
        ActionPanel(shell, _retirement(shell, counterpart, None, is_undo=True)).open()

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
        again=lambda now, seen: _retirement(shell, now, seen, is_undo=is_undo),
        means=means if serves is not None else (),
        serves=serves,
    )


def _deletion(shell: Shell, row: VersionLine, generation: int | None) -> VersionAction:
    reference = f"{row.model}:{row.version}"

    def go(reason: str, failed: Callable[[BucketryError], None]) -> None:
        def work(session: Session) -> object:
            check_unchanged(session, row, generation=generation, minds=ANYTHING)
            return delete_version(session, row.model, row.version, reason=reason)

        words = (*with_reason(("delete", reference), reason), "--yes")
        shell.write(words, work, lambda _: shell.flash(f"{reference} is deleted", "good"), failed)

    return VersionAction(
        row=row,
        generation=generation,
        verb="delete",
        label="",
        words=("delete", reference, "--yes"),
        check=lambda session: check_may_delete(session, row.model, row.version),
        go=go,
        again=lambda now, seen: _deletion(shell, now, seen),
        means=(
            Span(f"{reference} will be deleted for ever.", "bad"),
            Span("Its number is never used again; a later garbage collection frees its bytes."),
        ),
        needs_name=True,
    )

"""How is a version decided about, promoted, edited and given up from a screen?

Each action is a call of the same service as the command of that name, on what the user was shown: a version that
changed since then is not acted on, and who changed it is said.
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from bucketry.registry.deletion import delete_version
from bucketry.registry.lifecycle import LabelEdit, edit_version, retire, unretire
from bucketry.registry.registers import load_existing_head
from bucketry.registry.rows import load_dossier, load_row
from bucketry.schema.reviews import Action
from bucketry.schema.states import State
from bucketry.tui.deciding import Wish, decide, generation_shown
from bucketry.tui.paint import Span, line
from bucketry.tui.promoting import ask_promotion, ask_rollback
from bucketry.tui.prompts import Choice, Question
from bucketry.tui.seen import ANYTHING, EDITED, check_unchanged

if TYPE_CHECKING:
    from collections.abc import Callable

    from bucketry.errors import BucketryError
    from bucketry.registry.index_views import VersionLine
    from bucketry.registry.session import Session
    from bucketry.schema.head import Row
    from bucketry.schema.names import Digest
    from bucketry.tui.app import BucketryApp


def act_on(shell: BucketryApp, row: VersionLine, name: str, diff: Callable[[], Digest | None]) -> None:
    """Do what the command of this name does with a version; `diff` is the comparison that is shown of it."""
    if name in _ASKED:
        _ask_decision(shell, row, action=_ASKED[name], diff=diff)
    else:
        _OTHERS[name](shell, row)


_ASKED = {
    "approve": Action.APPROVE,
    "reject": Action.REJECT,
    "comment": Action.COMMENT,
    "request": Action.REQUEST,
}
_DECISIONS: dict[Action, tuple[str, bool]] = {
    Action.APPROVE: ("approve {}, comment (may be empty):", False),
    Action.REJECT: ("reject {} for ever, reason:", True),
    Action.REVOKE: ("revoke the approval of {} for ever, reason:", True),
    Action.COMMENT: ("comment on {}:", True),
    Action.REQUEST: ("request a review of {}, comment (may be empty):", False),
}


def _ask_decision(shell: BucketryApp, row: VersionLine, *, action: Action, diff: Callable[[], Digest | None]) -> None:
    if action is Action.REJECT and row.state is State.APPROVED:
        action = Action.REVOKE  # to reject what is approved is to take the approval back
    label, needs_text = _DECISIONS[action]

    def why_not(text: str) -> str:
        return "a text is needed" if needs_text and not text.strip() else ""

    label = label.format(f"{row.model}:{row.version}")
    generation, shown, drafts = generation_shown(shell, row), diff(), shell.asking.drafts

    def answer(text: str) -> None:
        def failed(error: BucketryError) -> None:
            drafts[label] = text
            shell.fail(error)

        decide(shell, Wish(row, action, text.strip(), generation, shown), failed)

    shell.ask(Question(label, answer, initial=drafts.pop(label, ""), why_not=why_not, enter=action.value))


def _ask_edit(shell: BucketryApp, row: VersionLine) -> None:
    shell.choose(
        Choice(
            f"edit {row.model}:{row.version}",
            {"l": ("labels", lambda: _ask_labels(shell, row)), "n": ("notes", lambda: _ask_notes(shell, row))},
        )
    )


def _ask_labels(shell: BucketryApp, row: VersionLine) -> None:
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
    shell: BucketryApp, row: VersionLine, edit: LabelEdit, generation: int | None, *, undone: LabelEdit | None = None
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


def _ask_notes(shell: BucketryApp, row: VersionLine) -> None:
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
    shell: BucketryApp, row: VersionLine, text: str, *, generation: int | None, before: str | None = None
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


def _retire(shell: BucketryApp, row: VersionLine, *, is_undo: bool = False) -> None:
    back = row.state is State.RETIRED
    verb, service = ("unretire", unretire) if back else ("retire", retire)
    reference = f"{row.model}:{row.version}"

    def work(session: Session) -> Row:
        check_unchanged(session, row)
        return service(session, row.model, row.version)

    def done(changed: Row) -> None:
        shell.flash(f"{reference} is {changed.state} {'again' if is_undo else 'now'}", "good")
        if is_undo:
            return
        counterpart = replace(row, state=changed.state)
        shell.undo = (f"{verb} {reference}", lambda: _retire(shell, counterpart, is_undo=True))

    shell.write((verb, reference), work, done)


def _ask_delete(shell: BucketryApp, row: VersionLine) -> None:
    reference, name = f"{row.model}:{row.version}", str(row.model)
    generation = generation_shown(shell, row)
    panel = (
        line(Span(f"{reference} will be deleted for ever.", "bad")),
        line("Its number is never used again; a later garbage collection frees its bytes."),
        line(Span("same as:  " + shell.command_line("delete", reference, "--yes"), "dim")),
    )

    def work(session: Session) -> object:
        check_unchanged(session, row, generation=generation, minds=ANYTHING)
        return delete_version(session, row.model, row.version)

    shell.ask(
        Question(
            f"type  {name}  to delete:",
            lambda _: shell.write(
                ("delete", reference, "--yes"), work, lambda _: shell.flash(f"{reference} is deleted", "good")
            ),
            panel=panel,
            panel_title="DELETE",
            is_production=True,
            enter="delete",
            why_not=lambda text: "" if text == name else "name differs",
        )
    )


_OTHERS: dict[str, Callable[[BucketryApp, VersionLine], None]] = {
    "promote": ask_promotion,
    "rollback": ask_rollback,
    "edit": _ask_edit,
    "retire": _retire,
    "delete": _ask_delete,
}

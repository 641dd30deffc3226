"""Edit the labels and the notes of a version from a screen, and take that back."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from bucketry.registry.core.registers import load_existing_head
from bucketry.registry.core.rows import load_dossier, load_row
from bucketry.registry.versions.lifecycle import LabelEdit, edit_version
from bucketry.show.spans import Span, line
from bucketry.tui.actions.seen import EDITED, check_unchanged, generation_shown
from bucketry.tui.shell.asking import Choice, Question

if TYPE_CHECKING:
    from bucketry.index.views import VersionLine
    from bucketry.registry.core.session import Session
    from bucketry.schema.documents.head import Row
    from bucketry.tui.shell.view import Shell


def ask_edit(shell: Shell, row: VersionLine) -> None:
    """Ask what is to be edited, then for the text."""
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
        parts = text.replace(",", " ").split()
        put = dict(part.split("=", 1) for part in parts if "=" in part and not part.startswith("-"))
        edit = LabelEdit(put, frozenset(part[1:] for part in parts if part.startswith("-")))
        before = {name: row.labels[name] for name in (*edit.put, *edit.drop) if name in row.labels}
        undone = LabelEdit(before, frozenset(name for name in edit.put if name not in row.labels))
        _edit_labels(shell, row, edit, generation, undone=undone)

    def why_not(text: str) -> str:
        wrong = [part for part in text.replace(",", " ").split() if not part.startswith("-") and "=" not in part]
        if wrong:
            return f'"{wrong[0]}" is neither name=value nor -name'
        return "" if text.strip() else "write name=value"

    shell.ask(Question("labels:", answer, panel=panel, panel_title="LABELS", why_not=why_not, enter="save"))


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

    def load_notes(session: Session) -> str:
        head = load_existing_head(session, row.model)
        return load_dossier(session, head, load_row(session, head, row.version)).notes or ""

    shell.read("notes", ("show", reference), load_notes, ask)


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

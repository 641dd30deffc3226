"""Give up a version, or a whole model, from a screen: what would be refused is said before anything is typed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bucketry.registry.versions.deletion import check_may_delete, delete_version
from bucketry.registry.versions.model_deletion import delete_model, plan_model_deletion
from bucketry.show.figures import count_of
from bucketry.show.spans import Span, line
from bucketry.tui.actions.panels import VersionAction, reason_line, same_as, text_behind, with_reason
from bucketry.tui.actions.seen import ANYTHING, check_unchanged
from bucketry.tui.shell.asking import Question

if TYPE_CHECKING:
    from collections.abc import Callable

    from bucketry.errors import BucketryError
    from bucketry.index.views import VersionLine
    from bucketry.registry.core.session import Session
    from bucketry.registry.versions.model_deletion import ModelDeletion
    from bucketry.schema.names import ModelName
    from bucketry.tui.shell.view import Shell


def deletion_action(shell: Shell, row: VersionLine, generation: int | None) -> VersionAction:
    """Return what asks for the deletion of a version."""
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
        again=lambda now, seen: deletion_action(shell, now, seen),
        means=(
            Span(f"{reference} will be deleted for ever.", "bad"),
            Span("Its number is never used again; a later garbage collection frees its bytes."),
        ),
        needs_name=True,
    )


def ask_model_deletion(shell: Shell, model: ModelName) -> None:
    """Look at what would be given up, ask for the model's name, a reason behind it if there is one, and delete it."""
    words = ("delete", str(model), "--all-versions")
    shell.flash(f"looking at {model} ...", "dim")
    shell.read(
        "deletion", words, lambda session: plan_model_deletion(session, model), lambda plan: _ask_model(shell, plan)
    )


def _ask_model(shell: Shell, plan: ModelDeletion) -> None:
    model, name = plan.model, str(plan.model)
    kept = shell.asking.drafts.pop(f"delete {name}", "")

    def answer(text: str) -> None:
        reason = text_behind(name, text) or kept

        def failed(error: BucketryError) -> None:
            shell.asking.keep(f"delete {name}", reason)
            shell.fail(error)

        words = with_reason(("delete", name, "--all-versions", "--yes"), reason)
        shell.write(
            words,
            lambda session: delete_model(session, model, reason=reason),
            lambda done: shell.flash(f"{name} is deleted, with {count_of(len(done.versions), 'version')}", "good"),
            failed,
        )

    panel = (
        line(Span(f"{name} will be deleted for ever, with {count_of(len(plan.versions), 'version')}.", "bad")),
        line("It leaves every list. Its numbers are never used again; its history stays."),
        reason_line(name, kept),
        same_as(shell, "delete", name, "--all-versions", "--yes"),
    )
    shell.ask(
        Question(
            f"type  {name}  to delete the model:",
            answer,
            panel=panel,
            panel_title="DELETE A MODEL",
            is_production=True,
            enter="delete",
            why_not=lambda text: "" if text_behind(name, text) is not None else "name differs",
        )
    )

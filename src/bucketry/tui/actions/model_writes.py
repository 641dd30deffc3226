"""How is a whole model given up from the list of models?

What keeps it is looked for first, so that what would be refused is said before anything is typed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from bucketry.registry.versions.model_deletion import delete_model, plan_model_deletion
from bucketry.show.figures import count_of
from bucketry.show.spans import Span, line
from bucketry.tui.actions.version_actions import reason_line, text_behind, with_reason
from bucketry.tui.shell.prompts import Question

if TYPE_CHECKING:
    from bucketry.errors import BucketryError
    from bucketry.registry.versions.model_deletion import ModelDeletion
    from bucketry.schema.names import ModelName
    from bucketry.tui.shell.view import Shell


def ask_model_deletion(shell: Shell, model: ModelName) -> None:
    """Look at what would be given up, ask for the model's name, a reason behind it if there is one, and delete it."""
    words = ("delete", str(model), "--all-versions")
    shell.flash(f"looking at {model} ...", "dim")
    shell.read("deletion", words, lambda session: plan_model_deletion(session, model), lambda plan: _ask(shell, plan))


def _ask(shell: Shell, plan: ModelDeletion) -> None:
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
        line(Span("same as:  " + shell.command_line("delete", name, "--all-versions", "--yes"), "dim")),
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

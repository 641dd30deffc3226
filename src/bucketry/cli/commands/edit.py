"""`edit`: changes what is said about a model or a version."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from bucketry.cli.command import command
from bucketry.cli.documents import row_document
from bucketry.cli.parameters import REFERENCE, parse_pairs
from bucketry.errors import UsageError
from bucketry.registry.core.resolve import load_version_number
from bucketry.registry.versions.lifecycle import LabelEdit, edit_model, edit_version
from bucketry.schema.names import Newest

if TYPE_CHECKING:
    from bucketry.cli.call import Call
    from bucketry.schema.names import Reference


@command(
    "edit",
    example='bucketry edit acme/chat --description "Answers customers"\n'
    'bucketry edit acme/chat:3 --notes "slow on long inputs" --label team=core',
)
@click.argument("reference", metavar="MODEL|REF", type=REFERENCE)
@click.option("--description", metavar="TEXT", help="What the model is (a model only).")
@click.option("--notes", metavar="TEXT", help="What is worth knowing about the version (a version only).")
@click.option("--label", "labels", multiple=True, metavar="NAME=VALUE", help="Set a label; may be repeated.")
@click.option("--remove-label", "removed", multiple=True, metavar="NAME", help="Take a label away; may be repeated.")
def run(
    call: Call,
    reference: Reference,
    description: str | None,
    notes: str | None,
    labels: tuple[str, ...],
    removed: tuple[str, ...],
) -> None:
    """Change a model's description and labels, or a version's notes and labels.

    `acme/chat` is the model; `acme/chat:3`, `acme/chat@production` or `acme/chat@latest` is a version. What was
    published stays as it is in the manifest.
    """
    edit = LabelEdit(parse_pairs(labels, option="--label"), frozenset(removed)) if labels or removed else None
    if description is None and notes is None and edit is None:
        raise UsageError("nothing to change was given", advice="give --description, --notes, --label or --remove-label")
    model = reference.model
    if isinstance(reference.selector, Newest):
        if notes is not None:
            raise UsageError("notes belong to a version, not to a model", advice=f"write {model}:VERSION")
        head = edit_model(call.open(), model, description=description, labels=edit)
        document: dict[str, object] = {
            "model": str(model),
            "description": head.description,
            "labels": dict(head.labels),
            "generation": head.generation,
        }
        call.answer(document, [f"changed {model}"])
        return
    if description is not None:
        raise UsageError("a description belongs to a model, not to a version", advice=f"write {model}, or use --notes")
    session = call.open()
    version = load_version_number(session, reference)
    row = edit_version(session, model, version, notes=notes, labels=edit)
    document = row_document(model, row) | ({} if notes is None else {"notes": notes})
    call.answer(document, [f"changed {model}:{version}"])

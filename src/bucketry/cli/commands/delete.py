"""`delete`: gives up a version that nothing needs, or a whole model."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from bucketry.cli.command import command
from bucketry.cli.parameters import REASON, REFERENCE
from bucketry.errors import UsageError
from bucketry.registry.core.resolve import load_version_number
from bucketry.registry.versions.deletion import delete_version
from bucketry.registry.versions.model_deletion import delete_model, plan_model_deletion
from bucketry.schema.names import ByVersion, Newest
from bucketry.show.figures import count_of, size_text

if TYPE_CHECKING:
    from bucketry.cli.call import Call
    from bucketry.schema.names import Reference


@command(
    "delete",
    example="bucketry delete acme/chat:2 --reason mistake --yes\nbucketry delete acme/old --all-versions",
)
@click.argument("reference", metavar="REF", type=REFERENCE)
@REASON
@click.option("--all-versions", is_flag=True, help="Give up the whole model that REF names, without a version.")
@click.option("--yes", is_flag=True, help="Do not ask.")
def run(call: Call, reference: Reference, reason: str, *, all_versions: bool, yes: bool) -> None:
    """Give up a version that no alias names and no other version is made from, or a whole model.

    Its number is never used again, and its history stays. Its bytes are freed by a later garbage collection. A model
    leaves every list with its versions; publishing to it again goes on with the next number.
    """
    if all_versions:
        _delete_model(call, reference, reason, yes=yes)
        return
    session = call.open()
    model = reference.model
    # A deletion that was interrupted is finished by number: the version can no longer be resolved for use.
    named = reference.selector
    version = named.version if isinstance(named, ByVersion) else load_version_number(session, reference)
    if not yes and not call.messages.confirm(f"delete {model}:{version} for ever?"):
        raise UsageError(f"{model}:{version} was not deleted", advice="answer y, or give --yes")
    deleted = delete_version(session, model, version, reason=reason)
    document = {"model": str(model), "version": version, "state": "deleted", "size_bytes": deleted.size_bytes}
    call.answer(document, [f"{model}:{version} is deleted ({size_text(deleted.size_bytes)} to be freed)"])


def _delete_model(call: Call, reference: Reference, reason: str, *, yes: bool) -> None:
    model = reference.model
    if not isinstance(reference.selector, Newest):
        raise UsageError(
            f"{reference} names a version, and --all-versions deletes the whole model",
            advice=f"write `bucketry delete {model} --all-versions`, or leave --all-versions out",
        )
    session = call.open()
    plan = plan_model_deletion(session, model)
    what = f"{count_of(len(plan.versions), 'version')} ({size_text(plan.size_bytes)} to be freed)"
    if not yes:
        call.messages.note(f"this deletes {model} for ever: {what}")
        if not call.messages.confirm(f"delete {model} with all its versions?"):
            raise UsageError(f"{model} was not deleted: it has {what}", advice="answer y, or give --yes")
    deleted = delete_model(session, model, reason=reason)
    document = {
        "model": str(model),
        "versions": list(deleted.versions),
        "state": "deleted",
        "size_bytes": deleted.size_bytes,
    }
    call.answer(document, [f"{model} is deleted: {what}"])

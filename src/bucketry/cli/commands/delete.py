"""`delete`: how is a version given up?"""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from bucketry.cli.command import command
from bucketry.cli.figures import human_size
from bucketry.cli.parameters import REASON, REFERENCE
from bucketry.errors import UsageError
from bucketry.registry.deletion import delete_version
from bucketry.registry.resolve import load_version_number
from bucketry.schema.names import ByVersion

if TYPE_CHECKING:
    from bucketry.cli.call import Call
    from bucketry.schema.names import Reference


@command("delete", example="bucketry delete acme/chat:2 --reason mistake --yes")
@click.argument("reference", metavar="REF", type=REFERENCE)
@REASON
@click.option("--yes", is_flag=True, help="Do not ask.")
def run(call: Call, reference: Reference, reason: str, *, yes: bool) -> None:
    """Give up a version that no alias names and no other version is made from.

    Its number is never used again, and its history stays. Its bytes are freed by a later garbage collection.
    """
    session = call.open()
    model = reference.model
    # A deletion that was interrupted is finished by number: the version can no longer be resolved for use.
    named = reference.selector
    version = named.version if isinstance(named, ByVersion) else load_version_number(session, reference)
    if not yes and not call.messages.confirm(f"delete {model}:{version} for ever?"):
        raise UsageError(f"{model}:{version} was not deleted", advice="answer y, or give --yes")
    deleted = delete_version(session, model, version, reason=reason)
    document = {"model": str(model), "version": version, "state": "deleted", "size_bytes": deleted.size_bytes}
    call.answer(document, [f"{model}:{version} is deleted ({human_size(deleted.size_bytes)} to be freed)"])

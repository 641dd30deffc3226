"""`unretire`: allows use of a retired version again."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from bucketry.cli.command import command
from bucketry.cli.documents import row_document
from bucketry.cli.parameters import REASON, REFERENCE
from bucketry.registry.core.registers import load_existing_head
from bucketry.registry.core.resolve import load_version_number
from bucketry.registry.serving.known_aliases import load_aliases
from bucketry.registry.versions.lifecycle import unretire

if TYPE_CHECKING:
    from bucketry.cli.call import Call
    from bucketry.schema.names import Reference


@command("unretire", example="bucketry unretire acme/chat:2")
@click.argument("reference", metavar="REF", type=REFERENCE)
@REASON
def run(call: Call, reference: Reference, reason: str) -> None:
    """Allow use of a retired version again.

    Its state is then that of a version about which nothing has been decided.
    """
    session = call.open()
    model, version = reference.model, load_version_number(session, reference)
    row = unretire(session, model, version, reason=reason)
    registers = [
        register
        for register in load_aliases(session, load_existing_head(session, model))
        if register.target is not None and register.target.version == version
    ]
    call.answer(row_document(model, row, registers), [f"{model}:{version} is {row.state} now"])

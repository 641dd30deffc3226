"""`retire`: forbids new use of a version and keeps its bytes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from bucketry.cli.command import command
from bucketry.cli.documents import row_document
from bucketry.cli.parameters import REASON, REFERENCE
from bucketry.registry.core.registers import load_existing_head
from bucketry.registry.core.resolve import load_version_number
from bucketry.registry.serving.known_aliases import load_aliases
from bucketry.registry.versions.lifecycle import retire

if TYPE_CHECKING:
    from bucketry.cli.call import Call
    from bucketry.schema.names import Reference


@command("retire", example='bucketry retire acme/chat:2 --reason "replaced by 3"')
@click.argument("reference", metavar="REF", type=REFERENCE)
@REASON
def run(call: Call, reference: Reference, reason: str) -> None:
    """Forbid new use of a version and keep its bytes.

    An alias that names it goes on serving it; `promote` or `rollback` moves the alias.
    """
    session = call.open()
    model, version = reference.model, load_version_number(session, reference)
    row = retire(session, model, version, reason=reason)
    registers = [
        register
        for register in load_aliases(session, load_existing_head(session, model))
        if register.target is not None and register.target.version == version
    ]
    call.answer(row_document(model, row, registers), [f"{model}:{version} is {row.state} now"])
    for register in registers:
        call.messages.note(f"{model}@{register.alias} still names version {version} and goes on serving it")

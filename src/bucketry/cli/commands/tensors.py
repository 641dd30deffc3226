"""`tensors`: the tensors of a version, from its files' headers alone."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from bucketry.cli.command import command
from bucketry.cli.output import page
from bucketry.cli.parameters import ALLOW_REJECTED, REFERENCE, TRUST
from bucketry.cli.refusals import note_refusals
from bucketry.registry.core.resolve import resolve
from bucketry.registry.reading.tensors import list_tensors
from bucketry.show.figures import size_text
from bucketry.show.tables import NARROWEST, TextColumn, text_table

if TYPE_CHECKING:
    from pathlib import Path

    from bucketry.cli.call import Call
    from bucketry.schema.names import Reference

COLUMNS = (
    TextColumn("NAME", NARROWEST),
    TextColumn("DTYPE"),
    TextColumn("SHAPE"),
    TextColumn("SIZE", right=True),
    TextColumn("FILE", NARROWEST),
)


@command("tensors", example="bucketry tensors acme/chat@production")
@click.argument("reference", metavar="REF", type=REFERENCE)
@click.option("--verified", is_flag=True, help="Read the whole chunk that each header lies in, and verify it.")
@TRUST
@ALLOW_REJECTED
def run(call: Call, reference: Reference, *, verified: bool, trust: Path | None, allow_rejected: bool) -> None:
    """List the tensors of a version's safetensors files, from their headers alone.

    Two small reads of each file tell names, types, shapes and places. Digests are of whole chunks, so without
    --verified what a header says is checked against the file's size but not verified.
    What an alias names although it was rejected or revoked is refused, unless --allow-rejected.
    """
    session = call.open(serves=True, trust=trust)
    resolved = resolve(session, reference)
    tensors = list_tensors(session, resolved, verified=verified, allow_rejected=allow_rejected)
    rows = [
        [one.name, one.dtype, "x".join(map(str, one.shape)) or "-", size_text(one.size_bytes), one.path]
        for one in tensors
    ]
    document = [
        {
            "name": one.name,
            "dtype": one.dtype,
            "shape": list(one.shape),
            "size_bytes": one.size_bytes,
            "path": one.path,
            "start": one.start,
            "stop": one.stop,
        }
        for one in tensors
    ]
    call.answer(document, text_table(COLUMNS, rows, page()))
    if not verified:
        call.messages.note("the headers were not verified, since they fill no whole chunks; --verified does it")
    note_refusals(call, session, resolved)

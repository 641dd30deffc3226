"""`audit`: who did what to a model, and is the story whole?"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

from bucketry.cli.call import AnsweredError
from bucketry.cli.command import command
from bucketry.cli.figures import count_of
from bucketry.cli.files import write_whole
from bucketry.cli.output import width_columns
from bucketry.cli.parameters import MODEL
from bucketry.cli.tables import Column, table
from bucketry.errors import CorruptError
from bucketry.registry.history import load_audit
from bucketry.registry.notes import load_reason

if TYPE_CHECKING:
    from bucketry.cli.call import Call
    from bucketry.cli.output import Line
    from bucketry.registry.history import Audit
    from bucketry.registry.session import Session
    from bucketry.schema.names import ModelName

COLUMNS = (
    Column("AT"),
    Column("BY", flexible=True),
    Column("ACTION"),
    Column("OF", flexible=True),
    Column("DETAIL", flexible=True),
)


@command("audit", example="bucketry audit acme/chat --verify\nbucketry audit acme/chat --export trail.json")
@click.argument("model", type=MODEL)
@click.option("--verify", is_flag=True, help="Print only whether the trail is whole.")
@click.option(
    "--export",
    "export_to",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Write the trail to a file as JSON.",
)
def run(call: Call, model: ModelName, export_to: Path | None, *, verify: bool) -> None:
    """Show who did what to a model, and verify that the trail is whole.

    Every record carries the SHA-256 of the one before it. A chain that is broken ends with exit code 8.
    """
    session = call.open()
    audit = load_audit(session, model)
    document: dict[str, object] = {
        "model": str(model),
        "records": [entry.record.to_document() | {"alias": entry.alias} for entry in audit.entries],
        "verified": audit.verified,
        "faults": list(audit.faults),
    }
    if export_to is not None:
        write_whole(export_to, json.dumps(document, sort_keys=True, indent=1).encode() + b"\n")
        call.messages.note(f"wrote {count_of(len(audit.entries), 'record')} to {export_to}")
    lines: list[Line] = [] if verify else _record_lines(session, audit)
    if not audit.verified:
        raise AnsweredError(
            CorruptError(
                f"the audit trail of {model} is broken: {'; '.join(audit.faults)}",
                advice="run `bucketry fsck`, and compare with a mirror or the bucket's own versions",
            ),
            document,
            lines,
        )
    count = count_of(len(audit.entries), "record")
    call.answer(document, [*lines, f"the trail of {model} is whole: {count}, every one follows from the one before"])


def _record_lines(session: Session, audit: Audit) -> list[Line]:
    rows = []
    for alias, record in ((entry.alias, entry.record) for entry in audit.entries):
        known = {name: value for name, value in record.detail.items() if name != "note" and value is not None}
        if "note" in record.detail:  # a reason too long for the record lies in a document of its own
            known["reason"] = load_reason(session, audit.model, record)
        detail = ", ".join(f"{name}={value}" for name, value in known.items())
        target = f"@{alias}" if alias else ""
        rows.append((record.at, record.actor, record.action, f"{target} {record.target}".strip(), detail))
    return table(COLUMNS, rows, width=width_columns())

"""`audit`: who did what, and whether the story is whole."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from bucketry.cli.call import AnsweredError
from bucketry.cli.command import command
from bucketry.cli.files import write_whole
from bucketry.cli.output import page
from bucketry.cli.parameters import ALIAS, MODEL, TIME
from bucketry.errors import CorruptError
from bucketry.frozen import frozen
from bucketry.registry.core.notes import load_reason
from bucketry.registry.serving.auditing import AuditFilter, load_audit, load_registry_audit
from bucketry.schema.codec import encode
from bucketry.show.audit import action_span, detail_text, own_reason, target_text
from bucketry.show.figures import count_of
from bucketry.show.tables import NARROWEST, TextColumn, text_table

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bucketry.cli.call import Call
    from bucketry.registry.core.session import Session
    from bucketry.registry.serving.auditing import Audit, AuditEntry
    from bucketry.schema.names import AliasName, ModelName
    from bucketry.show.spans import Line

COLUMNS = (
    TextColumn("AT"),
    TextColumn("BY", NARROWEST),
    TextColumn("ACTION"),
    TextColumn("OF", NARROWEST),
    TextColumn("DETAIL", NARROWEST),
)


@frozen
class AuditArguments:
    """Arguments and options as they were given."""

    model: ModelName | None
    verify: bool
    export_to: Path | None
    actor: str | None
    action: str | None
    since: str | None
    until: str | None
    alias: AliasName | None
    with_internal: bool

    @property
    def wanted(self) -> AuditFilter:
        """Which records are to be shown."""
        return AuditFilter(self.actor, self.action, self.since, self.until, self.alias)


@command(
    "audit",
    example="bucketry audit acme/chat --verify\n"
    "bucketry audit acme/chat --alias production --since 2026-03-01 --export moves.jsonl\nbucketry audit",
)
@click.argument("model", type=MODEL, required=False)
@click.option("--verify", is_flag=True, help="Print only whether the trail is whole.")
@click.option(
    "--export",
    "export_to",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Write the records to a file as JSON Lines: one document a line.",
)
@click.option("--actor", metavar="GLOB", help="Only what somebody did, such as '*@example.org'.")
@click.option("--action", metavar="GLOB", help="Only one kind of action, such as promote.")
@click.option("--since", type=TIME, metavar="TIME", help="Only from this moment on.")
@click.option("--until", type=TIME, metavar="TIME", help="Only up to this moment.")
@click.option("--alias", type=ALIAS, help="Only what happened to one alias.")
@click.option(
    "--all",
    "with_internal",
    is_flag=True,
    help="List internal records too: what an operation noted in other registers, which nobody did by itself.",
)
def run(call: Call, **options: Any) -> None:  # noqa: ANN401 - click checks them, `AuditArguments` names them
    """Show who did what to a model, and verify that the trail is whole.

    Without MODEL: what was done to the registry itself, such as changes of the default policy. Every record carries the
    SHA-256 of the one before it. All of them are verified, whichever are shown: a chain that was changed, cut or forked
    ends with exit code 8 and is named.

    Internal records, such as an alias's note that a version which it does not name was rejected, are listed with --all
    alone, and marked. They are always in --json and --export, with "internal": true.
    """
    given = AuditArguments(**options)
    session = call.open()
    audit = load_audit(session, given.model) if given.model else load_registry_audit(session)
    entries = [entry for entry in audit.entries if given.wanted.matches(entry)]
    document: dict[str, object] = {
        "model": str(audit.model) if audit.model else None,
        "records": [_record_document(entry) for entry in entries],
        "verified": audit.verified,
        "verified_records": len(audit.entries),
        "faults": [
            {"key": fault.key, "generation": fault.generation, "problem": fault.problem} for fault in audit.faults
        ],
    }
    if given.export_to is not None:
        write_whole(given.export_to, b"".join(encode(_exported(audit, entry)) + b"\n" for entry in entries))
        call.messages.note(f"wrote {count_of(len(entries), 'record')} to {given.export_to}")
    listed = entries if given.with_internal or given.action else [e for e in entries if not e.record.is_internal]
    lines: list[Line] = [] if given.verify else _record_lines(session, audit, listed)
    if len(listed) < len(entries) and not given.verify:
        call.messages.note(f"{count_of(len(entries) - len(listed), 'internal record')} left out: --all lists them")
    name = str(audit.model) if audit.model else "the registry"
    if not audit.verified:
        raise AnsweredError(
            CorruptError(
                f"the audit trail of {name} is broken: {'; '.join(map(str, audit.faults))}",
                advice="run `bucketry fsck`, and compare with a mirror or the bucket's own versions",
            ),
            document,
            lines,
        )
    count = count_of(len(audit.entries), "record")
    call.answer(document, [*lines, f"the trail of {name} is whole: {count}, every one follows from the one before"])


def _record_document(entry: AuditEntry) -> dict[str, object]:
    return entry.record.to_document() | {"alias": entry.alias, "internal": entry.record.is_internal}


def _exported(audit: Audit, entry: AuditEntry) -> dict[str, object]:
    """Return a record as it can be read alone: of what, where it lies, and the SHA-256 that the next one carries."""
    about = {"model": str(audit.model) if audit.model else None, "key": entry.key, "sha256": entry.record.digest}
    return _record_document(entry) | about


def _record_lines(session: Session, audit: Audit, entries: Sequence[AuditEntry]) -> list[Line]:
    rows = []
    for entry in entries:
        reason = own_reason(entry)
        if "note" in entry.record.detail and audit.model:  # one too long for the record lies in a document of its own
            reason = load_reason(session, audit.model, entry.record)
        what = (entry.record.at, entry.record.actor, action_span(entry), target_text(audit.model, entry))
        rows.append((*what, detail_text(entry, reason)))
    return text_table(COLUMNS, rows, page())

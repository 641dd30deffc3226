"""`mirror`: copies a registry to another place, or brings the copy up to date."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING

import click

from bucketry.cli.call import AnsweredError
from bucketry.cli.command import command
from bucketry.cli.documents import mirror_document
from bucketry.cli.output import page
from bucketry.cli.parameters import FiniteRange
from bucketry.errors import UsageError
from bucketry.maintenance.mirror.mirror import MirrorOptions, MirrorReport, mirror
from bucketry.maintenance.mirror.restore import check_may_restore, make_registry
from bucketry.registry.core.opening import open_first_place, open_new_place
from bucketry.schema.documents.replica import Selection
from bucketry.schema.names import parse_alias
from bucketry.show.figures import count_of, size_text
from bucketry.show.spans import Span, line
from bucketry.show.tables import TextColumn, text_table
from bucketry.transfer.plan import TransferOptions

if TYPE_CHECKING:
    from bucketry.cli.call import Call
    from bucketry.cli.output import Text
    from bucketry.registry.core.session import Session

BYTES_PER_MB = 1_000_000
MOST_CONNECTIONS = 256
COLUMNS = (TextColumn("NOT BROUGHT"), TextColumn("WHY"))


@command("mirror", example="bucketry mirror s3://models/prod s3://models-eu/prod")
@click.argument("source", metavar="FROM")
@click.argument("target", metavar="TO")
@click.option("--models", multiple=True, metavar="GLOB", help="Only models that match, as 'acme/*'; may be repeated.")
@click.option(
    "--aliases", default="", metavar="NAME,...", help="Only the files of the versions that these aliases name."
)
@click.option("--dry-run", is_flag=True, show_default=False, help="Say what would be copied, and write nothing.")
@click.option(
    "--full",
    is_flag=True,
    show_default=False,
    help="Look at every object, also of models that did not move: what the replica lost comes back.",
)
@click.option(
    "--read",
    is_flag=True,
    show_default=False,
    help="Read and verify every byte here, also where the store could copy by itself.",
)
@click.option(
    "--prune",
    is_flag=True,
    show_default=False,
    help="Remove the files that the source has freed, of the models that moved; with --full of all.",
)
@click.option(
    "--restore",
    is_flag=True,
    show_default=False,
    help="FROM is a replica of a registry that is lost or given up: make TO the registry that people write to. TO may "
    "be FROM itself.",
)
@click.option(
    "--connections",
    type=click.IntRange(1, MOST_CONNECTIONS),
    default=TransferOptions().connections,
    metavar="N",
    help="How many files or parts may be on their way at once; as many are as make it faster.",
)
@click.option(
    "--limit",
    type=FiniteRange(min=0, min_open=True),
    metavar="MB/S",
    help="At most so many megabytes a second.  [default: unlimited]",
)
def run(  # noqa: PLR0913 - each is one option
    call: Call,
    *,
    source: str,
    target: str,
    models: tuple[str, ...],
    aliases: str,
    dry_run: bool,
    full: bool,
    read: bool,
    prune: bool,
    restore: bool,
    connections: int,
    limit: float | None,
) -> None:
    """Copy a registry to another place as a replica, or bring a replica up to date.

    FROM and TO are URLs, folders or configured names; TO need not exist. A replica has the registry's id, its history,
    evidence and decisions, so signatures hold; only a mirror writes there, and never what is older than it has. It is
    whole at every moment: ended anywhere, the mirror is run again and goes on. What did not move is not read.
    """
    selection = Selection(models, tuple(parse_alias(name) for name in aliases.split(",") if name))
    if restore and (dry_run or not selection.is_whole):
        raise UsageError("what is restored is the whole registry", advice="leave --models, --aliases and --dry-run out")
    ours, theirs = open_first_place(source), open_new_place(target, create=not dry_run)
    with closing(ours.store), closing(theirs.store), call.messages.progress() as shown:
        transfer = TransferOptions(
            connections=connections,
            limit_bytes_per_second=None if limit is None else max(1, int(limit * BYTES_PER_MB)),
            on_transfer=shown.listener("mirroring"),
        )
        listener = shown.count_listener("models")
        options = MirrorOptions(
            selection, dry_run=dry_run, full=full, read=read, prune=prune, transfer=transfer, on_models=listener
        )
        report = _restore(ours, theirs, options) if restore else mirror(ours, theirs, options)
    document = mirror_document(report) | {"from": ours.store.name, "to": theirs.store.name, "dry_run": dry_run}
    document["restored"] = restore and not report.failures
    lines = [*_failures(report), _summary(report, dry_run=dry_run)]
    if report.failures:
        worst = max(report.failures, key=lambda failure: failure.error.exit_code).error
        told = f"{count_of(len(report.failures), 'part')} of the registry could not be brought: {worst.message}"
        raise AnsweredError(type(worst)(told, advice=worst.remedy), document, lines)
    if restore:
        lines.append(f"{theirs.store.name} is the registry now, with all that the replica had: writers may go there")
    call.answer(document, lines)


def _restore(replica: Session, place: Session, options: MirrorOptions) -> MirrorReport:
    """Copy a replica and make the copy the registry, or the replica itself where that is the place."""
    check_may_restore(replica)
    if replica.store.name == place.store.name:
        report = MirrorReport(replica.registry.registry, Selection(), complete=True)
    else:
        report = mirror(replica, place, options)
    if not report.failures:
        make_registry(place)
    return report


def _failures(report: MirrorReport) -> list[Text]:
    if not report.failures:
        return []
    rows = [(failure.what, failure.error.message) for failure in report.failures]
    asks = "what these registers name stays as it was in the replica"
    return [*text_table(COLUMNS, rows, page()), line(Span(asks, "title")), ""]


def _summary(report: MirrorReport, *, dry_run: bool) -> str:
    verb = "would copy" if dry_run else "copied"
    told = (
        f"{verb} {count_of(report.copied_objects, 'object')}, {size_text(report.copied_bytes)}, and set "
        f"{count_of(report.registers, 'register')} of {count_of(report.models, 'model')}; "
        f"{report.skipped_objects:,} were there"
    )
    if report.unverified_objects:
        told += f"; {report.unverified_objects:,} were copied by the store and not read (--read reads them)"
    if report.pruned_objects:
        verb = "would remove" if dry_run else "removed"
        told += f"; {verb} {count_of(report.pruned_objects, 'freed file')}, {size_text(report.pruned_bytes)}"
    held = "" if report.selection.is_whole else f"; the replica holds {report.selection}"
    return f"{told}{held}"

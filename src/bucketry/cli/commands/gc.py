"""`gc`: says what nobody needs, and frees its bytes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from bucketry.cli.call import AnsweredError
from bucketry.cli.command import command
from bucketry.cli.documents import collection_document
from bucketry.cli.output import page
from bucketry.cli.parameters import FiniteRange
from bucketry.errors import CorruptError
from bucketry.maintenance.gc.collection import Asked, apply_collection, plan_collection
from bucketry.maintenance.gc.garbage import GarbageReason
from bucketry.maintenance.gc.kinds import BLOB_GRACE_SECONDS
from bucketry.show.figures import count_of, size_text
from bucketry.show.tables import NARROWEST, TextColumn, text_table

if TYPE_CHECKING:
    from collections.abc import Iterator

    from bucketry.cli.call import Call
    from bucketry.cli.output import Text
    from bucketry.maintenance.gc.collection import CollectionReport

COLUMNS = (
    TextColumn("MODEL", NARROWEST),
    TextColumn("WHY"),
    TextColumn("OBJECTS", right=True),
    TextColumn("SIZE", right=True),
)
MOST_LINES = 40
WORDS = {
    GarbageReason.DELETED_VERSION: "of deleted versions",
    GarbageReason.ORPHAN: "no version was made of it",
    GarbageReason.UNFINISHED_UPLOAD: "uploads that were not finished",
    GarbageReason.STAGED_FILE: "half written by a killed process",
    GarbageReason.PROBE_SCRATCH: "scratch of a probe",
    GarbageReason.SERVED_COPY: "copies of refused or deleted versions",
    GarbageReason.FINISHED_WORK: "shared work that is done",
    GarbageReason.ABANDONED_WORK: "shared work that nobody does",
}


@command("gc", example="bucketry gc\nbucketry gc --apply\nbucketry gc --models 'acme/*' --full")
@click.option("--apply", "applies", is_flag=True, help="Free it.  [default: only say what would be freed]")
@click.option(
    "--grace",
    "grace_seconds",
    type=FiniteRange(min=0, max=10**9),
    default=BLOB_GRACE_SECONDS,
    metavar="SECONDS",
    help="Leave files that are younger. What was not finished waits for a week at least.",
)
@click.option("--full", is_flag=True, help="Walk every model, also those that the last complete collection left clean.")
@click.option("--models", default="", show_default=False, metavar="GLOB", help="Only the blobs of these models.")
def run(call: Call, grace_seconds: float, models: str, *, applies: bool, full: bool) -> None:
    """Say what nobody needs, and free its bytes.

    That is: files of deleted versions, files that no version was made of, uploads and files that were not finished,
    scratch of probes, and plans of `bucketry work`. Documents of models are never collected. It is safe beside
    publishes, promotions and other collections, and may be killed at any moment: run it again.

    A model that cannot be read is left alone, and named; that ends with exit code 8.
    """
    session = call.open()
    asked = Asked(grace_seconds, full, models)
    collect = apply_collection if applies else plan_collection
    with call.messages.progress() as line:
        done = collect(session, asked, line.count_listener("collecting"))
    damaged = [each for each in done.left_alone if each.is_damaged]
    if damaged:
        error = CorruptError(
            f"{count_of(len(damaged), 'model')} cannot be read and was left alone, first {damaged[0].model}: "
            f"{damaged[0].reason}",
            advice="run `bucketry fsck`, mend what it names, then collect again",
        )
        raise AnsweredError(error, collection_document(done), _lines(done))
    call.answer(collection_document(done), _lines(done))


def _lines(done: CollectionReport) -> Iterator[Text]:
    rows = [
        (model or "-", WORDS[reason], f"{total.objects:,}", size_text(total.size_bytes))
        for (model, reason), total in done.largest
    ]
    if rows:
        yield from text_table(COLUMNS, rows[:MOST_LINES], page())
        if len(rows) > MOST_LINES:
            yield f"... and {count_of(len(rows) - MOST_LINES, 'more line')}; --json has them"
    for each in done.left_alone:
        yield f"left alone: {each.model}: {each.reason}"
    total, waiting = done.total, done.waiting
    did = "freed" if done.applied else "would free"
    what = f"{count_of(total.objects, 'object')}, {size_text(total.size_bytes)}" if total.objects else "nothing"
    kept = (
        f"; {count_of(waiting.objects, 'object')}, {size_text(waiting.size_bytes)}, must wait"
        if waiting.objects
        else ""
    )
    yield f"{did} {what}{kept} ({count_of(done.models, 'model')}, {done.walked:,} walked)"
    if total.objects and not done.applied:
        yield "run `bucketry gc --apply` to free it"

"""`reviews`: what waits for a decision."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from bucketry.cli.command import command
from bucketry.cli.documents import damaged_waiting_document, waiting_document
from bucketry.cli.output import page
from bucketry.index.review_queue import load_review_queue
from bucketry.show.reviews import waiting_columns
from bucketry.show.tables import DAMAGED, NARROWEST, TextColumn, text_table

if TYPE_CHECKING:
    from bucketry.cli.call import Call


@command("reviews", example="bucketry reviews --mine")
@click.option("--mine", is_flag=True, help="Only what you may decide, and have not yet.")
def run(call: Call, *, mine: bool) -> None:
    """List the versions that wait for a review.

    Longest first; those whose approval is to be renewed within two weeks are among them.
    """
    session = call.open()
    queue = load_review_queue(session, mine=mine)
    waiting = queue.waiting
    for fault in queue.faults:
        call.messages.note(f"{fault}; what waits there is missing here, run `bucketry fsck`")
    columns = waiting_columns(session.clock.now())
    rows = [tuple(column.cell(item) for column in columns) for item in waiting]
    rows += [(f"{model}:{version}", DAMAGED, *"-" * (len(columns) - 2)) for model, version, _ in queue.damaged]
    headings = [TextColumn(column.title, NARROWEST, right=column.right) for column in columns]
    damaged = [damaged_waiting_document(*each) for each in queue.damaged]
    call.answer(
        [*(waiting_document(item) for item in waiting), *damaged],
        text_table(headings, rows, page()) if rows else ["nothing waits"],
    )

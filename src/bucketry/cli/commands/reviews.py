"""`reviews`: what waits for a decision?"""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from bucketry.cli.command import command
from bucketry.cli.documents import damaged_waiting_document, waiting_document
from bucketry.cli.figures import human_age
from bucketry.cli.output import width_columns
from bucketry.cli.tables import DAMAGED, Column, table
from bucketry.index.review_queue import load_review_queue

if TYPE_CHECKING:
    from datetime import datetime

    from bucketry.cli.call import Call
    from bucketry.index.review_queue import Waiting

COLUMNS = (
    Column("VERSION", flexible=True),
    Column("WAITS", number=True),
    Column("ASKED BY", flexible=True),
    Column("APPROVALS"),
    Column("GATES"),
    Column("WHAT"),
)


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
    now = session.clock.now()
    rows = [_cells(item, now) for item in waiting]
    rows += [(f"{model}:{version}", "-", "-", "-", "-", DAMAGED) for model, version, _ in queue.damaged]
    damaged = [damaged_waiting_document(*each) for each in queue.damaged]
    call.answer(
        [*(waiting_document(item) for item in waiting), *damaged],
        table(COLUMNS, rows, width=width_columns()) if rows else ["nothing waits"],
    )


def _cells(item: Waiting, now: datetime) -> tuple[str, ...]:
    approvals = item.standing.approvals
    failed = [gate for gate in item.gates if not gate.passed]
    gates = (
        f"{len(failed)} of {len(item.gates)} fail" if failed else f"{len(item.gates)} hold" if item.gates else "none"
    )
    return (
        f"{item.model}:{item.standing.row.version}",
        human_age(item.since, now),
        item.asked_by,
        f"{len(approvals.principals)} of {max(1, approvals.required)}",
        gates,
        f"renew by {approvals.expires}" if item.renewal else "review",
    )

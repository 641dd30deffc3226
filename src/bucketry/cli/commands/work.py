"""`work`: a deep check that many machines share: planned, done shard by shard, and collected."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import click

from bucketry.cli.command import CommandGroup, command
from bucketry.cli.commands.fsck import answer_report, check_listener
from bucketry.cli.output import page
from bucketry.errors import UsageError
from bucketry.maintenance.work.collecting import WorkStatus, collect_check, list_work
from bucketry.maintenance.work.planning import plan_check
from bucketry.maintenance.work.running import run_shard
from bucketry.schema.documents.work import MOST_SHARDS
from bucketry.schema.text import displayable
from bucketry.show.figures import count_of, size_text
from bucketry.show.tables import NARROWEST, TextColumn, text_table

if TYPE_CHECKING:
    from bucketry.cli.call import Call

INDEX_VARIABLES = ("JOB_COMPLETION_INDEX", "AWS_BATCH_JOB_ARRAY_INDEX", "SLURM_ARRAY_TASK_ID")
"""Where an Indexed Job of Kubernetes, an array job of AWS Batch and one of Slurm say which of its tasks this is."""
COLUMNS = (
    TextColumn("ID", NARROWEST),
    TextColumn("PLANNED"),
    TextColumn("BY"),
    TextColumn("SIZE", right=True),
    TextColumn("DONE", right=True),
)


@command("plan", example="bucketry work plan fsck --shards 100")
@click.argument("kind", type=click.Choice(["fsck"]))
@click.option("--shards", type=click.IntRange(1, MOST_SHARDS), required=True, metavar="N", help="In how many parts.")
def plan(call: Call, kind: str, shards: int) -> None:
    """Divide a deep check into shards of about as many bytes each, and print the id of the plan.

    It writes the plan into the registry, below work/. There are more shards than N where one would be too large for a
    document. `bucketry gc` removes a plan whose shards are done after a week, and one that waits after a month.
    """
    session = call.open()
    with call.messages.progress() as line:
        made = plan_check(session, shards, line.count_listener("planning"))
    largest = max(shard.size_bytes for shard in made.shards)
    count = len(made.shards)
    call.answer(
        {
            "work": made.work,
            "kind": kind,
            "shards": count,
            "size_bytes": made.size_bytes,
            "largest_shard_bytes": largest,
        },
        [
            made.work,
            f"{count_of(count, 'shard')} of at most {size_text(largest)}, {size_text(made.size_bytes)} in all",
            f"run each with `bucketry work run {made.work} --shard I`, I from 0 to {count - 1}, anywhere",
            f"then collect them with `bucketry work collect {made.work}`",
        ],
    )


@command("run", example="bucketry work run fsck-20261130t120000z-0a1b2c3d --shard 7")
@click.argument("work", metavar="ID")
@click.option(
    "--shard",
    type=click.IntRange(min=0),
    metavar="I",
    help=f"Which shard, from 0.  [default: {', '.join(f'${name}' for name in INDEX_VARIABLES)}]",
)
def run_one(call: Call, work: str, shard: int | None) -> None:
    """Do one shard: read its bytes, and write what was found, unless somebody did.

    It may be killed and run again as often as you like, also by several machines at once. Damage is told by `work
    collect`, and is no failure of this command.
    """
    number = _index_of_task() if shard is None else shard
    session = call.open()
    with call.messages.progress() as line:
        done = run_shard(session, work, number, line.count_listener("reading"))
    result = done.result
    found = f": {count_of(len(result.problems), 'piece')} not right, which `work collect` looks at" * bool(
        result.problems
    )
    did = f"was done before, by {displayable(result.host)}" if done.was_done else f"done in {result.seconds:,.1f} s"
    call.answer(
        {
            "work": work,
            "shard": number,
            "was_done": done.was_done,
            "size_bytes": result.size_bytes,
            "seconds": result.seconds,
            "host": result.host,
            "problems": [{"piece": piece, "problem": problem} for piece, problem in sorted(result.problems.items())],
        },
        [f"shard {number:,} of {displayable(work)} {did}, {size_text(result.size_bytes)}{found}"],
    )


@command("collect", example="bucketry work collect fsck-20261130t120000z-0a1b2c3d")
@click.argument("work", metavar="ID")
def collect(call: Call, work: str) -> None:
    """Print what all shards found, as `bucketry fsck --deep` does, with its exit codes.

    Ends with 6, and names them, while shards have no result. What was published or replaced since the plan is read
    here, and what a shard found wrong is read once more before it is called damage.
    """
    session = call.open()
    with call.messages.progress() as line:
        report = collect_check(session, work, check_listener(line))
    answer_report(call, report)


@command("list", example="bucketry work list")
def list_all(call: Call) -> None:
    """List the plans, the newest first, and how many of their shards are done."""
    found = list_work(call.open())
    rows = [
        (
            each.plan.work,
            each.plan.at,
            each.plan.by,
            size_text(each.plan.size_bytes),
            f"{_done(each):,}/{len(each.plan.shards):,}",
        )
        for each in found
    ]
    document = [
        {
            "work": each.plan.work,
            "kind": each.plan.kind,
            "at": each.plan.at,
            "by": each.plan.by,
            "size_bytes": each.plan.size_bytes,
            "shards": len(each.plan.shards),
            "missing": list(each.missing),
        }
        for each in found
    ]
    call.answer({"work": document}, text_table(COLUMNS, rows, page()) if rows else ["no work is planned"])


def _done(status: WorkStatus) -> int:
    return len(status.plan.shards) - len(status.missing)


def _index_of_task() -> int:
    """Return which task of an array job this is; raise `UsageError` outside of one."""
    for name in INDEX_VARIABLES:
        text = os.environ.get(name, "")
        if text.isascii() and text.isdigit() and len(text) <= len(str(MOST_SHARDS)):
            return int(text)
        if text:
            raise UsageError(f"{name} is not the number of a shard", advice="count the tasks from 0, or give --shard I")
    raise UsageError(
        "no shard was named",
        advice=f"give --shard I, or run it as an array job, which sets {' or '.join(INDEX_VARIABLES)}",
    )


run = CommandGroup(
    "work",
    example="bucketry work plan fsck --shards 8",
    commands=[plan, run_one, collect, list_all],
    help="Plan a deep check for many machines, do a shard of it, and collect what they found.",
)

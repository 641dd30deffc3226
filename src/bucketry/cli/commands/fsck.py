"""`fsck`: checks that everything the registry names is there, and what it should be."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

import click

from bucketry.cli.call import AnsweredError
from bucketry.cli.command import command
from bucketry.cli.output import page
from bucketry.errors import UNREADABLE, CorruptError, UsageError
from bucketry.maintenance.fsck.registry import check_registry
from bucketry.maintenance.work.collecting import collect_check
from bucketry.maintenance.work.planning import plan_check
from bucketry.maintenance.work.schedulers import parse_scheduler, run_all
from bucketry.show.figures import count_of, size_text
from bucketry.show.spans import Span, line
from bucketry.show.tables import TextColumn, text_table

if TYPE_CHECKING:
    from bucketry.cli.call import Call
    from bucketry.cli.messages import ProgressLine
    from bucketry.cli.output import Text
    from bucketry.maintenance.fsck.kinds import Grade
    from bucketry.maintenance.fsck.registry import CheckProgress, Report
    from bucketry.maintenance.work.schedulers import Scheduler
    from bucketry.registry.core.session import Session

COLUMNS = (TextColumn("OBJECT"), TextColumn("PROBLEM"))
GRADES: tuple[Grade, ...] = ("damage", "unfinished", "garbage")
"""The worst first."""


@command("fsck", example="bucketry fsck --deep\nbucketry fsck --deep --scheduler processes:8")
@click.option(
    "--deep",
    is_flag=True,
    help="Read every file and compare its digests; verify every signature.  [default: sizes only]",
)
@click.option(
    "--scheduler",
    metavar="processes:N",
    help="Let N processes share the reading, by a plan below work/ as `bucketry work` makes it.",
)
def run(call: Call, scheduler: str | None, *, deep: bool) -> None:
    """Check that everything the registry names is there and is what it should be.

    It only reads. Damage ends with exit code 8, and so does what was begun and not finished, for which it says what to
    run. Garbage, which a crash leaves and which only takes room, ends with 0.
    """
    engine = parse_scheduler(scheduler) if scheduler is not None else None
    if engine is not None and not deep:
        raise UsageError("--scheduler shares the reading of files", advice="add --deep")
    session = call.open()
    with suppress(*UNREADABLE):  # findings, which the check makes of them
        _ = session.registry  # a missing registry is not a damaged one
    with call.messages.progress() as line:
        if engine is not None:
            report = _check_by_shards(session, engine, line)
        else:
            report = check_registry(session, deep=deep, progress=check_listener(line))
    answer_report(call, report)


def _check_by_shards(session: Session, scheduler: Scheduler, line: ProgressLine) -> Report:
    """Plan a deep check, have all of its shards done, and return its report."""
    plan = plan_check(session, scheduler.shards, line.count_listener("planning"))
    run_all(session, plan, scheduler, line.count_listener("reading"))
    return collect_check(session, plan.work, check_listener(line))


def check_listener(line: ProgressLine) -> CheckProgress | None:
    """Return what a check tells how many models it has checked."""
    show = line.count_listener("checking")
    return None if show is None else lambda _name, done, total: show(done, total)


def answer_report(call: Call, report: Report) -> None:
    """Say what a check found; raise with exit code 8 for damage, and for what was not finished."""
    document: dict[str, object] = {
        "findings": [
            {
                "grade": finding.grade,
                "kind": finding.kind.label,
                "key": finding.key,
                "message": finding.message,
                "remedy": finding.remedy,
            }
            for finding in report.findings
        ],
        "models": report.models,
        "versions": report.versions,
        "size_bytes": report.size_bytes,
    }
    lines = _lines(report)
    if report.damage or report.unfinished:
        error = CorruptError(
            f"{count_of(len(report.unfinished), 'thing')} in the registry was begun and not finished",
            advice="unless somebody is at it now, run what is named above",
        )
        if report.damage:
            error = CorruptError(
                f"the registry is damaged in {count_of(len(report.damage), 'place')}",
                advice="do what is said above, the damage first",
            )
        raise AnsweredError(error, document, lines, carries_error=False)
    call.answer(document, lines)


def _lines(report: Report) -> list[Text]:
    """Return a table for each grade and remedy that was found, the worst first, and a summary."""
    lines: list[Text] = []
    for grade in GRADES:
        groups: dict[str, list[tuple[str, str]]] = {}
        for finding in report.findings:
            if finding.grade == grade:
                groups.setdefault(finding.remedy, []).append((finding.key, finding.message))
        for remedy, rows in groups.items():
            lines += [line(Span(f"{grade.upper()}: {remedy}", "title")), *text_table(COLUMNS, rows, page()), ""]
    found = "nothing is wrong"
    if report.findings:
        unfinished = f"{len(report.unfinished):,} unfinished, " if report.unfinished else ""
        found = f"{len(report.damage):,} damaged, {unfinished}{count_of(len(report.garbage), 'leftover')}"
    looked_at = f"{count_of(report.models, 'model')}, {count_of(report.versions, 'version')}"
    return [*lines, f"checked {looked_at}, {size_text(report.size_bytes)}: {found}"]

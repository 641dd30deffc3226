"""`fsck`: checks that everything the registry names is there, and what it should be."""

from __future__ import annotations

from contextlib import closing, nullcontext, suppress
from typing import TYPE_CHECKING

import click

from bucketry.cli.call import AnsweredError
from bucketry.cli.command import command
from bucketry.cli.output import page
from bucketry.errors import UNREADABLE, CorruptError, UsageError
from bucketry.frozen import frozen
from bucketry.maintenance.fsck.registry import check_registry
from bucketry.maintenance.repair.plan import apply_repair, plan_repair
from bucketry.maintenance.work.collecting import collect_check
from bucketry.maintenance.work.planning import plan_check
from bucketry.maintenance.work.schedulers import parse_scheduler, run_all
from bucketry.registry.core.opening import open_first_place
from bucketry.show.figures import count_of, size_text
from bucketry.show.spans import Span, line
from bucketry.show.tables import TextColumn, text_table

if TYPE_CHECKING:
    from bucketry.cli.call import Call
    from bucketry.cli.messages import ProgressLine
    from bucketry.cli.output import Text
    from bucketry.maintenance.fsck.kinds import Grade
    from bucketry.maintenance.fsck.registry import CheckProgress, Report
    from bucketry.maintenance.repair.plan import RepairPlan, Step
    from bucketry.maintenance.work.schedulers import Scheduler
    from bucketry.registry.core.session import Session

COLUMNS = (TextColumn("OBJECT"), TextColumn("PROBLEM"))
GRADES: tuple[Grade, ...] = ("damage", "unfinished", "garbage")
"""The worst first."""


@command(
    "fsck",
    example="bucketry fsck --deep\nbucketry fsck --deep --scheduler processes:8\n"
    "bucketry fsck --repair --from s3://models-eu/prod --apply",
)
@click.option(
    "--deep",
    is_flag=True,
    help="Read every file and compare its digests; verify every signature.  [default: sizes only]",
)
@click.option(
    "--scheduler",
    metavar="processes:N|dask:ADDRESS",
    help="Let several processes or the workers of Dask share the reading, by a plan as `bucketry work` makes it.",
)
@click.option("--repair", "repairs", is_flag=True, help="Say what can be mended, and from what.")
@click.option("--apply", "applies", is_flag=True, help="With --repair: mend it, and check again.")
@click.option("--from", "mirror", default=None, metavar="URL", help="With --repair: a mirror to take from.")
def run(call: Call, scheduler: str | None, mirror: str | None, *, deep: bool, repairs: bool, applies: bool) -> None:
    """Check that everything the registry names is there and is what it should be.

    It only reads, unless --repair --apply is given, which takes what is lost from where it still is and never invents.
    Damage ends with exit code 8, and so does what was begun and not finished, for which it says what to run. Garbage,
    which a crash leaves and which only takes room, ends with 0.
    """
    if not repairs and (applies or mirror):
        raise UsageError("--apply and --from belong to a repair", advice="add --repair")
    engine = parse_scheduler(scheduler) if scheduler is not None else None
    if engine is not None and not deep:
        raise UsageError("--scheduler shares the reading of files", advice="add --deep")
    session = call.open()
    with suppress(*UNREADABLE):  # findings, which the check makes of them
        _ = session.registry  # a missing registry is not a damaged one
    report = _checked(call, session, engine, deep=deep)
    repair = None
    if repairs:
        source = None if mirror is None else open_first_place(mirror)
        with nullcontext() if source is None else closing(source.store):
            plan = plan_repair(session, report.findings, source)
            repair = Repair(plan, apply_repair(session, plan) if applies else None)
        if repair.done:
            report = _checked(call, session, engine, deep=deep)
    answer_report(call, report, repair)


def _checked(call: Call, session: Session, engine: Scheduler | None, *, deep: bool) -> Report:
    with call.messages.progress() as line:
        if engine is not None:
            return _check_by_shards(session, engine, line)
        return check_registry(session, deep=deep, progress=check_listener(line))


def _check_by_shards(session: Session, scheduler: Scheduler, line: ProgressLine) -> Report:
    """Plan a deep check, have all of its shards done, and return its report."""
    plan = plan_check(session, scheduler.shards, line.count_listener("planning"))
    run_all(session, plan, scheduler, line.count_listener("reading"))
    return collect_check(session, plan.work, check_listener(line))


def check_listener(line: ProgressLine) -> CheckProgress | None:
    """Return what a check tells how many models it has checked."""
    show = line.count_listener("checking")
    return None if show is None else lambda _name, done, total: show(done, total)


def answer_report(call: Call, report: Report, repair: Repair | None = None) -> None:
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
    if repair is not None:
        document |= repair.document()
        lines = [*repair.lines(), "", *lines]
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


@frozen
class Repair:
    """What a repair would do, and what it did, if it was asked to."""

    plan: RepairPlan
    done: tuple[Step, ...] | None

    def document(self) -> dict[str, object]:
        """Return what `--json` says of it."""
        return {
            "plan": [{"kind": step.kind.label, "key": step.key, "source": step.source} for step in self.plan.steps],
            "left": [{"kind": left.kind.label, "key": left.key, "why": left.why} for left in self.plan.left],
            "repaired": [step.key for step in self.done or ()],
        }

    def lines(self) -> list[Text]:
        """Return what a person is told of it."""
        steps = self.plan.steps if self.done is None else self.done
        title = "WOULD MEND: run it again with --apply" if self.done is None else "MENDED"
        lines: list[Text] = []
        if steps:
            rows = [(step.key, step.source) for step in steps]
            lines += [line(Span(title, "title")), *text_table((TextColumn("OBJECT"), TextColumn("FROM")), rows, page())]
        if self.plan.left:
            rows = [(left.key, left.why) for left in self.plan.left]
            lines += [
                line(Span("LEFT AS IT IS", "title")),
                *text_table((TextColumn("OBJECT"), TextColumn("WHY")), rows, page()),
            ]
        return lines or ["there is nothing to mend"]


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

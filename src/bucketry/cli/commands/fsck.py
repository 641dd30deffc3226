"""`fsck`: checks that everything the registry names is there, and what it should be."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

import click

from bucketry.cli.call import AnsweredError
from bucketry.cli.command import command
from bucketry.cli.output import page
from bucketry.errors import UNREADABLE, CorruptError
from bucketry.maintenance.fsck.registry import check_registry
from bucketry.show.figures import count_of, size_text
from bucketry.show.spans import Span, line
from bucketry.show.tables import TextColumn, text_table

if TYPE_CHECKING:
    from bucketry.cli.call import Call
    from bucketry.cli.output import Text
    from bucketry.maintenance.fsck.kinds import Grade
    from bucketry.maintenance.fsck.registry import Report

COLUMNS = (TextColumn("OBJECT"), TextColumn("PROBLEM"))
GRADES: tuple[Grade, ...] = ("damage", "unfinished", "garbage")
"""The worst first."""


@command("fsck", example="bucketry fsck --deep")
@click.option(
    "--deep",
    is_flag=True,
    help="Read every file and compare its digests; verify every signature.  [default: sizes only]",
)
def run(call: Call, *, deep: bool) -> None:
    """Check that everything the registry names is there and is what it should be.

    It only reads. Damage ends with exit code 8, and so does what was begun and not finished, for which it says what to
    run. Garbage, which a crash leaves and which only takes room, ends with 0.
    """
    session = call.open()
    with suppress(*UNREADABLE):  # findings, which the check makes of them
        _ = session.registry  # a missing registry is not a damaged one
    with call.messages.progress() as line:
        show = line.count_listener("checking")
        report = check_registry(
            session, deep=deep, progress=None if show is None else lambda _name, done, total: show(done, total)
        )
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

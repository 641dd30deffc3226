"""`fsck`: is everything that the registry names there, and what it should be?"""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

import click

from bucketry.cli.call import AnsweredError
from bucketry.cli.command import command
from bucketry.cli.figures import count_of, human_size
from bucketry.cli.output import width_columns
from bucketry.cli.tables import Column, table
from bucketry.errors import CorruptError
from bucketry.maintenance.fsck import check_registry
from bucketry.maintenance.fsck_reading import UNREADABLE

if TYPE_CHECKING:
    from bucketry.cli.call import Call
    from bucketry.cli.output import Line

COLUMNS = (Column("SEVERITY"), Column("OBJECT"), Column("PROBLEM"))


@command("fsck", example="bucketry fsck --deep")
@click.option("--deep", is_flag=True, help="Read every file and compare its digests.  [default: sizes only]")
def run(call: Call, *, deep: bool) -> None:
    """Check that everything the registry names is there and is what it should be.

    It only reads. Damage ends with exit code 8; garbage, which crashes leave behind and which only takes room, with 0.
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
            {"severity": finding.severity, "key": finding.key, "problem": finding.problem}
            for finding in report.findings
        ],
        "models": report.models,
        "versions": report.versions,
        "size_bytes": report.size_bytes,
    }
    rows = [(finding.severity, finding.key, finding.problem) for finding in report.findings]
    looked_at = (
        f"checked {count_of(report.models, 'model')}, {count_of(report.versions, 'version')}, "
        f"{human_size(report.size_bytes)}: "
    )
    found = (
        f"{len(report.damage):,} damaged, {count_of(len(report.garbage), 'leftover')}" if rows else "nothing is wrong"
    )
    lines: list[Line] = [*(table(COLUMNS, rows, width=width_columns()) if rows else []), looked_at + found]
    if report.damage:
        raise AnsweredError(
            CorruptError(
                f"the registry is damaged in {count_of(len(report.damage), 'place')}",
                advice="restore the objects named above from a mirror or from the bucket's own versions",
            ),
            document,
            lines,
            carries_error=False,
        )
    call.answer(document, lines)

"""`doctor`: examines the store of a registry, and records whether it keeps its promises."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bucketry.cli.call import AnsweredError
from bucketry.cli.command import command
from bucketry.cli.documents import examination_document
from bucketry.cli.output import page
from bucketry.errors import UnsupportedError
from bucketry.maintenance.doctor.examine import examine
from bucketry.show.tables import NARROWEST, TextColumn, text_table
from bucketry.store.description import NotKnown

if TYPE_CHECKING:
    from collections.abc import Iterator

    from bucketry.cli.call import Call
    from bucketry.cli.output import Text
    from bucketry.maintenance.doctor.examine import Examination

PROMISES = (TextColumn("PROMISE", NARROWEST), TextColumn("KEPT"), TextColumn("SEEN", NARROWEST))
RIGHTS = tuple(map(TextColumn, ("THIS CALLER MAY", "LIST", "READ", "WRITE", "DELETE")))
SIGNS = {"ok": "ok", "unknown": "?", "warning": "WARN", "failure": "FAIL"}
ADVISED = {"warning", "failure"}
SIGN_COLUMNS = 6


@command("doctor", example="bucketry doctor -r s3://models/prod")
def run(call: Call) -> None:
    """Examine the store: its promises, your rights, the bucket's settings, and how fast it is.

    The probe of the promises that writing needs writes below probe/ in the registry, removes what it wrote, and is
    recorded: writers refuse a store that has not passed. A race can condemn a store but never certify it. Who may not
    write there is told everything else. Rights are tried by requests that can only be refused.
    """
    session = call.open()
    with call.messages.progress() as line, line.steps("probing the store") as on_check:
        found = examine(session, on_check)
    document, lines = examination_document(found), list(_lines(found))
    if found.probe is not None and not found.probe.passed:
        count = f"{len(found.probe.failures)} of {len(found.probe.checks)} promises"  # which, the lines above have said
        error = UnsupportedError(
            f"{found.endpoint} is not safe to write to: it breaks {count}",
            advice="use a store that keeps conditional writes, then run `bucketry doctor` again",
        )
        raise AnsweredError(error, document, lines)
    if not found.is_sound:
        worst = next(finding for finding in found.findings if finding.grade == "failure")
        error = UnsupportedError(f"{found.endpoint} endangers the registry: {worst.message}", advice=worst.advice)
        raise AnsweredError(error, document, lines)
    call.answer(document, lines)


def _lines(found: Examination) -> Iterator[Text]:
    if found.probe is not None:
        promises = [(check.promise, "yes" if check.passed else "NO", check.detail) for check in found.probe.checks]
        yield from text_table(PROMISES, promises, page())
        yield ""
    rows = (*found.rights.kinds, found.rights.protected)
    yield from text_table(RIGHTS, [(kind.prefix, *map(_answer, kind.rights.values())) for kind in rows], page())
    yield ""
    for finding in found.findings:
        yield f"{SIGNS[finding.grade]:<{SIGN_COLUMNS}}{finding.name}: {finding.message}"
        if finding.advice and finding.grade in ADVISED:
            yield f"{' ' * SIGN_COLUMNS}{finding.advice}"
    yield ""
    if found.probe is None:
        yield f"{found.endpoint} was examined, but not whether it keeps its promises"
    elif found.probe.passed:
        yield f"{found.endpoint} keeps all {len(found.probe.checks)} promises that were probed"


def _answer(answer: object) -> str:
    return "?" if isinstance(answer, NotKnown) else "yes" if answer else "no"

"""`doctor`: probes whether the store keeps its promises, and records it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bucketry.cli.call import AnsweredError
from bucketry.cli.command import command
from bucketry.cli.documents import check_document, conformance_document
from bucketry.cli.output import page
from bucketry.errors import UnsupportedError
from bucketry.maintenance.doctor import examine
from bucketry.show.tables import NARROWEST, TextColumn, text_table

if TYPE_CHECKING:
    from bucketry.cli.call import Call

COLUMNS = (TextColumn("PROMISE", NARROWEST), TextColumn("KEPT"), TextColumn("SEEN", NARROWEST))


@command("doctor", example="bucketry doctor -r s3://models/prod")
def run(call: Call) -> None:
    """Probe whether the store keeps the promises that writing needs, and record the result.

    The probe writes below probe/ in the registry and removes what it wrote. Writers refuse a store that has not
    passed. A race can condemn a store but never certify it.
    """
    session = call.open()
    with call.messages.progress() as line, line.steps("probing the store") as on_check:
        probed = examine(session, on_check)
    document = conformance_document(probed) | {"findings": [check_document(check) for check in probed.failures]}
    rows = [(check.promise, "yes" if check.passed else "NO", check.detail) for check in probed.checks]
    lines = text_table(COLUMNS, rows, page())
    if probed.failures:
        count = f"{len(probed.failures)} of {len(probed.checks)} promises"  # which, the lines above have said
        raise AnsweredError(
            UnsupportedError(
                f"{probed.endpoint} is not safe to write to: it breaks {count}",
                advice="use a store that keeps conditional writes, then run `bucketry doctor` again",
            ),
            document,
            lines,
        )
    call.answer(document, [*lines, f"{probed.endpoint} keeps all {len(probed.checks)} promises that were probed"])

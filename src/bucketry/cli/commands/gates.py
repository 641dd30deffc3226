"""`gates`: which of a policy's gates a version passes, and why not."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from bucketry.cli.call import AnsweredError
from bucketry.cli.command import command
from bucketry.cli.output import page
from bucketry.cli.parameters import ALIAS, REFERENCE
from bucketry.errors import RejectedError
from bucketry.registry.core.registers import load_existing_head
from bucketry.registry.core.resolve import select_row
from bucketry.registry.review.gating import check_version_gates
from bucketry.registry.review.policies import load_policy
from bucketry.schema.documents.gates import results_digest
from bucketry.show.figures import count_of
from bucketry.show.gates import GATE_COLUMNS
from bucketry.show.tables import table_lines

if TYPE_CHECKING:
    from bucketry.cli.call import Call
    from bucketry.schema.names import AliasName, Reference


@command("gates", example="bucketry gates acme/chat:3\nbucketry gates acme/chat:3 --alias production")
@click.argument("reference", metavar="REF", type=REFERENCE)
@click.option("--alias", type=ALIAS, help="Leave out the gates that count before other aliases only.")
def run(call: Call, reference: Reference, alias: AliasName | None) -> None:
    """Check the gates of a version's policy: which hold, by how much, and why not.

    A gate that fails ends with exit code 4. `bucketry policy show` says who set which gates.
    """
    session = call.open()
    head = load_existing_head(session, reference.model)
    row = select_row(session, head, reference.selector)
    if alias is not None and alias not in head.aliases:  # which may be a slip of the pen
        policy = load_policy(session, head)
        if not policy.protects(alias) and not any(alias in gate.aliases for gate in policy.gates):
            call.messages.note(f"{head.model} has no alias {alias}, and no rule of its policy names it")
    results = check_version_gates(session, head, row, alias=alias)
    failed = [result for result in results if not result.passed]
    name = f"{reference.model}:{row.version}"
    document: dict[str, object] = {
        "model": str(reference.model),
        "version": row.version,
        "manifest": row.manifest,
        "alias": alias,
        "passed": not failed,
        "gates": [result.to_document() for result in results],
        "digest": results_digest(results),
    }
    lines = table_lines(GATE_COLUMNS, results, page()) if results else [f"no gate stands before {name}"]
    if failed:
        raise AnsweredError(
            RejectedError(
                f"{len(failed)} of {count_of(len(results), 'gate')} of {name} failed: {failed[0].gate}",
                advice="add evidence with `bucketry evaluate`, or publish a better version",
            ),
            document,
            lines,
            carries_error=False,
        )
    call.answer(document, lines)

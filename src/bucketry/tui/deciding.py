"""How does a decision about a version get on record, signed where the policy asks for it?"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from bucketry.errors import UsageError
from bucketry.registry.policies import load_policy
from bucketry.registry.registers import load_existing_head
from bucketry.registry.reviewing import prepare_decision, record_decision
from bucketry.schema.reviews import Action, Review, encode_statement
from bucketry.tui.seen import check_unchanged

if TYPE_CHECKING:
    from bucketry.registry.index_views import VersionLine
    from bucketry.registry.reviewing import Decided
    from bucketry.registry.session import Session
    from bucketry.schema.names import Digest
    from bucketry.tui.app import BucketryApp

SIGNED = frozenset({Action.APPROVE, Action.REJECT, Action.REVOKE})
"""What a policy may want signed."""


def decide(shell: BucketryApp, row: VersionLine, action: Action, comment: str, *, diff: Digest | None = None) -> None:
    """Record a decision of the user, on the version as it was shown, and on the comparison that was."""
    reference = f"{row.model}:{row.version}"
    words = ("review", action.value, reference, *(("--comment", comment) if comment else ()))
    words += ("--sign",) if action in SIGNED and _has_agent() else ()
    shell.write(words, lambda session: _record(session, row, action, comment, diff), lambda done: _tell(shell, done))


def _record(session: Session, row: VersionLine, action: Action, comment: str, diff: Digest | None) -> Decided:
    check_unchanged(session, row)
    statement = prepare_decision(session, row.model, row.version, action, comment=comment, diff=diff)
    if action not in SIGNED:
        return record_decision(session, Review(encode_statement(statement)))
    if _has_agent():
        from bucketry.registry.signing import open_signer  # noqa: PLC0415 - loads cryptography

        return record_decision(session, open_signer(None)(statement))
    policy = load_policy(session, load_existing_head(session, row.model))
    if policy.signatures == "required":
        raise UsageError(
            f"the policy of {row.model} wants signed decisions, and there is no SSH agent here",
            advice=f"forward one (ssh -A), or use: bucketry review {action} {row.model}:{row.version} --detached",
        )
    return record_decision(session, Review(encode_statement(statement)))


def _has_agent() -> bool:
    return bool(os.environ.get("SSH_AUTH_SOCK"))


def _tell(shell: BucketryApp, decided: Decided) -> None:
    approvals = decided.approvals
    told = f"{decided.model}:{decided.version} is {decided.state} now"
    if decided.action is Action.APPROVE:
        told += f" ({len(approvals.principals)} of {max(1, approvals.required)} approvals)"
    if decided.reached:
        told += f"; told {', '.join(decided.reached)}"
    shell.flash(told, "good")
    shell.undo = None

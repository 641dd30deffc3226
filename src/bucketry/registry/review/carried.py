"""The decisions about a version that an alias carries, so that two reads tell whether it may be served."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bucketry.errors import BucketryError
from bucketry.schema.documents.reviews import REFUSALS, Action
from bucketry.schema.judging.decisions import newest_first

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bucketry.schema.documents.reviews import Decision
    from bucketry.schema.names import Digest

MOST_KEYS_CARRIED = 16
"""Of one principal: whoever uses a person's name with a key of their own must not fill the alias."""


def carried_reviews(decisions: Sequence[Decision]) -> tuple[dict[str, object], ...]:
    """Return the publish signature, approvals, and every refusal; no comments and no requests: a poll stays small.

    Of each principal the newest approval by each key, and the newest unsigned one. A name is only a claim here: an
    approval under somebody's name must not take the place of the one that this person signed.
    """
    approvals: dict[tuple[str, str], Digest] = {}
    keys: dict[str, int] = {}
    for decision in newest_first(decisions):
        principal = decision.statement.principal
        by = (principal, _key_of(decision))
        if by not in approvals and keys.get(principal, 0) < MOST_KEYS_CARRIED:
            approvals[by] = decision.sha256
            keys[principal] = keys.get(principal, 0) + 1
    carried, always = set(approvals.values()), {Action.PUBLISH, *REFUSALS}
    return tuple(
        decision.review.to_document()
        for decision in decisions
        if decision.statement.action in always or decision.sha256 in carried
    )


def _key_of(decision: Decision) -> str:
    """Return which key signed, by its fingerprint; empty where none did, or none that can be read."""
    if decision.review.sshsig is None:
        return ""
    from bucketry.trust.ssh.sshsig import decode_signature  # noqa: PLC0415 - loads cryptography

    try:
        return decode_signature(decision.review.sshsig).key.fingerprint
    except BucketryError:
        return ""

"""Derives the state of a version from what was decided about it, to compare it with the one in its row.

A state is decided by the commit that cites a decision, under the policy and at the moment of that commit. The model's
own policy at that commit is known from the head's trail. The registry's default is not ordered with it, so that each
default there ever was is taken for possible.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from bucketry.clock import format_time
from bucketry.frozen import frozen
from bucketry.registry.review.standings import authorship_of
from bucketry.schema.documents.audit import AuditAction
from bucketry.schema.documents.reviews import REFUSALS, Action
from bucketry.schema.documents.states import State
from bucketry.schema.judging.decisions import count_approvals, derive_state

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from bucketry.maintenance.fsck.findings import Findings
    from bucketry.maintenance.fsck.policies import PolicyChanges, PolicyShelf
    from bucketry.schema.documents.audit import Record
    from bucketry.schema.documents.dossier import Dossier
    from bucketry.schema.documents.head import Row
    from bucketry.schema.documents.policy import Policy
    from bucketry.schema.documents.reviews import Decision

DECIDED = frozenset({State.REGISTERED, State.IN_REVIEW, State.APPROVED, State.REJECTED})
"""The states that decisions give; in the others a version is whatever they say."""
DECIDING = frozenset({*(action.audited for action in Action), AuditAction.UNRETIRE})
"""The audit actions whose commit decides a state."""
DOUBT = timedelta(minutes=2)
"""How far the moment of a record may be from the one at which its commit asked which approvals had expired."""


@frozen
class StateRule:
    """When each version's state was decided, and under which policies. Without a whole trail, nobody knows.

    `refusals` counts, for each version that was refused, the commits that did.
    """

    shelf: PolicyShelf
    changes: PolicyChanges | None = None
    decided: Mapping[str, Record] = field(default_factory=dict)
    refusals: Mapping[str, int] = field(default_factory=dict)

    def find_possible(
        self, row: Row, dossier: Dossier, decisions: Sequence[Decision], findings: Findings
    ) -> frozenset[State]:
        """Return the states that a row may have by its decisions: one, or a few where more cannot be known."""
        if not decisions:
            return frozenset({State.REGISTERED})
        record = self.decided.get(str(row.version))
        policies = self._policies_at(record.generation, findings) if record else ()
        if record is None or not policies:
            # Whatever these decisions may give under any policy at all.
            actions = {decision.statement.action for decision in decisions}
            if actions & REFUSALS:
                return frozenset({State.REJECTED})
            if Action.APPROVE in actions:
                return frozenset({State.IN_REVIEW, State.APPROVED})
            return frozenset({State.IN_REVIEW if Action.REQUEST in actions else State.REGISTERED})
        at = datetime.fromisoformat(record.at)
        cited = {known.sha256 for known in dossier.evidence}
        authorship = authorship_of(row, decisions)
        return frozenset(
            derive_state(
                decisions,
                count_approvals(decisions, policy, authorship=authorship, cited=cited, now=format_time(moment)),
            )
            for policy in policies
            for moment in (at - DOUBT, at, at + DOUBT)
        )

    def find_lost_refusals(self, row: Row, decisions: Sequence[Decision]) -> int:
        """Return how many refusals of a row were committed and are cited no more: nobody takes one back."""
        cited = sum(decision.statement.action in REFUSALS for decision in decisions)
        return max(0, self.refusals.get(str(row.version), 0) - cited)

    def _policies_at(self, generation: int, findings: Findings) -> tuple[Policy, ...]:
        """Return what may have been the policy of a commit; nothing where that cannot be said."""
        if self.changes is None or self.shelf.defaults is None:
            return ()
        digest, is_known = self.changes.held_at(generation)
        if not is_known:
            return ()
        if digest is None:
            return self.shelf.defaults
        own = self.shelf.check(digest, findings)
        return tuple(own.over(default) for default in self.shelf.defaults) if own else ()


def newest_deciding(records: Iterable[Record]) -> dict[str, Record]:
    """Return for each version, as records spell it, the newest commit that decided its state."""
    return {record.target: record for record in records if record.action in DECIDING and record.target}


def count_refusals(records: Iterable[Record]) -> dict[str, int]:
    """Return for each version, as records spell it, how many commits refused it; each cites one decision."""
    refusing = {action.audited for action in REFUSALS}
    return Counter(record.target for record in records if record.action in refusing)

"""What waits for a decision, since when, for whom, and which gates hold?"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

from bucketry.registry.gating import check_version_gates
from bucketry.registry.index import open_index
from bucketry.registry.index_search import list_versions_in_state
from bucketry.registry.registers import load_head
from bucketry.registry.reviewing import Standing, load_standing
from bucketry.registry.rows import find_row
from bucketry.schema.decisions import is_reviewer, moment
from bucketry.schema.reviews import Action
from bucketry.schema.states import State

if TYPE_CHECKING:
    from collections.abc import Iterable

    from bucketry.registry.session import Session
    from bucketry.schema.gates import GateResult
    from bucketry.schema.head import Head
    from bucketry.schema.names import ModelName

WAITING_STATES = (State.IN_REVIEW, State.APPROVED)
"""Approved versions wait too: for the renewal of an approval that ends soon."""
WARNING_DAYS = 14
"""How long before it ends an approval is to be renewed."""


@dataclass(frozen=True, slots=True)
class Waiting:
    """A version that waits: for a review, or, approved already, for an approval to be renewed before it ends.

    `since` and `asked_by` are of the first request (the publish, where nobody asked). `mine`: the person who
    looks may decide, and has not yet.
    """

    model: ModelName
    standing: Standing
    renewal: bool
    since: str
    asked_by: str
    mine: bool
    gates: tuple[GateResult, ...]


def list_waiting(session: Session, *, mine: bool = False) -> list[Waiting]:
    """Return everything that waits, longest first; with `mine`, only what the session's actor may decide."""
    with open_index(session) as index:
        index.refresh(session, details=False)
        candidates = list_versions_in_state(index, WAITING_STATES)
    found = session.ports.map_in_parallel(lambda item: _of_model(session, *item), list(candidates.items()))
    waiting = [item for items in found for item in items if item.mine or not mine]
    return sorted(waiting, key=lambda item: (moment(item.since), str(item.model), item.standing.row.version))


def _of_model(session: Session, name: ModelName, versions: Iterable[int]) -> list[Waiting]:
    """Return which of these versions wait, as the model's head has them now: the index only said where to look."""
    head = load_head(session, name).state
    if head is None:
        return []
    found = (find_row(session, head, version) for version in versions)
    rows = [row for row in found if row is not None and row.state in WAITING_STATES]
    items = (_waiting(session, head, load_standing(session, head, row)) for row in rows)
    return [item for item in items if item is not None]


def _waiting(session: Session, head: Head, standing: Standing) -> Waiting | None:
    # Not the row's state: the policy may ask for more now, or for less, and approvals end.
    approved = standing.approvals.are_enough
    if approved and not _ends_soon(session, standing):
        return None
    asked = [d.statement for d in standing.decisions if d.statement.action is Action.REQUEST]
    row, me = standing.row, session.actor
    own = [d.statement for d in standing.decisions if d.statement.principal == me]
    done = me in standing.approvals.principals and not approved
    barred = standing.policy.separate_duties and standing.authorship.includes(me)
    renews = not approved or any(statement.action is Action.APPROVE for statement in own)
    return Waiting(
        model=head.model,
        standing=standing,
        renewal=approved,
        since=asked[0].created if asked else row.created_at,
        asked_by=asked[0].principal if asked else row.created_by,
        mine=is_reviewer(standing.policy, me) and not done and not barred and renews,
        gates=check_version_gates(session, head, row, alias=None, scan=False),
    )


def _ends_soon(session: Session, standing: Standing) -> bool:
    ends = standing.approvals.expires
    return ends is not None and moment(ends) - session.ports.now() <= timedelta(days=WARNING_DAYS)

"""Lists what waits for a decision, since when, for whom, and which gates hold."""

from __future__ import annotations

from contextlib import nullcontext
from datetime import timedelta
from typing import TYPE_CHECKING

from bucketry.errors import UNREADABLE, reason_of
from bucketry.frozen import frozen
from bucketry.index.refresh import refresh_index
from bucketry.index.standings import list_undecided, note_standings
from bucketry.index.store import open_index
from bucketry.registry.core.registers import find_head
from bucketry.registry.core.rows import group_by_page, load_group
from bucketry.registry.review.gating import check_version_gates
from bucketry.registry.review.standings import Standing, load_standing
from bucketry.schema.documents.gates import GateResult
from bucketry.schema.documents.reviews import Action
from bucketry.schema.documents.states import State
from bucketry.schema.judging.decisions import is_reviewer, moment

if TYPE_CHECKING:
    from collections.abc import Iterable

    from bucketry.index.store import Index
    from bucketry.registry.core.session import Session
    from bucketry.schema.documents.head import Head, Row
    from bucketry.schema.documents.pages import PageEntry
    from bucketry.schema.names import ModelName

WAITING_STATES = (State.IN_REVIEW, State.APPROVED)
"""Approved versions wait too: for the renewal of an approval that ends soon."""
WARNING_DAYS = 14
"""How long before it ends an approval is to be renewed."""


@frozen
class WaitingVersion:
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


@frozen
class ReviewQueue:
    """What waits, longest first, and what may be missing because it cannot be read: each a clear sentence.

    `damaged` names the versions among it, each with what is wrong: nobody knows whether they wait.
    """

    waiting: list[WaitingVersion]
    faults: tuple[str, ...] = ()
    damaged: tuple[tuple[ModelName, int, str], ...] = ()


def list_waiting(session: Session, *, mine: bool = False) -> list[WaitingVersion]:
    """Return everything that waits, longest first; with `mine`, only what the session's actor may decide.

    What cannot be read is left out; `load_review_queue` tells of it.
    """
    return load_review_queue(session, mine=mine).waiting


def load_review_queue(session: Session, *, mine: bool = False, index: Index | None = None) -> ReviewQueue:
    """Return everything that waits; a model or a version that is damaged does not stop the others.

    `index` is the registry's, where the caller has it open.
    """
    with nullcontext(index) if index is not None else open_index(session) as opened:
        refreshed = refresh_index(opened, session, details=False)
        until = session.clock.now() + timedelta(days=WARNING_DAYS)
        candidates = list_undecided(opened, session, WAITING_STATES, renewed_until=until)
        models = session.map_in_parallel(lambda item: _groups_of(session, *item), list(candidates.items()))
        groups = [group for model in models for group in model.groups]
        looked = session.map_in_parallel(lambda group: _look_at(session, group), groups)
        note_standings(opened, session, (approved for found in looked for approved in found.approved))
    found = [*models, *looked]
    waiting = [item for queue in looked for item in queue.waiting if item.mine or not mine]
    waiting.sort(key=lambda item: (moment(item.since), str(item.model), item.standing.row.version))
    # A head that cannot be read is found by the refresh, and found again where the index still has its versions.
    told = dict.fromkeys((*refreshed.faults, *(fault for queue in found for fault in queue.faults)))
    damaged = sorted((each for queue in found for each in queue.damaged), key=lambda each: (str(each[0]), each[1]))
    return ReviewQueue(waiting, tuple(told), tuple(damaged))


@frozen
class _Group:
    """Versions of a model whose rows are read together: those of one page, or one that is in the head itself."""

    head: Head
    entry: PageEntry | None
    versions: tuple[int, ...]


@frozen
class _Found:
    """What looking at a model or a group brought. `approved` are the standings of versions that do not wait for now."""

    groups: tuple[_Group, ...] = ()
    waiting: tuple[WaitingVersion, ...] = ()
    approved: tuple[tuple[Head, Standing], ...] = ()
    faults: tuple[str, ...] = ()
    damaged: tuple[tuple[ModelName, int, str], ...] = ()


def _groups_of(session: Session, name: ModelName, versions: Iterable[int]) -> _Found:
    """Return these versions as the model's head has them now: the index only said where to look."""
    versions = tuple(versions)
    try:
        head = find_head(session, name)
    except UNREADABLE as error:
        damaged = tuple((name, version, reason_of(error)) for version in versions)
        return _Found(faults=(f"{name} cannot be read: {error.message}",), damaged=damaged)
    if head is None:
        return _Found()
    found = group_by_page(session, head, versions)
    return _Found(
        tuple(_Group(head, entry, inside) for entry, inside in found.groups),
        faults=(f"old versions of {name} cannot be read: {found.reason}",) if found.reason else (),
        damaged=tuple((name, version, found.reason) for version in found.lost),
    )


def _look_at(session: Session, group: _Group) -> _Found:
    """Return which versions of a group wait."""
    head = group.head
    try:
        rows = load_group(session, head, group.entry, group.versions)
    except UNREADABLE as error:
        names = ", ".join(f"{head.model}:{version}" for version in group.versions)
        lost = tuple((head.model, version, reason_of(error)) for version in group.versions)
        return _Found(faults=(f"{names} cannot be read: {error.message}",), damaged=lost)
    waiting: list[WaitingVersion] = []
    approved: list[tuple[Head, Standing]] = []
    faults: list[str] = []
    damaged: list[tuple[ModelName, int, str]] = []
    for row in rows:
        if row.state not in WAITING_STATES:
            continue
        try:
            standing = load_standing(session, head, row)
            item = _waiting(session, head, standing)
        except UNREADABLE as error:
            faults.append(f"{head.model}:{row.version} cannot be read: {error.message}")
            damaged.append((head.model, row.version, reason_of(error)))
            continue
        if item is not None:
            waiting.append(item)
        elif row.state is State.APPROVED:
            approved.append((head, standing))
    return _Found(waiting=tuple(waiting), approved=tuple(approved), faults=tuple(faults), damaged=tuple(damaged))


def _waiting(session: Session, head: Head, standing: Standing) -> WaitingVersion | None:
    # Not the row's state: the policy may ask for more now, or for less, and approvals end.
    approved = standing.approvals.are_enough
    ends = standing.approvals.expires
    ends_soon = ends is not None and moment(ends) - session.clock.now() <= timedelta(days=WARNING_DAYS)
    if approved and not ends_soon:
        return None
    asked = [d.statement for d in standing.decisions if d.statement.action is Action.REQUEST]
    row, me = standing.row, session.actor
    own = [d.statement for d in standing.decisions if d.statement.principal == me]
    done = me in standing.approvals.principals and not approved
    barred = standing.policy.separate_duties and standing.authorship.includes(me)
    renews = not approved or any(statement.action is Action.APPROVE for statement in own)
    return WaitingVersion(
        model=head.model,
        standing=standing,
        renewal=approved,
        since=asked[0].created if asked else row.created_at,
        asked_by=asked[0].principal if asked else row.created_by,
        mine=is_reviewer(standing.policy, me) and not done and not barred and renews,
        gates=_look_at_gates(session, head, row),
    )


def _look_at_gates(session: Session, head: Head, row: Row) -> tuple[GateResult, ...]:
    """Return each gate's result; where they cannot be checked, that as one that failed: the version waits anyway."""
    try:
        return check_version_gates(session, head, row, alias=None, scan=False)
    except UNREADABLE as error:
        return (GateResult("gates", False, None, None, f"they cannot be checked: {reason_of(error)}"),)

"""What the index notes of a version's reviews, and which stage the version is in by that."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING

from bucketry.frozen import frozen
from bucketry.schema.documents.states import State

if TYPE_CHECKING:
    from collections.abc import Sequence

_BASIS_PARTS = {
    "dossier": "v.dossier",
    "policy": "coalesce(m.policy, '')",
    "default_policy": "coalesce((SELECT value FROM facts WHERE name = 'default_policy'), '')",
    "state": "v.state",
}
"""What a standing depends on, and where each stands, for a row `v` of `versions` beside its row `m` of `models`."""
BASIS = "(" + " || ' ' || ".join(_BASIS_PARTS.values()) + ")"
"""All of it, as the index has it now; `basis_of` writes the same of what was read."""

NOTED = "s.approvals, s.required, s.refused_by, s.is_revoked, s.has_ended, s.lacks_evidence, s.is_signed"
"""What `read_noted` reads, of a row `s` of `standings`."""


class Stage(StrEnum):
    """Where a version is on its way to be approved.

    `UNREAD`: its decisions are not here yet, its state is. `DAMAGED`: something of it cannot be read.
    """

    NONE = "none"
    UNREAD = "unread"
    COUNTED = "counted"
    CHECKS = "checks"
    EXPIRED = "expired"
    REJECTED = "rejected"
    REVOKED = "revoked"
    RETIRED = "retired"
    DELETING = "deleting"
    DELETED = "deleted"
    DAMAGED = "damaged"


@frozen
class ReviewSummary:
    """How the reviews of a version stood when they were read.

    `approvals` are those that count, `required` how many the policy asks for (one at least). `refused_by` rejected it
    last, or revoked it. `has_ended`: an approval does not count any more because its time is over. `lacks_evidence`: a
    gate cannot be judged yet. `is_signed`: a publish signature lies beside it; whose it is has not been verified.
    """

    approvals: int
    required: int
    refused_by: str | None
    is_revoked: bool
    has_ended: bool
    lacks_evidence: bool
    is_signed: bool


def basis_of(*, dossier: str | None, policy: str | None, default_policy: str | None, state: State) -> str:
    """Return what `BASIS` is in the index for these values."""
    given = {"dossier": dossier, "policy": policy, "default_policy": default_policy, "state": state.value}
    return " ".join(given[name] or "" for name in _BASIS_PARTS)


def stage_of(state: State, noted: ReviewSummary | None) -> Stage:  # noqa: PLR0911 - one for each stage
    """Return where a version is, by its state and what was noted of its reviews, if anything was."""
    if state in _ENDS:
        return _ENDS[state]
    if state is State.REGISTERED:
        return Stage.NONE
    if state is State.REJECTED:
        return Stage.REVOKED if noted is not None and noted.is_revoked else Stage.REJECTED
    if noted is None:
        return Stage.UNREAD
    if noted.approvals >= noted.required:
        return Stage.COUNTED
    if noted.has_ended:
        return Stage.EXPIRED
    return Stage.CHECKS if noted.lacks_evidence else Stage.COUNTED


def read_noted(values: Sequence[object]) -> ReviewSummary | None:
    """Return what the index has noted, from the values of `NOTED`; None where nothing is."""
    approvals, required, refused_by, is_revoked, has_ended, lacks, is_signed = values
    if approvals is None:
        return None
    return ReviewSummary(
        approvals=int(str(approvals)),
        required=int(str(required)),
        refused_by=None if refused_by is None else str(refused_by),
        is_revoked=bool(is_revoked),
        has_ended=bool(has_ended),
        lacks_evidence=bool(lacks),
        is_signed=bool(is_signed),
    )


_ENDS = {State.RETIRED: Stage.RETIRED, State.DELETING: Stage.DELETING, State.DELETED: Stage.DELETED}

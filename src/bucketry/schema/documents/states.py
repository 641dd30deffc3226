"""The states that a version may be in, and what each allows."""

from enum import StrEnum

from bucketry.errors import RejectedError, UsageError


class State(StrEnum):
    """What the head says about a version. What must be trusted is the signed review, not this word."""

    REGISTERED = "registered"
    IN_REVIEW = "in_review"
    APPROVED = "approved"
    REJECTED = "rejected"
    RETIRED = "retired"
    DELETING = "deleting"
    DELETED = "deleted"


BLOBS_KEPT = frozenset(State) - {State.DELETED}
"""Live: only `deleted` frees bytes."""

SERVABLE = frozenset({State.REGISTERED, State.IN_REVIEW, State.APPROVED})
"""What an alias may be moved to, as far as the state alone decides."""

RETIRABLE = frozenset({State.REGISTERED, State.IN_REVIEW, State.APPROVED, State.REJECTED})


def parse_state(text: str) -> State:
    """Return the state; raise `UsageError`."""
    try:
        return State(text)
    except ValueError as error:
        raise UsageError(f"{text!a} is not a state", advice=f"use one of {', '.join(State)}") from error


def check_servable(version: int, state: State) -> None:
    """Raise `RejectedError` if an alias must not be moved to a version in this state."""
    if state not in SERVABLE:
        raise RejectedError(
            f"version {version} is {state}",
            advice="choose a version that is registered, in review or approved",
        )


def state_after_retire(version: int, state: State) -> State:
    """Return the state after `retire`; raise `RejectedError` where that is not possible."""
    if state not in RETIRABLE | {State.RETIRED}:
        raise RejectedError(f"version {version} is {state} and cannot be retired")
    return State.RETIRED


def check_retired(version: int, state: State) -> None:
    """Raise `RejectedError` for a version that cannot be taken out of retirement."""
    if state is not State.RETIRED:
        raise RejectedError(f"version {version} is {state}, not retired")

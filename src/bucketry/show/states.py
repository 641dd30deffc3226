"""The words for a version's state; apart from what else is shown of one, since every list shows them first of all."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bucketry.schema.documents.states import State
from bucketry.show.figures import NOTHING
from bucketry.show.spans import Role, Span

if TYPE_CHECKING:
    from collections.abc import Mapping

_STATES: Mapping[State, tuple[str, Role]] = {
    State.REGISTERED: (NOTHING, "dim"),
    State.IN_REVIEW: ("in review", "warn"),
    State.APPROVED: ("approved", "good"),
    State.REJECTED: ("x rejected", "bad"),
    State.RETIRED: ("retired", "dim"),
    State.DELETING: ("deleting..", "warn"),
    State.DELETED: ("deleted", "dim"),
}


def state_span(state: State) -> Span:
    """Return a state's word in a list, where the usual one is nothing to speak of."""
    return Span(*_STATES[state])


def state_word(state: State) -> str:
    """Return a state as people say it, also the first one, for which lists have no word."""
    return state.value.replace("_", " ")

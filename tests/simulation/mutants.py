"""Which parts of the protocol can be taken away, so that the simulation must notice?"""

# ruff: noqa: SLF001 - a mutant changes what nobody else may touch

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from bucketry.errors import UnavailableError
from bucketry.registry import aliases, commit, registration
from bucketry.schema.audit import Trail
from bucketry.store.interface import IfAbsent, PreconditionFailedError, Unconditional

if TYPE_CHECKING:
    import pytest

Mutate = Callable[["pytest.MonkeyPatch"], None]


def without_transaction_id(patch: pytest.MonkeyPatch) -> None:
    """Nobody recognises a commit of their own."""
    patch.setattr(Trail, "find", lambda *_: None)


def with_new_transaction_for_each_attempt(patch: pytest.MonkeyPatch) -> None:
    """Each attempt of one write carries another id."""
    prepare = commit._Attempt.prepare

    def renewed(self: Any, *arguments: Any) -> Any:
        object.__setattr__(self, "transaction", self.ports.new_transaction())
        return prepare(self, *arguments)

    def send(self: Any, base: Any, body: Any) -> Any:
        """Send, and on any doubt make a new attempt."""
        try:
            self.store.put(self.register.key, body, base.condition)
        except (PreconditionFailedError, UnavailableError):
            return commit.load_current(self.store, self.register)

    patch.setattr(commit._Attempt, "prepare", renewed)
    patch.setattr(commit._Attempt, "send", send)


def without_if_match(patch: pytest.MonkeyPatch) -> None:
    """Registers are written whatever is there."""
    patch.setattr(commit.Current, "condition", property(lambda _: Unconditional()))


def without_reading_back(patch: pytest.MonkeyPatch) -> None:
    """Every doubtful reply counts as a lost race."""

    def send(self: Any, base: Any, body: bytes) -> Any:
        try:
            self.store.put(self.register.key, body, base.condition)
        except (PreconditionFailedError, UnavailableError):
            return base
        return None

    patch.setattr(commit._Attempt, "send", send)


def without_sealed_records(patch: pytest.MonkeyPatch) -> None:
    """Whoever was away for more records than a register holds believes to have lost."""
    patch.setattr(commit._Attempt, "_sealed_records", lambda *_: [])


def giving_up_for_a_new_state(patch: pytest.MonkeyPatch) -> None:
    """A write that is still undecided is abandoned for a new attempt with other bytes."""
    send = commit._Attempt.send

    def once(self: Any, base: Any, body: bytes) -> Any:
        try:
            self.store.put(self.register.key, body, base.condition)
        except UnavailableError:
            object.__setattr__(self, "transaction", self.ports.new_transaction())
            return base
        except PreconditionFailedError:
            return send(self, base, body)
        return None

    patch.setattr(commit._Attempt, "send", once)


def without_placement_check(patch: pytest.MonkeyPatch) -> None:
    """A row may place its bytes under any epoch."""
    patch.setattr(registration, "_check_places", lambda *_: None)


def with_head_read_before_the_alias(patch: pytest.MonkeyPatch) -> None:
    """A promoter decides on the head that it read first of all."""
    load = aliases.load_existing_head
    seen: dict[int, Any] = {}

    def first(session: Any, model: Any) -> Any:
        known = seen.get(id(session))
        if known is None or known[0] is not session:
            seen[id(session)] = known = (session, load(session, model))
        return known[1]

    patch.setattr(aliases, "load_existing_head", first)


def without_naming_the_alias_first(patch: pytest.MonkeyPatch) -> None:
    """A promoter never tells the head of a new alias."""
    patch.setattr(aliases, "_name_alias", lambda *_: None)


def without_pins(patch: pytest.MonkeyPatch) -> None:
    """A version made from another does not keep it."""
    patch.setattr(registration, "_pin_in_other_model", lambda *_: None)


def without_idempotency(patch: pytest.MonkeyPatch) -> None:
    """Nobody looks for the idempotency key."""
    patch.setattr(registration, "find_row_by_key", lambda *_: None)


def without_immutable_writes(patch: pytest.MonkeyPatch) -> None:
    """A failed write of an immutable object is taken for done."""

    def careless(store: Any, item: Any, **_: Any) -> None:
        try:
            store.put(item.key, item.body, IfAbsent())
        except (PreconditionFailedError, UnavailableError):
            return

    patch.setattr(commit, "put_immutable", careless)
    patch.setattr(registration, "put_immutable", careless)


MUTANTS: dict[str, tuple[Mutate, str]] = {
    "without transaction id": (without_transaction_id, ""),
    "new transaction for each attempt": (with_new_transaction_for_each_attempt, ""),
    "without If-Match": (without_if_match, ""),
    "without reading back": (without_reading_back, ""),
    "without sealed records": (without_sealed_records, "storm"),
    "giving up for a new state": (giving_up_for_a_new_state, ""),
    "without placement check": (without_placement_check, "collect"),
    "head read before the alias": (with_head_read_before_the_alias, "delete"),
    "without naming the alias first": (without_naming_the_alias_first, ""),
    "without pins": (without_pins, "children"),
    "without idempotency": (without_idempotency, ""),
    "careless immutable writes": (without_immutable_writes, ""),
}
"""Each with the scene in which it must be noticed; empty for any."""

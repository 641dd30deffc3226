"""Moves the movable names: sets them, takes a move back, unsets them.

A promoter reads the alias, then the head, and decides once, on these two; if the alias's name is new to the head, it
commits the name first, and decides on the head that has it. Every further attempt reads the head again after the alias
state that it will replace. Whoever ends a version writes into the register of each alias that the head then names, so
a promoter that has not seen it loses its compare-and-swap.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import field, replace
from typing import TYPE_CHECKING

from bucketry.errors import ContendedError, CorruptError, RejectedError
from bucketry.frozen import frozen
from bucketry.registry.core.commit import Change, Current, FirstAttempt, load_current
from bucketry.registry.core.history import iter_records_back, load_records
from bucketry.registry.core.notes import reason_detail
from bucketry.registry.core.registers import (
    AlreadyDoneError,
    alias_register,
    commit_alias,
    ensure_head,
    existing_head,
    load_alias,
    load_existing_head,
    load_head,
    not_set,
)
from bucketry.registry.core.resolve import load_manifest
from bucketry.registry.core.rows import find_row, load_row
from bucketry.registry.review.carried import carried_reviews
from bucketry.registry.review.gating import check_version_gates
from bucketry.registry.review.standings import check_approved, load_standing, refuse_failed_gates
from bucketry.schema.documents.alias import (
    HISTORY,
    MOVES,
    UNDOES,
    AliasRegister,
    AliasTarget,
    stack_moves,
)
from bucketry.schema.documents.audit import AuditAction, target_version
from bucketry.schema.documents.states import SERVABLE, check_servable

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from bucketry.registry.core.session import Session
    from bucketry.schema.documents.alias import MoveStack, StandingMove
    from bucketry.schema.documents.head import Head, Row
    from bucketry.schema.names import AliasName, ModelName


@frozen
class AliasMove:
    """What a promotion, a rollback or an unset did. `previous` and `target` are versions, or None."""

    model: ModelName
    alias: AliasName
    previous: int | None
    target: int | None
    generation: int


Check = Callable[["Head", "AliasRegister | None"], None]
"""Raises where the state on which a move is decided is not the one that was shown to whoever asked for it."""


def promote(
    session: Session,
    model: ModelName,
    version: int,
    alias: AliasName,
    *,
    reason: str = "",
    check: Check | None = None,
) -> AliasMove:
    """Make an alias name a version; raise `RejectedError` for one that may not be served, `CorruptError` for damage.

    Naming the version that it names already changes nothing.
    """
    session.check_writable()

    def choose(head: Head, _: AliasRegister) -> _Aim:
        row = load_row(session, head, version)
        load_manifest(session, model, row.manifest)  # whoever follows the alias must be able to read it
        return _Aim(row)

    return _move(session, model, alias, AuditAction.PROMOTE, choose, reason=reason, check=check)


def roll_back(
    session: Session,
    model: ModelName,
    alias: AliasName,
    *,
    to: int | None = None,
    reason: str = "",
    check: Check | None = None,
) -> AliasMove:
    """Make an alias name its previous target that may still be served, or the version `to`."""
    session.check_writable()

    def choose(head: Head, register: AliasRegister) -> _Aim:
        row = _previous_row(session, head, register, to=to)
        return _Aim(row, is_new=to is not None and not _was_named(session, register, to))

    return _move(session, model, alias, AuditAction.ROLLBACK, choose, reason=reason, check=check)


def unset(session: Session, model: ModelName, alias: AliasName, *, reason: str = "") -> AliasMove:
    """Make an alias name nothing. Its register stays, as a tombstone, with its history."""
    session.check_writable()
    return _move(
        session, model, alias, AuditAction.UNSET, lambda _head, _register: _Aim(None, is_new=False), reason=reason
    )


def undo_move(
    session: Session,
    model: ModelName,
    alias: AliasName,
    *,
    generation: int | None = None,
    reason: str = "",
    check: Check | None = None,
) -> AliasMove:
    """Take back the last move that nobody took back: the alias is as before it, what it would roll back to included.

    With a generation, only if that move is the last one: otherwise `ContendedError` says who moved the alias since.
    Raises `RejectedError` where there is no move to take back, or where what was named may no longer be served.
    """
    session.check_writable()

    def choose(head: Head, register: AliasRegister) -> _Aim:
        move = _last_standing(session, register)
        if generation is not None and move.record.generation != generation:
            raise ContendedError(
                f"{model}@{alias} was moved since: {move.record.action} by {move.record.actor} at {move.record.at}",
                advice=f"look at `bucketry aliases {model} --history {alias}`, then decide",
            )
        before = move.before.target
        row = load_row(session, head, before) if before is not None else None
        return _Aim(row, is_new=False, detail={UNDOES: move.record.generation})

    return _move(session, model, alias, AuditAction.UNDO, choose, reason=reason, check=check)


def load_rollback_target(session: Session, model: ModelName, alias: AliasName) -> Row:
    """Return the row that `roll_back` would choose now; raise `RejectedError` where there is none to go back to."""
    register = load_alias(session, model, alias).state
    if register is None:
        raise not_set(model, alias)
    return _previous_row(session, load_existing_head(session, model), register, to=None)


def find_row_to_go_back_to(session: Session, head: Head, earlier: Sequence[int], here: int | None) -> Row | None:
    """Return the row that a rollback would choose of an alias that names `here` and named those `earlier`, or None."""
    for version in reversed(earlier):
        row = find_row(session, head, version)
        if row is not None and version != here and row.state in SERVABLE:
            return row
    return None


def _name_alias(session: Session, model: ModelName, alias: AliasName, known: Current[Head]) -> Head:
    """Commit a new alias's name to the head that was read, and return the head that has it; a name never leaves it."""

    def edit(old: Head | None) -> Change[Head]:
        head = existing_head(session, model, old)
        if alias in head.aliases:
            raise AlreadyDoneError(head)  # another promoter named it first
        return Change(
            replace(head, aliases=tuple(sorted((*head.aliases, alias)))), AuditAction.CREATE_ALIAS, target=alias
        )

    return ensure_head(session, model, edit, first=FirstAttempt(known, edit(known.state)))


@frozen
class _Aim:
    """What an alias shall name: a row, or nothing. To name what is new to it asks for the gates."""

    row: Row | None
    is_new: bool = True
    detail: Mapping[str, object] = field(default_factory=dict)


def _read_alias_then_head(
    session: Session, model: ModelName, alias: AliasName
) -> tuple[Current[AliasRegister], Current[Head]]:
    """Return both, the head as it is after the alias's state was read: who ends a version later changes the alias.

    That an alias is not in the head, which has its name first, shows that it is new; only else is its history asked.
    """
    register = alias_register(session, model, alias)
    current = load_current(session.store, replace(register, find_witness=lambda _: ""))
    known = load_head(session, model)
    if current.state is None and known.state is not None and alias in known.state.aliases:
        return load_alias(session, model, alias), load_head(session, model)
    return current, known


def _move(
    session: Session,
    model: ModelName,
    alias: AliasName,
    action: AuditAction,
    choose: Callable[[Head, AliasRegister], _Aim],
    *,
    reason: str,
    check: Check | None = None,
) -> AliasMove:
    """Commit a new target; `choose` picks it from the head that was read after the alias's state.

    All is decided before the first write: a refusal leaves no name behind, and what takes long, such as scanning files,
    does not eat into the commit's deadline.
    """
    why, documents = reason_detail(session, model, reason)

    def decide(old: AliasRegister | None, head: Head) -> Change[AliasRegister]:
        if old is None and action is not AuditAction.PROMOTE:
            raise not_set(model, alias)
        if check is not None:
            check(head, old)
        register = old or AliasRegister(session.registry.registry, model, alias)
        aim = choose(head, register)
        new = _aimed(session, head, register, aim.row, gated=aim.is_new)
        if register.trail.records and new == register:
            raise _AlreadyThereError(register)
        target, detail = str(aim.row.version) if aim.row else "", {"from": _version_of(register), **aim.detail, **why}
        return Change(new, action, target=target, detail=detail, objects=documents)

    try:
        current, known = _read_alias_then_head(session, model, alias)
        head = existing_head(session, model, known.state)
        change = decide(current.state, head)
        if alias not in head.aliases:
            change = decide(current.state, _name_alias(session, model, alias, known))
        committed = commit_alias(
            session,
            model,
            alias,
            lambda old: decide(old, load_existing_head(session, model)),
            first=FirstAttempt(current, change),
        )
    except _AlreadyThereError as unchanged:
        there = _version_of(unchanged.register)
        return AliasMove(model, alias, there, there, unchanged.register.generation)
    moved = committed.state.last_move
    before = moved.previous if moved is not None else None
    return AliasMove(model, alias, before, _version_of(committed.state), committed.state.generation)


def _version_of(register: AliasRegister) -> int | None:
    return register.target.version if register.target else None


def _aimed(session: Session, head: Head, register: AliasRegister, row: Row | None, *, gated: bool) -> AliasRegister:
    """Return the register as it names a row of this head, with the decisions that a server needs.

    Raises `RejectedError` for a row that may not be served under this alias. This is decided on the head that
    was read after the alias's state: whoever refuses or deletes the version since then changes the alias.
    """
    if row is None:
        return replace(register, target=None, reviews=(), protected=False)
    check_servable(row.version, row.state)
    standing = load_standing(session, head, row, alias=register.alias)
    protected = register.alias in standing.policy.protected_aliases
    if protected:
        check_approved(head, standing, register.alias)
        if gated:
            gates = check_version_gates(session, head, row, alias=register.alias, register=register)
            refuse_failed_gates(row, gates, "promoted")
    target = AliasTarget(row.version, row.manifest, row.placement, row.state)
    return replace(register, target=target, reviews=carried_reviews(standing.decisions), protected=protected)


def _was_named(session: Session, register: AliasRegister, version: int) -> bool:
    """Return whether the alias ever named a version: to go back to any other is a promotion, and asks for the gates.

    History that cannot be read proves nothing, and keeps nobody from going back to what passes the gates.
    """
    records = iter_records_back(session, alias_register(session, register.model, register.alias), register.trail)
    with suppress(CorruptError):
        return any(target_version(record, what=HISTORY) == version for record in records if record.action in MOVES)
    return False


class _AlreadyThereError(Exception):
    """The alias names that version already: nothing is committed, and history stays free of non-events."""

    def __init__(self, register: AliasRegister) -> None:
        super().__init__()
        self.register = register


def _previous_row(session: Session, head: Head, register: AliasRegister, *, to: int | None) -> Row:
    if to is not None:
        return load_row(session, head, to)
    choice = f"choose one with `bucketry rollback {head.model} {register.alias} --to VERSION`"
    earlier = _load_stack(session, register, choice).now.earlier
    row = find_row_to_go_back_to(session, head, earlier, _version_of(register))
    if row is not None:
        return row
    raise RejectedError(
        f"{head.model}@{register.alias} has no earlier version to go back to",
        advice=choice,
    )


def _last_standing(session: Session, register: AliasRegister) -> StandingMove:
    name = f"{register.model}@{register.alias}"
    choice = f"name the version: `bucketry rollback {register.model} {register.alias} --to VERSION`"
    standing = _load_stack(session, register, choice).standing
    if not standing:
        raise RejectedError(f"there is no move of {name} to take back", advice=choice)
    return standing[-1]


def _load_stack(session: Session, register: AliasRegister, choice: str) -> MoveStack:
    """Return the moves that stand, by the whole history; `choice` is what to do where that cannot be read."""
    try:
        return stack_moves(
            load_records(session, alias_register(session, register.model, register.alias), register.trail)
        )
    except CorruptError as error:
        raise CorruptError(f"where to go back to cannot be read: {error.message}", advice=choice) from error

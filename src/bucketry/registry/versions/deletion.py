"""Gives a version up, though others may promote it or build on it at the same moment.

The deleter commits `deleting`, with its generation, in the row; then it reads the register of every alias that the head
names, takes the deletion back if one targets the version, and otherwise commits a touch (an empty register, if there is
none); then it commits `deleted`. A promoter that has not seen `deleting` thus loses its compare-and-swap. To take back
and to finish both ask for that same generation, and whoever resumes a deletion walks again.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

from bucketry.errors import RejectedError
from bucketry.frozen import frozen
from bucketry.registry.core.commit import Change
from bucketry.registry.core.notes import plain_reason, reason_detail
from bucketry.registry.core.registers import (
    AlreadyDoneError,
    commit_alias,
    ensure_head,
    existing_head,
    load_existing_head,
)
from bucketry.registry.core.rows import find_row, load_dossier, load_row, replace_row
from bucketry.registry.serving.known_aliases import load_aliases
from bucketry.registry.versions.pins import release_pins
from bucketry.schema.documents.alias import AliasRegister
from bucketry.schema.documents.audit import AuditAction
from bucketry.schema.documents.head import Deletion
from bucketry.schema.documents.states import State

if TYPE_CHECKING:
    from bucketry.registry.core.session import Session
    from bucketry.schema.documents.head import Head, Row
    from bucketry.schema.names import AliasName, ModelName


@frozen
class DeletedVersion:
    """A version that was given up. Its bytes are freed by a garbage collection, later."""

    model: ModelName
    version: int
    size_bytes: int


Check = Callable[["Head", "Row"], None]
"""Raises where the state on which a deletion begins is not one on which it was decided."""


def delete_version(
    session: Session, model: ModelName, version: int, *, reason: str = "", check: Check | None = None
) -> DeletedVersion:
    """Give up a version that no alias names and no other version is made from; a deletion that was begun is finished.

    Raises `RejectedError` naming the alias or the dependents that keep it. Deleting a deleted version is a
    `NotFoundError`.
    """
    session.check_writable()
    reason = plain_reason(reason)
    release_pins(session, model, version)
    fenced = _begin(session, model, version, reason, check)
    row = load_row(session, fenced, version)
    if row.deletion is None:  # another finished or took it back between our commit and its reply
        raise RejectedError(f"the deletion of version {version} was settled by another", advice="look at it again")
    namer = _walk(session, model, version)
    if namer is not None:
        _settle(session, model, version, row.deletion, lambda old, deletion: replace(old, state=deletion.before))
        raise _named_by(model, namer, version)
    _settle(session, model, version, row.deletion, lambda old, _: replace(old, state=State.DELETED))
    return DeletedVersion(model, version, row.size_bytes)


def check_may_delete(session: Session, model: ModelName, version: int) -> None:
    """Raise as `delete_version` would: for a version that others are made from, or that an alias names."""
    session.check_writable()
    head = load_existing_head(session, model)
    check_deletable(session, head, version)
    for register in load_aliases(session, head):
        if register.target is not None and register.target.version == version:
            raise _named_by(model, register.alias, version)


def check_deletable(session: Session, head: Head, version: int) -> Row:
    """Return the version's row; raise `RejectedError` if others are made from it."""
    row = load_row(session, head, version)
    dependents = load_dossier(session, head, row).dependents
    if dependents:
        names = ", ".join(sorted(str(pin.model) for pin in dependents))
        raise RejectedError(
            f"{head.model}:{version} is the base of versions of {names}",
            advice="delete those first (`bucketry lineage` shows them)",
        )
    return row


def _named_by(model: ModelName, alias: AliasName, version: int) -> RejectedError:
    return RejectedError(
        f"{model}@{alias} names version {version}", advice=f"move it first: `bucketry promote {model}:OTHER {alias}`"
    )


def _begin(session: Session, model: ModelName, version: int, reason: str, check: Check | None) -> Head:
    """Commit `deleting`, unless it is there: then the walk of whoever began is resumed under their generation."""
    why, documents = reason_detail(session, model, reason)

    def edit(old: Head | None) -> Change[Head]:
        head = existing_head(session, model, old)
        row = check_deletable(session, head, version)
        if row.state is State.DELETING:
            raise AlreadyDoneError(head)
        if check is not None:
            check(head, row)
        mark = Deletion(head.generation + 1, row.state)
        changed, objects = replace_row(session, head, replace(row, state=State.DELETING, deletion=mark))
        return Change(
            changed, AuditAction.BEGIN_DELETION, target=str(version), detail=why, objects=(*documents, *objects)
        )

    return ensure_head(session, model, edit)


def _walk(session: Session, model: ModelName, version: int) -> AliasName | None:
    """Touch every alias; return the first that names the version, if one does.

    The names are read after `deleting` was committed: a name that comes later is given by a promoter who then reads it.
    """
    for alias in load_existing_head(session, model).aliases:
        try:
            commit_alias(session, model, alias, _touch(session, model, alias, version))
        except _NamedError:
            return alias
    return None


def _touch(
    session: Session, model: ModelName, alias: AliasName, version: int
) -> Callable[[AliasRegister | None], Change[AliasRegister]]:
    def edit(old: AliasRegister | None) -> Change[AliasRegister]:
        register = old or AliasRegister(session.registry.registry, model, alias)
        if register.target is not None and register.target.version == version:
            raise _NamedError
        return Change(register, AuditAction.RECHECK_PROMOTIONS, target=str(version), detail={"for": AuditAction.DELETE})

    return edit


class _NamedError(Exception):
    """The alias names the version."""


def _settle(
    session: Session,
    model: ModelName,
    version: int,
    mark: Deletion,
    settled: Callable[[Row, Deletion], Row],
) -> None:
    """Finish the deletion or take it back, if it is still the one that was begun at that generation."""

    def edit(head: Head | None) -> Change[Head]:
        row = find_row(session, head, version) if head is not None else None
        is_gone = row is not None and row.state is State.DELETED
        if head is not None and row is not None and is_gone and settled(row, mark).state is State.DELETED:
            raise AlreadyDoneError(head)  # whoever resumed our walk was quicker
        if head is None or row is None or row.state is not State.DELETING or row.deletion != mark:
            raise RejectedError(
                f"the deletion of {model}:{version} was settled by another", advice="look at it with `bucketry show`"
            )
        new = replace(settled(row, mark), deletion=None)
        changed, objects = replace_row(session, head, new)
        action = AuditAction.DELETE if new.state is State.DELETED else AuditAction.CANCEL_DELETION
        return Change(changed, action, target=str(version), objects=objects)

    ensure_head(session, model, edit)

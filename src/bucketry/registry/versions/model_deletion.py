"""Gives a whole model up: each version as one by itself; then the head is marked, which stays as a tombstone.

What holds a version, an alias or what another model made from it, is looked for before the first is given up. An
interrupted deletion is resumed by doing it again. Numbers go on from the tombstone if the name is used again.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from bucketry.errors import NotFoundError, RejectedError
from bucketry.frozen import frozen
from bucketry.registry.core.commit import Change
from bucketry.registry.core.notes import plain_reason, reason_detail
from bucketry.registry.core.registers import commit_head, existing_head, load_existing_head, load_head
from bucketry.registry.core.rows import iter_live_rows, load_dossier
from bucketry.registry.serving.known_aliases import load_aliases
from bucketry.registry.versions.deletion import delete_version
from bucketry.registry.versions.pins import find_children
from bucketry.schema.documents.audit import AuditAction

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from bucketry.registry.core.session import Session
    from bucketry.schema.documents.head import Head, Row
    from bucketry.schema.names import ModelName

MOST_NAMED = 5


@frozen
class ModelDeletion:
    """The versions that are given up with a model, newest first, and the bytes that they name."""

    model: ModelName
    versions: tuple[int, ...]
    size_bytes: int


def plan_model_deletion(session: Session, model: ModelName) -> ModelDeletion:
    """Return what `delete_model` would give up; raise `RejectedError` naming every alias and version that keeps it."""
    session.check_writable()
    head = load_existing_head(session, model)
    rows = tuple(iter_live_rows(session, head))
    keepers = [
        f"{model}@{register.alias} names version {register.target.version}"
        for register in load_aliases(session, head)
        if register.target is not None
    ]
    keepers += _versions_that_keep(session, head, rows)
    if keepers:
        more = f" and {len(keepers) - MOST_NAMED} more" if len(keepers) > MOST_NAMED else ""
        raise RejectedError(
            f"{model} cannot be deleted: {', '.join(keepers[:MOST_NAMED])}{more}",
            advice=f"take these away first: `bucketry unset {model} ALIAS`, `bucketry delete MODEL:VERSION`",
        )
    return ModelDeletion(model, tuple(row.version for row in rows), sum(row.size_bytes for row in rows))


def delete_model(session: Session, model: ModelName, *, reason: str = "") -> ModelDeletion:
    """Give up all versions of a model, and the model with them; what was begun and interrupted is finished.

    Raises `RejectedError` before anything is deleted if an alias names a version, or another model was made from one.
    """
    reason = plain_reason(reason)
    plan = plan_model_deletion(session, model)
    for version in plan.versions:  # the newest first: it may be made from an older one
        try:
            delete_version(session, model, version, reason=reason)
        except NotFoundError:
            continue  # another deleted it meanwhile
    mark_deleted(session, model, reason)
    return plan


def mark_deleted(session: Session, model: ModelName, reason: str) -> None:
    """Commit the tombstone, on a head of which every version is deleted; else raise `RejectedError`."""
    why, documents = reason_detail(session, model, reason)

    def edit(old: Head | None) -> Change[Head]:
        head = existing_head(session, model, old)
        left = next(iter_live_rows(session, head), None)
        if left is not None:
            raise RejectedError(
                f"version {left.version} of {model} was published meanwhile", advice="look at it, then delete again"
            )
        return Change(replace(head, deleted=True), AuditAction.DELETE_MODEL, detail=why, objects=documents)

    commit_head(session, model, edit)


def _versions_that_keep(session: Session, head: Head, rows: Sequence[Row]) -> Iterator[str]:
    """Yield what other models made from these versions and still have; a pin alone may be of a publish that died."""
    dossiers = session.map_in_parallel(lambda row: load_dossier(session, head, row), rows)
    for row, dossier in zip(rows, dossiers, strict=True):
        for name in sorted({pin.model for pin in dossier.dependents if pin.model != head.model}):
            child = load_head(session, name).state
            for made in find_children(session, child, row.manifest) if child is not None else ():
                yield f"{name}:{made.version} is made from version {row.version}"

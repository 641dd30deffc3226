"""Lets a base forget a version that was made from it, once none can count on the base any more.

A child's publisher pins its base before it commits, so a pin can also be that of a publish on its way, or of one that
never came. It is dropped only after the epoch of the child's head was raised past it, so that no publish which counts
on it can commit any more, and a head read since then shows no live child.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from bucketry.errors import UNREADABLE, reason_of
from bucketry.frozen import frozen
from bucketry.registry.core.commit import Change
from bucketry.registry.core.registers import AlreadyDoneError, ensure_head, load_existing_head, load_head
from bucketry.registry.core.resolve import load_manifest
from bucketry.registry.core.rows import (
    DamagedRow,
    iter_known_rows,
    iter_live_rows,
    load_dossier,
    load_row,
    replace_dossier,
)
from bucketry.schema.documents.audit import AuditAction
from bucketry.schema.documents.head import Head
from bucketry.schema.documents.states import BLOBS_KEPT

if TYPE_CHECKING:
    from collections.abc import Iterator

    from bucketry.registry.core.session import Session
    from bucketry.schema.documents.dossier import Pin
    from bucketry.schema.documents.head import Row
    from bucketry.schema.names import Digest, ModelName


def find_children(session: Session, child: Head, manifest: Digest) -> tuple[Row, ...]:
    """Return the live versions of a model, newest first, that name this manifest as a parent.

    Reads the manifest of each version that has a base at all.
    """
    candidates = [row for row in iter_live_rows(session, child) if row.base is not None]
    manifests = session.map_in_parallel(lambda row: load_manifest(session, child.model, row.manifest), candidates)
    return tuple(
        row
        for row, made in zip(candidates, manifests, strict=True)
        if any(parent.manifest == manifest for parent in made.lineage.parents)
    )


@frozen
class PossibleChild:
    """A version that was made from another one, by this relation, or, where `damaged` says why, perhaps."""

    version: int
    row: Row | None
    relation: str
    damaged: str = ""


def iter_possible_children(session: Session, child: Head, manifest: Digest) -> Iterator[PossibleChild]:
    """Yield what `find_children` returns, and beside it what cannot be read: for those who look, not who decide."""

    def look(row: Row | DamagedRow) -> PossibleChild | None:
        if isinstance(row, DamagedRow):
            return PossibleChild(row.version, row.row, "", row.reason)
        try:
            parents = load_manifest(session, child.model, row.manifest).lineage.parents
        except UNREADABLE as error:
            return PossibleChild(row.version, row, "", reason_of(error))
        relations = (parent.relation for parent in parents if parent.manifest == manifest)
        relation = next(relations, None)
        return None if relation is None else PossibleChild(row.version, row, relation)

    candidates = [
        row
        for row in iter_known_rows(session, child)
        if isinstance(row, DamagedRow) or (row.base is not None and row.state in BLOBS_KEPT)
    ]
    found = session.map_in_parallel(look, candidates)
    yield from (one for one in found if one is not None)


def release_pins(session: Session, model: ModelName, version: int) -> None:
    """Drop every pin of a version behind which there is no live child any more; others stay."""
    head = load_existing_head(session, model)
    row = load_row(session, head, version)
    for pin in load_dossier(session, head, row).dependents:
        child = load_head(session, pin.model).state
        if child is not None and find_children(session, child, row.manifest):
            continue
        fenced = _fence(session, pin)
        if not find_children(session, fenced, row.manifest):
            _drop(session, model, version, pin)


def _fence(session: Session, pin: Pin) -> Head:
    """Raise the epoch of the child's head past the pin, and return the head as it is then."""

    def edit(old: Head | None) -> Change[Head]:
        head = old or Head(session.registry.registry, pin.model)
        if head.epoch > pin.epoch:
            raise AlreadyDoneError(head)  # a garbage collection came by
        return Change(replace(head, epoch=pin.epoch + 1), AuditAction.RAISE_EPOCH)

    return ensure_head(session, pin.model, edit)


def _drop(session: Session, model: ModelName, version: int, pin: Pin) -> None:
    """Take exactly this pin out of the dossier; one that was renewed at a later epoch stays."""

    def edit(old: Head | None) -> Change[Head]:
        head = old or load_existing_head(session, model)
        row = load_row(session, head, version)
        dossier = load_dossier(session, head, row)
        if pin not in dossier.dependents:
            raise AlreadyDoneError(head)  # it is gone, or was renewed
        kept = replace(dossier, dependents=tuple(other for other in dossier.dependents if other != pin))
        changed, objects = replace_dossier(session, head, row, kept)
        return Change(
            changed, AuditAction.REMOVE_DEPENDENT, target=str(version), detail={"epoch": pin.epoch}, objects=objects
        )

    ensure_head(session, model, edit)

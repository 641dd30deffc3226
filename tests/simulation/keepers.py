"""What do those do who free and give up, and those who must not notice it? Collections, deletions and a slow reader.

`freeing` is the collection that is built; `collecting` another program's, the least that the published format allows:
it raises the epoch each time, and knows no grace.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING

from bucketry.clock import Backoff
from bucketry.errors import ContendedError, UnavailableError
from bucketry.maintenance.gc.collection import Asked, apply_collection
from bucketry.registry.core.commit import Change
from bucketry.registry.core.registers import commit_head, load_alias
from bucketry.registry.core.resolve import load_manifest, resolve
from bucketry.registry.core.rows import iter_live_rows, load_row, replace_row
from bucketry.registry.versions.deletion import delete_version
from bucketry.registry.versions.model_deletion import delete_model
from bucketry.registry.versions.retention import apply_retention, plan_retention, set_retention
from bucketry.schema import keys
from bucketry.schema.documents.audit import AuditAction
from bucketry.schema.documents.head import Head
from bucketry.schema.documents.placement import decode_placement
from bucketry.schema.documents.retention import Retention
from bucketry.schema.documents.states import State
from bucketry.schema.names import ByVersion, Reference
from bucketry.store.contract import Entry, ObjectNotFoundError
from simulation.actors import BASE, CHAT, Operation

if TYPE_CHECKING:
    from bucketry.registry.core.session import Session
    from bucketry.schema.documents.head import Row
    from bucketry.schema.names import ModelName
    from simulation.actors import Attempt

MOST_TRIES = 30
RULES = Retention(delete_after_days=7, keep_newest=1, keep_promoted=False)
GRACE_SECONDS = 600.0
PULL_SECONDS = 200.0
"""So long a pull may take whose version is deleted meanwhile: the grace counts from the record of the deletion, which
may be committed some minutes after it was written."""


def collecting(model: ModelName = CHAT) -> Operation:
    """Return a garbage collection without any grace: raise the epoch, mark from that head, delete what is unmarked."""

    def act(session: Session, _: Attempt) -> None:
        fenced = commit_head(session, model, lambda old: _raised(session, model, old)).state
        marked = set()
        for row in iter_live_rows(session, fenced):
            marked |= _blob_keys(session, fenced, row)
        for name in fenced.aliases:
            register = load_alias(session, model, name).state
            if register is not None and register.target is not None:
                artifacts = load_manifest(session, model, register.target.manifest).artifacts
                epochs = decode_placement(register.target.placement, artifacts=len(artifacts), what="alias")
                marked |= {keys.blob(model, e, a.sha256) for e, a in zip(epochs, artifacts, strict=True)}
        for entry in list(session.store.list(keys.blobs(model))):
            if isinstance(entry, Entry) and entry.key not in marked and _epoch_of(model, entry.key) < fenced.epoch:
                _delete(session, entry.key)

    return Operation("collect", keys.head(model), act)


def freeing(grace_seconds: float = 0.0) -> Operation:
    """Return the garbage collection that is built, over the whole registry."""

    def act(session: Session, _: Attempt) -> None:
        done = apply_collection(session, Asked(grace_seconds))
        damaged = [each for each in done.left_alone if each.is_damaged]
        assert not damaged, damaged

    return Operation("collect", keys.head(CHAT), act)


def retaining() -> Operation:
    """Return the deletion, by rules, of all but the newest version and those that aliases need, a month later."""

    def act(session: Session, _: Attempt) -> None:
        now = session.clock.now
        later = replace(session, clock=replace(session.clock, now=lambda: now() + timedelta(days=30)))
        set_retention(later, CHAT, RULES)
        apply_retention(later, plan_retention(later, CHAT))

    return Operation("retain", keys.head(CHAT), act)


def pausing(seconds: float) -> Operation:
    """Return nothing but time that passes."""
    return Operation("pause", keys.head(CHAT), lambda session, _: session.clock.sleep(seconds))


def pulling(version: int) -> Operation:
    """Return a pull by number that takes its time between the look at the version and the bytes."""

    def act(session: Session, attempt: Attempt) -> None:
        began_seconds = session.clock.monotonic_seconds()
        found = resolve(session, Reference(CHAT, ByVersion(version)))
        epochs = decode_placement(found.placement, artifacts=len(found.manifest.artifacts), what="pulled")
        session.clock.sleep(session.clock.chance() * PULL_SECONDS)
        for epoch, artifact in zip(epochs, found.manifest.artifacts, strict=True):
            try:
                session.store.stat(keys.blob(CHAT, epoch, artifact.sha256))
            except ObjectNotFoundError:
                if session.clock.monotonic_seconds() - began_seconds < PULL_SECONDS:
                    attempt.robbed = f"{artifact.path} of version {version}"

    return Operation("pull", keys.head(CHAT), act)


def deleting_carelessly(version: int) -> Operation:
    """Return the deletion of a base by a program that knows nothing of what is made from it."""

    def edit(session: Session, old: Head | None) -> Change[Head]:
        assert old is not None
        changed, objects = replace_row(session, old, replace(load_row(session, old, version), state=State.DELETED))
        return Change(changed, AuditAction.DELETE, target=str(version), objects=objects)

    def act(session: Session, _: Attempt) -> None:
        commit_head(session, BASE, lambda old: edit(session, old))

    return Operation("delete", keys.head(BASE), act)


def deleting(version: int, *, model: ModelName = CHAT) -> Operation:
    """Return a deletion: taken back if an alias names the version."""

    def act(session: Session, _: Attempt) -> None:
        delete_version(session, model, version)

    return Operation("delete", keys.head(model), act, again=True)


def giving_up(*, model: ModelName = CHAT) -> Operation:
    """Return the deletion of a whole model: all its versions, then its name."""

    def act(session: Session, _: Attempt) -> None:
        delete_model(session, model)

    return Operation("delete-model", keys.head(model), act, again=True)


def _raised(session: Session, model: ModelName, old: Head | None) -> Change[Head]:
    head = old or Head(session.registry.registry, model)
    return Change(replace(head, epoch=head.epoch + 1), AuditAction.RAISE_EPOCH)


def _blob_keys(session: Session, head: Head, row: Row) -> set[str]:
    artifacts = load_manifest(session, head.model, row.manifest).artifacts
    epochs = decode_placement(row.placement, artifacts=len(artifacts), what="row")
    return {keys.blob(head.model, e, a.sha256) for e, a in zip(epochs, artifacts, strict=True)}


def _epoch_of(model: ModelName, key: str) -> int:
    return int(key.removeprefix(keys.blobs(model)).partition("/")[0])


def _delete(session: Session, key: str) -> None:
    backoff = Backoff(session.clock)
    for _ in range(MOST_TRIES):
        try:
            session.store.delete(key)
        except (UnavailableError, ContendedError):
            backoff.pause()
        else:
            return

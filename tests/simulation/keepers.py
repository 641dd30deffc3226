"""What do those do who free and give up? A garbage collection at its least, and the deletion of a version.

The collection follows the published format to the letter, without any grace: enough to race with what is built.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from bucketry.clock import Backoff
from bucketry.errors import ContendedError, UnavailableError
from bucketry.registry.core.commit import Change
from bucketry.registry.core.registers import commit_head, load_alias
from bucketry.registry.core.resolve import load_manifest
from bucketry.registry.core.rows import iter_live_rows
from bucketry.registry.versions.deletion import delete_version
from bucketry.registry.versions.model_deletion import delete_model
from bucketry.schema import keys
from bucketry.schema.documents.audit import AuditAction
from bucketry.schema.documents.head import Head
from bucketry.schema.documents.placement import decode_placement
from bucketry.store.contract import Entry
from simulation.actors import CHAT, Operation

if TYPE_CHECKING:
    from bucketry.registry.core.session import Session
    from bucketry.schema.documents.head import Row
    from bucketry.schema.names import ModelName
    from simulation.actors import Attempt

MOST_TRIES = 30


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

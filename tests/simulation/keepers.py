"""What do a garbage collection and a deletion do at the least? Enough to race with what is built.

Both follow the published format to the letter; they are here so that the rules that protect against them are proven
before they exist.
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from bucketry.errors import ContendedError, NotFoundError, RejectedError, UnavailableError
from bucketry.registry.commit import Change
from bucketry.registry.registers import commit_alias, commit_head, load_alias
from bucketry.registry.resolve import load_manifest
from bucketry.registry.rows import find_row, iter_live_rows, load_dossier, load_row, replace_row
from bucketry.schema import keys
from bucketry.schema.alias import AliasRegister
from bucketry.schema.head import Head
from bucketry.schema.placement import decode_placement
from bucketry.schema.states import State
from bucketry.store.interface import Entry
from simulation.actors import CHAT, Operation

if TYPE_CHECKING:
    from bucketry.registry.session import Session
    from bucketry.schema.head import Row
    from bucketry.schema.names import AliasName, ModelName
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
    """Return a deletion: `deleting`, a walk over all aliases, `deleted`; taken back if an alias names the version."""

    def act(session: Session, _: Attempt) -> None:
        fenced = commit_head(session, model, lambda old: _begin(session, old, version)).state
        row = find_row(session, fenced, version)
        assert row is not None
        mark = row.extra["deleting_since"]
        try:
            for name in fenced.aliases:
                commit_alias(session, model, name, partial(_touch, fenced, name, version=version))
        except _NamedError:
            commit_head(session, model, lambda old: _settle(session, old, version, mark, State.REGISTERED))
        else:
            commit_head(session, model, lambda old: _settle(session, old, version, mark, State.DELETED))

    return Operation("delete", keys.head(model), act, again=True)


class _NamedError(Exception):
    """An alias names the version."""


def _raised(session: Session, model: ModelName, old: Head | None) -> Change[Head]:
    head = old or Head(session.registry.registry, model)
    return Change(replace(head, epoch=head.epoch + 1), "collect")


def _begin(session: Session, old: Head | None, version: int) -> Change[Head]:
    head = _existing(old)
    row = load_row(session, head, version)
    if load_dossier(session, head, row).dependents:
        raise RejectedError(f"version {version} has dependents")
    mark = {"deleting_since": head.generation + 1}
    changed, objects = replace_row(session, head, replace(row, state=State.DELETING, extra=dict(row.extra) | mark))
    return Change(changed, "delete", target=str(version), objects=objects)


def _touch(head: Head, name: AliasName, old: AliasRegister | None, *, version: int) -> Change[AliasRegister]:
    register = old or AliasRegister(head.registry, head.model, name)
    if register.target is not None and register.target.version == version:
        raise _NamedError
    return Change(register, "touch", target=str(version))


def _settle(session: Session, old: Head | None, version: int, mark: object, state: State) -> Change[Head]:
    head = _existing(old)
    row = load_row(session, head, version)
    if row.state is not State.DELETING or row.extra.get("deleting_since") != mark:
        raise RejectedError(f"the deletion of version {version} was settled by another")
    changed, objects = replace_row(session, head, replace(row, state=state, extra={}))
    return Change(changed, "delete", target=str(version), objects=objects)


def _existing(head: Head | None) -> Head:
    if head is None:
        raise NotFoundError("there is no model")
    return head


def _blob_keys(session: Session, head: Head, row: Row) -> set[str]:
    artifacts = load_manifest(session, head.model, row.manifest).artifacts
    epochs = decode_placement(row.placement, artifacts=len(artifacts), what="row")
    return {keys.blob(head.model, e, a.sha256) for e, a in zip(epochs, artifacts, strict=True)}


def _epoch_of(model: ModelName, key: str) -> int:
    return int(key.removeprefix(keys.blobs(model)).partition("/")[0])


def _delete(session: Session, key: str) -> None:
    for tries in range(MOST_TRIES):
        try:
            session.store.delete(key)
        except (UnavailableError, ContendedError):
            session.ports.back_off(tries)
        else:
            return

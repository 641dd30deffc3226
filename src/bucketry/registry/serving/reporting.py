"""Tells the registry what an instance serves, by the receipt that the pull left and by the files.

What is reported is what lies there: its sizes and times are looked at, and a folder that no pull made, that somebody
changed, or that holds another version than the one named is refused. The receipt in the bucket has one writer, the
instance itself, so it is the one object that is written unconditionally.
"""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING

from bucketry.clock import Backoff
from bucketry.errors import RejectedError
from bucketry.frozen import frozen
from bucketry.registry.core.registers import load_existing_alias, load_existing_head
from bucketry.registry.core.resolve import select_row
from bucketry.registry.core.writing import Readable, put_document
from bucketry.registry.reading.pull import open_cache
from bucketry.schema.codec import Fields
from bucketry.schema.documents.audit import parse_actor, parse_time
from bucketry.schema.documents.deployment import (
    Deployment,
    Place,
    encode_deployment,
    instance_of_host,
    parse_place_part,
)
from bucketry.schema.names import ByAlias, Digest, parse_alias
from bucketry.store.contract import Unconditional
from bucketry.transfer.disk.receipt import Absent, Empty, Foreign, Incomplete, inspect_target
from bucketry.version import __version__

if TYPE_CHECKING:
    from pathlib import Path

    from bucketry.registry.core.session import Session
    from bucketry.schema.names import AliasName, ModelName, Reference
    from bucketry.transfer.disk.receipt import Receipt

MOST_TRIES = 6
CLIENT = f"bucketry/{__version__}"


def report(
    session: Session,
    reference: Reference,
    *,
    environment: str,
    instance: str | None = None,
    path: Path | None = None,
) -> Deployment:
    """Write down that this instance serves the version in a folder (the cache's, where none is given).

    Needs no probe of the store, and no right to write but below `deployments/`. Raises `RejectedError` where the
    configuration forbids writing, and for a folder that does not hold, unchanged, what the reference means.
    """
    check_may_report(session)
    place = Place(
        parse_place_part(environment, what="environment"),
        instance_of_host(socket.gethostname()) if instance is None else parse_place_part(instance, what="instance"),
    )
    named = _name(session, reference)
    if path is None:
        if named.manifest is None:
            raise RejectedError(f"{reference} names nothing now", advice="say what is served with --path")
        model = f"{named.model.namespace}/{named.model.name}"
        path = open_cache().version_path(session.registry.registry, model, named.manifest)
    deployment = _describe(session, named, place, path)
    item = Readable(deployment.key, encode_deployment(deployment))
    # Written again while the store is away: the same writer would write the same.
    backoff = Backoff(session.clock, most_tries=MOST_TRIES)
    backoff.insist(lambda: put_document(session.store, item, Unconditional()))
    return deployment


def check_may_report(session: Session) -> None:
    """Raise where this client is configured not to write. A reader may report: it is what a server has to say."""
    if session.read_only and (session.profile is None or session.profile.read_only):
        raise RejectedError(
            f"{session.store.name} is configured as read-only, so nothing is reported to it",
            advice="remove read_only from the configuration; the bucket's own rights keep a server to deployments/",
        )
    session.check_not_replica()
    parse_actor(session.actor)


@frozen
class _NamedVersion:
    """What a reference names now. An alias that names nothing has neither version nor manifest."""

    reference: Reference
    version: int | None
    manifest: Digest | None
    alias: AliasName | None = None
    generation: int | None = None

    @property
    def model(self) -> ModelName:
        return self.reference.model


def _name(session: Session, reference: Reference) -> _NamedVersion:
    """Read what a reference names, asking no trust file: what is loaded is told even if it would not be loaded now."""
    if isinstance(reference.selector, ByAlias):
        alias = reference.selector.alias
        register = load_existing_alias(session, reference.model, alias)
        target = register.target
        version, manifest = (target.version, target.manifest) if target else (None, None)
        return _NamedVersion(reference, version, manifest, alias, register.generation)
    row = select_row(session, load_existing_head(session, reference.model), reference.selector)
    return _NamedVersion(reference, row.version, row.manifest)


def _describe(session: Session, named: _NamedVersion, place: Place, path: Path) -> Deployment:
    receipt = _load_receipt(session, named, path)
    fields = Fields(dict(receipt.about), what=f"the receipt in {path}")
    alias = fields.parsed("alias", parse_alias) if fields.optional_text("alias") is not None else None
    verify = fields.text("verify", default="")
    if verify not in {"sha256", "fast"}:
        raise RejectedError(
            f"the receipt in {path} does not say how its files were verified",
            advice="pull the version again with this program",
        )
    version, generation = fields.integer("version", least=1), None
    if receipt.manifest == named.manifest and named.version is not None:
        version, generation = named.version, named.generation
    elif named.alias is not None and alias == named.alias:
        generation = fields.integer("generation", least=1)  # the alias has moved on; this instance has not
    else:
        raise RejectedError(
            f"{path} holds {named.model}:{version}, and {named.reference} is "
            + (f"version {named.version}" if named.version is not None else "not set"),
            advice=f"pull {named.reference}, or report {named.model}:{version}",
        )
    return Deployment(
        registry=receipt.registry,
        model=named.model,
        version=version,
        manifest=Digest(receipt.manifest),
        place=place,
        actor=session.actor,
        at=session.clock.timestamp(),
        verified="trust" if fields.flag("trust", default=False) else verify,
        files=len(receipt.files),
        size_bytes=sum(file.size_bytes for file in receipt.files.values()),
        complete=fields.flag("complete", default=True),
        client=CLIENT,
        alias=named.alias,
        generation=generation,
        pulled_at=fields.parsed("pulled_at", parse_time),
    )


def _load_receipt(session: Session, named: _NamedVersion, path: Path) -> Receipt:
    """Return what a pull left in the folder, if it is of this model and all of it is still there."""
    there = inspect_target(path)
    if isinstance(there, Incomplete):
        raise there.rejection(path)
    if isinstance(there, Absent | Empty):
        raise RejectedError(
            f"{named.reference} is not at {path}, so there is nothing to report",
            advice="pull it first, or say where it is with --path",
        )
    if isinstance(there, Foreign):
        raise RejectedError(f"{there.reason}, so there is nothing to report", advice="pull the version to a folder")
    receipt = there.receipt
    if (receipt.registry, receipt.model) != (session.registry.registry, str(named.model)):
        raise RejectedError(f"{path} holds another model than {named.model}, or one of another registry")
    if there.changed:
        raise RejectedError(
            f"{len(there.changed)} of the files in {path} are missing or changed, such as {min(there.changed)}",
            advice=f"pull {named.reference} again",
        )
    return receipt

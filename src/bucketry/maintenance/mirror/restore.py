"""Makes a replica the registry itself, when the one that it was copied from is lost or given up."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from bucketry.errors import RejectedError
from bucketry.maintenance.mirror.cut import find_held
from bucketry.registry.core.opening import probe_store, record_conformance, unsafe_store
from bucketry.registry.core.registers import registry_register
from bucketry.registry.core.witnesses import no_registry
from bucketry.registry.core.writing import Readable, put_document
from bucketry.schema import keys
from bucketry.schema.documents.settings import encode_registry
from bucketry.store.contract import Entry, IfMatch

if TYPE_CHECKING:
    from collections.abc import Callable

    from bucketry.registry.core.session import Session
    from bucketry.schema.documents.settings import RegistryDocument


def check_may_restore(source: Session) -> None:
    """Raise `RejectedError` unless this is a whole replica: of a registry that lives there must not be a second."""
    replica = source.registry.replica
    if replica is None:
        raise RejectedError(
            f"{source.store.name} is the registry itself; a second one with its id would have another history",
            advice="mirror it without --restore; once it is given up, run `bucketry mirror REPLICA REPLICA --restore`",
        )
    if not replica.selection.is_whole:
        raise RejectedError(
            f"{source.store.name} holds only a part of the registry: {replica.selection}",
            advice="restore from a replica that holds everything",
        )
    if not replica.complete:
        raise RejectedError(
            f"{source.store.name} is a replica that no mirror has finished",
            advice=f"run `bucketry mirror {replica.source} {source.store.name}` again, or restore from another replica",
        )


def make_registry(place: Session, on_check: Callable[[int, int], None] | None = None) -> RegistryDocument:
    """Make a complete replica the registry, which people write to; return its document.

    Raises `RejectedError` for what is no such replica, `UnsupportedError` for a place that breaks its promises.
    """
    place.forget_registry()
    check_may_restore(place)
    probed = probe_store(place, on_check)
    if not probed.passed:
        raise unsafe_store(place.store.name, probed)
    found = find_held(place.store, registry_register())
    if found is None:
        raise no_registry(place.store)
    body = encode_registry(replace(found.state, replica=None))
    put_document(place.store, Readable(keys.REGISTRY, body), IfMatch(found.etag))
    place.forget_registry()
    document = record_conformance(place, probed)
    for entry in list(place.store.list(keys.REPLICA)):
        if isinstance(entry, Entry):
            place.store.delete(entry.key)
    return document

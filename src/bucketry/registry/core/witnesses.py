"""Tells a register that is lost from one that is not there yet.

Absence alone proves nothing: a head that was deleted behind the registry's back looks like that of a model that nobody
published to, and whoever believed it would give version 1 a second time. So the other objects are asked, by a listing,
and only where a register is absent. What a crash may leave without its register is no witness: blobs and manifests of a
copy that was not finished. Nothing seals audit records, makes an alias, adds an evaluation or raises an epoch before
there is a head.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from bucketry.errors import UNREADABLE, BucketryError, CorruptError, NotFoundError
from bucketry.schema import keys
from bucketry.schema.documents.settings import decode_registry
from bucketry.store.contract import Entry, Folder, ObjectNotFoundError

if TYPE_CHECKING:
    from bucketry.schema.names import AliasName, ModelName
    from bucketry.store.contract import Store

OF_A_REGISTRY = frozenset(keys.KINDS) - {keys.REGISTRY, keys.PROBE}
"""What only a registry has. Scratch of a probe may be there before it."""
RESTORE = "restore it from the bucket's versions or from a mirror; registers are never deleted"


def find_head_witness(store: Store, model: ModelName) -> str:
    """Return the key of something that there cannot be unless the model has a head, or "" if there is nothing."""
    for prefix in (keys.aliases(model), keys.histories(model), keys.evidences(model)):
        found = next((entry.key for entry in store.list(prefix) if isinstance(entry, Entry)), "")
        if found:
            return found
    first = keys.blob_epoch(model, 1)
    epochs = (folder.prefix for folder in store.list(keys.blobs(model), delimiter="/") if isinstance(folder, Folder))
    return next((prefix for prefix in epochs if prefix != first), "")


def find_alias_witness(store: Store, model: ModelName, alias: AliasName) -> str:
    """Return the key of a sealed block of the alias's own audit records, or "" if there is none."""
    listed = store.list(keys.alias_histories(model, alias))
    return next((entry.key for entry in listed if isinstance(entry, Entry)), "")


def find_registry_witness(store: Store) -> str:
    """Return a prefix below which the registry's objects lie, or "" where there are none."""
    folders = (item.prefix for item in store.list("", delimiter="/") if isinstance(item, Folder))
    return next((prefix for prefix in folders if prefix in OF_A_REGISTRY), "")


def is_replica(store: Store) -> bool:
    """Return whether a place is a copy: there a register that is absent was not brought, or not yet."""
    try:
        document = decode_registry(store.get(keys.REGISTRY).body, what=keys.REGISTRY)
    except (ObjectNotFoundError, *UNREADABLE):
        return False
    return document.replica is not None


def lost(key: str, witness: str) -> CorruptError:
    """Return the error for a register that is absent while something is there that it must have come before."""
    if key == keys.REGISTRY:
        return CorruptError(
            f"{key} is lost: it is missing, and there are objects of a registry below {witness}",
            advice=f"{RESTORE}; `bucketry init` would make another registry of what is here",
        )
    return CorruptError(f"{key} is lost: it is missing, and {witness} is there", advice=RESTORE)


def no_registry(store: Store) -> BucketryError:
    """Return the error for a place without `registry.json`: nothing is there, or that document was lost."""
    witness = find_registry_witness(store)
    if witness:
        return lost(keys.REGISTRY, witness)
    return NotFoundError(
        f"there is no registry at {store.name}",
        advice=f"create one with `bucketry init {store.name}`, or check the URL",
    )

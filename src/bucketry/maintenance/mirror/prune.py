"""Removes from a replica the files that its source has freed, and that nothing in the replica names any more.

A replica has no garbage collection of its own, which would need commits. It takes over what the source's did: a file is
removed that the source does not have, that lies under an older epoch than the replica's own head, and that neither a
live version nor an alias of the replica names. Whoever brings a newer head places files only under that head's epoch or
where a live version has them, so no mirror that runs beside this one can still come to name it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from bucketry.maintenance.mirror.cut import find_cut
from bucketry.registry.core.resolve import load_manifest
from bucketry.registry.core.rows import iter_live_rows
from bucketry.schema import keys
from bucketry.schema.documents.placement import decode_placement
from bucketry.store.contract import Entry

if TYPE_CHECKING:
    from bucketry.maintenance.mirror.cut import Cut
    from bucketry.registry.core.session import Session
    from bucketry.schema.documents.placement import Placement
    from bucketry.schema.names import Digest, ModelName


def find_freed(source: Session, target: Session, model: ModelName) -> list[Entry]:
    """Return the files of a model that may be removed from the replica: those that its source has freed."""
    there = [entry for entry in target.store.list(keys.blobs(model)) if isinstance(entry, Entry)]
    if not there:
        return []
    kept = {entry.key for entry in source.store.list(keys.blobs(model)) if isinstance(entry, Entry)}
    cut = find_cut(target, model)
    if cut is None or all(entry.key in kept for entry in there):
        return []
    older = [entry for entry in there if entry.key not in kept and _is_older(entry.key, cut)]
    named = _named_files(target, cut) if older else set()
    return [entry for entry in older if entry.key not in named]


def _is_older(key: str, cut: Cut) -> bool:
    epoch = keys.epoch_of_blob(cut.model, key)
    return epoch is not None and epoch < cut.state.epoch


def _named_files(replica: Session, cut: Cut) -> set[str]:
    """Return all files that the replica's registers name."""
    named: set[str] = set()
    for row in iter_live_rows(replica, cut.state):
        named |= _files(replica, cut.model, row.manifest, row.placement)
    for held in cut.aliases:
        target = held.state.target
        if target is not None:
            named |= _files(replica, cut.model, target.manifest, target.placement)
    return named


def _files(replica: Session, model: ModelName, manifest: Digest, placement: Placement) -> set[str]:
    artifacts = load_manifest(replica, model, manifest).artifacts
    epochs = decode_placement(placement, artifacts=len(artifacts), what=str(model))
    return {keys.blob(model, epoch, one.sha256) for epoch, one in zip(epochs, artifacts, strict=True)}

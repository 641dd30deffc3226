"""Which versions does a bundle hold, and are their files in it?"""

from __future__ import annotations

from typing import TYPE_CHECKING

from bucketry.frozen import frozen
from bucketry.registry.core.registers import load_existing_head
from bucketry.registry.core.resolve import load_manifest
from bucketry.registry.core.rows import iter_rows
from bucketry.registry.core.session import Session
from bucketry.schema import keys
from bucketry.schema.documents.placement import decode_placement
from bucketry.schema.documents.states import BLOBS_KEPT
from bucketry.store.contract import Entry, ObjectNotFoundError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from bucketry.maintenance.bundle.reading import Bundle
    from bucketry.schema.documents.head import Head, Row
    from bucketry.schema.documents.manifest import Manifest
    from bucketry.schema.names import Digest, ModelName


@frozen
class BundledVersion:
    """A live version in a bundle; `is_here` says whether all its files are in it, `blobs` where, by their digests."""

    model: ModelName
    row: Row
    manifest: Manifest
    blobs: Mapping[Digest, str]
    is_here: bool


def session_of(bundle: Bundle) -> Session:
    """Return what reads the registry in a bundle."""
    return Session(bundle, actor="bundle", read_only=True)


def list_bundled(bundle: Bundle) -> Iterator[BundledVersion]:
    """Yield the live versions in a bundle, model by model, the oldest first."""
    session = session_of(bundle)
    for entry in bundle.list(keys.HEADS):
        model = keys.model_of_head(entry.key) if isinstance(entry, Entry) else None
        if model is None:
            continue
        head = load_existing_head(session, model)
        live = [row for row in iter_rows(session, head) if row.state in BLOBS_KEPT]
        for row in reversed(live):
            yield _bundled(session, bundle, head, row)


def _bundled(session: Session, bundle: Bundle, head: Head, row: Row) -> BundledVersion:
    manifest = load_manifest(session, head.model, row.manifest)
    what = f"{head.model}:{row.version}"
    epochs = decode_placement(row.placement, artifacts=len(manifest.artifacts), what=what)
    blobs = {
        artifact.sha256: keys.blob(head.model, epoch, artifact.sha256)
        for artifact, epoch in zip(manifest.artifacts, epochs, strict=True)
    }
    return BundledVersion(head.model, row, manifest, blobs, all(_has(bundle, key) for key in blobs.values()))


def _has(bundle: Bundle, key: str) -> bool:
    try:
        bundle.stat(key)
    except ObjectNotFoundError:
        return False
    return True

"""Which blobs do a model's versions need? Read from rows and manifests, a hundred thousand versions in seconds."""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING

from bucketry.registry.core.immutable import find_object
from bucketry.registry.core.registers import load_alias, load_directory
from bucketry.registry.core.rows import load_page
from bucketry.schema import keys
from bucketry.schema.codec import digest_of
from bucketry.schema.documents.manifest import read_artifact_digests
from bucketry.schema.documents.placement import decode_placement
from bucketry.schema.documents.states import BLOBS_KEPT
from bucketry.store.contract import ReadsMany

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from bucketry.registry.core.session import Session
    from bucketry.schema.documents.head import Head, Row
    from bucketry.schema.documents.placement import Placement
    from bucketry.schema.names import Digest, ModelName

Place = tuple[int, "Digest"]
PlacedBlob = tuple[int, "Digest", int]
"""The epoch under which a blob lies, its digest and its size."""

PAGES_AT_ONCE = 16
MANIFESTS_AT_ONCE = 64
"""Of versions with 20,000 files each has 4 MB."""
MARKED_DIGITS = 16


class Marks:
    """The blobs that are needed, by epoch and the first 64 bits of their digests: 100 bytes of memory for each.

    Where two digests share these bits, garbage is kept; nothing that is needed is ever freed for it. `by_rows_alone` is
    False where something else than a live row needs one, which no legal state has.
    """

    def __init__(self) -> None:
        self.by_rows_alone = True
        self._epochs: dict[int, set[int]] = {}

    def add(self, blobs: Iterable[PlacedBlob]) -> None:
        """Mark these."""
        for epoch, sha256, _ in blobs:
            self._epochs.setdefault(epoch, set()).add(int(sha256[:MARKED_DIGITS], 16))

    def __contains__(self, place: Place) -> bool:
        """Return whether the blob is needed."""
        marked = self._epochs.get(place[0])
        return marked is not None and int(place[1][:MARKED_DIGITS], 16) in marked


def load_marks(session: Session, head: Head) -> Marks:
    """Return what the live versions of a head need, and what an alias names besides.

    Raises for a row, a page or a manifest that cannot be read: then nobody knows what is needed.
    """
    marks = Marks()
    unmet = _load_targets(session, head)
    live = (row for row in iter_all_rows(session, head) if row.state in BLOBS_KEPT)
    for row, blobs in iter_placed(session, head.model, live):
        marks.add(blobs)
        unmet.discard((row.manifest, row.placement))
    for manifest, placement in unmet:
        marks.by_rows_alone = False
        body = session.load_manifest_bytes(head.model, manifest)
        marks.add(_place(head.model, manifest, placement, body))
    return marks


def iter_all_rows(session: Session, head: Head) -> Iterator[Row]:
    """Yield all rows, newest first, reading several sealed pages at once."""
    yield from reversed(head.rows)
    entries = load_directory(session, head).entries[::-1]
    for start in range(0, len(entries), PAGES_AT_ONCE):
        some = entries[start : start + PAGES_AT_ONCE]
        for page in session.map_in_parallel(lambda entry: load_page(session, head, entry), some):
            yield from reversed(page.rows)


def iter_placed(session: Session, model: ModelName, rows: Iterable[Row]) -> Iterator[tuple[Row, list[PlacedBlob]]]:
    """Yield each row with its blobs, by its manifest, whose bytes are verified; raise where one cannot be read."""
    rows = iter(rows)
    while batch := list(islice(rows, MANIFESTS_AT_ONCE)):  # bounded by the rows
        bodies = _read_manifests(session, model, [row.manifest for row in batch])
        for row, body in zip(batch, bodies, strict=True):
            yield row, _place(model, row.manifest, row.placement, body)


def _place(model: ModelName, manifest: Digest, placement: Placement, body: bytes) -> list[PlacedBlob]:
    what = keys.manifest(model, manifest)
    artifacts = read_artifact_digests(body, what=what, model=model)
    epochs = decode_placement(placement, artifacts=len(artifacts), what=what)
    return [(epoch, sha256, size) for epoch, (sha256, size) in zip(epochs, artifacts, strict=True)]


def _load_targets(session: Session, head: Head) -> set[tuple[Digest, Placement]]:
    registers = session.map_in_parallel(lambda name: load_alias(session, head.model, name).state, head.aliases)
    targets = (register.target for register in registers if register is not None)
    return {(target.manifest, target.placement) for target in targets if target is not None}


def _read_manifests(session: Session, model: ModelName, digests: Sequence[Digest]) -> Iterator[bytes]:
    """Yield the verified bytes of manifests; nothing of a walk over all of them is kept for later."""
    store, prefix = session.store.unretried, keys.manifests(model)
    found: Iterable[bytes | None]
    if isinstance(store, ReadsMany):
        found = store.read_many(prefix, (keys.manifest(model, digest).removeprefix(prefix) for digest in digests))
    else:
        objects = session.map_in_parallel(
            lambda digest: find_object(session.store, keys.manifest(model, digest)), digests
        )
        found = (each.body if each is not None else None for each in objects)
    for digest, body in zip(digests, found, strict=True):
        if body is None or digest_of(body) != digest:
            yield session.load_manifest_bytes(model, digest)  # which says what is wrong, if anything is
        else:
            yield body

"""Which blobs do a model's versions need? Read from rows and manifests, a hundred thousand versions in seconds."""

from __future__ import annotations

from functools import partial
from itertools import islice
from typing import TYPE_CHECKING

from bucketry.registry.core.immutable import find_object
from bucketry.registry.core.registers import load_alias, load_directory
from bucketry.schema import keys
from bucketry.schema.codec import digest_of
from bucketry.schema.documents.manifest import read_artifact_digests
from bucketry.schema.documents.pages import placed_row, read_placed_rows
from bucketry.schema.documents.placement import decode_placement
from bucketry.schema.documents.states import BLOBS_KEPT
from bucketry.store.contract import ReadsMany

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from bucketry.registry.core.session import Session
    from bucketry.schema.documents.head import Head
    from bucketry.schema.documents.pages import PlacedRow
    from bucketry.schema.documents.placement import Placement
    from bucketry.schema.names import Digest, ModelName

Place = tuple[int, "Digest"]
PlacedBlob = tuple[int, "Digest", int]
"""The epoch under which a blob lies, its digest and its size."""

DOCUMENTS_AT_ONCE = 64
"""A manifest of 20,000 files has 4 MB."""
MARKED_DIGITS = 16


class Marks:
    """The blobs that are needed, by epoch and the first 64 bits of their digests: 100 bytes of memory for each.

    Where two digests share these bits, garbage is kept; nothing that is needed is ever freed for it. `by_rows_alone` is
    False where something else than a live row needs one, which no legal state has. `deleted` are the rows of versions
    that need none any more.
    """

    def __init__(self) -> None:
        self.by_rows_alone = True
        self.deleted: list[PlacedRow] = []
        self._epochs: dict[int, set[int]] = {}

    def iter_live(self, rows: Iterable[PlacedRow]) -> Iterator[PlacedRow]:
        """Yield the rows of versions that are there, and keep those of deleted ones."""
        for row in rows:
            if row.state in BLOBS_KEPT:
                yield row
            else:
                self.deleted.append(row)

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
    for row, blobs in iter_placed(session, head.model, marks.iter_live(iter_all_rows(session, head))):
        marks.add(blobs)
        unmet.discard((row.manifest, row.placement))
    for manifest, placement in unmet:
        marks.by_rows_alone = False
        body = session.load_manifest_bytes(head.model, manifest)
        marks.add(_place(head.model, manifest, placement, body))
    return marks


def iter_all_rows(session: Session, head: Head) -> Iterator[PlacedRow]:
    """Yield all rows, newest first, reading several sealed pages at once."""
    yield from map(placed_row, reversed(head.rows))
    digests = [entry.page for entry in reversed(load_directory(session, head).entries)]
    find_key, load = partial(keys.page, head.model), partial(session.load_document, head.model)
    for digest, body in _iter_documents(session, digests, find_key, load):
        yield from reversed(read_placed_rows(body, what=find_key(digest)))


def iter_placed(
    session: Session, model: ModelName, rows: Iterable[PlacedRow]
) -> Iterator[tuple[PlacedRow, list[PlacedBlob]]]:
    """Yield each row with its blobs, by its manifest, whose bytes are verified; raise where one cannot be read."""
    rows = iter(rows)
    find_key, load = partial(keys.manifest, model), partial(session.load_manifest_bytes, model)
    while batch := list(islice(rows, DOCUMENTS_AT_ONCE)):  # bounded by the rows
        documents = _iter_documents(session, [row.manifest for row in batch], find_key, load)
        for row, (_, body) in zip(batch, documents, strict=True):
            yield row, _place(model, row.manifest, row.placement, body)


def _place(model: ModelName, manifest: Digest, placement: Placement, body: bytes) -> list[PlacedBlob]:
    what = keys.manifest(model, manifest)
    artifacts = read_artifact_digests(body, what=what, model=model)
    if len(placement) == 1 and placement[0][1] == len(artifacts):
        epoch = placement[0][0]
        return [(epoch, sha256, size) for sha256, size in artifacts]
    epochs = decode_placement(placement, artifacts=len(artifacts), what=what)
    return [(epoch, sha256, size) for epoch, (sha256, size) in zip(epochs, artifacts, strict=True)]


def _load_targets(session: Session, head: Head) -> set[tuple[Digest, Placement]]:
    registers = session.map_in_parallel(lambda name: load_alias(session, head.model, name).state, head.aliases)
    targets = (register.target for register in registers if register is not None)
    return {(target.manifest, target.placement) for target in targets if target is not None}


def _iter_documents(
    session: Session, digests: Sequence[Digest], find_key: Callable[[Digest], str], load: Callable[[Digest], bytes]
) -> Iterator[tuple[Digest, bytes]]:
    """Yield the verified bytes of documents of one folder; nothing of a walk over all of them is kept for later.

    `load` reads one by itself: it says what is wrong, if anything is.
    """
    store = session.store.unretried
    for start in range(0, len(digests), DOCUMENTS_AT_ONCE):
        some = digests[start : start + DOCUMENTS_AT_ONCE]
        names = [find_key(digest) for digest in some]
        found: Iterable[bytes | None]
        if isinstance(store, ReadsMany):
            folder = names[0].rpartition("/")[0] + "/"
            found = store.read_many(folder, [name.removeprefix(folder) for name in names])
        else:
            objects = session.map_in_parallel(lambda name: find_object(session.store, name), names)
            found = (each.body if each is not None else None for each in objects)
        for digest, body in zip(some, found, strict=True):
            is_right = body is not None and digest_of(body) == digest
            yield digest, body if body is not None and is_right else load(digest)

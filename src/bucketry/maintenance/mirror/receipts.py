"""Copies what instances report about themselves: claims that nothing relies on, and that their one writer replaces."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bucketry.errors import UNREADABLE, ContendedError
from bucketry.registry.core.immutable import find_object
from bucketry.registry.core.writing import Readable, put_document
from bucketry.store.contract import Entry, IfAbsent, IfMatch

if TYPE_CHECKING:
    from bucketry.maintenance.mirror.carry import Carrier
    from bucketry.maintenance.mirror.ledger import Ledger
    from bucketry.maintenance.mirror.survey import Survey


def mirror_receipts(carrier: Carrier, ledger: Ledger, found: Survey) -> None:
    """Bring the receipts that are new or were replaced, and remove those that were withdrawn."""
    if carrier.acts:
        carrier.source.map_in_parallel(lambda entry: _mirror_one(carrier, ledger, entry), found.receipts)
        carrier.source.map_in_parallel(carrier.target.store.delete, found.withdrawn_receipts)
    else:
        carrier.count(len(found.receipts), sum(entry.size_bytes for entry in found.receipts))


def _mirror_one(carrier: Carrier, ledger: Ledger, entry: Entry) -> None:
    """Bring one receipt; one that nobody can read stays where it is, and one that moves comes with the next mirror."""
    store, key = carrier.target.store, entry.key
    ours, theirs = find_object(carrier.source.store, key), find_object(store, key)
    if ours is None:
        return
    if theirs is not None and theirs.body == ours.body:
        ledger.note(key, ours.etag, theirs.etag)
        return
    try:
        item = Readable(key, ours.body)
        etag = put_document(store, item, IfMatch(theirs.etag) if theirs is not None else IfAbsent())
    except (*UNREADABLE, ContendedError):
        return
    ledger.note(key, ours.etag, etag)
    carrier.count(1, len(ours.body))

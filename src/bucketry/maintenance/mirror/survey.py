"""Finds by one listing of each side which registers a mirror has to look at."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from bucketry.errors import UsageError
from bucketry.schema import keys
from bucketry.store.contract import Entry

if TYPE_CHECKING:
    from collections.abc import Iterator

    from bucketry.maintenance.mirror.ledger import Ledger
    from bucketry.registry.core.session import Session
    from bucketry.schema.documents.replica import Selection
    from bucketry.schema.names import ModelName
    from bucketry.store.contract import Store


@dataclass(slots=True)
class Survey:
    """What differs. `lost` are registers that only the replica has; receipts are those of instances."""

    models: set[ModelName] = field(default_factory=set)
    unchanged: int = 0
    lost: list[str] = field(default_factory=list)
    receipts: list[Entry] = field(default_factory=list)
    withdrawn_receipts: list[str] = field(default_factory=list)


def survey(source: Session, target: Store, ledger: Ledger, selection: Selection, *, full: bool) -> Survey:
    """List the registers and receipts of both sides; with `full` every model is to be looked at."""
    found = Survey()
    for prefix in (keys.ALIASES, keys.DEPLOYMENTS, keys.HEADS):
        for key, ours, theirs in _side_by_side(source.store, target, prefix):
            model = _model_of(key)
            if model is None or not selection.holds_model(model):
                continue
            if ours is None:
                (found.withdrawn_receipts if prefix == keys.DEPLOYMENTS else found.lost).append(key)
            elif theirs is not None and ledger.holds(key, ours.etag, theirs.etag) and not full:
                found.unchanged += 1
            elif prefix == keys.DEPLOYMENTS:
                found.receipts.append(ours)
            else:
                found.models.add(model)
    return found


def _side_by_side(source: Store, target: Store, prefix: str) -> Iterator[tuple[str, Entry | None, Entry | None]]:
    """Yield each key of either side with what both list there; two listings in key order, of which none is held."""
    left, right = _entries(source, prefix), _entries(target, prefix)
    ours, theirs = next(left, None), next(right, None)
    while ours is not None or theirs is not None:  # bounded by both listings
        if theirs is None or (ours is not None and ours.key < theirs.key):
            yield ours.key, ours, None  # type: ignore[union-attr] # one of them is there
            ours = next(left, None)
        elif ours is None or theirs.key < ours.key:
            yield theirs.key, None, theirs
            theirs = next(right, None)
        else:
            yield ours.key, ours, theirs
            ours, theirs = next(left, None), next(right, None)


def _entries(store: Store, prefix: str) -> Iterator[Entry]:
    return (item for item in store.list(prefix) if isinstance(item, Entry))


def _model_of(key: str) -> ModelName | None:
    """Return whose register or receipt lies at the key; None for a stray, which `fsck` reports."""
    try:
        if key.startswith(keys.HEADS):
            return keys.model_of_head(key)
        if key.startswith(keys.ALIASES):
            place = keys.find_alias_place(key)
            return place[0] if place else None
        return keys.model_of_key(key)
    except UsageError:
        return None

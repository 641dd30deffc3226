"""Remembers which models the last complete collection left clean, so that the next one walks only what changed."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from bucketry.errors import UNREADABLE
from bucketry.registry.core.commit import COMMIT_DEADLINE_SECONDS
from bucketry.registry.core.immutable import Immutable, find_object, put_immutable
from bucketry.schema import keys
from bucketry.schema.codec import digest_of
from bucketry.schema.documents.collection import (
    CollectionDocument,
    decode_collection,
    encode_collection,
    name_head_state,
)
from bucketry.store.contract import Entry

if TYPE_CHECKING:
    from collections.abc import Mapping

    from bucketry.registry.core.session import Session
    from bucketry.schema.names import ModelName


@dataclass(slots=True)
class CleanModels:
    """What the last collection found clean, and what this one does. `older` are the keys of what is known so far."""

    before: Mapping[str, str] = field(default_factory=dict)
    older: tuple[str, ...] = ()
    now: dict[str, str] = field(default_factory=dict)

    def find_state(self, model: ModelName, etag: str | None) -> str:
        """Return the state in which the blobs of a model were clean by its head with this ETag; "" for none."""
        return self.before.get(name_head_state(str(model), etag), "") if etag else ""

    def add(self, model: ModelName, etag: str, state: str) -> None:
        """Remember a model as clean."""
        self.now[name_head_state(str(model), etag)] = state


def load_clean_models(session: Session) -> CleanModels:
    """Return what the newest collection left; what cannot be read, or is another registry's, counts as absent."""
    found = [entry for entry in session.store.list(keys.COLLECTIONS) if isinstance(entry, Entry)]
    newest = max(found, key=lambda entry: entry.modified_at, default=None)
    older = tuple(entry.key for entry in found)
    there = find_object(session.store, newest.key) if newest is not None else None
    if newest is None or there is None or keys.collection(digest_of(there.body)) != newest.key:
        return CleanModels(older=older)
    try:
        document = decode_collection(there.body, what=newest.key)
    except UNREADABLE:
        return CleanModels(older=older)
    is_ours = document.registry == session.registry.registry
    return CleanModels(document.clean if is_ours else {}, older)


def save_clean_models(session: Session, clean: CleanModels) -> None:
    """Write what a complete collection found, then remove what the ones before it had."""
    body = encode_collection(CollectionDocument(session.registry.registry, session.clock.timestamp(), clean.now))
    item = Immutable(keys.collection(digest_of(body)), body)
    deadline_seconds = session.clock.monotonic_seconds() + COMMIT_DEADLINE_SECONDS
    put_immutable(session.store, item, clock=session.clock, deadline_seconds=deadline_seconds)
    for key in clean.older:
        if key != item.key:
            session.store.delete(key)

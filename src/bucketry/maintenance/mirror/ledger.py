"""Remembers in the replica which state of each register the mirror brought, so that the next need not read it again.

An entry says of one register: when the source had this ETag, the replica had that one, and all that the register names
was there. As long as both listings show these two ETags, nothing has to be read. What of it is lost or out of date
costs reading, and nothing else.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import islice
from typing import TYPE_CHECKING

from bucketry.errors import UNREADABLE, ContendedError, UnavailableError
from bucketry.registry.core.immutable import find_object
from bucketry.registry.core.writing import Readable, put_document
from bucketry.schema import keys
from bucketry.schema.documents.replica import MOST_SEEN, SeenRegisters, Selection, decode_seen, encode_seen
from bucketry.store.contract import IfAbsent, IfMatch

if TYPE_CHECKING:
    from bucketry.clock import Clock
    from bucketry.store.contract import ETag, Store

MOST_DOCUMENTS = 10_000
SAVED_EVERY_SECONDS = 20.0
"""How much work a mirror that is killed has to look at again."""


@dataclass(slots=True)
class Ledger:
    """What was seen of the registers of `source`, for one selection. Safe for one thread that writes."""

    store: Store
    source: str
    selection: Selection
    clock: Clock
    etags: dict[str, tuple[str, str]] = field(default_factory=dict)
    _saved: list[tuple[ETag | None, bytes]] = field(default_factory=list)
    _saved_at_seconds: float = 0.0

    def load(self) -> None:
        """Read what earlier mirrors saw; what cannot be read, or is about another source or selection, is left out."""
        for number in range(MOST_DOCUMENTS):
            key = keys.seen_by_mirror(number)
            try:
                found = find_object(self.store, key)
                seen = decode_seen(found.body, what=key) if found is not None else None
            except UNREADABLE:
                found, seen = None, None
            if found is None or seen is None:
                break
            self._saved.append((found.etag, found.body))
            if (seen.source, seen.selection) == (self.source, self.selection):
                self.etags.update(seen.etags)
        self._saved_at_seconds = self.clock.monotonic_seconds()

    def holds(self, key: str, at_source: str, at_replica: str) -> bool:
        """Return whether these two states of a register were seen to be the same, with all that it names."""
        return self.etags.get(key) == (at_source, at_replica)

    def is_trusted(self, key: str, at_replica: str) -> bool:
        """Return whether all that the replica's register names was brought, for this selection."""
        return self.etags.get(key, ("", ""))[1] == at_replica

    def note(self, key: str, at_source: str, at_replica: str) -> None:
        """Remember that both sides hold the same bytes."""
        self.etags[key] = (at_source, at_replica)

    def save_if_due(self) -> None:
        """Save what was noted, if that was long ago."""
        if self.clock.monotonic_seconds() - self._saved_at_seconds >= SAVED_EVERY_SECONDS:
            self.save()

    def save(self) -> None:
        """Write what changed; where another mirror wrote first, or the store is away, only this memory is lost."""
        left = iter(sorted(self.etags.items()))
        for number in range(MOST_DOCUMENTS):
            some = dict(islice(left, MOST_SEEN))
            if not some and number >= len(self._saved):
                break
            self._save_one(number, encode_seen(SeenRegisters(self.source, self.selection, some)))
        self._saved_at_seconds = self.clock.monotonic_seconds()

    def _save_one(self, number: int, body: bytes) -> None:
        etag, before = self._saved[number] if number < len(self._saved) else (None, b"")
        if body == before:
            return
        item = Readable(keys.seen_by_mirror(number), body)
        try:
            now = put_document(self.store, item, IfMatch(etag) if etag is not None else IfAbsent())
        except (ContendedError, UnavailableError):
            return
        self._saved[number : number + 1] = [(now, body)]

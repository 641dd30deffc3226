"""Makes a place a replica: `registry.json` there says whose it is, and what of it.

It is written before anything else of the registry, so that nobody takes an unfinished copy for a registry, and says
that the copy is complete only when a mirror has brought all. Whatever the source's own document says is copied with it.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from bucketry.clock import Backoff
from bucketry.errors import CorruptError, RejectedError, UnavailableError, UsageError
from bucketry.maintenance.mirror.carry import Holdings, Named, named_by_digest
from bucketry.maintenance.mirror.cut import HeldRegister, check_follows, find_held
from bucketry.registry.core.opening import probe_store, unsafe_store
from bucketry.registry.core.registers import registry_register
from bucketry.registry.core.witnesses import lost, no_registry
from bucketry.registry.core.writing import Readable, put_document
from bucketry.schema import keys
from bucketry.schema.documents.audit import AuditAction, block_starts, decode_block
from bucketry.schema.documents.replica import Replica, Selection
from bucketry.schema.documents.settings import RegistryDocument, encode_registry
from bucketry.schema.names import ModelName, parse_digest
from bucketry.store.contract import Entry, Folder, IfAbsent, IfMatch, PreconditionFailedError

if TYPE_CHECKING:
    from collections.abc import Callable

    from bucketry.maintenance.mirror.carry import Carrier
    from bucketry.registry.core.session import Session
    from bucketry.schema.documents.audit import Record
    from bucketry.store.contract import Store

MOST_TRIES = 20
BEFORE_THE_MARKER = frozenset({keys.POLICIES, keys.HISTORY, keys.PROBE})
"""What a mirror that was killed in its first moment leaves in a place that it had not made a replica yet."""


def load_source(session: Session) -> HeldRegister:
    """Return the document of the registry that is mirrored; raise `NotFoundError` where there is none."""
    found = find_held(session.store, registry_register())
    if found is None:
        raise no_registry(session.store)
    return found


def find_marker(target: Store) -> HeldRegister | None:
    """Return the replica's own document, or None for a place where nothing of a registry is."""
    found = find_held(target, registry_register())
    if found is None:
        for item in target.list("", delimiter="/"):
            place = item.key if isinstance(item, Entry) else item.prefix
            if not isinstance(item, Folder) or place not in BEFORE_THE_MARKER:
                raise lost(keys.REGISTRY, place)
    return found


def choose_selection(source: RegistryDocument, asked: Selection) -> Selection:
    """Return what the replica is to hold: what was asked for, of a replica what that holds; raise `UsageError`."""
    held = source.replica.selection if source.replica else Selection()
    if held.is_whole or asked == held:
        return asked
    if asked.is_whole:
        return held
    raise UsageError(
        f"the source is itself a replica, which holds {held}",
        advice="leave --models and --aliases out, or mirror from the registry itself",
    )


def check_places(source: Session, target: Session, ours: RegistryDocument, theirs: RegistryDocument | None) -> None:
    """Raise unless `target` is empty or a replica of this registry, and another place than the source."""
    if (source.store.name, source.store.endpoint) == (target.store.name, target.store.endpoint):
        raise UsageError(f"{source.store.name} cannot be mirrored to itself", advice="name another place")
    if theirs is None:
        return
    if theirs.registry != ours.registry:
        raise RejectedError(
            f"{target.store.name} holds another registry, {theirs.registry}, not {ours.registry}",
            advice="name an empty place, or a replica of this registry",
        )
    if theirs.replica is None:
        raise RejectedError(
            f"{target.store.name} is the registry {theirs.registry} itself, not a replica of it",
            advice="name an empty place, or a replica; a mirror never writes over a registry that people write to",
        )


class Marker:
    """The replica's own document, as this mirror finds and leaves it."""

    def __init__(self, source: Session, target: Session, selection: Selection) -> None:
        self._source = source
        self._target = target
        self._selection = selection
        self.ours = load_source(source)
        self.theirs = find_marker(target.store)
        document: RegistryDocument = self.ours.state
        check_places(source, target, document, self.theirs.state if self.theirs else None)
        self.selection = choose_selection(document, selection)
        self.run = target.clock.new_transaction()
        self.is_new = self.theirs is None

    @property
    def replica(self) -> Replica | None:
        """What the place says of itself now; None before it is a replica."""
        document: RegistryDocument | None = self.theirs.state if self.theirs else None
        return document.replica if document else None

    def begin(self, carrier: Carrier, on_check: Callable[[int, int], None] | None, *, full: bool) -> None:
        """Say that the place is a replica, with all that the source's document names; probe it where nobody has.

        What the replica's own document names is there, and looked at only with `full`.
        """
        before = self.replica
        endpoints = before.endpoints if before else ()
        endpoint = self._target.store.endpoint
        if endpoint not in endpoints:
            probed = probe_store(self._target, on_check)
            if not probed.passed:
                raise unsafe_store(self._target.store.name, probed)
            endpoints = (*endpoints, endpoint)
        if full or self.theirs is None or self.theirs.trail.tip != self.ours.trail.tip:
            self._bring_named(carrier)
        complete = before is not None and before.complete and before.selection == self.selection
        run = before.run if complete and before else self.run
        self._write(Replica(self._source.store.name, self.selection, complete, run, endpoints))

    def finish(self) -> bool:
        """Say that the replica is complete, unless another mirror is bringing something else; return whether it is."""
        now = self.replica
        if now is None or now.complete:
            return now is not None
        if now.run != self.run or now.selection != self.selection:
            return False
        self._write(replace(now, complete=True))
        return True

    def release(self) -> None:
        """Make the place the registry itself, which people write to."""
        self._write(None)

    def _bring_named(self, carrier: Carrier) -> None:
        """Bring what the source's document names: its sealed audit records and every policy that was the default."""
        there = Holdings(self._target, ModelName("", ""), is_new=False)
        trail = self.ours.trail
        named = [Named(keys.registry_history(first)) for first in block_starts(trail)]
        records: list[Record] = []
        for one, body in zip(named, carrier.bring(named, there), strict=True):
            records.extend(decode_block(body, what=one.key))
        records.extend(trail.records)
        set_ones = [one.detail.get("policy") for one in records if one.action == AuditAction.SET_POLICY]
        digests = [parse_digest(str(text)) for text in set_ones if text is not None]
        carrier.bring_unread(named_by_digest(digests, keys.policy), there)

    def _write(self, replica: Replica | None) -> None:
        """Replace the document, unless what is there is right; never by one of an older generation."""
        body = encode_registry(replace(self.ours.state, replica=replica))
        backoff = Backoff(self._target.clock)
        for _ in range(MOST_TRIES):
            there = self.theirs
            if there is not None and there.body == body:
                return
            if there is not None and there.trail.generation > self.ours.trail.generation:
                raise CorruptError(
                    f"{keys.REGISTRY} is at generation {there.trail.generation:,} in the replica, and at "
                    f"{self.ours.trail.generation:,} in the source, which went back",
                    advice="run `bucketry fsck` at the source; the replica was left as it is",
                )
            if there is not None:
                check_follows(self._target.store, there, self.ours)
            condition = IfMatch(there.etag) if there is not None else IfAbsent()
            try:
                etag = put_document(self._target.store, Readable(keys.REGISTRY, body), condition)
            except (PreconditionFailedError, UnavailableError) as error:
                failure = error
                backoff.pause()
                self.theirs = find_marker(self._target.store)
                self._check_still_ours()
            else:
                register = registry_register()
                self.theirs = HeldRegister(register, body, etag, register.decode(body))
                self._target.forget_registry()
                return
        raise failure

    def _check_still_ours(self) -> None:
        check_places(self._source, self._target, self.ours.state, self.theirs.state if self.theirs else None)

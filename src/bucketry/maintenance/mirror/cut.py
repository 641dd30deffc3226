"""Reads the registers of a model as they all stood at one moment, and writes them to a replica without going back.

A head and its aliases are several objects, and writers change them one after the other, in an order that keeps the
promises of the format. A copy that had the head of one moment and an alias of another could break them. So the aliases
are read again after the head until none has moved: then all of them stood together when the head was read.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from bucketry.clock import Backoff
from bucketry.errors import ContendedError, CorruptError, NotFoundError, UnavailableError
from bucketry.frozen import frozen
from bucketry.registry.core.immutable import find_object
from bucketry.registry.core.registers import alias_register, head_register
from bucketry.registry.core.writing import Readable, put_document
from bucketry.schema import keys
from bucketry.schema.documents.audit import BLOCK_RECORDS, decode_block
from bucketry.store.contract import IfAbsent, IfMatch, NotModifiedError, ObjectNotFoundError, PreconditionFailedError

if TYPE_CHECKING:
    from bucketry.registry.core.commit import Register
    from bucketry.registry.core.session import Session
    from bucketry.schema.documents.alias import AliasRegister
    from bucketry.schema.documents.audit import Record, Trail
    from bucketry.schema.documents.head import Head
    from bucketry.schema.names import AliasName, Digest, ModelName
    from bucketry.store.contract import ETag, Store

MOST_ROUNDS = 50
"""So often the registers of a model are read again while they move."""
MOST_TRIES = 50


@frozen
class HeldRegister:
    """A register in exactly the bytes that one place holds, and what they say."""

    register: Register[Any]
    body: bytes
    etag: ETag
    state: Any

    @property
    def key(self) -> str:
        """Where it lies."""
        return self.register.key

    @property
    def trail(self) -> Trail:
        """Its newest records."""
        trail: Trail = self.state.trail
        return trail


@frozen
class Cut:
    """A model's head and those of its aliases that have a register, as they stood together."""

    model: ModelName
    head: HeldRegister
    aliases: tuple[HeldRegister, ...]

    @property
    def state(self) -> Head:
        """What the head says."""
        state: Head = self.head.state
        return state

    @property
    def registers(self) -> tuple[HeldRegister, ...]:
        """All of them, the head first."""
        return (self.head, *self.aliases)

    def find_alias(self, name: AliasName) -> AliasRegister | None:
        """Return an alias's register, or None where it has none."""
        return next((held.state for held in self.aliases if held.state.alias == name), None)


def load_cut(session: Session, model: ModelName) -> Cut:
    """Return a model's registers; raise `NotFoundError` without a head, `ContendedError` where they never rest."""
    held: dict[str, HeldRegister] = {}
    head_of = head_register(session, model)
    for _ in range(MOST_ROUNDS):
        if not _look(session, head_of, held) and head_of.key not in held:
            raise NotFoundError(f"{head_of.key} is not there any more", advice="run `bucketry fsck` at the source")
        names = held[head_of.key].state.aliases
        moved = [_look(session, alias_register(session, model, name), held) for name in names]
        if not any(moved):
            there = (held.get(keys.alias(model, name)) for name in names)
            return Cut(model, held[head_of.key], tuple(one for one in there if one is not None))
    raise ContendedError(f"the aliases of {model} moved each of {MOST_ROUNDS} times they were read")


def find_cut(session: Session, model: ModelName) -> Cut | None:
    """Return what a replica holds of a model: nobody but a mirror writes there, so that each is read once."""
    head = find_held(session.store, head_register(session, model))
    if head is None:
        return None
    found = (find_held(session.store, alias_register(session, model, name)) for name in head.state.aliases)
    return Cut(model, head, tuple(one for one in found if one is not None))


def find_held(store: Store, register: Register[Any]) -> HeldRegister | None:
    """Return a register as a place holds it, or None where it holds none."""
    found = find_object(store, register.key)
    if found is None:
        return None
    return HeldRegister(register, found.body, found.etag, register.decode(found.body))


@frozen
class Settled:
    """What became of a replica's register: its ETag with the bytes that were meant, None where it is newer."""

    etag: ETag | None
    was_written: bool = False


def settle(source: Session, target: Store, item: HeldRegister, there: HeldRegister | None) -> Settled:
    """Make a replica's register what the source's was, unless it is newer already.

    `there` is the replica's as it was read before. Raises `CorruptError` where the replica's is no earlier state of the
    source's.
    """
    backoff = Backoff(source.clock)
    for number in range(MOST_TRIES):
        try:
            there = there if number == 0 else find_held(target, item.register)
            if there is not None and there.body == item.body:
                return Settled(there.etag)
            if there is not None and there.trail.generation >= item.trail.generation:
                _check_newer(source, there, item)
                return Settled(None)
            if there is not None:
                check_follows(target, there, item)
            condition = IfMatch(there.etag) if there is not None else IfAbsent()
            return Settled(put_document(target, Readable(item.key, item.body), condition), was_written=True)
        except (PreconditionFailedError, UnavailableError) as error:
            failure = error
            backoff.pause()
    raise failure


def check_follows(target: Store, there: HeldRegister, item: HeldRegister) -> None:
    """Raise `CorruptError` unless what a replica holds is an earlier state of what is to replace it."""
    if not there.trail.records:
        return
    generation = there.trail.generation
    if _digest_at(target, item, generation) != there.trail.tip:
        raise CorruptError(
            f"generation {generation:,} of {item.key} is not the same in the source and in the replica",
            advice="one of them was changed behind the registry's back, or put back and continued: compare "
            "`bucketry audit` of both; a replica that is wrong is made anew in another place",
        )


def _digest_at(target: Store, item: HeldRegister, generation: int) -> Digest | None:
    """Return the digest of a record of a register whose sealed blocks the replica has already."""
    records: tuple[Record, ...] = item.trail.records
    if generation < records[0].generation:
        key = item.register.history_key((generation - 1) // BLOCK_RECORDS * BLOCK_RECORDS + 1)
        found = find_object(target, key)
        records = decode_block(found.body, what=key) if found is not None else ()
    return next((record.digest for record in records if record.generation == generation), None)


def _check_newer(source: Session, there: HeldRegister, item: HeldRegister) -> None:
    """Raise `CorruptError` where a replica is ahead of the source, and not only of what was read of it before."""
    now = find_held(source.store, item.register)
    if now is None or now.trail.generation < there.trail.generation:
        raise CorruptError(
            f"{item.key} is at generation {there.trail.generation:,} in the replica, and at "
            f"{now.trail.generation if now else 0:,} in the source, which went back",
            advice="run `bucketry fsck` at the source, and put back what was lost there; the replica was left as it is",
        )
    if now.trail.generation == there.trail.generation and now.body != there.body:
        raise CorruptError(
            f"{item.key} is not the same in the source and in the replica, both at generation "
            f"{there.trail.generation:,}",
            advice="one of them was changed behind the registry's back: compare `bucketry audit` of both",
        )


def _look(session: Session, register: Register[Any], held: dict[str, HeldRegister]) -> bool:
    """Read a register unless it is still what was read before; return whether it is another now."""
    before = held.get(register.key)
    try:
        found = session.store.get(register.key, unless=before.etag if before else None)
    except NotModifiedError:
        return False
    except ObjectNotFoundError:
        if before is None:
            return False
        raise CorruptError(f"{register.key} was deleted while it was read; registers are never deleted") from None
    held[register.key] = HeldRegister(register, found.body, found.etag, register.decode(found.body))
    return True

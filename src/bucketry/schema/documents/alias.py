"""The register of an alias, and its moves: what the alias named before, and what an undo restores.

The register carries all that a server needs, so that alias and manifest are two reads and a poll is one. An alias's
history is a stack of states. A move puts a new state on it; an undo takes the newest away again, so that what was
below, the versions to roll back to included, is as it was. All of it follows from the audit records.
"""

from __future__ import annotations

from dataclasses import field, replace
from typing import TYPE_CHECKING, Any

from bucketry.errors import CorruptError
from bucketry.frozen import frozen
from bucketry.schema.codec import FORMAT, Document, Fields, decode, encode
from bucketry.schema.documents.audit import AuditAction, Record, Trail, parse_time, read_trail, target_version
from bucketry.schema.documents.placement import Placement, read_placement
from bucketry.schema.documents.states import State, parse_state
from bucketry.schema.names import AliasName, Digest, ModelName, parse_alias, parse_model_name

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

MOVES = frozenset({AuditAction.PROMOTE, AuditAction.ROLLBACK, AuditAction.UNSET, AuditAction.UNDO})
"""The actions by which people move an alias; others (such as what a deletion leaves in it) do not."""
UNDOES = "undoes"
"""The detail of an undo: the generation of the move that it takes back."""
HISTORY = "the alias's history"


@frozen
class LastMove:
    """When and by whom an alias came to name what it names, or nothing. `previous` is what it named before."""

    generation: int
    at: str
    by: str
    action: str
    previous: int | None
    extra: Mapping[str, object] = field(default_factory=dict)

    def to_document(self) -> Document:
        """Return the JSON form."""
        return dict(self.extra) | {
            "generation": self.generation,
            "at": self.at,
            "by": self.by,
            "action": self.action,
            "from": self.previous,
        }


@frozen
class NamedVersions:
    """What an alias names, and the versions that it named on the way there, the most recent last (`target` is one)."""

    target: int | None = None
    stack: tuple[int, ...] = ()

    @property
    def earlier(self) -> tuple[int, ...]:
        """The versions to go back to, the most recent last."""
        return self.stack if self.target is None else self.stack[:-1]


@frozen
class StandingMove:
    """A move that nobody took back, and what the alias named before and after it."""

    record: Record
    before: NamedVersions
    after: NamedVersions


@frozen
class MoveStack:
    """The moves that stand, oldest first, on what was named before the first of them."""

    base: NamedVersions = NamedVersions()
    standing: tuple[StandingMove, ...] = ()

    @property
    def now(self) -> NamedVersions:
        """What the alias names, and what it would go back to."""
        return self.standing[-1].after if self.standing else self.base


@frozen
class AliasTarget:
    """The version that an alias names, as it was when the alias was set."""

    version: int
    manifest: Digest
    placement: Placement
    state: State


@frozen
class AliasRegister:
    """An alias's register. Without a target it is a tombstone, or not set yet.

    `moved` is filled in by `with_trail`, since 64 touches push the record of the last move out of the newest ones.
    """

    registry: str
    model: ModelName
    alias: AliasName
    target: AliasTarget | None = None
    reviews: tuple[Any, ...] = ()
    protected: bool = False
    trail: Trail = field(default_factory=Trail)
    extra: Mapping[str, object] = field(default_factory=dict)
    moved: LastMove | None = None

    @property
    def generation(self) -> int:
        """How many commits the register has seen."""
        return self.trail.generation

    @property
    def last_move(self) -> LastMove | None:
        """When and by whom it was moved last, by its newest records, or, behind 64 touches, as the register kept it.

        None for one that was never moved.
        """
        return find_last_move(reversed(self.trail.records)) or self.moved

    def with_trail(self, trail: Trail) -> AliasRegister:
        """Return the register with its records, and with its last move if the newest of them is one."""
        return replace(self, trail=trail, moved=find_last_move(trail.records[-1:]) or self.moved or self.last_move)


def encode_alias(register: AliasRegister) -> bytes:
    """Return the register's bytes."""
    target = register.target
    return encode(
        dict(register.extra)
        | register.trail.to_document()
        | {
            "format": FORMAT,
            "registry": register.registry,
            "model": str(register.model),
            "alias": register.alias,
            "version": target.version if target else None,
            "manifest": target.manifest if target else None,
            "placement": [list(run) for run in target.placement] if target else None,
            "state": target.state if target else None,
            "reviews": list(register.reviews),
            "protected": register.protected,
        }
        | ({"since": register.moved.to_document()} if register.moved else {})
    )


def decode_alias(body: bytes, *, what: str) -> AliasRegister:
    """Return the register; raise `CorruptError`."""
    fields = Fields(decode(body, what=what), what=what)
    version = fields.optional_integer("version", least=1)
    manifest = fields.optional_digest("manifest")
    placement = read_placement(fields)
    state = fields.parsed("state", parse_state) if fields.optional_text("state") is not None else None
    target = None
    if version is not None:
        if manifest is None or state is None:
            raise CorruptError(f"{what}: an alias with a version lacks its manifest or state")
        target = AliasTarget(version, manifest, placement, state)
    moved = None
    if fields.table("since"):
        since = fields.inner("since")
        moved = LastMove(
            generation=since.integer("generation", least=1),
            at=since.parsed("at", parse_time),
            by=since.text("by"),
            action=since.text("action"),
            previous=since.optional_integer("from", least=1),
            extra=since.rest(),
        )
    return AliasRegister(
        registry=fields.text("registry"),
        model=fields.parsed("model", parse_model_name),
        alias=fields.parsed("alias", parse_alias),
        target=target,
        reviews=tuple(fields.items("reviews")),
        protected=fields.flag("protected", default=False),
        moved=moved,
        trail=read_trail(fields),
        extra=fields.rest(),
    )


def is_move(record: Record) -> bool:
    """Return whether a record changed which version an alias names: to promote what it names already does not."""
    if record.action not in MOVES:
        return False
    previous = previous_version(record.detail)
    return record.target != ("" if previous is None else str(previous))


def previous_version(detail: Mapping[str, object]) -> int | None:
    """Return the version that an alias named before a move, by the record's detail."""
    previous = detail.get("from")
    return previous if isinstance(previous, int) and not isinstance(previous, bool) else None


def find_last_move(newest_first: Iterable[Record]) -> LastMove | None:
    """Return the newest move among some records, or None where none of them is one."""
    record = next((record for record in newest_first if is_move(record)), None)
    if record is None:
        return None
    return LastMove(record.generation, record.at, record.actor, record.action, previous_version(record.detail))


def stack_moves(oldest_first: Iterable[Record]) -> MoveStack:
    """Return the moves that nobody took back; raise `CorruptError` for a target that is no version.

    The records may begin in the middle: of what was named before them, only what the first move left is known then.
    """
    base, standing = NamedVersions(), list[StandingMove]()
    for number, record in enumerate(record for record in oldest_first if is_move(record)):
        if number == 0:
            base = _only(previous_version(record.detail))
        target = target_version(record, what=HISTORY)
        if record.action != AuditAction.UNDO:
            now = standing[-1].after if standing else base
            standing.append(StandingMove(record, now, _moved(now, record.action, target)))
            continue
        undone = record.detail.get(UNDOES)
        place = next((place for place, move in enumerate(standing) if move.record.generation == undone), None)
        if place is not None and standing[place].before.target == target:
            del standing[place:]
        else:  # the move is not among these records, or did not leave this: of the rest nothing is known
            base, standing = _only(target), []
    return MoveStack(base, tuple(standing))


def _moved(now: NamedVersions, action: str, target: int | None) -> NamedVersions:
    """Return what is named after a move: a promotion pushes, a rollback pops down to what it chose.

    A version that the alias never named (`--to`) takes the place of the one that was left; an unset leaves the rest.
    """
    stack = now.stack
    if target is None:
        return NamedVersions(None, stack)
    if action == AuditAction.PROMOTE:
        return NamedVersions(target, (*stack, target))
    if target in stack:
        above = stack[::-1].index(target)
        return NamedVersions(target, stack[: len(stack) - above])
    return NamedVersions(target, (*stack[:-1], target))


def _only(target: int | None) -> NamedVersions:
    return NamedVersions(target, () if target is None else (target,))

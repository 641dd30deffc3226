"""The register of an alias.

It carries all that a server needs, so that alias and manifest are two reads and a poll is one.
"""

from __future__ import annotations

from dataclasses import field, replace
from typing import TYPE_CHECKING, Any

from bucketry.errors import CorruptError
from bucketry.frozen import frozen
from bucketry.schema.codec import FORMAT, Fields, decode, encode
from bucketry.schema.documents.audit import Trail, read_trail
from bucketry.schema.documents.moves import LastMove, find_last_move, read_last_move
from bucketry.schema.documents.placement import Placement, read_placement
from bucketry.schema.documents.states import State, parse_state
from bucketry.schema.names import AliasName, Digest, ModelName, parse_alias, parse_model_name

if TYPE_CHECKING:
    from collections.abc import Mapping


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
    return AliasRegister(
        registry=fields.text("registry"),
        model=fields.parsed("model", parse_model_name),
        alias=fields.parsed("alias", parse_alias),
        target=target,
        reviews=tuple(fields.items("reviews")),
        protected=fields.flag("protected", default=False),
        moved=read_last_move(fields),
        trail=read_trail(fields),
        extra=fields.rest(),
    )

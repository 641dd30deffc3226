"""How does a server follow an alias cheaply? By a conditional read that is answered 304 while nothing moves."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bucketry.errors import CorruptError, UnavailableError, UsageError
from bucketry.frozen import frozen
from bucketry.registry.registers import alias_register, not_set
from bucketry.schema import keys
from bucketry.schema.names import ByAlias
from bucketry.store.interface import NotModifiedError, ObjectNotFoundError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from bucketry.registry.session import Session
    from bucketry.schema.alias import AliasRegister
    from bucketry.schema.names import AliasName, Digest, ModelName, Reference
    from bucketry.schema.states import State
    from bucketry.store.interface import ETag

JITTER = 0.1
"""Polls are spread by up to this part of the interval, so that a fleet does not ask all at once."""


@frozen
class WatchedMove:
    """What an alias names from now on; `version`, `manifest` and `state` are None where it was unset.

    A refusal of the version that it names is a move too: `state` is `rejected` then.
    """

    model: ModelName
    alias: AliasName
    version: int | None
    manifest: Digest | None
    generation: int
    state: State | None = None


def watch(session: Session, reference: Reference, *, interval_seconds: float = 30.0) -> Iterator[WatchedMove]:
    """Yield what an alias names now, and then each change, for ever. While the store is away, it waits.

    Raises `UsageError` for a reference that is not an alias, `NotFoundError` for an alias that does not exist,
    `CorruptError` where its generation goes back.
    """
    if not isinstance(reference.selector, ByAlias):
        raise UsageError(f"{reference} is not an alias", advice="watch model@alias")
    if interval_seconds <= 0:
        raise UsageError("the interval must be above 0 seconds")
    model, alias = reference.model, reference.selector.alias
    seen: AliasRegister | None = None
    etag: ETag | None = None
    while True:  # a watch ends when its caller stops asking
        try:
            found = session.store.get(keys.alias(model, alias), unless=etag)
        except ObjectNotFoundError as error:
            raise not_set(model, alias) from error
        except (NotModifiedError, UnavailableError):
            pass
        else:
            register = alias_register(model, alias).decode(found.body)
            if seen is not None and register.generation < seen.generation:
                raise CorruptError(f"the generation of {reference} went back", advice="run `bucketry audit --verify`")
            if seen is None or register.target != seen.target:
                yield _move(register)
            seen, etag = register, found.etag
        session.ports.sleep(interval_seconds * (1 + JITTER * (session.ports.chance() - 0.5)))


def _move(register: AliasRegister) -> WatchedMove:
    target = register.target
    return WatchedMove(
        model=register.model,
        alias=register.alias,
        version=target.version if target else None,
        manifest=target.manifest if target else None,
        generation=register.generation,
        state=target.state if target else None,
    )

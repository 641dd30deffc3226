"""Follows an alias cheaply, by a conditional read that is answered 304 while nothing moves.

With a trust file each state of the alias is judged before it is told: a move to a version that is not accepted is left
out. What is told then stays what it was, until a move, or a decision that reaches the alias, is accepted. Only that the
version told last was rejected is told all the same, for it asks nobody to serve anything. Without a trust file the
alias itself tells of refusals, and a move to a version that was refused is left out in the same way.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from bucketry.errors import BucketryError, CorruptError, RejectedError, UnavailableError, UnsupportedError, UsageError
from bucketry.frozen import frozen
from bucketry.registry.core.registers import alias_register, load_alias, not_set
from bucketry.registry.review.refusals import carried_refusals, refused_by_alias
from bucketry.schema import keys
from bucketry.schema.documents.states import State
from bucketry.schema.names import ByAlias
from bucketry.store.contract import NotModifiedError, ObjectNotFoundError
from bucketry.store.places import is_of_copy

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from bucketry.registry.core.session import Session
    from bucketry.schema.documents.alias import AliasRegister, AliasTarget
    from bucketry.schema.names import AliasName, Digest, ModelName, Reference
    from bucketry.store.contract import ETag

JITTER = 0.1
"""Polls are spread by up to this part of the interval, so that a fleet does not ask all at once."""


@frozen
class WatchedMove:
    """What an alias names from now on; `version`, `manifest` and `state` are None where it was unset.

    A refusal of the version that it names is told too: `state` is `rejected` then. `since` and `by` say when and by
    whom the alias was moved there, whatever was told to it later.
    """

    model: ModelName
    alias: AliasName
    version: int | None
    manifest: Digest | None
    generation: int
    state: State | None = None
    since: str | None = None
    by: str | None = None


def watch(
    session: Session,
    reference: Reference,
    *,
    interval_seconds: float = 30.0,
    allow_rejected: bool = False,
    on_refusal: Callable[[WatchedMove, BucketryError], None] | None = None,
) -> Iterator[WatchedMove]:
    """Yield what an alias names now, and then each change, for ever. While the store is away, it waits.

    A move to a version that was refused is left out, unless `allow_rejected`; in strict mode one that the trust file
    does not accept is left out in any case. `on_refusal` is called with it, and with why, once.

    Raises `UsageError` for a reference that is not an alias, `NotFoundError` for an alias that does not exist,
    `CorruptError` where its generation goes back.
    """
    if not isinstance(reference.selector, ByAlias):
        raise UsageError(f"{reference} is not an alias", advice="watch model@alias")
    if interval_seconds <= 0:
        raise UsageError("the interval must be above 0 seconds")
    follower = _Follower(session, reference.model, reference.selector.alias, on_refusal, allow_rejected=allow_rejected)
    while True:  # a watch ends when its caller stops asking
        move = follower.look()
        if move is not None:
            yield move
        session.clock.sleep(interval_seconds * (1 + JITTER * (session.clock.chance() - 0.5)))


@dataclass(slots=True)
class _Follower:
    """What was read last, whether that was left out, and which version was told last."""

    session: Session
    model: ModelName
    alias: AliasName
    on_refusal: Callable[[WatchedMove, BucketryError], None] | None
    allow_rejected: bool = False
    seen: AliasRegister | None = None
    etag: ETag | None = None
    left_out: bool = False
    told: AliasTarget | None = None

    def look(self) -> WatchedMove | None:
        """Return what is to be told since the last look, or None; what cannot be read now is read at the next."""
        try:
            found = self.session.store.get(keys.alias(self.model, self.alias), unless=self.etag)
        except ObjectNotFoundError as error:
            load_alias(self.session, self.model, self.alias)  # that it was lost is the better explanation
            raise not_set(self.model, self.alias) from error
        except (NotModifiedError, UnavailableError):
            return None
        try:
            register = alias_register(self.session, self.model, self.alias).decode(found.body)
        except UnavailableError:
            return None
        if self.seen is not None and register.generation < self.seen.generation:
            if is_of_copy(found.etag):
                return None  # a replica that a mirror has not brought up to date: no news
            what = f"{self.model}@{self.alias}"
            raise CorruptError(f"the generation of {what} went back", advice="run `bucketry audit --verify`")
        try:
            refusal = self._find_refusal(register)
        except UnavailableError:
            return None
        has_moved = self.seen is None or register.target != self.seen.target
        self.seen, self.etag = register, found.etag
        return self._settle(register, refusal, has_moved=has_moved)

    def _settle(self, register: AliasRegister, refusal: BucketryError | None, *, has_moved: bool) -> WatchedMove | None:
        if not has_moved and (refusal is not None or not self.left_out):
            return None
        target, moved, told = register.target, register.last_move, self.told
        move = WatchedMove(
            model=register.model,
            alias=register.alias,
            version=target.version if target else None,
            manifest=target.manifest if target else None,
            generation=register.generation,
            state=target.state if target else None,
            since=moved.at if moved else None,
            by=moved.by if moved else None,
        )
        is_withdrawn = (  # that what was told last is rejected is told all the same
            target is not None
            and told is not None
            and target.state is State.REJECTED
            and (target.version, target.manifest) == (told.version, told.manifest)
        )
        self.left_out = refusal is not None and not is_withdrawn
        if not self.left_out:
            self.told = register.target
            return move
        if refusal is not None and self.on_refusal is not None:
            self.on_refusal(move, refusal)
        return None

    def _find_refusal(self, register: AliasRegister) -> BucketryError | None:
        """Return why what this names is not to be used here; what a trust file cannot judge is not accepted either."""
        if self.session.strict is None:
            refusals, target = carried_refusals(register), register.target
            if self.allow_rejected or target is None or not (refusals or target.state is State.REJECTED):
                return None
            return refused_by_alias(register.model, register.alias, target.version, refusals)
        try:
            self.session.strict.check_register(self.session, register)
        except (RejectedError, CorruptError, UnsupportedError) as error:
            return error
        return None

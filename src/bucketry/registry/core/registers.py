"""The registers that there are (heads, aliases, the registry itself), each ready to be read and committed."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, TypeVar

from bucketry.errors import CorruptError, NotFoundError
from bucketry.registry.core.commit import Change, Committed, Current, FirstAttempt, Register, commit, load_current
from bucketry.registry.core.immutable import put_first
from bucketry.registry.core.session import FOREIGN
from bucketry.registry.core.witnesses import find_alias_witness, find_head_witness, find_registry_witness, no_registry
from bucketry.registry.core.writing import Readable
from bucketry.schema import keys
from bucketry.schema.documents.alias import AliasRegister, decode_alias, encode_alias
from bucketry.schema.documents.head import Head, decode_head, encode_head
from bucketry.schema.documents.pages import Directory, check_head_size, decode_directory, needs_sealing, seal
from bucketry.schema.documents.settings import RegistryDocument, decode_registry, encode_registry

if TYPE_CHECKING:
    from collections.abc import Callable

    from bucketry.registry.core.immutable import Immutable
    from bucketry.registry.core.session import Session
    from bucketry.schema.documents.audit import Trail
    from bucketry.schema.names import AliasName, ModelName

S = TypeVar("S", Head, AliasRegister, RegistryDocument)


def head_register(session: Session, model: ModelName) -> Register[Head]:
    """Return how the head of a model is read and written; its oldest rows are sealed when it grows.

    This is the one door through which every reader and every writer takes a head, and so it is compared here with where
    it lies; an alias likewise.
    """
    key = keys.head(model)

    def decode(body: bytes) -> Head:
        head = decode_head(body, what=key)
        if head.model != model:
            raise CorruptError(f"{key} holds the head of {head.model}, not of {model}", advice=FOREIGN)
        session.check_registry(head.registry, key=key)
        return head

    def settle(head: Head) -> tuple[Head, tuple[Immutable, ...]]:
        if not needs_sealing(head):
            return head, ()
        change = seal(head, load_directory(session, head))
        check_head_size(change.head)
        return change.head, tuple(session.new_document(head.model, body) for body in change.bodies)

    return Register(
        key=key,
        encode=encode_head,
        decode=decode,
        with_trail=_with_trail,
        history_key=partial(keys.head_history, model),
        settle=settle,
        find_witness=partial(find_head_witness, model=model),
    )


def alias_register(
    session: Session, model: ModelName, alias: AliasName, *, compares_later: bool = False
) -> Register[AliasRegister]:
    """Return how an alias's register is read and written; `compares_later` is about the registry's id (`Session`)."""
    key = keys.alias(model, alias)

    def decode(body: bytes) -> AliasRegister:
        register = decode_alias(body, what=key)
        if (register.model, register.alias) != (model, alias):
            raise CorruptError(
                f"{key} holds the alias {register.model}@{register.alias}, not {model}@{alias}", advice=FOREIGN
            )
        session.check_registry(register.registry, key=key, compares_later=compares_later)
        return register

    return Register(
        key=key,
        encode=encode_alias,
        decode=decode,
        with_trail=_alias_with_trail,
        history_key=partial(keys.alias_history, model, alias),
        settle=_nothing_to_settle,
        find_witness=partial(find_alias_witness, model=model, alias=alias),
    )


def registry_register() -> Register[RegistryDocument]:
    """Return how the registry's own document is read and written."""
    return Register(
        key=keys.REGISTRY,
        encode=encode_registry,
        decode=partial(decode_registry, what=keys.REGISTRY),
        with_trail=_with_trail,
        history_key=keys.registry_history,
        settle=_nothing_to_settle,
        find_witness=find_registry_witness,
    )


def commit_head(
    session: Session,
    model: ModelName,
    edit: Callable[[Head | None], Change[Head]],
    *,
    first: FirstAttempt[Head] | None = None,
) -> Committed[Head]:
    """Commit an edit of a model's head."""
    register = head_register(session, model)
    return commit(session.store, register, edit, actor=session.actor, clock=session.clock, first=first)


class AlreadyDoneError(Exception):
    """What an edit of a head raises that has nothing left to do: history stays free of non-events."""

    def __init__(self, head: Head) -> None:
        super().__init__()
        self.head = head


def ensure_head(
    session: Session,
    model: ModelName,
    edit: Callable[[Head | None], Change[Head]],
    *,
    first: FirstAttempt[Head] | None = None,
) -> Head:
    """Commit an edit of a model's head, unless it raises `AlreadyDoneError`, and return the head that has it."""
    try:
        return commit_head(session, model, edit, first=first).state
    except AlreadyDoneError as done:
        return done.head


class AlreadySetError(Exception):
    """What an edit raises that would set what is set already, at this generation of the register: no commit is made."""

    def __init__(self, generation: int) -> None:
        super().__init__()
        self.generation = generation


def commit_settings(
    session: Session, edit: Callable[[RegistryDocument], Change[RegistryDocument]]
) -> Committed[RegistryDocument]:
    """Commit an edit of the registry's own document, which must be there; the session reads it anew."""

    def edit_existing(old: RegistryDocument | None) -> Change[RegistryDocument]:
        if old is None:
            raise no_registry(session.store)
        return edit(old)

    committed = commit(session.store, registry_register(), edit_existing, actor=session.actor, clock=session.clock)
    session.forget_registry()
    return committed


def commit_alias(
    session: Session,
    model: ModelName,
    alias: AliasName,
    edit: Callable[[AliasRegister | None], Change[AliasRegister]],
    *,
    first: FirstAttempt[AliasRegister] | None = None,
) -> Committed[AliasRegister]:
    """Commit an edit of an alias's register."""
    register = alias_register(session, model, alias)
    return commit(session.store, register, edit, actor=session.actor, clock=session.clock, first=first)


def load_head(session: Session, model: ModelName) -> Current[Head]:
    """Return the model's head as it is now: one GET. It may be one that no version was ever published to."""
    return load_current(session.store, head_register(session, model))


def load_or_begin_head(session: Session, model: ModelName) -> Current[Head]:
    """Return a model's head, made empty where there is none: before the first byte of a first publish is written.

    So whatever else there is of a model, its head was there before it, and a head that is absent later was lost.
    """
    current = load_head(session, model)
    if current.state is not None:
        return current
    new = Head(session.registry.registry, model)
    etag = put_first(session.store, Readable(keys.head(model), encode_head(new)), clock=session.clock)
    return load_head(session, model) if etag is None else Current(new, etag)


def find_head(session: Session, model: ModelName) -> Head | None:
    """Return a model's head, or None for a model that no version was ever published to, or that was deleted."""
    head = load_head(session, model).state
    return head if head is not None and head.is_there else None


def load_existing_head(session: Session, model: ModelName) -> Head:
    """Return a model's head; raise `NotFoundError` for a model that does not exist."""
    return existing_head(session, model, load_head(session, model).state)


def existing_head(session: Session, model: ModelName, head: Head | None) -> Head:
    """Return the head that was read; raise `NotFoundError` if there is none, or only what a first publish began.

    Also for a model that was deleted as a whole, of which the head is left.
    """
    if head is None or not head.was_published:
        replica = session.registry.replica  # a missing registry is the better explanation
        if replica is not None:
            raise NotFoundError(
                f"there is no model {model} in {session.store.name}, a replica that holds {replica.selection}",
                advice=f"see `bucketry models`; the source is {replica.source}",
            )
        raise NotFoundError(f"there is no model {model}", advice="see `bucketry models`")
    if head.deleted:
        raise NotFoundError(
            f"{model} was deleted, with all its versions",
            advice=f"see `bucketry audit {model}` for by whom; to publish to it again begins with {head.next_version}",
        )
    return head


def load_alias(session: Session, model: ModelName, alias: AliasName) -> Current[AliasRegister]:
    """Return the alias's register as it is now: one GET."""
    return load_current(session.store, alias_register(session, model, alias))


def load_existing_alias(
    session: Session, model: ModelName, alias: AliasName, *, compares_later: bool = False
) -> AliasRegister:
    """Return the alias's register, which may name nothing by now; raise `NotFoundError` where there is none."""
    register = load_current(session.store, alias_register(session, model, alias, compares_later=compares_later)).state
    if register is None:
        load_existing_head(session, model)  # a missing model is the better explanation
        raise not_set(model, alias)
    return register


def not_set(model: ModelName, alias: AliasName) -> NotFoundError:
    """Return the error for an alias that names nothing."""
    return NotFoundError(
        f"{model}@{alias} is not set", advice=f"set it with `bucketry promote {model}:VERSION {alias}`"
    )


def load_directory(session: Session, head: Head) -> Directory:
    """Return the directory of the head's sealed pages; empty where nothing is sealed."""
    digest = head.sealed.directory
    if digest is None:
        return Directory()
    return decode_directory(session.load_document(head.model, digest), what=keys.page(head.model, digest))


def _with_trail(state: S, trail: Trail) -> S:
    return replace(state, trail=trail)


def _alias_with_trail(register: AliasRegister, trail: Trail) -> AliasRegister:
    return register.with_trail(trail)


def _nothing_to_settle(state: S) -> tuple[S, tuple[Immutable, ...]]:
    return state, ()

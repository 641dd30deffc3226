"""Puts a register back from a mirror by compare-and-swap, with a record of it, but none older than what is sealed."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from bucketry.errors import UNREADABLE, UsageError
from bucketry.registry.core.commit import Change, Current, FirstAttempt, commit
from bucketry.registry.core.immutable import find_object
from bucketry.registry.core.registers import alias_register, head_register, registry_register
from bucketry.schema import keys
from bucketry.schema.documents.audit import BLOCK_RECORDS, MOST_RECENT_RECORDS, AuditAction, encode_block
from bucketry.schema.documents.settings import RegistryDocument
from bucketry.schema.names import parse_alias, parse_model_name

if TYPE_CHECKING:
    from bucketry.registry.core.commit import Register
    from bucketry.registry.core.session import Session
    from bucketry.store.contract import Store


class _SomebodyMendedItError(Exception):
    """What an edit raises when the register can be read again."""


def find_register(session: Session, key: str) -> Register[Any] | None:
    """Return the register that lies at a key, or whose sealed records do; None for any other key."""
    kind, _, rest = key.removesuffix(".json").partition("/")
    parts = rest.split("/")
    if key == keys.REGISTRY or keys.is_registry_history(key):
        return registry_register()
    is_block = f"{kind}/" == keys.HISTORY
    names = parts[:-1] if is_block else parts
    try:
        model = parse_model_name("/".join(names[:2]))
        register: Register[Any] = (
            head_register(session, model) if len(names) == 2 else alias_register(session, model, parse_alias(names[2]))
        )
    except (UsageError, IndexError):
        return None
    return register if is_block or register.key == key else None


def plan_register(store: Store, mirror: Store, register: Register[Any]) -> Any:  # noqa: ANN401 - a state of any register
    """Return the state that a mirror has of a register that is lost, or in words why it must not be put back."""
    found = find_object(mirror, register.key)
    if found is None:
        return f"{mirror.name} does not have it either"
    state = register.decode(found.body)
    if isinstance(state, RegistryDocument):
        state = replace(state, replica=None)
    records = state.trail.records
    if records:
        sealed = find_object(store, register.history_key(records[0].generation))
        is_same = len(records) == MOST_RECENT_RECORDS and encode_block(records[:BLOCK_RECORDS])
        if sealed is not None and sealed.body != is_same:
            return f"{mirror.name} has an older state than the sealed records here: it would go back"
    return state


def swap_register(session: Session, register: Register[Any], state: Any, source: str) -> bool:  # noqa: ANN401
    """Put a state in place of a register that is missing or cannot be read; return False if it can be read by now."""
    found = find_object(session.store, register.key)
    if found is not None:
        try:
            register.decode(found.body)
        except UNREADABLE:
            pass
        else:
            return False
    change = Change(state, AuditAction.REPAIR, detail={"from": source[:100]})
    first = FirstAttempt(Current(state, found.etag if found is not None else None), change)

    def edit(_now: Any) -> Change[Any]:  # noqa: ANN401
        raise _SomebodyMendedItError

    try:
        commit(session.store, register, edit, actor=session.actor, clock=session.clock, first=first)
    except _SomebodyMendedItError:
        return False
    return True

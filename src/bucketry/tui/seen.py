"""Did what the user was shown change since? Then nothing is done, and who changed it is said.

The services decide on the state that they replace, and so are safe by themselves; this asks whether the person decided
on that same state.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from bucketry.errors import ContendedError
from bucketry.registry.registers import load_alias, load_existing_head
from bucketry.registry.rows import load_row

if TYPE_CHECKING:
    from collections.abc import Iterable

    from bucketry.registry.index_views import VersionLine
    from bucketry.registry.session import Session
    from bucketry.schema.audit import Record
    from bucketry.schema.names import AliasName, ModelName

ADVICE = "look at it again, then decide"


def check_unchanged(session: Session, seen: VersionLine) -> None:
    """Raise `ContendedError` if a version's state is not the one that was shown."""
    head = load_existing_head(session, seen.model)
    row = load_row(session, head, seen.version)
    if row.state is not seen.state:
        by = _by_whom(record for record in reversed(head.trail.records) if record.target == str(seen.version))
        raise ContendedError(
            f"{seen.model}:{seen.version} is {row.state} now, not {seen.state} as shown{by}", advice=ADVICE
        )


def check_unmoved(session: Session, model: ModelName, alias: AliasName, seen: int | None) -> None:
    """Raise `ContendedError` if an alias does not name the version that it was shown to name."""
    register = load_alias(session, model, alias).state
    now = register.target.version if register is not None and register.target is not None else None
    if now != seen:
        by = _by_whom(register.trail.records[::-1]) if register is not None else ""
        names = f"v{now}" if now else "nothing"
        was = f"v{seen}" if seen else "nothing"
        raise ContendedError(f"{model}@{alias} names {names} now, not {was} as shown{by}", advice=ADVICE)


def _by_whom(records: Iterable[Record]) -> str:
    last = next(iter(records), None)
    return "" if last is None else f": {last.action} by {last.actor} at {last.at[11:16]} UTC"

"""The check that what the user was shown did not change since: else nothing is done, and who changed it is said.

The services decide on the state that they replace, and so are safe by themselves; this asks whether the person decided
on that same state.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from bucketry.errors import ContendedError
from bucketry.index.views import find_generation
from bucketry.registry.core.registers import load_existing_head
from bucketry.registry.core.rows import load_row
from bucketry.schema.documents.alias import is_move
from bucketry.schema.documents.audit import AuditAction
from bucketry.show.figures import age_text
from bucketry.show.states import state_word

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sequence
    from datetime import datetime

    from bucketry.index.views import VersionLine
    from bucketry.registry.core.session import Session
    from bucketry.registry.serving.aliases import Check
    from bucketry.schema.documents.alias import AliasRegister
    from bucketry.schema.documents.audit import Record
    from bucketry.schema.documents.head import Head
    from bucketry.schema.documents.states import State
    from bucketry.schema.names import AliasName, ModelName
    from bucketry.tui.shell.view import Shell

ADVICE = "look at it again, then decide"
DECIDED = frozenset({AuditAction.APPROVE, AuditAction.REJECT, AuditAction.REVOKE, AuditAction.EVALUATE})
"""What others may do to a version that whoever decides about it wants to know first."""
EDITED = frozenset({AuditAction.EDIT})
ANYTHING = (
    DECIDED | EDITED | {AuditAction.REQUEST_REVIEW, AuditAction.COMMENT, AuditAction.RETIRE, AuditAction.UNRETIRE}
)
MOST_NAMED = 3


class AliasMovedError(ContendedError):
    """An alias names another version than the user was shown."""


def generation_shown(shell: Shell, row: VersionLine) -> int | None:
    """Return how far the history of a version's model has been seen by the screens."""
    return find_generation(shell.source.index, row.model)


def check_unchanged(
    session: Session,
    seen: VersionLine,
    *,
    head: Head | None = None,
    generation: int | None = None,
    minds: Collection[str] = (),
) -> None:
    """Raise `ContendedError` if a version's state is not the one that was shown: by the head, if it was just read.

    Also if somebody else did to it what the user `minds`, since the `generation` of the model that was shown.
    """
    mine = check_state(session, head or load_existing_head(session, seen.model), seen.version, seen.state)
    since = [
        record
        for record in mine
        if generation is not None
        and record.generation > generation
        and record.action in minds
        and record.actor != session.actor
    ]
    if since:
        more = f" and {len(since) - MOST_NAMED} more" if len(since) > MOST_NAMED else ""
        now = session.clock.now()
        what = ", ".join(_told(record, now) for record in since[-MOST_NAMED:])
        raise ContendedError(
            f"{seen.model}:{seen.version} is not as it was shown any more: {what}{more}", advice=ADVICE
        )


def check_state(session: Session, head: Head, version: int, state: State) -> Sequence[Record]:
    """Return the last records about a version; raise `ContendedError` if it is not in the state that was shown."""
    row = load_row(session, head, version)
    mine = [record for record in head.trail.records if record.target == str(version) and not record.is_internal]
    if row.state is not state:
        by = _by_whom(mine[::-1], session.clock.now())
        said = f"{head.model}:{version} is {state_word(row.state)} now, not {state_word(state)} as shown{by}"
        raise ContendedError(said, advice=ADVICE)
    return mine


def check_unmoved(
    session: Session, model: ModelName, alias: AliasName, register: AliasRegister | None, seen: int | None
) -> None:
    """Raise `AliasMovedError` if an alias, by its register, does not name the version that it was shown to name."""
    now = register.target.version if register is not None and register.target is not None else None
    if now != seen:
        moves = [record for record in register.trail.records if is_move(record)] if register is not None else []
        by = _by_whom(moves[::-1], session.clock.now())
        names = f"v{now}" if now else "nothing"
        was = f"v{seen}" if seen else "nothing"
        raise AliasMovedError(f"{model}@{alias} names {names} now, not {was} as shown{by}", advice=ADVICE)


def as_shown_check(
    session: Session,
    model: ModelName,
    alias: AliasName,
    seen: int | None,
    *,
    version: int | None = None,
    state: State | None = None,
) -> Check:
    """Return what raises where an alias, or the state of a version, is not as shown, on what a move is decided on."""

    def check(head: Head, register: AliasRegister | None) -> None:
        check_unmoved(session, model, alias, register, seen)
        if version is not None and state is not None:
            check_state(session, head, version, state)

    return check


def _by_whom(newest_first: Iterable[Record], now: datetime) -> str:
    last = next(iter(newest_first), None)
    return "" if last is None else f": {_told(last, now)}"


def _told(record: Record, now: datetime) -> str:
    """Say who did it, how long ago (an age reads alike in every zone), and the reason if the record has it."""
    age = age_text(record.at, now)
    when = "just now" if age == "now" else f"{age} ago"
    reason = record.detail.get("reason")
    why = f' ("{reason}")' if isinstance(reason, str) and reason else ""
    return f"{record.action} by {record.actor} {when}{why}"

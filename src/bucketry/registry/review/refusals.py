"""Who refused a version, when and why; and whether it is served here all the same.

Without a trust file the bucket is believed, and so it is when it says that a version must not be used. What an alias
names is meant to be used: refused, it is not handed out, unless the caller insists. Whoever names a version by its
number or digest means that very one and gets it, with a note. A trust file decides for itself (`strict.py`), and
nothing here takes its refusals back.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from bucketry.errors import BucketryError, RejectedError
from bucketry.registry.core.resolved import Refusal
from bucketry.schema import keys
from bucketry.schema.codec import Fields
from bucketry.schema.documents.reviews import REFUSALS, Action, decision_of, read_review
from bucketry.schema.documents.states import State
from bucketry.schema.text import displayable

if TYPE_CHECKING:
    from collections.abc import Iterable

    from bucketry.registry.core.resolved import ResolvedVersion
    from bucketry.registry.core.session import Session
    from bucketry.schema.documents.alias import AliasRegister
    from bucketry.schema.documents.reviews import Decision
    from bucketry.schema.names import AliasName, ModelName

LONGEST_REASON_CHARACTERS = 200
VERBS = {Action.REJECT: "rejected", Action.REVOKE: "revoked"}


def carried_refusals(register: AliasRegister) -> tuple[Refusal, ...]:
    """Return the refusals of the version that an alias names, as the alias itself carries them.

    What cannot be read among its decisions is passed over: the alias's `state` says all the same that it was refused.
    """
    what = keys.alias(register.model, register.alias)
    found: list[Decision] = []
    for item in register.reviews:
        try:
            found.append(decision_of(read_review(Fields(item, what=what)), what=what))
        except BucketryError:
            continue
    target = register.target
    return _refusals(decision for decision in found if target and decision.statement.manifest == target.manifest)


def load_refusals(session: Session, resolved: ResolvedVersion) -> tuple[Refusal, ...]:
    """Return the refusals of a version that may have some; nothing is read for one that nobody refused.

    Where the alias carries them no request is made; else those of the head, the dossier and the decisions.
    """
    if resolved.refusals or resolved.state not in {State.REJECTED, State.RETIRED}:
        return resolved.refusals
    from bucketry.registry.core.registers import load_existing_head  # noqa: PLC0415 - most versions were refused by nobody
    from bucketry.registry.core.rows import load_dossier, load_row  # noqa: PLC0415
    from bucketry.registry.review.standings import load_decisions  # noqa: PLC0415

    try:
        head = load_existing_head(session, resolved.model)
        dossier = load_dossier(session, head, load_row(session, head, resolved.version))
        return _refusals(load_decisions(session, dossier))
    except BucketryError:  # that it is rejected is known, and said; by whom cannot be read now
        return ()


def is_refused(resolved: ResolvedVersion) -> bool:
    """Return whether somebody refused the version, as far as the reference told."""
    return resolved.state is State.REJECTED or bool(resolved.refusals)


def refused_text(resolved: ResolvedVersion, refusals: tuple[Refusal, ...]) -> str:
    """Return which version this is and by whom it was refused, or "" for one that nobody refused."""
    if not is_refused(resolved) and not refusals:
        return ""
    return f"{resolved.model} {refusal_text(resolved.version, refusals)}"


def check_not_refused(resolved: ResolvedVersion, *, allow_rejected: bool = False) -> None:
    """Raise `RejectedError` if an alias names a version that was refused, unless that is allowed."""
    if resolved.alias is not None and is_refused(resolved) and not allow_rejected:
        raise refused_by_alias(resolved.model, resolved.alias, resolved.version, resolved.refusals)


def check_not_refused_meanwhile(session: Session, resolved: ResolvedVersion) -> None:
    """Raise `RejectedError` if the alias tells by now that its version was refused: one more read of the alias.

    That it names another version meanwhile is no refusal of this one.
    """
    if resolved.alias is None:
        return
    from bucketry.registry.core.registers import load_alias  # noqa: PLC0415 - only who moved bytes asks again

    register = load_alias(session, resolved.model, resolved.alias).state
    target = register.target if register is not None else None
    if register is None or target is None or target.manifest != resolved.digest:
        return
    check_not_refused(replace(resolved, state=target.state, refusals=carried_refusals(register)))


def version_to_read(resolved: ResolvedVersion, *, allow_rejected: bool = False) -> ResolvedVersion:
    """Return what several reads may go to once it is settled that they may; raise `RejectedError` as above."""
    check_not_refused(resolved, allow_rejected=allow_rejected)
    return replace(resolved, alias=None)


def refused_by_alias(model: ModelName, alias: AliasName, version: int, refusals: tuple[Refusal, ...]) -> RejectedError:
    """Return the error for what is not handed out because an alias names a refused version."""
    return RejectedError(
        f"{model}@{alias} names {refusal_text(version, refusals)}",
        advice=f"move the alias (`bucketry rollback {model} {alias}`), or insist: --allow-rejected, in Python "
        "allow_rejected=True",
    )


def refusal_text(version: int, refusals: tuple[Refusal, ...]) -> str:
    """Return that a version was refused, by whom, when and why; the last refusal speaks for all."""
    if not refusals:
        return f"version {version}, which is rejected (by whom cannot be read)"
    last = refusals[-1]
    reason = displayable(" ".join(last.reason.split()))
    if len(reason) > LONGEST_REASON_CHARACTERS:
        reason = f"{reason[:LONGEST_REASON_CHARACTERS]}..."
    why = f": {reason}" if reason else ""
    more = f" ({len(refusals)} refused it)" if len(refusals) > 1 else ""
    return f"version {version}, which {last.principal} {VERBS[last.action]} at {last.at}{more}{why}"


def _refusals(decisions: Iterable[Decision]) -> tuple[Refusal, ...]:
    found = [decision.statement for decision in decisions if decision.statement.action in REFUSALS]
    found.sort(key=lambda statement: statement.sequence)
    return tuple(Refusal(one.action, one.principal, one.created, one.comment) for one in found)

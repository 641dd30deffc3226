"""Finds out what this caller may do in a registry, and which role that makes.

Tried on the store itself, since nobody can foresee what policies, identities and modes come to. Nothing is written: see
the stores' own `may`.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from bucketry.frozen import frozen
from bucketry.maintenance.doctor.findings import Observation
from bucketry.schema import keys
from bucketry.schema.names import parse_alias, parse_model_name
from bucketry.schema.roles import PROTECTED_ALIAS, RECORDS, ROLES, Role
from bucketry.store.description import NOT_KNOWN_HERE, RIGHTS, NotKnown, Right, TellsRights

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from bucketry.store.contract import Store

NOBODY = parse_model_name("bucketry-doctor/nobody")
"""A model that is asked about and that nobody has."""
ASKED_AT_ONCE = 8
NOT_TRIED = NotKnown("not tried: a deletion of nothing may leave a delete marker here")
MOST_NAMED = 6


@frozen
class KindRights:
    """What the caller may do below one prefix; of the protected alias it is the pattern of its keys."""

    prefix: str
    rights: Mapping[Right, bool | NotKnown]


@frozen
class CallerRights:
    """What the caller may do: for each kind of key, with the protected alias, and which roles it can work as."""

    kinds: tuple[KindRights, ...]
    protected: KindRights
    roles: tuple[Role, ...]

    def may(self, right: Right, prefix: str) -> bool | NotKnown:
        """Return one answer."""
        return next(kind.rights[right] for kind in self.kinds if kind.prefix == prefix)


def find_rights(store: Store, *, keeps_versions: bool) -> CallerRights:
    """Ask for every right below every prefix; deletions are not tried where versions are kept, or may be."""
    asked = store.unretried

    def ask(right: Right, prefix: str) -> bool | NotKnown:
        if not isinstance(asked, TellsRights):
            return NOT_KNOWN_HERE
        if right == "delete" and keeps_versions:
            return NOT_TRIED
        return asked.may(right, prefix)

    with ThreadPoolExecutor(ASKED_AT_ONCE) as pool:
        answers = {(kind, right): pool.submit(ask, right, kind) for kind in keys.KINDS for right in RIGHTS}
        move = pool.submit(ask, "write", keys.alias(NOBODY, parse_alias(PROTECTED_ALIAS)))
        kinds = tuple(
            KindRights(kind, {right: answers[kind, right].result() for right in RIGHTS}) for kind in keys.KINDS
        )
        aliases = next(kind for kind in kinds if kind.prefix == keys.ALIASES)
    protected = KindRights(f"{keys.ALIASES}*/{PROTECTED_ALIAS}.json", {**aliases.rights, "write": move.result()})
    found = CallerRights(kinds, protected, ())
    return CallerRights(kinds, protected, tuple(role for role in ROLES if not _missing(found, role)))


def judge_rights(found: CallerRights) -> Observation:
    """Say which role the rights make, and what goes beyond it."""
    if all(isinstance(answer, NotKnown) for kind in found.kinds for answer in kind.rights.values()):
        return Observation("rights", "unknown", f"what this caller may do is {NOT_KNOWN_HERE.reason}")
    unread = [kind.prefix for kind in found.kinds if kind.rights["read"] is False or kind.rights["list"] is False]
    if unread:
        return Observation(
            "rights",
            "warning",
            f"this caller cannot read or list {_named(unread)}",
            advice="let every role read and list the whole registry, or what is missing looks like what is forbidden",
        )
    destroys = [kind.prefix for kind in found.kinds if kind.rights["delete"] is True and kind.prefix in RECORDS]
    if destroys or found.may("write", keys.REGISTRY) is True:
        may = f"delete {_named(destroys)}" if destroys else f"write {keys.REGISTRY}"
        return Observation(
            "rights",
            "ok",
            f"this caller may {may}: the rights of an owner, who creates the registry and sets its defaults",
            advice="jobs and people need less: give each the role of its work (docs/roles.md)",
        )
    if not found.roles:
        return Observation("rights", "ok", "this caller only reads: it can do the work of no role, and pull and look")
    closest = min(found.roles, key=lambda role: len(_beyond(found, role)))
    others = [role.name for role in found.roles if role is not closest]
    also = f"; also enough for {', '.join(others)}" if others else ""
    beyond = _beyond(found, closest)
    more = f"; beyond that it may {_named(beyond)}" if beyond else ""
    return Observation("rights", "ok", f"this caller can work as {closest.name}: it {closest.task}{also}{more}")


def _missing(found: CallerRights, role: Role) -> list[str]:
    """Return what the role needs and the caller may not; what is not known counts as there."""
    lacking = [f"write {prefix}" for prefix in role.writes if found.may("write", prefix) is False]
    lacking += [f"delete {prefix}" for prefix in role.deletes if found.may("delete", prefix) is False]
    if role.moves_protected and found.protected.rights["write"] is False:
        lacking.append(f"write {found.protected.prefix}")
    return lacking


def _beyond(found: CallerRights, role: Role) -> list[str]:
    """Return what the caller may do and the role does not."""
    more = [f"write {kind.prefix}" for kind in found.kinds if _is_beyond(kind, "write", role.writes)]
    more += [f"delete {kind.prefix}" for kind in found.kinds if _is_beyond(kind, "delete", role.deletes)]
    if keys.ALIASES in role.writes and not role.moves_protected and found.protected.rights["write"] is True:
        more.append(f"write {found.protected.prefix}")
    return more


def _is_beyond(kind: KindRights, right: Right, granted: Sequence[str]) -> bool:
    return kind.rights[right] is True and kind.prefix not in granted


def _named(names: Sequence[str]) -> str:
    more = f" and {len(names) - MOST_NAMED} more" if len(names) > MOST_NAMED else ""
    return f"{', '.join(names[:MOST_NAMED])}{more}"

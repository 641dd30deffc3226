"""The words and signs of states, aliases and trends; colour is never the only sign."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bucketry.index.review_summary import Stage
from bucketry.show.figures import NOTHING, count_of
from bucketry.show.spans import Span
from bucketry.show.states import state_span
from bucketry.show.tables import DAMAGED_SPAN

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bucketry.errors import BucketryError
    from bucketry.index.damage import Damage
    from bucketry.index.views import ListedAlias, VersionLine

PRODUCTION_NAMES = ("production", "prod")
_SHORT_NAMES = {"production": "prod"}
"""`o was production` would be cut in most lists."""

_REFUSALS = frozenset({Stage.REJECTED, Stage.REVOKED})


def is_production(named: ListedAlias) -> bool:
    """Return whether an alias serves for real: it is protected, or has the name for it."""
    return named.protected or named.alias in PRODUCTION_NAMES


def production_of(aliases: Sequence[ListedAlias]) -> ListedAlias | None:
    """Return the alias that serves for real: `production` before others that are protected."""
    by_name = [named for name in PRODUCTION_NAMES for named in aliases if named.alias == name]
    return next(iter([*by_name, *(named for named in aliases if named.protected)]), None)


def alias_span(aliases: Sequence[ListedAlias]) -> Span:
    """Return a version's aliases: `*` marks one that serves for real, `~` any other."""
    if not aliases:
        return Span(NOTHING, "dim")
    text = " ".join(f"{'*' if is_production(named) else '~'} {named.alias}" for named in aliases)
    return Span(text, "good" if any(map(is_production, aliases)) else "accent")


def named_span(row: VersionLine) -> Span:
    """Return what names a version; else who refused it, or which alias named it before."""
    if row.aliases:
        return alias_span(row.aliases)
    if row.stage is Stage.DAMAGED:
        return DAMAGED_SPAN
    if row.stage in _REFUSALS:
        return _refusal_span(row)
    if row.named_before:
        return Span(f"o was {_SHORT_NAMES.get(row.named_before[0], row.named_before[0])}", "dim")
    return Span(NOTHING, "dim")


def review_span(row: VersionLine, *, beside_alias: bool = True) -> Span:
    """Return how far a version is from being approved. Beside its aliases nothing is said of a refusal twice."""
    noted = row.noted
    match row.stage:
        case Stage.DAMAGED:
            return Span("") if beside_alias and not row.aliases else DAMAGED_SPAN
        case Stage.REJECTED | Stage.REVOKED:
            return Span("") if beside_alias and not row.aliases else _refusal_span(row)
        case Stage.COUNTED if noted is not None:
            enough = noted.approvals >= noted.required
            return Span(f"{noted.approvals} of {noted.required}", "good" if enough else "warn")
        case Stage.CHECKS:
            return Span("checks..", "warn")
        case Stage.EXPIRED:
            return Span("expired", "warn")
        case _:
            return state_span(row.state)


def signed_span(row: VersionLine) -> Span:
    """Return whether a publish signature lies beside a version: `yes`, `NO`, or `-` where that is not read yet."""
    if row.is_signed is None or row.stage is Stage.DAMAGED:
        return Span(NOTHING, "dim")
    return Span("yes") if row.is_signed else Span("NO", "warn")


def damage_words(damage: Damage) -> str:
    """Return `1 model and 3 versions are DAMAGED, the first: ...`."""
    counts = ((damage.models, "model"), (damage.aliases, "alias"), (damage.versions, "version"))
    parts = [count_of(count, noun) for count, noun in counts if count]
    return f"{' and '.join(parts)} {'is' if damage.count == 1 else 'are'} DAMAGED, the first: {damage.first}"


def failure_words(error: BucketryError) -> str:
    """Return what went wrong, and what to do now if that is known."""
    return f"{error.message}; {error.remedy}" if error.remedy else error.message


def _refusal_span(row: VersionLine) -> Span:
    word = "revoked" if row.stage is Stage.REVOKED else "rejected"
    by = f" by {row.noted.refused_by}" if row.noted is not None and row.noted.refused_by else ""
    return Span(f"x {word}{by}", "bad")

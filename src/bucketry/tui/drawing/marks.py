"""With which words and signs are states, aliases and trends shown? Colour is never the only sign."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bucketry.index.review_summary import Stage
from bucketry.schema.documents.states import State
from bucketry.tui.drawing.figures import NOTHING
from bucketry.tui.drawing.paint import Role, Span

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from bucketry.index.views import ListedAlias, VersionLine

PRODUCTION_NAMES = ("production", "prod")
_SHORT_NAMES = {"production": "prod"}
"""`o was production` would be cut in most lists."""

_STATES: Mapping[State, tuple[str, Role]] = {
    State.REGISTERED: (NOTHING, "dim"),
    State.IN_REVIEW: ("in review", "warn"),
    State.APPROVED: ("approved", "good"),
    State.REJECTED: ("x rejected", "bad"),
    State.RETIRED: ("retired", "dim"),
    State.DELETING: ("deleting..", "warn"),
    State.DELETED: ("deleted", "dim"),
}
DAMAGED_SPAN = Span("DAMAGED", "bad")
"""What is said of whatever cannot be read."""
_REFUSALS = frozenset({Stage.REJECTED, Stage.REVOKED})
_BARS = "▁▂▃▄▅▆▇█"
_ASCII_BARS = "_.-=+*#@"


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


def state_span(state: State) -> Span:
    """Return a state's word."""
    return Span(*_STATES[state])


def state_word(state: State) -> str:
    """Return a state as people say it, also the first one, for which lists have no word."""
    return state.value.replace("_", " ")


def _refusal_span(row: VersionLine) -> Span:
    word = "revoked" if row.stage is Stage.REVOKED else "rejected"
    by = f" by {row.noted.refused_by}" if row.noted is not None and row.noted.refused_by else ""
    return Span(f"x {word}{by}", "bad")


def trend_text(values: Sequence[float], width: int, *, is_unicode: bool) -> str:
    """Return a metric over the versions, oldest first, as bars between its least and its greatest value."""
    shown = list(values)[-width:]
    if len(shown) < 2:
        return NOTHING
    bars = _BARS if is_unicode else _ASCII_BARS
    low, high = min(shown), max(shown)
    if not high > low:
        return bars[len(bars) // 2] * len(shown)
    return "".join(bars[min(len(bars) - 1, int((value - low) / (high - low) * len(bars)))] for value in shown)

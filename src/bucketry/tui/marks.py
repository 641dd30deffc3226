"""With which words and signs are states, aliases and trends shown? Colour is never the only sign."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bucketry.schema.states import State
from bucketry.tui.figures import NOTHING
from bucketry.tui.paint import Role, Span

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from bucketry.registry.index_views import Named

PRODUCTION_NAMES = ("production", "prod")

_STATES: Mapping[State, tuple[str, Role]] = {
    State.REGISTERED: (NOTHING, "dim"),
    State.IN_REVIEW: ("in review", "warn"),
    State.APPROVED: ("approved", "good"),
    State.REJECTED: ("x rejected", "bad"),
    State.RETIRED: ("retired", "dim"),
    State.DELETING: ("deleting..", "warn"),
    State.DELETED: ("deleted", "dim"),
}
_BARS = "▁▂▃▄▅▆▇█"
_ASCII_BARS = "_.-=+*#@"


def is_production(named: Named) -> bool:
    """Return whether an alias serves for real: it is protected, or has the name for it."""
    return named.protected or named.alias in PRODUCTION_NAMES


def production_of(aliases: Sequence[Named]) -> Named | None:
    """Return the alias that serves for real: `production` before others that are protected."""
    by_name = [named for name in PRODUCTION_NAMES for named in aliases if named.alias == name]
    return next(iter([*by_name, *(named for named in aliases if named.protected)]), None)


def alias_span(aliases: Sequence[Named]) -> Span:
    """Return a version's aliases: `*` marks one that serves for real, `~` any other."""
    if not aliases:
        return Span(NOTHING, "dim")
    text = " ".join(f"{'*' if is_production(named) else '~'} {named.alias}" for named in aliases)
    return Span(text, "good" if any(map(is_production, aliases)) else "accent")


def state_span(state: State) -> Span:
    """Return a state's word."""
    return Span(*_STATES[state])


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

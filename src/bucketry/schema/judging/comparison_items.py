"""Finds which named things were added, removed or changed from one version to others; the same for all kinds."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING

from bucketry.frozen import frozen

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

MOST_LEVELS = 32
"""So deep nests what the codec reads at all."""


class ItemChange(StrEnum):
    """What became of a named thing, from the baseline to another version."""

    SAME = "same"
    ADDED = "added"
    REMOVED = "removed"
    CHANGED = "changed"


class _Absent:
    """Stands where a version does not have the thing: a parameter may well be null."""


ABSENT = _Absent()


@frozen
class ItemDiff:
    """A named thing: its value in each version, and what became of it in each but the baseline."""

    name: str
    found: tuple[object, ...]
    changes: tuple[ItemChange, ...]

    @property
    def is_changed(self) -> bool:
        """Whether any version differs from the baseline."""
        return any(change is not ItemChange.SAME for change in self.changes)

    @property
    def values(self) -> tuple[object, ...]:
        """The value of each version, None where it does not have the thing."""
        return tuple(None if value is ABSENT else value for value in self.found)

    @property
    def is_present(self) -> tuple[bool, ...]:
        """Whether each version has the thing."""
        return tuple(value is not ABSENT for value in self.found)


def diff_items(versions: Sequence[Mapping[str, object]]) -> tuple[ItemDiff, ...]:
    """Return all things that any version has, by name, the baseline's values first."""
    names = sorted({name for version in versions for name in version})
    items = []
    for name in names:
        first, *others = found = tuple(version.get(name, ABSENT) for version in versions)
        items.append(ItemDiff(name, found, tuple(_change(first, other) for other in others)))
    return tuple(items)


def flatten(table: Mapping[str, object]) -> dict[str, object]:
    """Return a table whose inner tables are written with dots: `{"optimizer.lr": 3e-4}`."""
    flat: dict[str, object] = {}
    _flatten_into(flat, table, "", MOST_LEVELS)
    return flat


def _flatten_into(flat: dict[str, object], table: Mapping[str, object], prefix: str, levels_left: int) -> None:
    for name, value in table.items():
        if isinstance(value, dict) and value and levels_left:
            _flatten_into(flat, value, f"{prefix}{name}.", levels_left - 1)
        else:
            flat[f"{prefix}{name}"] = value


def _change(before: object, after: object) -> ItemChange:
    if _is_same(before, after):
        return ItemChange.SAME
    if before is ABSENT:
        return ItemChange.ADDED
    return ItemChange.REMOVED if after is ABSENT else ItemChange.CHANGED


def _is_same(one: object, other: object) -> bool:
    """Return whether two JSON values are the same; unlike Python's, `true` is not 1, though 1 is 1.0."""
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(_is_same(one[name], other[name]) for name in one)
    if isinstance(one, list | tuple) and isinstance(other, list | tuple):
        return len(one) == len(other) and all(map(_is_same, one, other))
    return isinstance(one, bool) == isinstance(other, bool) and one == other

"""The columns that the user chose for each list, in a file that is kept for the next time."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bucketry.errors import CorruptError
from bucketry.registry.core.user_state import find_user_document, save_user_document, set_aside

if TYPE_CHECKING:
    from collections.abc import Sequence

DOCUMENT = "columns"
MOST_LISTS = 500
"""The lists whose columns were chosen longest ago are forgotten beyond that."""
MOST_COLUMNS = 64


def chosen_columns(key: str) -> tuple[str, ...]:
    """Return the names of the columns of a list, in their order; none where nothing was chosen.

    Raises `CorruptError`, once, if what was remembered is damaged: it is moved out of the way.
    """
    return _load().get(key, ())


def save_choice(key: str, names: Sequence[str]) -> None:
    """Remember the columns of a list; without any, forget what was chosen."""
    try:
        lists = _load()
    except CorruptError:  # told when it was read for the list
        lists = {}
    lists.pop(key, None)
    if names:
        lists[key] = tuple(names[:MOST_COLUMNS])
    kept = list(lists.items())[-MOST_LISTS:]
    save_user_document(DOCUMENT, {"lists": [[known, list(chosen)] for known, chosen in kept]})


def _load() -> dict[str, tuple[str, ...]]:
    document = find_user_document(DOCUMENT)
    if document is None:
        return {}
    found = document.get("lists")
    if not isinstance(found, list) or not all(map(_is_entry, found)):
        raise set_aside(DOCUMENT, CorruptError("its lists are not lists of columns"))
    return {key: tuple(names) for key, names in found}


def _is_entry(entry: object) -> bool:
    match entry:
        case [str(), list(names)]:
            return len(names) <= MOST_COLUMNS and all(isinstance(name, str) for name in names)
    return False

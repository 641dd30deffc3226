"""In which parts are the keys below a prefix listed at once?

A listing brings a thousand keys for each request, one after the other: 100,000 keys through 50 ms of latency take
five seconds. From the names that are known already follow prefixes of about equal size; together they cover every key
that could be there, known or not.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

KEYS_IN_ONE_PART = 2_500
MOST_SPLITS = 400
ALPHABET = "-./0123456789_abcdefghijklmnopqrstuvwxyz"
"""Every character that a name of ours, or a key made of such names, can have; other keys are nobody's."""

_ENDING = ".json"


def plan_parts(prefix: str, known_keys: Iterable[str]) -> list[str]:
    """Return prefixes that no two keys share and that cover every key below `prefix` whose characters are ours."""
    parts, waiting = [], [(prefix, sorted(known_keys))]
    splits = 0
    while waiting:  # bounded: by the splits, each of which adds forty parts
        part, keys = waiting.pop()
        # What ends like a whole key may be one, which the parts below it would miss.
        if len(keys) <= KEYS_IN_ONE_PART or splits >= MOST_SPLITS or part.endswith(_ENDING):
            parts.append(part)
            continue
        splits += 1
        below: dict[str, list[str]] = {character: [] for character in ALPHABET}
        for key in keys:
            following = key[len(part) : len(part) + 1]
            if following in below:
                below[following].append(key)
        waiting.extend((part + character, names) for character, names in below.items())
    return sorted(parts)

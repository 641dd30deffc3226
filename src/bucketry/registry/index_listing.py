"""In which parts are the keys below a prefix listed at once?

A listing brings a thousand keys for each request, one after the other: 100,000 keys through 50 ms of latency take
five seconds. From the names that are known already follow prefixes that are listed at once; together they cover every
key that could be there, known or not. Parts that may be empty cost a request each, so they are weighed against it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

FEW_KEYS = 5_000
"""So many are listed one after the other."""
KEYS_IN_ONE_REPLY = 1_000
AT_ONCE = 16
PART_KEYS = (40_000, 20_000, 10_000, 5_000, 2_500)
MOST_SPLITS = 400
ALPHABET = "-./0123456789_abcdefghijklmnopqrstuvwxyz"
"""Every character that a name of ours, or a key made of such names, can have; other keys are nobody's."""
_ENDING = ".json"


def plan_parts(roots: Sequence[str], known_keys: Iterable[str]) -> list[str]:
    """Return prefixes that no two keys share and that cover every key below the roots whose characters are ours.

    Smaller and smaller parts are tried for as long as that should be done earlier.
    """
    keys = sorted(known_keys)
    whole = [(root, [key for key in keys if key.startswith(root)]) for root in roots]
    best = whole
    for most in PART_KEYS:
        plan = _split(whole, most)
        if _replies_in_a_row(plan) >= _replies_in_a_row(best):
            break
        best = plan
    return sorted(part for part, _ in best)


def _split(whole: Iterable[tuple[str, list[str]]], most: int) -> list[tuple[str, list[str]]]:
    """Return the parts, each with at most so many known keys, as far as some hundred splits go."""
    parts, waiting, splits = [], list(whole), 0
    while waiting:  # bounded: by the splits, each of which adds forty parts
        part, keys = waiting.pop()
        # What ends like a whole key may be one, which the parts below it would miss.
        if len(keys) <= most or splits >= MOST_SPLITS or part.endswith(_ENDING):
            parts.append((part, keys))
            continue
        splits += 1
        below: dict[str, list[str]] = {character: [] for character in ALPHABET}
        for key in keys:
            following = key[len(part) : len(part) + 1]
            if following in below:
                below[following].append(key)
        waiting.extend((part + character, names) for character, names in below.items())
    return parts


def _replies_in_a_row(parts: Sequence[tuple[str, list[str]]]) -> float:
    """Return about how many replies somebody waits for, one after the other."""
    replies = [1 + len(keys) // KEYS_IN_ONE_REPLY for _, keys in parts]
    return max(max(replies, default=0), sum(replies) / AT_ONCE)

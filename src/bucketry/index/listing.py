"""Lists the heads and aliases of the bucket, in parts that are listed at once.

A listing brings a thousand keys for each request, one after the other: 100,000 keys through 50 ms of latency take
five seconds. From the names that are known already follow prefixes that are listed at once; together they cover every
key that could be there, known or not. Parts that may be empty cost a request each, so they are weighed against it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from bucketry.errors import BucketryError
from bucketry.schema import keys
from bucketry.schema.names import DEFAULT_NAMESPACE, AliasName
from bucketry.store.contract import Entry, Folder

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sequence

    from bucketry.registry.core.session import Session

FEW_KEYS = 5_000
"""So many are listed one after the other."""
KEYS_IN_ONE_REPLY = 1_000
AT_ONCE = 16
PART_KEYS = (40_000, 20_000, 10_000, 5_000, 2_500)
MOST_SPLITS = 400
ALPHABET = "-./0123456789_abcdefghijklmnopqrstuvwxyz"
"""Every character that a name of ours, or a key made of such names, can have; other keys are nobody's."""
_ENDING = ".json"


AliasPlace = tuple[str, AliasName]
"""A model's name, and an alias of it."""


def list_registers(
    session: Session, known: Iterable[str], known_aliases: Iterable[AliasPlace]
) -> tuple[dict[str, str], dict[AliasPlace, str]]:
    """Return the ETags of all heads by the model's name, and of all alias registers; what is known only helps."""
    head_keys = {_key_of(keys.HEADS, name): name for name in known}
    alias_keys = {_key_of(keys.ALIASES, *place): place for place in known_aliases}
    parts = [*_parts(session, keys.HEADS, head_keys), *_parts(session, keys.ALIASES, alias_keys)]

    def list_part(prefix: str) -> list[tuple[str, str]]:
        return [(entry.key, entry.etag) for entry in session.store.list(prefix) if isinstance(entry, Entry)]

    heads: dict[str, str] = {}
    aliases: dict[AliasPlace, str] = {}
    for entries in session.map_in_parallel(list_part, parts):
        for key, etag in entries:
            if key.startswith(keys.HEADS):
                try:
                    name = head_keys.get(key) or keys.model_of_head(key)
                except BucketryError:
                    continue  # not a name of ours: fsck reports it
                if name is not None:
                    heads[str(name)] = etag
            elif key in alias_keys:
                aliases[alias_keys[key]] = etag
            elif (place := keys.find_alias_place(key)) is not None:
                aliases[str(place[0]), place[1]] = etag
    return heads, aliases


def plan_parts(roots: Sequence[str], known_keys: Iterable[str]) -> list[str]:
    """Return prefixes that no two keys share and that cover every key below the roots whose characters are ours.

    Smaller and smaller parts are tried for as long as that should be done earlier.
    """
    ordered = sorted(known_keys)
    whole = [(root, [key for key in ordered if key.startswith(root)]) for root in roots]
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
        part, inside = waiting.pop()
        # What ends like a whole key may be one, which the parts below it would miss.
        if len(inside) <= most or splits >= MOST_SPLITS or part.endswith(_ENDING):
            parts.append((part, inside))
            continue
        splits += 1
        below: dict[str, list[str]] = {character: [] for character in ALPHABET}
        for key in inside:
            following = key[len(part) : len(part) + 1]
            if following in below:
                below[following].append(key)
        waiting.extend((part + character, names) for character, names in below.items())
    return parts


def _replies_in_a_row(parts: Sequence[tuple[str, list[str]]]) -> float:
    """Return about how many replies somebody waits for, one after the other."""
    replies = [1 + len(inside) // KEYS_IN_ONE_REPLY for _, inside in parts]
    return max(max(replies, default=0), sum(replies) / AT_ONCE)


def _parts(session: Session, prefix: str, known_keys: Collection[str]) -> list[str]:
    """Return the prefixes to list at once: one for each namespace, or parts of them, where there is much."""
    if len(known_keys) <= FEW_KEYS or session.store.local_path(keys.REGISTRY) is not None:  # a folder is read whole
        return [prefix]
    namespaces = [found.prefix for found in session.store.list(prefix, delimiter="/") if isinstance(found, Folder)]
    return plan_parts(namespaces, known_keys)


def _key_of(prefix: str, model: str, alias: str = "") -> str:
    """Return the key of a head or an alias that the index knows, without checking a hundred thousand names again."""
    folder = model if "/" in model else f"{DEFAULT_NAMESPACE}/{model}"
    return f"{prefix}{folder}/{alias}.json" if alias else f"{prefix}{folder}.json"

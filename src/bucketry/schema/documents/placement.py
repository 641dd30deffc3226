"""The placement of a version: under which epochs its blobs lie.

A placement is run-length coded in the manifest's order of artifacts: `((3, 12), (5, 2))` means twelve at epoch 3,
then two at epoch 5. Where bytes lie never changes what a version is, so it is not in the manifest.
"""

from __future__ import annotations

from itertools import groupby
from typing import TYPE_CHECKING

from bucketry.errors import CorruptError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from bucketry.schema.codec import Fields

MOST_RUNS = 16
"""A longer placement would crowd the row out of its 768 bytes; its blobs are uploaded again instead."""

Placement = tuple[tuple[int, int], ...]


def encode_placement(epochs: Iterable[int]) -> Placement:
    """Return the run-length form of one epoch for each artifact."""
    return tuple((epoch, len(list(run))) for epoch, run in groupby(epochs))


def decode_placement(placement: Placement, *, artifacts: int, what: str) -> tuple[int, ...]:
    """Return one epoch for each artifact; raise `CorruptError` if the counts differ."""
    if sum(count for _, count in placement) != artifacts:
        raise CorruptError(f"{what}: the placement does not count {artifacts} artifacts")
    return tuple(epoch for epoch, count in placement for _ in range(count))


def read_placement(fields: Fields) -> Placement:
    """Return the field `placement`."""
    runs = []
    for run in fields.items("placement", most=20_000):
        if not (isinstance(run, list) and len(run) == 2 and all(type(n) is int and n > 0 for n in run)):
            raise CorruptError(f"{fields.what}: the placement is not a list of [epoch, count]")
        runs.append((run[0], run[1]))
    return tuple(runs)

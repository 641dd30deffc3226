"""What do the other processes do to a registry?"""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING
from unittest.mock import patch

from bucketry.client import Registry, open_registry
from bucketry.clock import Clock
from bucketry.registry.core.opening import open_session
from bucketry.transfer.disk import hashing

if TYPE_CHECKING:
    from collections.abc import Callable

    from bucketry.registry.publishing.registration import RegisteredVersion

# Five MiB is the least that S3 takes as a part; with it a file of 12 MiB goes the way of a large one, in 3 parts.
PART_BYTES = 5 * 1024 * 1024
LARGE_BYTES = 12 * 1024 * 1024
SMALL_BYTES = 300 * 1024


@dataclass(frozen=True, slots=True)
class Acknowledged:
    """One version that a worker was told is registered, and its promotion."""

    version: int
    manifest: str
    promoted_at_generation: int


@dataclass(frozen=True, slots=True)
class WorkDone:
    """What one worker was told, and how often it had to wait: once for each attempt that was lost."""

    actor: str
    acknowledged: list[Acknowledged]
    waits: int


def publish_and_promote(where: str, model: str, alias: str, worker: int, rounds: int) -> WorkDone:
    """Publish `rounds` versions of one model and promote each."""
    actor = f"worker-{worker}@races"
    waits = 0

    def sleep(seconds: float) -> None:
        nonlocal waits
        waits += 1
        time.sleep(seconds)

    acknowledged = []
    with Registry(open_session(where, identity=actor, clock=Clock(sleep=sleep))) as registry:
        for number in range(rounds):
            source = Path(f"worker-{worker}") / "weights.bin"
            source.parent.mkdir(exist_ok=True)
            source.write_text(f"worker {worker}, round {number}")
            published = registry.publish(model, [source], idempotency_key=f"{worker}/{number}")
            move = registry.promote(f"{model}:{published.version}", alias)
            acknowledged.append(Acknowledged(published.version, published.manifest, move.generation))
    return WorkDone(actor, acknowledged, waits)


def publish_once(
    where: str, model: str, folder: Path, idempotency_key: str, *, opener: Callable[..., Registry] = open_registry
) -> RegisteredVersion:
    """Publish a folder with an idempotency key, its large files in parts of 5 MiB."""
    with (
        patch.object(hashing, "SMALLEST_CHUNK_BYTES", PART_BYTES),
        opener(where, identity="publisher@races") as registry,
    ):
        return registry.publish(model, [folder], idempotency_key=idempotency_key)


def pull_once(where: str, reference: str, destination: Path) -> Path:
    """Pull a version to a target."""
    with open_registry(where, identity="puller@races") as registry:
        return registry.pull(reference, destination)


def write_model(folder: Path, seed: int) -> None:
    """Make a model: one file that all seeds share, two small ones and a large one of their own."""
    chance = Random(seed)
    folder.mkdir(parents=True)
    (folder / "shared.bin").write_bytes(Random(0).randbytes(SMALL_BYTES))
    (folder / "config.json").write_text(f'{{"seed": {seed}}}')
    (folder / "head.bin").write_bytes(chance.randbytes(SMALL_BYTES))
    (folder / "weights.bin").write_bytes(chance.randbytes(LARGE_BYTES))

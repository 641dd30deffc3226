"""Measures how well this machine reaches a registry, and says what it may do there, without writing anything.

What a bucket's own rights allow is found out by `doctor`: here stand the rules that forbid it beforehand.
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from bucketry.errors import BucketryError
from bucketry.frozen import frozen
from bucketry.registry.core.witnesses import no_registry
from bucketry.registry.reading.local_cache import cache_root, list_cached
from bucketry.schema import keys
from bucketry.schema.documents.settings import RegistryDocument, decode_registry
from bucketry.store.contract import ObjectNotFoundError
from bucketry.store.probe.probe import CLOCK_WARNING_SECONDS

if TYPE_CHECKING:
    from pathlib import Path

    from bucketry.registry.core.session import Session

GETS = 7
"""So many times the registry's own document is read: enough for a median, over in less than a second on a slow line."""


@frozen
class CacheSize:
    """What the node's cache takes: `size_bytes` of the blobs, which the versions share."""

    root: Path
    blobs: int
    versions: int
    size_bytes: int


@frozen
class Health:
    """What was measured. `latencies_seconds` is sorted; `clock_skew_seconds` is the server's clock minus ours.

    `product` is the server's own name, or "". `write_refusal` says why this session will not write, or "". `cache` is
    None where this machine's cache cannot be read.
    """

    document: RegistryDocument
    endpoint: str
    product: str
    latencies_seconds: tuple[float, ...]
    clock_skew_seconds: float
    write_refusal: str
    cache: CacheSize | None

    @property
    def median_seconds(self) -> float:
        """The latency of a small read: half of them took no longer."""
        return self.latencies_seconds[len(self.latencies_seconds) // 2]

    @property
    def is_clock_wrong(self) -> bool:
        """Whether the clocks differ by more than the probe warns of."""
        return abs(self.clock_skew_seconds) > CLOCK_WARNING_SECONDS


def measure_health(session: Session) -> Health:
    """Read the registry's document a few times, and look at this machine; raise `NotFoundError` without a registry."""
    clock = session.clock
    latencies: list[float] = []
    skew = timedelta()
    body = b""
    for _ in range(GETS):
        before, began = clock.now(), clock.monotonic_seconds()
        try:
            found = session.store.get(keys.REGISTRY)
        except ObjectNotFoundError as error:
            raise no_registry(session.store) from error
        took = clock.monotonic_seconds() - began
        if not latencies or took < min(latencies):  # the quickest reply says most of the clock
            skew = found.served_at - (before + timedelta(seconds=took / 2))
        latencies.append(took)
        body = found.body
    session.forget_registry()
    write_refusal = ""
    try:
        session.check_writable()
    except BucketryError as error:
        write_refusal = error.message
    return Health(
        document=decode_registry(body, what=keys.REGISTRY),
        endpoint=session.store.endpoint,
        product=str(getattr(session.store, "server_product", "")),
        latencies_seconds=tuple(sorted(latencies)),
        clock_skew_seconds=skew.total_seconds(),
        write_refusal=write_refusal,
        cache=_measure_cache(),
    )


def _measure_cache() -> CacheSize | None:
    try:
        items = list_cached()
    except (BucketryError, OSError):
        return None
    blobs = [item for item in items if item.kind == "blob"]
    return CacheSize(cache_root(), len(blobs), len(items) - len(blobs), sum(item.size_bytes for item in blobs))

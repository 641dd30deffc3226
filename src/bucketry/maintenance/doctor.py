"""Tries whether the store keeps the promises that a registry stands on, and records the result."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bucketry.registry.core.opening import probe_store, record_conformance

if TYPE_CHECKING:
    from collections.abc import Callable

    from bucketry.registry.core.session import Session
    from bucketry.store.probe.probe import ProbeReport


def examine(session: Session, on_check: Callable[[int, int], None] | None = None) -> ProbeReport:
    """Run the conformance probe in the real bucket and record its result, by which writers go.

    `on_check` is called with how many promises were tried, and how many there are.

    Raises `NotFoundError` where there is no registry, `DeniedError` without the right to write there, `RejectedError`
    for a replica, which the mirror probes.
    """
    session.check_not_replica()
    result = probe_store(session, on_check)
    record_conformance(session, result)
    return result

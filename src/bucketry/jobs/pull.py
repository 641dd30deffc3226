"""Does a pull, in a process that has only its order and its own environment."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING

from bucketry.errors import BucketryError, RejectedError
from bucketry.jobs.orders import JobResult
from bucketry.jobs.settings import check_registry
from bucketry.registry.core.opening import open_session
from bucketry.registry.core.resolve import resolve
from bucketry.registry.reading.pull import open_cache, pull
from bucketry.registry.reading.pull_bases import pull_with_bases
from bucketry.registry.review.refusals import refused_text
from bucketry.schema.names import parse_reference
from bucketry.transfer.disk.target import sweep_beside

if TYPE_CHECKING:
    import threading

    from bucketry.jobs.orders import PullOrder
    from bucketry.transfer.pace.controls import Controls
    from bucketry.transfer.pace.progress import ProgressListener


def do_pull(order: PullOrder, controls: Controls, stop: threading.Event, on_progress: ProgressListener) -> JobResult:
    """Pull what was ordered.

    Raises as `pull` does, and `RejectedError` where another registry is found there now, or an alias names another
    version: a job that waited must not bring what nobody ordered.
    """
    session = open_session(order.registry, trust=order.trust, serves=True)
    try:
        check_registry(order, session)
        options = replace(order.options, controls=controls, on_transfer=on_progress, stop=stop)
        reference = parse_reference(order.reference)
        found = resolve(session, reference)
        if (found.model, found.digest) != (order.model, order.manifest):
            raise RejectedError(
                f"{order.reference} is {found.model}:{found.version} now, not the version that was ordered",
                advice="cancel this transfer, and order what is wanted now",
            )
        if order.with_base:
            pulled = pull_with_bases(session, reference, order.dest, options).pulled
        else:
            pulled = pull(session, reference, order.dest, options)
    finally:
        session.store.close()
    return JobResult(
        path=pulled.path,
        version=pulled.resolved.version,
        manifest=pulled.resolved.digest,
        size_bytes=pulled.size_bytes,
        fetched_bytes=pulled.fetched_bytes,
        reused_bytes=pulled.reused_bytes,
        seconds=pulled.seconds,
        verify=pulled.verify,
        refused=refused_text(pulled.resolved, pulled.refusals),
    )


def discard_beginnings(order: PullOrder) -> None:
    """Remove what a job that nobody wants any more has fetched until now, as far as that is possible."""
    dest = order.dest
    if dest is None:
        model = f"{order.model.namespace}/{order.model.name}"
        dest = open_cache().version_path(order.registry_id, model, order.manifest)
    with suppress(BucketryError):
        sweep_beside(dest)

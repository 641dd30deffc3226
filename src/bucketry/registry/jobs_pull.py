"""How is one job done, by a process that has only its order and its own environment?"""

from __future__ import annotations

import hashlib
import os
from contextlib import suppress
from typing import TYPE_CHECKING

from bucketry.errors import BucketryError, RejectedError
from bucketry.registry.jobs_model import JobResult
from bucketry.registry.opening import open_session
from bucketry.registry.pull import PullOptions, open_cache, pull
from bucketry.registry.pull_bases import pull_with_bases
from bucketry.schema.names import parse_reference
from bucketry.transfer.controls import Controls
from bucketry.transfer.target import sweep_beside

if TYPE_CHECKING:
    import threading
    from collections.abc import Mapping

    from bucketry.registry.jobs_model import PullOrder
    from bucketry.transfer.progress import ProgressListener

# Which of several registries, and whose: what a helper must have in common with whoever gives it an order. Credentials
# are not among them: those of the helper are used, which has them from whoever started it.
PATH_SETTINGS = (
    "AWS_CA_BUNDLE",
    "AWS_CONFIG_FILE",
    "AWS_SHARED_CREDENTIALS_FILE",
    "BUCKETRY_CACHE",
    "BUCKETRY_CONFIG",
    "BUCKETRY_STATE",
    "HOME",
    "XDG_CACHE_HOME",
    "XDG_CONFIG_HOME",
    "XDG_STATE_HOME",
)
SETTINGS = (
    "AWS_DEFAULT_REGION",
    "AWS_ENDPOINT_URL",
    "AWS_ENDPOINT_URL_S3",
    "AWS_PROFILE",
    "AWS_REGION",
    *PATH_SETTINGS,
)


def settle_paths(environment: Mapping[str, str]) -> dict[str, str]:
    """Return an environment whose paths mean the same from wherever they are looked at."""
    paths = {name: os.path.abspath(environment[name]) for name in PATH_SETTINGS if environment.get(name)}  # noqa: PTH100
    return {**environment, **paths}


def digest_settings(environment: Mapping[str, str]) -> dict[str, str]:
    """Return a short digest of each setting that is set: enough to compare, and nothing to read."""
    settled = settle_paths(environment)
    return {name: _digest(settled[name]) for name in SETTINGS if settled.get(name)}


def check_settings(order: PullOrder, own: Mapping[str, str]) -> None:
    """Raise `RejectedError` where an order was given under settings that are not those of this process."""
    differing = [name for name in SETTINGS if order.settings.get(name) != own.get(name)]
    if differing:
        raise RejectedError(
            f"the transfer helper that runs was started with another {' and '.join(differing)}",
            advice="wait until its transfers have ended, or pull without --detach",
        )


def do_order(order: PullOrder, controls: Controls, stop: threading.Event, told: ProgressListener) -> JobResult:
    """Pull what was ordered; raises as `pull` does, and `RejectedError` where another registry is found there now."""
    session = open_session(order.registry, trust=order.trust, serves=True)
    try:
        if session.registry.registry != order.registry_id:
            raise RejectedError(
                f"at {session.store.name} is another registry than the one that the transfer was ordered from",
                advice="look at what the profile and the environment say, then order it anew",
            )
        options = _pull_options(order, controls, stop, told)
        reference = parse_reference(order.reference)
        if order.options.with_base:
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
    )


def controls_of(order: PullOrder) -> Controls:
    """Return the controls of a job; raise `UsageError` for what no transfer can be told."""
    return Controls(order.options.connections, order.options.limit_bytes_per_second)


def discard_beginnings(order: PullOrder) -> None:
    """Remove what a job that nobody wants any more has fetched until now, as far as that is possible."""
    dest = order.dest
    if dest is None:
        model = f"{order.model.namespace}/{order.model.name}"
        dest = open_cache().version_path(order.registry_id, model, order.manifest)
    with suppress(BucketryError):
        sweep_beside(dest)


def _pull_options(order: PullOrder, controls: Controls, stop: threading.Event, told: ProgressListener) -> PullOptions:
    options = order.options
    return PullOptions(
        verify=options.verify,
        rehash=options.rehash,
        include=options.include,
        exclude=options.exclude,
        processes=options.processes,
        hard_link=options.hard_link,
        controls=controls,
        on_transfer=told,
        stop=stop,
    )


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()[:16]

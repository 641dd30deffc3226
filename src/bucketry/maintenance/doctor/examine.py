"""Examines a registry's store: its promises, what this caller may do, how the bucket is set up, and how fast it is.

Whatever is written lies below `probe/`, and is removed; only the result of the probe goes to `registry.json`, by which
writers go. Whoever may not probe is told everything else.
"""

from __future__ import annotations

import uuid
from contextlib import suppress
from typing import TYPE_CHECKING

from bucketry.errors import BucketryError, DeniedError
from bucketry.frozen import frozen
from bucketry.maintenance.doctor.findings import Observation
from bucketry.maintenance.doctor.rights import CallerRights, find_rights, judge_rights
from bucketry.maintenance.doctor.settings import judge_endpoint, judge_enforcement, judge_settings
from bucketry.maintenance.doctor.speed import POLL_SECONDS, PollCost, Throughput, measure_poll, measure_throughput
from bucketry.maintenance.health import Health, measure_health
from bucketry.registry.core.opening import probe_store, record_conformance
from bucketry.schema import keys
from bucketry.store.contract import Unconditional
from bucketry.store.description import NOT_KNOWN_HERE, BucketDescription, DescribesBucket

if TYPE_CHECKING:
    from collections.abc import Callable

    from bucketry.registry.core.session import Session
    from bucketry.store.contract import Store
    from bucketry.store.probe.probe import ProbeReport

SLOW_SECONDS = 1.0


@frozen
class Examination:
    """What was found. `probe` is None where this caller may not write below `probe/`."""

    endpoint: str
    probe: ProbeReport | None
    health: Health
    rights: CallerRights
    description: BucketDescription | None
    poll: PollCost
    throughput: Throughput | None
    findings: tuple[Observation, ...]

    @property
    def is_sound(self) -> bool:
        """Whether nothing endangers the registry."""
        return all(finding.grade != "failure" for finding in self.findings)


def examine(session: Session, on_check: Callable[[int, int], None] | None = None) -> Examination:
    """Find out all of it, and record the result of the probe, by which writers go.

    `on_check` is called with how many promises were tried, and how many there are.

    Raises `NotFoundError` where there is no registry, `DeniedError` where this caller may not even read it,
    `RejectedError` for a replica, which the mirror probes.
    """
    session.check_not_replica()
    store = session.store
    scratch = f"{keys.PROBE}{uuid.uuid4()}/"
    probed: ProbeReport | None = None
    with suppress(DeniedError):
        probed = probe_store(session, on_check)
    promises = _judge_promises(session, probed)
    health = measure_health(session)
    description = store.unretried.describe_bucket() if isinstance(store.unretried, DescribesBucket) else None
    rights = find_rights(store, keeps_versions=description is not None and description.versioning != "off")
    throughput = measure_throughput(store, session.clock, scratch) if probed is not None else None
    poll = measure_poll(store, session.clock)
    policy = NOT_KNOWN_HERE if description is None else description.policy
    is_refused = _try_unconditional(store, scratch) if probed is not None else None
    findings = (
        *promises,
        judge_rights(rights),
        *judge_settings(description),
        judge_enforcement(policy, description, is_refused=is_refused),
        judge_endpoint(store.endpoint),
        _judge_clock(health),
        _judge_latency(health),
        _judge_throughput(throughput),
        _judge_poll(poll),
    )
    return Examination(store.endpoint, probed, health, rights, description, poll, throughput, findings)


def _judge_promises(session: Session, probed: ProbeReport | None) -> list[Observation]:
    """Say which promises are broken, and record what was probed where this caller may."""
    if probed is None:
        return [_judge_untried(session)]
    broken = [
        Observation(
            check.name, "failure", f"{check.promise}: {check.detail}", "use a store that keeps conditional writes"
        )
        for check in probed.failures
    ]
    try:
        record_conformance(session, probed)
    except DeniedError:
        message = f"the result of the probe was not recorded, since this caller may not write {keys.REGISTRY}"
        return [
            *broken,
            Observation("record", "warning", message, "let an owner of the bucket run `bucketry doctor` once"),
        ]
    return broken


def _judge_untried(session: Session) -> Observation:
    untried = f"the promises of the store were not tried, since this caller may not write below {keys.PROBE}"
    advice = "let an owner of the bucket run `bucketry doctor`"
    known = session.registry.find_conformance(session.store.endpoint)
    if known is None:
        return Observation("promises", "warning", f"{untried}, and nobody has probed this endpoint", advice)
    if known.passed:
        return Observation("promises", "unknown", f"{untried}; it kept all of them at {known.at}", advice)
    return Observation(
        "promises", "failure", f"{untried}; it broke some at {known.at}: {'; '.join(known.broken)}", advice
    )


def _try_unconditional(store: Store, scratch: str) -> bool:
    key = f"{scratch}unconditional"
    try:
        store.put(key, b"", Unconditional())
    except DeniedError:
        return True
    with suppress(BucketryError):
        store.delete(key)
    return False


def _judge_clock(health: Health) -> Observation:
    skew = health.clock_skew_seconds
    if not health.is_clock_wrong:
        return Observation("clock", "ok", f"the store's clock and this machine's differ by {abs(skew):.1f} s")
    return Observation(
        "clock",
        "warning",
        f"the store's clock is {abs(skew):.0f} s {'ahead of' if skew > 0 else 'behind'} this machine's",
        advice="set this machine's clock (NTP): ages are shown wrong, and S3 refuses requests from 15 minutes on",
    )


def _judge_latency(health: Health) -> Observation:
    told = f"a small read takes {health.median_seconds * 1000:.1f} ms"
    if health.median_seconds <= SLOW_SECONDS:
        return Observation("latency", "ok", told)
    return Observation("latency", "warning", told, advice="work nearer to the bucket, or look for a proxy on the way")


def _judge_throughput(found: Throughput | None) -> Observation:
    if found is None:
        return Observation("throughput", "unknown", f"not measured, since this caller may not write below {keys.PROBE}")
    told = f"one connection sends {found.up / 1e6:.1f} MB/s and receives {found.down / 1e6:.1f} MB/s"
    return Observation("throughput", "ok", f"{told}; transfers use many")


def _judge_poll(poll: PollCost) -> Observation:
    told = (
        f"a poll takes {poll.seconds * 1000:.1f} ms; every {POLL_SECONDS:.0f} s that is {poll.polls_a_month:,} a month "
        f"for each alias and instance, ${poll.usd_a_month:.2f} at Amazon's list price"
    )
    if poll.is_answered_short:
        return Observation("poll", "ok", told)
    return Observation("poll", "warning", f"{told}; unchanged documents are sent again", advice="poll less often")

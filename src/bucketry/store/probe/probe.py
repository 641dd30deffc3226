"""Tries whether a store keeps the promises that the registry's consistency rests on.

Several servers that speak S3 accept a condition and ignore it, or look at it and then write, which is not the
same. Each check here tries one promise in the real bucket, in a scratch space of its own that is removed
afterwards. A race can condemn a store but never certify it, so the versions that are known to be unsafe are
named as well.
"""

from __future__ import annotations

import re
import statistics
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import TYPE_CHECKING

from bucketry.clock import Backoff
from bucketry.errors import BucketryError, DeniedError, NotFoundError, UnavailableError
from bucketry.frozen import frozen
from bucketry.store.contract import NotModifiedError, ObjectNotFoundError, PreconditionFailedError
from bucketry.store.probe import checks, races
from bucketry.store.probe.checks import BrokenPromiseError, Scratch, Subject

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from datetime import datetime

    from bucketry.clock import Clock
    from bucketry.store.contract import Store
    from bucketry.store.probe.checks import Promise

PROMISES: tuple[Promise, ...] = (
    checks.create_once,
    checks.create_blob_once,
    checks.replace,
    checks.stale,
    checks.replace_nothing,
    checks.etags_agree,
    checks.not_modified,
    checks.ranges,
    checks.read_after_write,
    checks.list_after_write,
    checks.upload,
    checks.odd_keys,
    races.race_to_create,
    races.race_to_replace,
)
"""In the order in which they are told."""
SERIES: Mapping[str, tuple[Promise, ...]] = {
    "race-create": (races.race_to_create,),
    "register": (
        checks.create_once,
        checks.etags_agree,
        checks.replace,
        checks.not_modified,
        races.race_to_replace,
        checks.stale,
        checks.ranges,
        checks.read_after_write,
        checks.replace_nothing,
    ),
    "artifact": (checks.upload, checks.create_blob_once),
    "list": (checks.list_after_write,),
    "keys": (checks.odd_keys,),
}
"""Which are tried on one object, by its name, one after the other; the series are tried at once."""
CLOCK_WARNING_SECONDS = 60.0
MOST_TRIES = 4
"""A check is tried so often, each time with other objects, before a store that did not answer counts as away."""
FIRST_PAUSE_SECONDS = 1.0


@frozen
class KnownUnsafe:
    """Versions of a server, below `fixed_in`, that are known to break a promise, whatever a race shows."""

    product: str
    fixed_in: tuple[int, int]
    reason: str


KNOWN_UNSAFE = (
    KnownUnsafe(
        "SeaweedFS",
        (4, 18),
        "it looks at a condition before it takes in the body, so concurrent writers can all win (SeaweedFS issue 8800)",
    ),
)


@frozen
class Check:
    """One promise, and whether it was kept; `detail` says in plain words what was seen."""

    name: str
    promise: str
    passed: bool
    detail: str


@frozen
class ProbeReport:
    """What a probe found; `clock_skew_seconds` is the server's clock minus ours, None if unreadable."""

    endpoint: str
    server_product: str
    probed_at: datetime
    checks: tuple[Check, ...]
    clock_skew_seconds: float | None

    @property
    def passed(self) -> bool:
        """Whether every promise was kept."""
        return all(check.passed for check in self.checks)

    @property
    def failures(self) -> tuple[Check, ...]:
        """The promises that were broken."""
        return tuple(check for check in self.checks if not check.passed)


def probe(
    store: Store,
    *,
    scratch_prefix: str,
    clock: Clock,
    on_check: Callable[[int, int], None] = lambda done, total: None,  # noqa: ARG005 - names for who calls it
) -> ProbeReport:
    """Try every promise below `scratch_prefix`, which nobody else uses, and remove what was written there.

    All are tried at once: some stores take seconds over the losers of a race.
    `on_check` is called with how many promises were tried, and how many there are. Raises `NotFoundError` (no bucket),
    `DeniedError` or `UnavailableError` when nothing can be found out; anything else that goes wrong is a failed check.
    """
    scratch = Scratch(store, scratch_prefix, clock.now)
    total = len(PROMISES) + 3  # the clock, the version, the clean-up
    try:
        found = _try_all(scratch, clock, lambda done: on_check(done, total))
    except BaseException:
        with suppress(BucketryError):
            scratch.clean_up()
        raise
    clock_check, skew_seconds = _judge_clock(scratch)
    found += [clock_check, judge_product(_product(store)), _clean_up(scratch)]
    on_check(total, total)
    return ProbeReport(store.endpoint, _product(store), clock.now(), tuple(found), skew_seconds)


def _try_all(scratch: Scratch, clock: Clock, on_check: Callable[[int], None]) -> list[Check]:
    """Try all series at once, and return the checks in their usual order."""
    found: dict[str, Check] = {}
    lock = threading.Lock()

    def note(check: Check) -> None:
        with lock:
            found[check.name] = check
            on_check(len(found))

    with ThreadPoolExecutor(len(SERIES)) as pool:
        for future in [pool.submit(_try_series, name, scratch, clock, note) for name in SERIES]:
            future.result()
    return [found[promise.name] for promise in PROMISES]


def _try_series(name: str, scratch: Scratch, clock: Clock, note: Callable[[Check], None]) -> None:
    """Try promises one after the other on one object.

    On another one after one that was broken, and where the store was away for a moment: nobody knows what is there.
    """
    subject = Subject(scratch, name)
    for number, promise in enumerate(SERIES[name]):
        backoff = Backoff(clock, first_seconds=FIRST_PAUSE_SECONDS, most_tries=MOST_TRIES)

        def try_once(promise: Promise = promise, backoff: Backoff = backoff, number: int = number) -> Check:
            nonlocal subject
            if backoff.failures:
                subject = Subject(scratch.below(f"{number}-again-{backoff.failures}/"), name)
            return _try(promise, subject)

        check = backoff.insist(try_once)
        note(check)
        if not check.passed:
            subject = Subject(scratch.below(f"{number}-broken/"), name)


def judge_product(product: str) -> Check:
    """Look the server's name and version up among those known to be unsafe."""
    promise = "this version of the server is not known to break a promise"
    for unsafe in KNOWN_UNSAFE:
        # The version is the last one named: "SeaweedFS 30GB 4.16" says its volume size first.
        versions = re.findall(r"(?<![\w.])(\d{1,6})\.(\d{1,6})(?![\w])", product)
        if product.startswith(unsafe.product) and versions:
            found = (int(versions[-1][0]), int(versions[-1][1]))
            if found < unsafe.fixed_in:
                needed = ".".join(str(number) for number in unsafe.fixed_in)
                detail = f"{product} is known to be unsafe: {unsafe.reason}; version {needed} or later is needed"
                return Check("known versions", promise, passed=False, detail=detail)
    return Check("known versions", promise, passed=True, detail=product or "the server does not name itself")


def _product(store: Store) -> str:
    return str(getattr(store, "server_product", ""))


def _try(promise: Promise, subject: Subject) -> Check:
    try:
        seen = promise.check(subject)
    except BrokenPromiseError as broken:
        detail = str(broken)
    except (ObjectNotFoundError, PreconditionFailedError, NotModifiedError) as error:
        detail = f"the store gave an answer that does not fit: {error}"
    except (DeniedError, UnavailableError, NotFoundError):
        raise
    except Exception as error:  # noqa: BLE001 - whatever a strange store provokes, it has not passed
        detail = f"the check could not be finished: {error} ({type(error).__name__})"
    else:
        return Check(promise.name, promise.text, passed=True, detail=seen)
    return Check(promise.name, promise.text, passed=False, detail=detail)


def _judge_clock(scratch: Scratch) -> tuple[Check, float | None]:
    """Compare the clocks by all that was read; a difference only warns, since ages are differences of the server's."""
    promise = "the server's clock agrees with ours"
    if not scratch.skews_seconds:
        return Check("clock", promise, passed=True, detail="could not be read"), None
    skew_seconds = statistics.median(scratch.skews_seconds)
    if abs(skew_seconds) > CLOCK_WARNING_SECONDS:
        direction = "ahead of" if skew_seconds > 0 else "behind"
        detail = f"warning: the server's clock is {abs(skew_seconds):.0f} s {direction} this machine's"
    else:
        detail = f"the clocks differ by {abs(skew_seconds):.1f} s"
    return Check("clock", promise, passed=True, detail=detail), skew_seconds


def _clean_up(scratch: Scratch) -> Check:
    """Remove the scratch space; leftovers are harmless, and a role may lack the right to delete."""
    promise = "the probe leaves nothing behind"
    try:
        scratch.clean_up()
    except BucketryError as error:
        detail = f"warning: {scratch.prefix} could not be removed: {error}"
        return Check("clean-up", promise, passed=True, detail=detail)
    return Check("clean-up", promise, passed=True, detail="nothing is left")

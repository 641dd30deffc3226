"""Does a transfer obey at once when somebody changes its limit or its connections?"""

from __future__ import annotations

import threading
import time

import pytest

from bucketry.clock import Clock
from bucketry.errors import UsageError
from bucketry.transfer.pace.concurrency import Concurrency
from bucketry.transfer.pace.controls import Controls
from bucketry.transfer.pace.progress import Progress, ProgressMeter
from bucketry.transfer.pace.ratelimit import RateLimit
from bucketry.transfer.pace.workers import Gate
from transfer.helpers import VirtualTime

NOTHING = Progress(0, 0, 0, 0, (), 0, 0, 0.0, None)


def test_a_new_limit_forgives_the_debt_of_the_old_one() -> None:
    passing = VirtualTime()
    limit = RateLimit(1_000, passing.clock)
    limit.take(10_000)
    assert passing.now == pytest.approx(10)
    limit.change(1_000_000)
    limit.take(100_000)
    assert passing.now == pytest.approx(10.1)
    limit.change(None)
    limit.take(10**12)
    assert passing.now == pytest.approx(10.1)
    assert limit.read_size_bytes(123) == 123


def test_whoever_waits_under_a_limit_looks_again_when_it_changes() -> None:
    limit = RateLimit(10, Clock())
    waiting = threading.Thread(target=limit.take, args=(10_000,), daemon=True)
    waiting.start()
    time.sleep(0.2)
    assert waiting.is_alive()
    limit.change(None)
    waiting.join(3)
    assert not waiting.is_alive()


def test_a_limit_that_is_set_again_keeps_its_debt() -> None:
    passing = VirtualTime()
    limit = RateLimit(1_000, passing.clock)
    limit.take(1_000)
    limit.change(1_000)
    limit.take(1_000)
    assert passing.now == pytest.approx(2)


def test_a_level_shrinks_at_once_and_grows_again_when_more_is_allowed() -> None:
    passing = VirtualTime()
    concurrency = Concurrency(8, clock=passing.clock.monotonic_seconds)
    concurrency.allow(1)
    assert concurrency.level == 1
    concurrency.allow(6)
    for _ in range(2_000):
        passing.now += 0.01
        concurrency.count(1_000_000 * concurrency.level)
    assert concurrency.level == 6
    concurrency.lend(4)
    assert concurrency.level == 2
    concurrency.allow(3)  # of which four are lent: one is left
    assert concurrency.level == 1


def test_controls_tell_the_fetch_that_runs_and_remember_for_the_next() -> None:
    controls = Controls(2)
    limit, gate = RateLimit(None, Clock()), Gate(Concurrency(2))
    controls.limit(500)
    assert limit.bytes_per_second is None
    with controls.obeyed_by(gate, limit, lambda: NOTHING):
        assert limit.bytes_per_second == 500
        assert controls.look() is NOTHING
        controls.limit(700)
        controls.allow(1)
        assert limit.bytes_per_second == 700
        assert gate.level == 1
    controls.limit(None)
    assert limit.bytes_per_second == 700
    assert controls.look() is None
    assert (controls.connections, controls.limit_bytes_per_second) == (1, None)


def test_what_no_transfer_can_be_told_is_refused() -> None:
    controls = Controls(2)
    for change in (lambda: controls.limit(0), lambda: controls.allow(0), lambda: Controls(257), lambda: Controls(1, 0)):
        with pytest.raises(UsageError):
            change()
    assert (controls.connections, controls.limit_bytes_per_second) == (2, None)


def test_a_rate_is_the_same_however_often_somebody_looks() -> None:
    passing = VirtualTime()
    meter = ProgressMeter(total_bytes=10_000, total_files=1, listener=None, clock=passing.clock.monotonic_seconds)
    for _ in range(1_000):
        passing.now += 0.01
        meter.advance("file", 10)
        rate = meter.snapshot().bytes_per_second
    assert rate == pytest.approx(1_000, rel=0.01)
    passing.now += 0.05
    for _ in range(100):
        meter.snapshot()
    assert meter.snapshot().bytes_per_second > 950

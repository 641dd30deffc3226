"""Is waiting and trying again decided in one place, and rightly?"""

from __future__ import annotations

import errno
import threading
import time

import pytest

from bucketry.clock import MOST_TRIES, Backoff, Clock
from bucketry.errors import UnavailableError
from bucketry.store.contract import NoSecureConnectionError, SlowDownError, StoreFullError
from bucketry.transfer.disk.local_files import translate_os_error
from bucketry.transfer.pace.workers import Halt, Interrupted
from transfer.helpers import VirtualTime


def down() -> None:
    raise UnavailableError("down")


def test_pauses_double_up_to_a_hundred_times_the_first_until_the_deadline() -> None:
    virtual = VirtualTime()
    with pytest.raises(UnavailableError, match="down"):
        Backoff(virtual.clock, deadline_seconds=30).insist(down)
    assert virtual.slept[:9] == [0.05, 0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 5.0, 5.0]
    assert virtual.now == pytest.approx(30)  # with a last try at the deadline


def test_a_first_pause_and_how_far_it_grows_can_be_chosen() -> None:
    virtual = VirtualTime()
    backoff = Backoff(virtual.clock, first_seconds=2.0, most_times=8)
    for _ in range(6):
        backoff.pause()
    assert virtual.slept == [2.0, 4.0, 8.0, 16.0, 16.0, 16.0]


def test_any_part_of_a_pause_is_as_likely_as_another() -> None:
    slept: list[float] = []
    chances = iter([0.0, 0.25])
    backoff = Backoff(Clock(sleep=slept.append, chance=lambda: next(chances)))
    backoff.pause()
    backoff.pause(at_least_seconds=7.0)
    assert slept == [0.0, 7.025]


def test_what_moves_again_has_all_its_time_again() -> None:
    virtual = VirtualTime()
    backoff = Backoff(virtual.clock, deadline_seconds=1)
    for _ in range(20):
        backoff.pause_or_raise(UnavailableError("broken"))
        backoff.pause_or_raise(UnavailableError("broken"))
        backoff.progressed()
    assert virtual.now == pytest.approx(20 * 0.15)


def test_the_deadline_may_count_from_the_beginning() -> None:
    virtual = VirtualTime()
    backoff = Backoff(virtual.clock, deadline_seconds=20, since_seconds=virtual.now)
    virtual.now += 21
    with pytest.raises(UnavailableError):
        backoff.pause_or_raise(UnavailableError("slow to fail"))
    assert virtual.slept == []


@pytest.mark.parametrize(
    "error",
    [
        StoreFullError("full"),
        NoSecureConnectionError("not trusted"),
        translate_os_error(OSError(errno.ENOSPC, "no space"), "the disk"),
    ],
)
def test_what_cannot_pass_is_not_waited_for(error: UnavailableError) -> None:
    virtual = VirtualTime()
    with pytest.raises(type(error)):
        Backoff(virtual.clock).pause_or_raise(error)
    assert virtual.slept == []


def test_what_the_store_asks_for_comes_on_top_as_far_as_it_is_bearable() -> None:
    virtual = VirtualTime()
    backoff = Backoff(virtual.clock, deadline_seconds=120)
    backoff.pause_or_raise(SlowDownError("slow down", retry_after_seconds=7))
    backoff.pause_or_raise(SlowDownError("slow down", retry_after_seconds=3600))
    assert virtual.slept == pytest.approx([7.05, 60.1])
    impatient = Backoff(virtual.clock, deadline_seconds=30)
    with pytest.raises(SlowDownError):
        impatient.pause_or_raise(SlowDownError("slow down", retry_after_seconds=31))


def test_tries_are_bounded_also_where_time_stands_still() -> None:
    tries: list[int] = []

    def fail() -> None:
        tries.append(1)
        down()

    standing = Clock(monotonic_seconds=lambda: 0.0, sleep=lambda _: None)
    for backoff, expected in ((Backoff(standing, most_tries=4), 4), (Backoff(standing), MOST_TRIES)):
        tries.clear()
        with pytest.raises(UnavailableError):
            backoff.insist(fail)
        assert len(tries) == expected


def test_each_try_after_the_first_is_told() -> None:
    virtual, told = VirtualTime(), [0]

    def tell() -> None:
        told[0] += 1

    with pytest.raises(UnavailableError):
        Backoff(virtual.clock, most_tries=3, on_retry=tell).insist(down)
    assert told == [2]


def test_a_pause_ends_when_the_transfer_is_stopped() -> None:
    stop = threading.Event()
    threading.Timer(0.1, stop.set).start()
    clock = Halt(stop).interrupting(Clock(chance=lambda: 0.999))
    before = time.monotonic()
    with pytest.raises(Interrupted):
        Backoff(clock, first_seconds=30.0).pause()
    assert time.monotonic() - before < 10


def test_a_virtual_pause_ends_a_stopped_transfer_too() -> None:
    virtual, halt = VirtualTime(), Halt()
    halt.end()
    with pytest.raises(Interrupted):
        Backoff(halt.interrupting(virtual.clock)).pause()
    assert virtual.slept == [0.05]

from __future__ import annotations

import signal
import threading
import time
from typing import TYPE_CHECKING

import pytest

from bucketry.errors import NotFoundError
from bucketry.transfer.pace.workers import READERS, map_in_parallel
from transfer.helpers import transfer_threads

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def alarm_soon() -> Iterator[None]:
    """Let Ctrl-C come in 0.2 seconds."""
    before = signal.signal(signal.SIGALRM, signal.default_int_handler)
    signal.setitimer(signal.ITIMER_REAL, 0.2)
    yield
    signal.setitimer(signal.ITIMER_REAL, 0)
    signal.signal(signal.SIGALRM, before)


def test_results_come_in_the_order_of_the_items() -> None:
    def late_if_small(number: int) -> int:
        time.sleep(0.02 / (1 + number))
        return -number

    assert map_in_parallel(late_if_small, range(3 * READERS)) == [-number for number in range(3 * READERS)]
    assert map_in_parallel(late_if_small, ()) == []


def test_items_are_read_at_once_and_no_more_than_so_many() -> None:
    together = threading.Barrier(READERS)
    assert len(map_in_parallel(lambda _: together.wait(20), range(READERS))) == READERS


def test_a_failure_is_raised_as_it_is() -> None:
    def fail(number: int) -> None:
        if number == 1:
            raise NotFoundError("gone")

    with pytest.raises(NotFoundError, match="gone"):
        map_in_parallel(fail, range(3))
    assert transfer_threads() == []


@pytest.mark.usefixtures("alarm_soon")
def test_an_interrupt_does_not_wait_for_a_read_that_hangs() -> None:
    goes_on = threading.Event()
    begun_at = time.monotonic()
    try:
        with pytest.raises(KeyboardInterrupt):
            map_in_parallel(lambda _: goes_on.wait(20), range(4))
        assert time.monotonic() - begun_at < 5.0
        assert {thread.daemon for thread in transfer_threads()} == {True}
    finally:
        goes_on.set()
    for thread in transfer_threads():
        thread.join(20)

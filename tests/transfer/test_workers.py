from __future__ import annotations

import os
import signal
import threading
import time
from typing import TYPE_CHECKING, cast

import pytest

from bucketry.clock import Clock
from bucketry.errors import UsageError
from bucketry.transfer.pace.progress import Progress, ProgressMeter
from bucketry.transfer.pace.ratelimit import RateLimit
from bucketry.transfer.pace.workers import Gate, Halt, Interrupted, run_parallel
from transfer.helpers import VirtualTime, transfer_threads

if TYPE_CHECKING:
    from collections.abc import Callable

    from bucketry.transfer.pace.concurrency import Concurrency


def run(items: list[int], do: Callable[[None, int], None], *, connections: int = 4) -> None:
    run_parallel(items, do, make_context=lambda: None, connections=connections, halt=Halt())


def test_every_item_is_done_once() -> None:
    done: list[int] = []
    run(list(range(100)), lambda _, item: done.append(item))
    assert sorted(done) == list(range(100))


def test_the_first_failure_is_raised_and_the_rest_is_not_begun() -> None:
    begun: list[int] = []

    def fail_at_three(_: None, item: int) -> None:
        begun.append(item)
        if item == 3:
            raise ValueError(item)

    with pytest.raises(ValueError, match="3"):
        run(list(range(1000)), fail_at_three, connections=1)
    assert begun == [0, 1, 2, 3]


def test_a_failure_ends_the_other_threads_while_they_wait() -> None:
    halt = Halt()

    def wait_or_fail(_: None, item: int) -> None:
        if item == 1:
            raise ValueError(item)
        halt.wait(30)

    before = time.monotonic()
    with pytest.raises(ValueError, match="1"):
        run_parallel([0, 1], wait_or_fail, make_context=lambda: None, connections=2, halt=halt)
    assert time.monotonic() - before < 10


def test_ctrl_c_ends_all_threads_and_is_passed_on() -> None:
    started = threading.Event()
    halt = Halt()

    def wait_long(_: None, _item: int) -> None:
        started.set()
        halt.wait(30)

    def press() -> None:
        started.wait(10)
        os.kill(os.getpid(), signal.SIGINT)

    presser = threading.Thread(target=press)
    presser.start()
    before = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        run_parallel([1, 2], wait_long, make_context=lambda: None, connections=2, halt=halt)
    assert time.monotonic() - before < 10
    presser.join()


def test_threads_that_cannot_be_started_do_not_hang_the_rest(monkeypatch: pytest.MonkeyPatch) -> None:
    honest_start = threading.Thread.start
    started: list[str] = []

    def start_two(thread: threading.Thread) -> None:
        if len(started) == 2:
            raise RuntimeError("can't start new thread")
        started.append(thread.name)
        honest_start(thread)

    monkeypatch.setattr(threading.Thread, "start", start_two)
    with pytest.raises(RuntimeError, match="can't start"):
        run(list(range(10)), lambda _, _item: None)


def test_the_limit_is_kept_over_time() -> None:
    virtual = VirtualTime()
    limit = RateLimit(1000, virtual.clock)
    for _ in range(100):
        limit.take(100)
    assert virtual.now == pytest.approx(10, rel=0.05)


def test_a_pause_earns_only_a_small_burst() -> None:
    virtual = VirtualTime()
    limit = RateLimit(1000, virtual.clock)
    virtual.now += 1000
    limit.take(1000)
    assert virtual.now - 1000 == pytest.approx(0.75)


def test_without_a_limit_nothing_waits() -> None:
    virtual = VirtualTime()
    limit = RateLimit(None, virtual.clock)
    limit.take(10**12)
    assert virtual.slept == []
    assert limit.read_size_bytes(4096) == 4096


def test_a_limit_of_nothing_is_a_usage_error() -> None:
    with pytest.raises(UsageError):
        RateLimit(0, Clock())


def test_waiting_ends_when_the_caller_stops() -> None:
    stop = threading.Event()
    threading.Timer(0.1, stop.set).start()
    before = time.monotonic()
    with pytest.raises(Interrupted):
        Halt(stop).wait(30)
    assert time.monotonic() - before < 10


def test_progress_is_told_at_most_ten_times_a_second_and_at_the_end() -> None:
    virtual = VirtualTime()
    reports: list[Progress] = []
    tick = virtual.clock.monotonic_seconds
    meter = ProgressMeter(total_bytes=1000, total_files=1, listener=reports.append, clock=tick)
    meter.begin_file("a", 1000)
    for _ in range(1000):
        virtual.now += 0.001
        meter.advance("a", 1)
    assert 10 <= len(reports) <= 11
    assert reports[-1].active[0].label == "a"
    assert reports[-1].bytes_per_second == pytest.approx(1000, rel=0.01)
    assert reports[5].eta_seconds == pytest.approx(0.5, abs=0.01)
    meter.finish_file("a")
    meter.close()
    assert (reports[-1].done_bytes, reports[-1].done_files, reports[-1].active) == (1000, 1, ())


def test_counts_from_many_threads_add_up() -> None:
    meter = ProgressMeter(total_bytes=4000, total_files=4, listener=lambda _: None)

    def advance_often() -> None:
        for _ in range(1000):
            meter.advance("a", 1)

    threads = [threading.Thread(target=advance_often) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert meter.snapshot().done_bytes == 4000


def test_a_failing_listener_ends_the_work_with_its_error() -> None:
    def fail(_: Progress) -> None:
        raise ValueError("the screen is gone")

    meter = ProgressMeter(total_bytes=1, total_files=1, listener=fail)
    with pytest.raises(ValueError, match="the screen is gone"):
        run([1], lambda _, _item: meter.count_retry())


def test_a_thread_that_hangs_in_a_read_does_not_keep_an_interrupted_program() -> None:
    hanging, release, stop = threading.Event(), threading.Event(), threading.Event()

    def hang(_: None, _item: int) -> None:
        hanging.set()
        release.wait(30)

    def stop_when_it_hangs() -> None:
        hanging.wait(10)
        stop.set()

    stopper = threading.Thread(target=stop_when_it_hangs)
    stopper.start()
    began = time.monotonic()
    with pytest.raises(Interrupted):
        run_parallel([1, 2], hang, make_context=lambda: None, connections=2, halt=Halt(stop))
    assert time.monotonic() - began < 2
    release.set()
    stopper.join()
    for thread in transfer_threads():
        thread.join(10)


class Steps:
    """A level that a test sets by hand."""

    def __init__(self, level: int) -> None:
        self.level = level

    def count(self, size_bytes: int) -> None:
        self.level += size_bytes

    def slow_down(self) -> None:
        self.level //= 2


def test_a_gate_lets_in_as_many_as_its_level_says_and_more_when_it_grows() -> None:
    steps = Steps(2)
    gate = Gate(cast("Concurrency", steps))
    inside, most, lock = [0], [0], threading.Lock()

    def work(_: None, item: int) -> None:
        with lock:
            inside[0] += 1
            most[0] = max(most[0], inside[0])
        if item == 20:
            assert most[0] <= 2
            gate.count(3)
        time.sleep(0.01)
        with lock:
            inside[0] -= 1

    run_parallel(range(60), work, make_context=lambda: None, connections=8, halt=Halt(), gate=gate)
    assert (gate.level, most[0]) == (5, 5)


def test_a_gate_that_narrows_lets_fewer_go_on() -> None:
    gate = Gate(cast("Concurrency", Steps(8)))
    inside, late, lock = [0], [0], threading.Lock()

    def work(_: None, item: int) -> None:
        with lock:
            inside[0] += 1
            if item > 40:
                late[0] = max(late[0], inside[0])
        if item == 20:
            gate.slow_down()
        time.sleep(0.005)
        with lock:
            inside[0] -= 1

    run_parallel(range(80), work, make_context=lambda: None, connections=8, halt=Halt(), gate=gate)
    assert late[0] <= 4


def test_a_failure_behind_a_gate_ends_those_who_wait_before_it() -> None:
    gate = Gate(cast("Concurrency", Steps(1)))

    def fail(_: None, item: int) -> None:
        raise ValueError(item)

    began = time.monotonic()
    with pytest.raises(ValueError, match="0"):
        run_parallel(range(10), fail, make_context=lambda: None, connections=8, halt=Halt(), gate=gate)
    assert time.monotonic() - began < 5

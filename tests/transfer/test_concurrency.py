"""Does the level find what a link can bear, simulated links with a virtual clock being the judge?"""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest

from bucketry.transfer.pace.concurrency import Concurrency

MB = 1_000_000
READ_BYTES = MB
STEP_SECONDS = 0.005


@dataclass
class Link:
    """A link with a cap for each connection and one for all; a new connection needs a while for its first byte."""

    each: float
    whole: float
    latency_seconds: float = 0.03
    now: float = 0.0
    moved: float = 0.0
    ages: list[float] = field(default_factory=list)
    rests: list[float] = field(default_factory=list)

    def clock(self) -> float:
        return self.now

    def run(self, concurrency: Concurrency, seconds: float) -> float:
        """Let bytes flow, and return the rate."""
        moved_before, end = self.moved, self.now + seconds
        while self.now < end:
            self.step(concurrency)
        return (self.moved - moved_before) / seconds

    def step(self, concurrency: Concurrency) -> None:
        self.now += STEP_SECONDS
        while len(self.ages) < concurrency.level:
            self.ages.append(0.0)
            self.rests.append(0.0)
        working = [n for n in range(concurrency.level) if self.ages[n] >= 2 * self.latency_seconds]
        for n in range(concurrency.level):
            self.ages[n] += STEP_SECONDS
        for n in working:
            self.rests[n] += min(self.each, self.whole / len(working)) * STEP_SECONDS
            while self.rests[n] >= READ_BYTES:
                self.rests[n] -= READ_BYTES
                self.moved += READ_BYTES
                concurrency.count(READ_BYTES)


def level_after(link: Link, seconds: float, *, most: int = 16) -> int:
    concurrency = Concurrency(most, clock=link.clock)
    link.run(concurrency, seconds)
    return concurrency.level


def test_it_starts_modest_and_never_beyond_what_is_allowed() -> None:
    assert Concurrency(16).level == 4
    assert Concurrency(2).level == 2
    assert level_after(Link(80 * MB, 10_000 * MB), 3, most=10) == 10


@pytest.mark.parametrize("pipe", [320 * MB, 640 * MB, 1000 * MB, 1280 * MB])
def test_a_pipe_of_slow_connections_is_filled_soon(pipe: float) -> None:
    link = Link(80 * MB, pipe)
    concurrency = Concurrency(16, clock=link.clock)
    link.run(concurrency, 1.0)
    assert link.run(concurrency, 5.0) >= 0.95 * pipe
    assert level_after(Link(80 * MB, pipe), 1.0) >= pipe / (80 * MB) - 1


def test_one_bad_moment_does_not_end_the_growth() -> None:
    link = Link(80 * MB, 1280 * MB)
    concurrency = Concurrency(16, clock=link.clock)
    for _ in range(1000):
        if concurrency.level == 8:
            break
        link.step(concurrency)
    link.each = 20 * MB
    link.run(concurrency, 0.3)
    assert concurrency.level == 8
    link.each = 80 * MB
    link.run(concurrency, 1.0)
    assert concurrency.level == 16


def test_a_link_that_one_connection_fills_is_not_crowded() -> None:
    assert level_after(Link(500 * MB, 500 * MB), 5.0) <= 6


def test_slow_links_are_judged_by_enough_reads() -> None:
    assert level_after(Link(1 * MB, 100 * MB), 60.0) >= 12
    assert level_after(Link(2 * MB, 2 * MB), 60.0) <= 6


def test_a_link_that_gets_faster_is_found_out() -> None:
    link = Link(80 * MB, 320 * MB)
    concurrency = Concurrency(16, clock=link.clock)
    link.run(concurrency, 5.0)
    link.whole = 1280 * MB
    link.run(concurrency, 20.0)
    assert concurrency.level >= 14


def test_slowing_down_halves_once_for_one_overload() -> None:
    link = Link(80 * MB, 10_000 * MB)
    concurrency = Concurrency(16, clock=link.clock)
    link.run(concurrency, 3.0)
    for _ in range(16):
        concurrency.slow_down()
    assert concurrency.level == 8
    link.now += 1.5
    concurrency.slow_down()
    assert concurrency.level == 4
    for _ in range(5):
        link.now += 1.5
        concurrency.slow_down()
    assert concurrency.level == 1


def test_after_slowing_down_it_recovers_slowly_but_does() -> None:
    link = Link(80 * MB, 10_000 * MB)
    concurrency = Concurrency(16, clock=link.clock)
    link.run(concurrency, 3.0)
    concurrency.slow_down()
    link.run(concurrency, 4.0)
    assert concurrency.level == 8
    link.run(concurrency, 8.0)
    assert 9 <= concurrency.level <= 10
    link.run(concurrency, 120.0)
    assert concurrency.level == 16


def test_what_is_lent_to_others_is_missing_until_it_comes_back() -> None:
    link = Link(80 * MB, 10_000 * MB)
    concurrency = Concurrency(16, clock=link.clock)
    concurrency.lend(7)
    link.run(concurrency, 3.0)
    assert concurrency.level == 9
    concurrency.lend(0)
    link.run(concurrency, 3.0)
    assert concurrency.level == 16
    concurrency.lend(15)
    assert concurrency.level == 1

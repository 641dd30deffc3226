"""Thousands of random runs: many programs, many faults, one registry.

`BUCKETRY_SIMULATION_SEEDS` says how many seeds are run (400 everyday, some nine seconds of one core, and 2,000 with
`--deep`), and `BUCKETRY_SIMULATION_FIRST_SEED` with which one to begin, so that a failure can be run again alone. A run
that breaks a promise prints its seed, what is broken, and every request with its fate.
"""

from __future__ import annotations

import functools
import os
from collections import Counter
from dataclasses import dataclass

import pytest

from simulation.scenes import run_seed

SEEDS_EVERYDAY, SEEDS_IN_DEPTH = 400, 2000
FIRST_SEED = int(os.environ.get("BUCKETRY_SIMULATION_FIRST_SEED", "0"))
SLICES = 8


@dataclass(frozen=True)
class Outcome:
    """What is kept of a run: why it is broken, if it is, and what happened in it."""

    why_broken: str
    statuses: Counter[str]
    faults: frozenset[object]


@functools.cache
def outcome_of(seed: int) -> Outcome:
    """Run a seed, once for all tests of this module."""
    run = run_seed(seed)
    return Outcome(
        run.explain() if run.broken else "",
        Counter(attempt.status for attempt in run.history.attempts),
        frozenset(line[-1] for line in run.world.trace if line[3] in {"put", "get", "put blob"}),
    )


@pytest.mark.parametrize("part", range(SLICES))
def test_every_promise_is_kept_whatever_goes_wrong(part: int, is_deep: bool) -> None:  # noqa: FBT001 - a fixture
    seeds = int(os.environ.get("BUCKETRY_SIMULATION_SEEDS", SEEDS_IN_DEPTH if is_deep else SEEDS_EVERYDAY))
    for seed in range(FIRST_SEED + part, FIRST_SEED + seeds, SLICES):
        assert not outcome_of(seed).why_broken, outcome_of(seed).why_broken


def test_the_same_seed_gives_the_same_trace() -> None:
    for seed in range(30):
        once, again = run_seed(seed), run_seed(seed)
        assert once.world.trace == again.world.trace
        assert once.world.bucket.snapshot() == again.world.bucket.snapshot()


def test_different_seeds_give_different_traces() -> None:
    traces = {tuple(run_seed(seed).world.trace) for seed in range(30)}
    assert len(traces) == 30


def test_the_runs_reach_every_outcome_and_every_fault() -> None:
    statuses: Counter[str] = Counter()
    faults: set[object] = set()
    for seed in range(400):
        statuses.update(outcome_of(seed).statuses)
        faults |= outcome_of(seed).faults
    assert statuses["acknowledged"] > 1_000
    assert all(statuses[status] > 3 for status in ("failed", "crashed", "unknown")), statuses
    assert {"arrives late", "again later", "outage after success", "reply lost, then stall"} <= faults


def test_a_broken_run_tells_its_seed_and_its_trace() -> None:
    run = next(run for seed in range(100) if (run := run_seed(seed, lies="ignores conditions")).broken)
    told = run.explain()
    assert told.startswith(f"seed {run.seed}:\n{run.broken[0]}")
    assert "put heads/acme/chat.json" in told or "put aliases/acme/chat" in told

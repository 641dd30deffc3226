"""A replica of a registry that others change is whole at every moment, and never goes back, whatever goes wrong."""

from __future__ import annotations

from collections import Counter

import pytest

from simulation.scenes import run_seed

SEEDS_EVERYDAY, SEEDS_IN_DEPTH = 80, 1_000
SLICES = 4


@pytest.mark.parametrize("part", range(SLICES))
def test_no_replica_goes_back_and_none_names_what_is_not_there(part: int, is_deep: bool) -> None:  # noqa: FBT001 - a fixture
    statuses: Counter[str] = Counter()
    for seed in range(part, SEEDS_IN_DEPTH if is_deep else SEEDS_EVERYDAY, SLICES):
        run = run_seed(seed, only="mirror")
        assert not run.broken, run.explain()
        statuses.update(attempt.status for attempt in run.history.attempts if attempt.kind == "mirror")
    assert statuses["acknowledged"] > statuses["failed"]
    assert statuses["crashed"]

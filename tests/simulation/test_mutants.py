"""The simulation notices when a part of the protocol is taken away, or when a store lies."""

from __future__ import annotations

import pytest

from simulation.mutants import MUTANTS
from simulation.scenes import BEFORE_SEALING, FEW, NOTHING, REVIEWED, SEALED, begin, run_seed
from simulation.world import SeededScript, World

MOST_SEEDS = 400
SLOWLY_NOTICED = {"without reading back"}
"""Whoever believes to have lost tries again and again: 16 seconds until a promise is broken, the others 20 together."""


@pytest.fixture(autouse=True, scope="module")
def _beginnings_made_by_the_whole_protocol() -> None:
    """What runs begin with is made once and kept: it must not be made by a mutant."""
    for beginning in (NOTHING, FEW, REVIEWED, BEFORE_SEALING, SEALED):
        begin(World(SeededScript(0)), beginning)


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=pytest.mark.deep if name in SLOWLY_NOTICED else ()) for name in MUTANTS]
)
def test_a_promise_is_broken_without_a_part_of_the_protocol_and_kept_with_it(name: str) -> None:
    mutate, scene = MUTANTS[name]
    with pytest.MonkeyPatch.context() as patch:
        mutate(patch)
        seed = next((seed for seed in range(MOST_SEEDS) if run_seed(seed, only=scene).broken), None)
    assert seed is not None, f"{name}: not noticed in {MOST_SEEDS} runs"
    assert not run_seed(seed, only=scene).broken


@pytest.mark.parametrize("lie", ["ignores conditions", "checks, then writes"])
def test_a_store_that_lies_about_conditions_is_noticed(lie: str) -> None:
    assert any(run_seed(seed, lies=lie).broken for seed in range(MOST_SEEDS))

"""The simulation notices when a part of the protocol is taken away, or when a store lies."""

from __future__ import annotations

import pytest

from simulation.mutants import MUTANTS
from simulation.scenes import BEFORE_SEALING, FEW, NOTHING, REVIEWED, SEALED, begin, run_seed
from simulation.world import SeededScript, World

MOST_SEEDS = 400


@pytest.fixture(autouse=True, scope="module")
def _beginnings_made_by_the_whole_protocol() -> None:
    """What runs begin with is made once and kept: it must not be made by a mutant."""
    for beginning in (NOTHING, FEW, REVIEWED, BEFORE_SEALING, SEALED):
        begin(World(SeededScript(0)), beginning)


@pytest.mark.parametrize("name", MUTANTS)
def test_the_protocol_fails_when_it_is(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    mutate, scene = MUTANTS[name]
    mutate(monkeypatch)
    assert _is_noticed(scene=scene), f"{name}: not noticed in {MOST_SEEDS} runs"


@pytest.mark.parametrize("name", MUTANTS)
def test_the_whole_protocol_passes_where_it_fails_when_it_is(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    mutate, scene = MUTANTS[name]
    with monkeypatch.context() as patch:
        mutate(patch)
        seed = next(seed for seed in range(MOST_SEEDS) if run_seed(seed, only=scene).broken)
    assert not run_seed(seed, only=scene).broken


@pytest.mark.parametrize("lie", ["ignores conditions", "checks, then writes"])
def test_a_store_that_lies_about_conditions_is_noticed(lie: str) -> None:
    assert _is_noticed(lies=lie)


def _is_noticed(*, scene: str = "", lies: str = "") -> bool:
    return any(run_seed(seed, only=scene, lies=lies).broken for seed in range(MOST_SEEDS))

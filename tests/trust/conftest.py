"""A registry that is attacked, for every test of an attack."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from bucketry.schema.documents.reviews import Action
from registry.opened import make_registry
from trust.people import ANNA, AUTHOR, BERT
from trust.world import World

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    (tmp_path / "config.toml").touch()
    monkeypatch.setenv("BUCKETRY_CONFIG", str(tmp_path / "config.toml"))
    monkeypatch.setenv("BUCKETRY_STATE", str(tmp_path / "state"))
    monkeypatch.setenv("BUCKETRY_CACHE", str(tmp_path / "cache"))
    make_registry(tmp_path / "registry", AUTHOR.principal)
    return World(tmp_path)


@pytest.fixture
def approved(world: World) -> World:
    """Return the world after version 1 was approved by two reviewers and promoted."""
    world.publish("weights 1")
    world.decide(ANNA, Action.APPROVE, 1)
    world.decide(BERT, Action.APPROVE, 1)
    world.promote(1)
    return world


@pytest.fixture
def unapproved(world: World) -> World:
    """Return the world with version 1 in production that nobody approved."""
    world.publish("weights 1")
    world.promote(1)
    return world

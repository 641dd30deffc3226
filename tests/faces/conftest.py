"""What do both faces look at? Registries in folders, one for each kind of thing, and nobody's own settings."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest

from bucketry.store.folder.store import FolderStore
from cli.conftest import _own_settings as _own_settings  # noqa: PLC0414 - fixtures of both faces are those of this folder
from cli.conftest import program as program  # noqa: PLC0414 - likewise
from tui.conftest import _a_key_does_not_wait_for_an_idle_process as _a_key_does_not_wait_for_an_idle_process  # noqa: PLC0414 - likewise
from tui.conftest import _nobodys_transfers as _nobodys_transfers  # noqa: PLC0414 - likewise
from tui.conftest import _rests_at_once as _rests_at_once  # noqa: PLC0414 - likewise
from tui.estate import estate
from tui.evaluated import evaluated_registry
from tui.storied import storied_registry

if TYPE_CHECKING:
    from pathlib import Path

    from tui.desk import Registry


@dataclass(frozen=True, slots=True)
class Corpus:
    """A registry, and the folder where the command line finds it."""

    registry: Registry
    folder: Path


def corpus(registry: Registry, folder: Path) -> Corpus:
    """Return a registry whose clock goes on as that of the command line does: ages are the same for both."""
    registry.clock.at = datetime.now(UTC)
    return Corpus(registry, folder)


@pytest.fixture(scope="session")
def measured(tmp_path_factory: pytest.TempPathFactory) -> Corpus:
    """Return versions that were measured by slices, one of few samples, against gates of which one fails."""
    folder = tmp_path_factory.mktemp("measured")
    return corpus(evaluated_registry(FolderStore(folder)), folder)


@pytest.fixture(scope="session")
def measured_elsewhere(tmp_path_factory: pytest.TempPathFactory) -> Corpus:
    """Return the same, but the newest was measured on other data."""
    folder = tmp_path_factory.mktemp("elsewhere")
    return corpus(evaluated_registry(FolderStore(folder), newest_data="fraud-2026-11"), folder)


@pytest.fixture(scope="session")
def served(tmp_path_factory: pytest.TempPathFactory) -> Corpus:
    """Return versions that wait, that were decided about, and that are served, one by a report that is damaged."""
    folder = tmp_path_factory.mktemp("served")
    return corpus(estate(FolderStore(folder)), folder)


@pytest.fixture(scope="session")
def storied(tmp_path_factory: pytest.TempPathFactory) -> Corpus:
    """Return versions with files, parents, children and decisions."""
    folder = tmp_path_factory.mktemp("storied")
    return corpus(storied_registry(FolderStore(folder)), folder)


@pytest.fixture(autouse=True)
def _no_agent(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("SSH_AUTH_SOCK", "TMUX", "DISPLAY", "WAYLAND_DISPLAY"):
        monkeypatch.delenv(name, raising=False)

"""Do the screens work where they are used most: in tmux, at 80x24?"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from bucketry.registry.core.registers import load_alias
from bucketry.store.folder.store import FolderStore
from tui.desk import PRODUCTION, RISK, filled_registry
from tui.panes import TMUX, open_pane

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tui.desk import Registry
    from tui.panes import Pane

pytestmark = pytest.mark.skipif(TMUX is None, reason="tmux is not installed")


@pytest.fixture
def registry(tmp_path: Path) -> Registry:
    (tmp_path / "registry").mkdir()
    return filled_registry(FolderStore(tmp_path / "registry"))


@pytest.fixture
def pane(tmp_path: Path, registry: Registry) -> Iterator[Pane]:
    assert registry.store.name
    (tmp_path / "config.toml").touch()
    settings = {
        "BUCKETRY_CONFIG": str(tmp_path / "config.toml"),
        "BUCKETRY_CACHE": str(tmp_path / "cache"),
        "BUCKETRY_IDENTITY": "ops",
        "LC_ALL": "C.UTF-8",
        "SSH_AUTH_SOCK": "",
        "PYTHONPATH": os.environ.get("PYTHONPATH", ""),
    }
    with open_pane(tmp_path, settings, "-r", str(tmp_path / "registry")) as pane:
        yield pane


def test_a_version_is_found_approved_and_promoted(pane: Pane, registry: Registry) -> None:
    pane.wait_for("credit-risk")
    pane.press("G", "Enter")
    pane.wait_for(">  v12")
    pane.press("A")
    pane.wait_for("approve credit-risk:12")
    pane.press("good", "Enter")
    pane.wait_for("is approved now")
    pane.press("P")
    pane.wait_for("to alias:")
    pane.press("production", "Enter")
    pane.wait_for("PROMOTE TO PROD", "name differs")
    pane.press("credit-risk", "Enter")
    pane.wait_for("credit-risk@production: v9 -> v12")
    register = load_alias(registry.session(), RISK, PRODUCTION).state
    assert register is not None
    assert register.target is not None
    assert register.target.version == 12
    pane.press("q", "q")
    pane.wait_for("left with 0")


def test_a_window_may_change_its_size(pane: Pane) -> None:
    pane.wait_for("credit-risk")
    pane.press("G", "Enter")
    pane.wait_for(">  v12")
    pane.tmux("resize-window", "-x", "140", "-y", "40")
    pane.wait_for("sha256:")
    pane.tmux("resize-window", "-x", "50", "-y", "10")
    pane.wait_for("60x15")
    pane.tmux("resize-window", "-x", "80", "-y", "24")
    pane.wait_for(">  v12")

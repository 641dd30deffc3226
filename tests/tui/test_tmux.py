"""Do the screens work where they are used most: in tmux, at 80x24?"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import pytest

from bucketry.registry.registers import load_alias
from bucketry.store.folder import FolderStore
from tui.desk import PRODUCTION, RISK, filled_registry

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tui.desk import Registry

TMUX = shutil.which("tmux")
PROGRAM = f"{sys.executable} -c 'from bucketry.cli.main import run; run()'"
LONGEST_SECONDS = 30.0
PAUSE_SECONDS = 0.1
pytestmark = pytest.mark.skipif(TMUX is None, reason="tmux is not installed")


class Pane:
    """A tmux server of our own, with one window."""

    def __init__(self, folder: Path) -> None:
        self.environment = dict(os.environ) | {"TMUX_TMPDIR": str(folder)}
        self.environment.pop("TMUX", None)

    def tmux(self, *arguments: str) -> str:
        assert TMUX is not None
        command = [TMUX, "-L", "bucketry", "-f", os.devnull, *arguments]
        return subprocess.run(command, env=self.environment, capture_output=True, text=True, check=True).stdout

    def press(self, *keys: str) -> None:
        self.tmux("send-keys", *keys)

    def wait_for(self, text: str) -> str:
        deadline = time.monotonic() + LONGEST_SECONDS
        while time.monotonic() < deadline:
            shown = self.tmux("capture-pane", "-p")
            if text in shown:
                return shown
            time.sleep(PAUSE_SECONDS)
        raise AssertionError(f"{text!r} did not appear:\n{shown}")


@pytest.fixture
def registry(tmp_path: Path) -> Registry:
    (tmp_path / "registry").mkdir()
    return filled_registry(FolderStore(tmp_path / "registry"))


@pytest.fixture
def pane(tmp_path: Path, registry: Registry) -> Iterator[Pane]:
    assert registry.store.name
    (tmp_path / "config.toml").touch()
    pane = Pane(tmp_path)
    settings = {
        "BUCKETRY_CONFIG": tmp_path / "config.toml",
        "BUCKETRY_CACHE": tmp_path / "cache",
        "BUCKETRY_IDENTITY": "ops",
        "LC_ALL": "C.UTF-8",
        "TERM": "tmux-256color",
        "SSH_AUTH_SOCK": "",
        "PYTHONPATH": os.environ.get("PYTHONPATH", ""),
    }
    words = " ".join(f"{name}={value}" for name, value in settings.items())
    start = f"env {words} {PROGRAM} -r {tmp_path}/registry tui; echo left with $?; sleep {LONGEST_SECONDS:.0f}"
    pane.tmux("new-session", "-d", "-x", "80", "-y", "24", start)
    try:
        yield pane
    finally:
        pane.tmux("kill-server")


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
    pane.wait_for("PROMOTE TO PROD")
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

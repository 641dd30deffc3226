"""What do the screens of the tests have in common? Nobody's transfers, and a cursor that rests at once."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from bucketry.tui.screens import reading, versions
from bucketry.tui.shell import app

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture(autouse=True, scope="session")
def _nobodys_transfers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    with pytest.MonkeyPatch.context() as patch:
        folder = tmp_path_factory.mktemp("state")
        patch.setenv("BUCKETRY_STATE", str(folder))
        yield folder


@pytest.fixture(autouse=True, scope="session")
def _rests_at_once() -> Iterator[None]:
    """What is read once the cursor rests is read before the screens count as settled, however slow the machine is."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(app, "EMPTY_VIEW_SECONDS", 0.001)
        patch.setattr(versions, "PANEL_PAUSE_SECONDS", 0.001)
        patch.setattr(reading, "DETAIL_PAUSE_SECONDS", 0.001)
        yield


@pytest.fixture(autouse=True, scope="session")
def _a_key_does_not_wait_for_an_idle_process() -> Iterator[None]:
    """The toolkit's pilot waits after each key until the process needs no processor; `Desk.settle` knows better."""

    async def begin_others(*_seconds: float) -> None:
        await asyncio.sleep(0)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("textual.app.wait_for_idle", begin_others)
        yield


@pytest.fixture
def no_agent(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing of the user's own session: no agent that would sign, no clipboard."""
    for name in ("SSH_AUTH_SOCK", "TMUX", "DISPLAY", "WAYLAND_DISPLAY"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    """What a program on a pseudo-terminal is told: nothing of the user's, a terminal with all colours, no SSH."""
    (tmp_path / "config.toml").touch()
    return {
        "BUCKETRY_CONFIG": str(tmp_path / "config.toml"),
        "BUCKETRY_CACHE": str(tmp_path / "cache"),
        "BUCKETRY_IDENTITY": "ops",
        "TERM": "xterm-256color",
        "COLORTERM": "truecolor",
        "LC_ALL": "C.UTF-8",
        "SSH_CONNECTION": "",
        "SSH_TTY": "",
        "SSH_CLIENT": "",
    }

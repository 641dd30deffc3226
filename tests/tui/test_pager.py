"""Does `m` give the terminal to the pager, and come back?"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from bucketry.store.folder.store import FolderStore
from bucketry.tui.drawing import pager
from tui.desk import HOSTILE, empty_registry
from tui.model_files import publish_files
from tui.on_terminal import on_terminal

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "bucket").mkdir()
    registry = empty_registry(FolderStore(tmp_path / "bucket"))
    publish_files(registry, {"README.md": f"# The card\n{HOSTILE}\n".encode()}, card="README.md")
    return tmp_path


def environment(folder: Path, pager_command: str) -> dict[str, str]:
    (folder / "config.toml").touch()
    return {
        "BUCKETRY_CONFIG": str(folder / "config.toml"),
        "BUCKETRY_CACHE": str(folder / "cache"),
        "BUCKETRY_IDENTITY": "ops",
        "TERM": "xterm-256color",
        "LC_ALL": "C.UTF-8",
        "SSH_CONNECTION": "",
        "PAGER": pager_command,
    }


def test_the_pager_gets_the_source_made_displayable_and_the_screens_come_back(folder: Path) -> None:
    script = folder / "pager.sh"
    script.write_text(f"#!/bin/sh\ncat >{folder}/seen\necho IN THE PAGER\n")
    script.chmod(0o755)
    with on_terminal("-r", str(folder / "bucket"), "tui", environment=environment(folder, str(script))) as terminal:
        terminal.read(until=b"credit-risk")
        terminal.press(b"\r", until=b"v1")
        sent = terminal.press(b"m", until=b"IN THE PAGER")
        after = sent.partition(b"IN THE PAGER")[2] + terminal.press(b"?", until=b"compare")
        assert b"\x1b[?1049h" in after, "the screens take the terminal back"
        terminal.press(b"\x03")
        assert terminal.wait() == 0
    seen = (folder / "seen").read_bytes()
    assert seen.startswith(b"# The card\n\\x1b]0;owned\\x07")
    assert b"\x1b" not in seen


def test_a_pager_that_cannot_be_started_is_said(folder: Path) -> None:
    with on_terminal(
        "-r", str(folder / "bucket"), "tui", environment=environment(folder, "/no/such/pager -x")
    ) as terminal:
        terminal.read(until=b"credit-risk")
        terminal.press(b"\r", until=b"v1")
        terminal.press(b"m", until=b"could not be started")
        terminal.press(b"\x03")
        assert terminal.wait() == 0


@pytest.mark.parametrize(("wanted", "found"), [("less -R", ["less", "-R"]), ("'", ["less"]), ("", ["less"])])
def test_the_usual_pager_is_taken_where_none_is_set(
    monkeypatch: pytest.MonkeyPatch, wanted: str, found: list[str]
) -> None:
    monkeypatch.setenv("PAGER", wanted)
    monkeypatch.setattr("bucketry.tui.drawing.pager.shutil.which", lambda name: f"/bin/{name}")
    assert pager._find_pager() == found  # noqa: SLF001 - what it chooses is the point

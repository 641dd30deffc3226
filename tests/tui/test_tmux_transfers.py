"""Does a download from a server far away end, whatever becomes of the terminal that it was begun in?"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from bucketry.jobs.files import job_folder
from jobs.detached import end_worker, until
from tui.far_registry import CANDIDATE, OPS, RISK, far_registry
from tui.panes import TMUX, open_pane

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from servers.process import S3Server
    from tui.far_registry import FarRegistry

RATE = 25e6
FILE_BYTES = 36 * 1024 * 1024
pytestmark = pytest.mark.skipif(TMUX is None, reason="tmux is not installed")


@pytest.fixture
def registry(weed: S3Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FarRegistry]:
    with far_registry(weed, tmp_path, bytes_per_second=RATE, file_bytes=FILE_BYTES) as registry:
        monkeypatch.setenv("BUCKETRY_STATE", registry.environment(OPS)["BUCKETRY_STATE"])
        try:
            yield registry
        finally:
            end_worker(job_folder())


def test_a_terminal_that_is_killed_leaves_a_verified_version_behind(registry: FarRegistry) -> None:
    dest = registry.folder / "models" / "v4"
    with open_pane(registry.folder / "first", registry.environment(OPS)) as pane:
        pane.wait_for("credit-risk")
        pane.press("G", "Enter")
        pane.wait_for(f">  v{CANDIDATE}")
        pane.press("d")
        pane.wait_for(f"get {RISK}:{CANDIDATE} to:")
        pane.press("C-u")
        pane.type(str(dest))
        pane.wait_for("transfer 1:")
        pane.press("t")
        shown = pane.wait_for("1 active", "model-00001.bin", "ETA")
        assert re.search(r"\[[#-]+\] +[1-9]?[0-9]% ", shown), shown
    assert state_of(registry) == "running"
    assert until(lambda: state_of(registry) != "running")
    assert state_of(registry) == "done"
    for path in registry.published.iterdir():
        assert (dest / path.name).read_bytes() == path.read_bytes()
    assert registry.tell("pull", f"{RISK}:{CANDIDATE}", str(dest))["fetched_bytes"] == 0
    with open_pane(registry.folder / "second", registry.environment(OPS)) as pane:
        pane.wait_for("credit-risk")
        pane.press("t")
        pane.wait_for("0 active", "credit-risk v4", "verified by SHA-256")
    assert list(dest.parent.iterdir()) == [dest]


def state_of(registry: FarRegistry) -> str:
    (job,) = registry.tell("transfers")["transfers"]
    return str(job["state"])

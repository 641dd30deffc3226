"""Draw the pictures of the documentation.

Run it as: PYTHONPATH=tests python infra/pictures.py

The registry on them is the one that docs/handoff.md makes, up to its first promotion of version 3, with two instances
that report what they serve. The screens are the real ones, run without a terminal; only the transfers are made
up. Textual draws the pictures as SVG.
"""

from __future__ import annotations

import asyncio
import shutil
import sys
import tempfile
from pathlib import Path

import pytest

from bucketry.index.store import open_index
from bucketry.registry.core.opening import open_session
from bucketry.tui.data.source import Source
from bucketry.tui.drawing.terminal import Terminal
from bucketry.tui.shell.app import BucketryApp
from bucketry.tui.shell.settings import Settings
from story.guide import Step, read_steps, run_steps
from tui.carrying import busy_jobs, stand_in
from tui.desk import Desk

TOP = Path(__file__).resolve().parent.parent
PICTURES = TOP / "docs" / "pictures"
SIZE = (100, 30)
FIRST_COMMAND = "bucketry promote support/router:1 production --reason"
APPROVAL = "for who in rosa raj; do"
"""What comes before the last command: version 3 may be promoted then, and is not yet."""
LAST_COMMAND = "bucketry promote support/router:3"
FOLDER = "models"
"""Where the registry is made, below the folder for temporary files; the pictures show it."""
FIRST_LOOK_SECONDS = 1.0
TERMINAL = Terminal("xterm-256color", is_unicode=True, is_ssh=False, is_tmux=False, colours=1 << 24, is_light=False)

PROMOTE: tuple[str, ...] = ("enter", "P", *"production", "enter")
SCREENS: dict[str, tuple[str, ...]] = {
    "models": (),
    "versions": ("enter",),
    "version": ("enter", "enter"),
    "compare": ("enter", "down", "equals_sign"),
    "lineage": ("enter", "enter", "4"),
    "reviews": ("enter", "enter", "6"),
    "deployments": ("colon", "d", "enter"),
    "help": ("question_mark",),
}
"""Each picture, and the keys that lead to it from the first screen."""


def main() -> int:
    """Make the registry and draw every screen of it."""
    PICTURES.mkdir(parents=True, exist_ok=True)
    home = Path(tempfile.gettempdir()).resolve() / FOLDER
    home.mkdir()
    try:
        for step, _ in run_steps(_steps(), home):
            print(f"$ {step.text.splitlines()[0]}", file=sys.stderr)
            if step.text.startswith(APPROVAL):
                asyncio.run(_draw(home / "registry", "promote", PROMOTE))
            if step.text.startswith(LAST_COMMAND):
                break
        for name, keys in SCREENS.items():
            asyncio.run(_draw(home / "registry", name, keys))
        with pytest.MonkeyPatch.context() as patch:
            stand_in(patch, home / "state", busy_jobs())
            asyncio.run(_draw(home / "registry", "transfers", ("t",)))
    finally:
        shutil.rmtree(home)
    return 0


def _steps() -> list[Step]:
    """Return the commands of the guide up to the last, and among them reports of two instances."""
    found: list[Step] = []
    for step in read_steps((TOP / "docs" / "handoff.md").read_text().splitlines()):
        if step.text.startswith(LAST_COMMAND):
            return [*found, step]
        found.append(step)
        if step.text.startswith(FIRST_COMMAND):
            found += [Step(_report(environment), 0) for environment in ("prod-eu", "prod-us")]
    raise AssertionError(f"the guide has no command {LAST_COMMAND}")


def _report(environment: str) -> str:
    """Return the command of an instance that pulls what serves production, and says so."""
    reference = "support/router@production"
    return (
        f"bucketry pull {reference} served-{environment} > pulled.txt && bucketry report {reference} "
        f"--path served-{environment} --environment {environment} --instance router-1"
    )


async def _draw(registry: Path, name: str, keys: tuple[str, ...]) -> None:
    session = open_session(str(registry), identity="rosa@example.org")
    index = open_index(session)
    source = Source(session, index)
    app = BucketryApp(source, TERMINAL, settings=Settings(time="utc"), read_only=False)
    async with app.run_test(size=SIZE) as pilot:
        desk = Desk(app, pilot)
        await desk.wait(FIRST_LOOK_SECONDS)  # the index may be that of the picture before
        await desk.settle()
        await desk.press(*keys)
        (PICTURES / f"{name}.svg").write_text(app.export_screenshot(title="bucketry"))
    app.background.stop(patience_seconds=1.0)
    index.close()


if __name__ == "__main__":
    sys.exit(main())

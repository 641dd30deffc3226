"""Draw the pictures of the documentation.

Run it as: PYTHONPATH=tests python infra/pictures.py

The registry on them is the one that docs/handoff.md makes, up to its first promotion of version 3; the screens are the
real ones, run without a terminal. Textual draws them as SVG.
"""

from __future__ import annotations

import asyncio
import sys
import tempfile
from pathlib import Path

from bucketry.registry.index import open_index
from bucketry.registry.opening import open_session
from bucketry.tui.app import BucketryApp
from bucketry.tui.settings import Settings
from bucketry.tui.source import Source
from bucketry.tui.terminal import Terminal
from story.guide import read_steps, run_steps
from tui.desk import Desk

TOP = Path(__file__).resolve().parent.parent
PICTURES = TOP / "docs" / "pictures"
SIZE = (100, 30)
LAST_COMMAND = "bucketry promote support/router:3"
TERMINAL = Terminal("xterm-256color", is_unicode=True, is_ssh=False, is_tmux=False, colours=1 << 24, is_light=False)

SCREENS: dict[str, tuple[str, ...]] = {
    "models": (),
    "versions": ("enter",),
    "version": ("enter", "enter"),
    "compare": ("enter", "down", "equals_sign"),
    "lineage": ("enter", "enter", "4"),
    "reviews": ("enter", "enter", "6"),
    "help": ("question_mark",),
}
"""Each picture, and the keys that lead to it from the first screen."""


def main() -> int:
    """Make the registry and draw every screen of it."""
    PICTURES.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder).resolve()
        steps = read_steps((TOP / "docs" / "handoff.md").read_text().splitlines())
        for step, _ in run_steps(steps, home):
            print(f"$ {step.text.splitlines()[0]}", file=sys.stderr)
            if step.text.startswith(LAST_COMMAND):
                break
        for name, keys in SCREENS.items():
            asyncio.run(_draw(home / "registry", name, keys))
    return 0


async def _draw(registry: Path, name: str, keys: tuple[str, ...]) -> None:
    session = open_session(str(registry), identity="rosa@example.org")
    index = open_index(session)
    source = Source(session, index)
    app = BucketryApp(source, TERMINAL, settings=Settings(time="utc"), read_only=False)
    async with app.run_test(size=SIZE) as pilot:
        desk = Desk(app, pilot)
        await desk.settle()
        await desk.press(*keys)
        (PICTURES / f"{name}.svg").write_text(app.export_screenshot(title="bucketry"))
    app.background.stop(patience_seconds=1.0)
    index.close()


if __name__ == "__main__":
    sys.exit(main())

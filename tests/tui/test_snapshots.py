"""What does each screen look like in each state? The files in `snapshots/` are meant to be read."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from bucketry.errors import UnavailableError
from tui.desk import EMPTY, HOSTILE, REVIEWER, check_snapshot, empty_registry, filled_registry, open_desk

if TYPE_CHECKING:
    from tui.desk import Desk, Registry

NARROW, WIDE = (80, 24), (140, 40)
PATHS = {
    "models": (),
    "versions": ("G", "enter"),
    "versions-marked": ("G", "enter", "space", "j", "space"),
    "versions-sorted": ("G", "enter", "greater_than_sign", "greater_than_sign", "greater_than_sign", "s"),
    "version": ("G", "enter", "enter"),
    "help": ("question_mark",),
    "palette": ("ctrl+p",),
    "log": ("G", "enter", "enter", "at"),
    "copy": ("G", "enter", "y"),
    "approve": ("G", "enter", "A"),
    "edit": ("G", "enter", "E", "l"),
    "delete": ("G", "enter", "D"),
}


def snapshot(registry: Registry, name: str, keys: tuple[str, ...], size: tuple[int, int], **how: object) -> None:
    async def run() -> None:
        async with open_desk(registry, size=size, **how) as desk:  # type: ignore[arg-type]
            await desk.press(*keys)
            await desk.wait(0.2)
            await desk.settle()
            check_snapshot(f"{name}-{size[0]}x{size[1]}", desk.text)

    asyncio.run(run())


@pytest.fixture(scope="module")
def registry() -> Registry:
    return filled_registry()


@pytest.mark.parametrize("size", [NARROW, WIDE], ids=["narrow", "wide"])
@pytest.mark.parametrize("name", PATHS)
def test_a_screen_looks_as_it_did(registry: Registry, name: str, size: tuple[int, int]) -> None:
    snapshot(registry, name, PATHS[name], size)

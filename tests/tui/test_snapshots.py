"""What does each screen look like in each state? The files in `snapshots/` are meant to be read."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, cast

import pytest

from bucketry.errors import DeniedError, UnavailableError
from tui.desk import Wire, check_snapshot, empty_registry, filled_registry, open_desk

if TYPE_CHECKING:
    from bucketry.store.contract import Store
    from tui.desk import Registry

NARROW, WIDE = (80, 24), (140, 40)
PATHS = {
    "models": (),
    "versions": ("G", "enter"),
    "versions-marked": ("G", "enter", "space", "j", "space"),
    "versions-sorted": ("G", "enter", *["greater_than_sign"] * 4, "s"),
    "version": ("G", "enter", "enter"),
    "help": ("question_mark",),
    "palette": ("ctrl+p",),
    "log": ("G", "enter", "enter", "at"),
    "copy": ("G", "enter", "y"),
    "approve": ("G", "enter", "A"),
    "edit": ("G", "enter", "E", "l"),
    "delete": ("G", "enter", "D"),
}


async def take(registry: Registry, name: str, keys: tuple[str, ...], size: tuple[int, int], *, read_only: bool) -> None:
    async with open_desk(registry, size=size, read_only=read_only) as desk:
        await desk.press(*keys)
        await desk.wait(0.5)
        await desk.settle()
        check_snapshot(f"{name}-{size[0]}x{size[1]}", desk.text)


@pytest.fixture(scope="module")
def registry() -> Registry:
    return filled_registry()


# How often the panel beside the list was read before the log is opened, which lists it, is chance; narrow has no panel.
DRAWN = [(name, size) for name in PATHS for size in (NARROW, WIDE) if (name, size) != ("log", WIDE)]


@pytest.mark.parametrize(("name", "size"), DRAWN, ids=lambda part: part if isinstance(part, str) else str(part[0]))
def test_a_screen_looks_as_it_did(registry: Registry, name: str, size: tuple[int, int]) -> None:
    asyncio.run(take(registry, name, PATHS[name], size, read_only=False))


@pytest.mark.parametrize("name", ["models", "versions", "help"])
def test_a_screen_that_may_change_nothing_says_so(registry: Registry, name: str) -> None:
    asyncio.run(take(registry, f"{name}-read-only", PATHS[name], NARROW, read_only=True))


@pytest.mark.parametrize("name", ["models", "log"])
def test_a_screen_with_nothing_to_show_says_why_and_what_to_do(name: str) -> None:
    asyncio.run(take(empty_registry(), f"{name}-empty", ("at",) if name == "log" else (), NARROW, read_only=False))


def test_a_model_without_versions_says_so(registry: Registry) -> None:
    async def run() -> None:
        async with open_desk(registry) as desk:
            await desk.press("colon")
            await desk.type("v acme/nothing")
            await desk.press("enter")
            check_snapshot("versions-empty-80x24", desk.text)

    asyncio.run(run())


@pytest.mark.parametrize(
    ("name", "fault"),
    [
        ("offline", UnavailableError("the bucket does not answer", advice="check the network")),
        ("denied", DeniedError("the bucket refuses these credentials", advice="renew them")),
    ],
)
def test_rows_stay_when_the_bucket_cannot_be_read(name: str, fault: UnavailableError) -> None:
    async def run() -> None:
        registry = filled_registry()
        wire = registry.store = cast("Store", Wire(registry.store))
        async with open_desk(registry) as desk:
            await desk.press("G", "enter")
            wire.fault = fault  # type: ignore[attr-defined]
            await desk.press("r", "enter")
            check_snapshot(f"version-{name}-80x24", desk.text)
            await desk.press("h", "j")
            check_snapshot(f"versions-{name}-80x24", desk.text)

    asyncio.run(run())


def test_a_bucket_that_was_never_seen_and_cannot_be_reached_is_said_on_an_empty_screen() -> None:
    async def run() -> None:
        registry = filled_registry()
        wire = registry.store = cast("Store", Wire(registry.store))
        wire.fault = UnavailableError("the bucket does not answer")  # type: ignore[attr-defined]
        async with open_desk(registry) as desk:
            check_snapshot("models-never-seen-80x24", desk.text)

    asyncio.run(run())


def test_a_bucket_that_takes_its_time_is_being_read() -> None:
    async def run() -> None:
        registry = filled_registry()
        wire = registry.store = cast("Store", Wire(registry.store))
        wire.open.clear()  # type: ignore[attr-defined]
        async with open_desk(registry, rests=False) as desk:
            await desk.wait(0.8)
            check_snapshot("models-loading-80x24", desk.text)
            wire.open.set()  # type: ignore[attr-defined]

    asyncio.run(run())


def test_a_terminal_that_is_too_small_says_what_it_needs(registry: Registry) -> None:
    async def run() -> None:
        async with open_desk(registry) as desk:
            await desk.resize(59, 14)
            check_snapshot("too-small-59x14", desk.text)
            await desk.resize(60, 15)
            check_snapshot("models-60x15", desk.text)
            await desk.press("G", "enter")
            check_snapshot("versions-60x15", desk.text)

    asyncio.run(run())

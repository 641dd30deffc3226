"""What does the comparison look like in each state? The files in `snapshots/` are meant to be read."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, cast

import pytest

from bucketry.errors import UnavailableError
from bucketry.tui.screens.compare import CompareView
from tui.desk import HOSTILE, RISK, Wire, check_snapshot, empty_registry
from tui.evaluated import evaluated_registry, on

if TYPE_CHECKING:
    from bucketry.store.contract import Store
    from tui.desk import Desk, Registry

NARROW, WIDE = (80, 24), (140, 40)
COMPARE = ("G", "enter", "equals_sign")
METRICS = ("G", "enter", "enter", "2")
pytestmark = pytest.mark.usefixtures("no_agent")


@pytest.fixture(scope="module")
def registry() -> Registry:
    return evaluated_registry()


@pytest.mark.parametrize("size", [NARROW, WIDE], ids=["narrow", "wide"])
@pytest.mark.parametrize(
    ("name", "keys"),
    [
        ("compare", COMPARE),
        ("compare-end", (*COMPARE, "G")),
        ("compare-all", (*COMPARE, "z")),
        ("compare-next-slices", (*COMPARE, "tab")),
        ("compare-three", ("G", "enter", "space", "j", "space", "j", "j", "space", "equals_sign")),
        ("metrics", METRICS),
    ],
)
def test_a_comparison_looks_as_it_did(
    registry: Registry, name: str, keys: tuple[str, ...], size: tuple[int, int]
) -> None:
    async def act(desk: Desk) -> None:
        await desk.press(*keys)
        check_snapshot(f"{name}-{size[0]}x{size[1]}", desk.text)

    on(registry, act, size=size)


@pytest.mark.parametrize("size", [NARROW, WIDE], ids=["narrow", "wide"])
def test_different_evaluation_data_are_said_first_and_allow_no_verdict(size: tuple[int, int]) -> None:
    async def act(desk: Desk) -> None:
        await desk.press(*COMPARE)
        check_snapshot(f"compare-other-data-{size[0]}x{size[1]}", desk.text)
        assert "! EVALUATION DATA DIFFER for all metrics: no verdict for these" in desk.text
        assert "better" not in desk.text
        assert "WORSE" not in desk.text

    on(evaluated_registry(newest_data="fraud-2026-11"), act, size=size)


def test_a_version_that_is_not_there_is_said_and_the_way_back_is_open(registry: Registry) -> None:
    async def act(desk: Desk) -> None:
        await desk.press("colon")
        await desk.type("compare credit-risk:3 credit-risk:99")
        await desk.press("enter")
        check_snapshot("compare-missing-80x24", desk.text)
        await desk.press("h")
        assert "> models" in desk.top

    on(registry, act)


def test_the_comparison_stays_when_the_bucket_goes_away_and_comes_back() -> None:
    registry = evaluated_registry()
    wire = Wire(registry.store)
    registry.store = cast("Store", wire)

    async def act(desk: Desk) -> None:
        await desk.press(*COMPARE)
        wire.fault = UnavailableError("the bucket does not answer", advice="check the network")
        desk.app.view.data_changed()
        await desk.settle()
        assert "recall@1%fpr up      .6325   .6250" in desk.text
        check_snapshot("compare-offline-80x24", desk.text)
        wire.fault = None
        desk.app.view.data_changed()
        await desk.settle()
        assert "does not answer" not in desk.notice

    on(registry, act)


def test_a_comparison_that_could_not_be_read_is_read_again() -> None:
    registry = evaluated_registry()
    wire = Wire(registry.store)
    registry.store = cast("Store", wire)

    async def act(desk: Desk) -> None:
        await desk.press("G", "enter")
        wire.fault = UnavailableError("the bucket does not answer", advice="check the network")
        await desk.press("equals_sign")
        check_snapshot("compare-unread-80x24", desk.text)
        wire.fault = None
        await desk.press("r")
        assert "v WORSE" in desk.text

    on(registry, act)


def test_the_keys_answer_while_the_comparison_is_read() -> None:
    registry = evaluated_registry()
    wire = Wire(registry.store)
    registry.store = cast("Store", wire)

    async def act(desk: Desk) -> None:
        await desk.press("G", "enter")
        wire.open.clear()
        await desk.press_only("equals_sign")
        await asyncio.sleep(0.6)
        check_snapshot("compare-loading-80x24", desk.text)
        await desk.press_only("b")
        assert "not now, nothing is compared yet" in desk.notice
        await desk.press_only("h")
        assert "> versions" in desk.top
        wire.open.set()

    on(registry, act)


@pytest.mark.parametrize("keys", [COMPARE, (*COMPARE, "z"), (*COMPARE, *["tab"] * 4), METRICS], ids=" ".join)
def test_no_foreign_text_acts_on_the_terminal(keys: tuple[str, ...]) -> None:
    async def act(desk: Desk) -> None:
        await desk.press(*keys)
        assert all(line.isprintable() for line in desk.lines)
        assert "\\x1b" in desk.text
        for _ in range(4):
            await desk.press("pagedown")
            assert all(line.isprintable() for line in desk.lines)

    on(evaluated_registry(text=HOSTILE), act, size=(80, 60))


def test_versions_without_evidence_say_so_and_still_compare_their_files() -> None:
    registry = empty_registry()
    for version in (1, 2):
        registry.publish(RISK, version)

    async def act(desk: Desk) -> None:
        await desk.press("G", "enter", "*", "equals_sign")
        assert isinstance(desk.app.view, CompareView)
        check_snapshot("compare-plain-80x24", desk.text)

    on(registry, act)

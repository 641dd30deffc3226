"""Is what the screens say of the bucket, of others and of one's own actions so, and in words that people use?"""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, NoReturn, cast

import pytest

from bucketry.errors import UnavailableError
from bucketry.index.refresh import refresh_index
from bucketry.index.store import Index
from bucketry.registry.review.policies import set_policy
from bucketry.registry.serving.aliases import roll_back
from bucketry.schema.documents.policy import parse_policy_toml
from bucketry.schema.documents.reviews import Action
from bucketry.show.spans import Span, plain_text
from bucketry.tui.shell.frame import top_line
from tui.desk import (
    LONGEST_HOLD_SECONDS,
    PRODUCTION,
    REVIEWER,
    RISK,
    ROUND_SECONDS,
    Wire,
    empty_registry,
    filled_registry,
    open_desk,
)
from tui.estate import estate
from tui.evaluated import on

if TYPE_CHECKING:
    from bucketry.registry.core.session import Session
    from bucketry.store.contract import Store
    from tui.desk import Desk

VERSIONS = ("G", "enter")
EVE = "eve@example.org"
pytestmark = pytest.mark.usefixtures("no_agent")


def test_a_registry_without_models_says_so_once_it_was_looked_at() -> None:
    async def act(desk: Desk) -> None:
        assert "This registry has no models yet." in desk.text
        assert "Reading" not in desk.text

    on(empty_registry(), act)


def test_a_read_that_the_bucket_does_not_answer_makes_the_screens_offline_at_once() -> None:
    registry = filled_registry()
    wire = registry.store = cast("Store", Wire(registry.store))

    async def act(desk: Desk) -> None:
        assert "LIVE" in desk.top
        wire.fault = UnavailableError("the bucket does not answer")  # type: ignore[attr-defined]
        await desk.press("colon")
        await desk.type("audit")
        await desk.press("enter")
        assert "OFFLINE" in desk.top

    on(registry, act)


@pytest.mark.parametrize("is_filled", [False, True])
def test_a_bucket_that_leaves_one_waiting_is_named_until_it_answers(
    monkeypatch: pytest.MonkeyPatch, *, is_filled: bool
) -> None:
    monkeypatch.setattr("bucketry.tui.shell.refreshing.SILENCE_SECONDS", 0.05)
    registry, index = filled_registry(), Index(None)
    if is_filled:
        refresh_index(index, registry.session(), details=False)
    wire = Wire(registry.store)
    registry.store = cast("Store", wire)
    wire.open.clear()
    words = "eading memory:, which has not answered yet"

    async def run() -> None:
        async with open_desk(registry, index=index, rests=False) as desk:
            deadline = time.monotonic() + LONGEST_HOLD_SECONDS
            while words not in desk.text and time.monotonic() < deadline:
                await desk.wait(ROUND_SECONDS)
            assert words in desk.text
            assert ("credit-risk" in desk.text) == is_filled
            wire.open.set()
            await desk.settle()
            assert words not in desk.text
            assert "credit-risk" in desk.text

    asyncio.run(run())


def test_what_fails_without_the_bucket_is_not_put_down_to_it() -> None:
    def no_worker(_: Session) -> NoReturn:
        raise UnavailableError("the transfer worker does not start")

    async def act(desk: Desk) -> None:
        desk.app.read("worker", ("transfers",), no_worker, print)
        await desk.settle()
        assert "the transfer worker does not start" in desk.notice
        assert "LIVE" in desk.top

    on(filled_registry(), act)


def test_whoever_moved_an_alias_meanwhile_is_named_with_the_reason() -> None:
    registry = filled_registry()

    async def act(desk: Desk) -> None:
        await desk.press(*VERSIONS, "j", "j", "j", "j", "P")
        await desk.type("production")
        await desk.press("enter")
        roll_back(registry.session(EVE), RISK, PRODUCTION, to=8, reason="older is safer")
        await desk.type("credit-risk")
        await desk.press("enter")
        assert f'rollback by {EVE} just now ("older is safer")' in " ".join(desk.text.replace("|", " ").split())

    on(registry, act)


def test_the_first_of_two_approvals_says_that_another_is_waited_for() -> None:
    registry = filled_registry()
    set_policy(registry.session(), RISK, parse_policy_toml("approvals_required = 2", what="p"))

    async def act(desk: Desk) -> None:
        await desk.press(*VERSIONS, "A", "enter")
        assert "approved credit-risk:12: 1 of 2 approvals, it waits for 1 more" in desk.notice

    on(registry, act, session=registry.session(REVIEWER))


def test_the_command_log_says_why_a_command_failed() -> None:
    registry = filled_registry()

    async def act(desk: Desk) -> None:
        await desk.press(*VERSIONS, "A")
        registry.decide(12, Action.REJECT, by=EVE, comment="too slow")
        await desk.press("enter", "escape", "at")
        await desk.press(*["j"] * (next(i for i, line in enumerate(desk.lines) if "FAILED" in line) - 2))
        assert "FAILED" in desk.cursor_line
        assert "credit-risk:12 is rejected now, not in review as shown" in desk.notice

    on(registry, act)


def test_a_record_that_moved_no_alias_does_not_look_as_if_it_had() -> None:
    async def act(desk: Desk) -> None:
        await desk.press("colon")
        await desk.type("audit credit-risk")
        await desk.press("enter", "full_stop", "slash")
        await desk.type("action:recheck")
        await desk.press("enter")
        await desk.wait(0.3)
        assert "credit-risk@production (v10)" in desk.text
        assert "it names the same one as before" in desk.text
        assert "->" not in desk.cursor_line

    on(estate(), act)


def test_the_name_of_the_screen_stays_where_the_registrys_is_too_long() -> None:
    right = (Span("2 active  1 queued  worker pid 25669"), Span("LIVE <1m", "good"), Span("ops@example.org rw"))
    shown = plain_text(top_line(("s3://registry/story", "transfers"), right, 90))
    assert shown.startswith(" s3://re")
    assert "~ > transfers" in shown
    assert shown.endswith("ops@example.org rw")

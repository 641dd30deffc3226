"""Do the screens about a whole registry say what is so, and change nothing unless they are asked to?"""

from __future__ import annotations

import asyncio
import itertools
import re
from dataclasses import replace
from typing import TYPE_CHECKING, Any, cast

import pytest
from textual._compositor import Compositor, ReflowResult

from bucketry.errors import DeniedError, UnavailableError
from bucketry.index.refresh import refresh_index
from bucketry.registry.core.registers import load_existing_head
from bucketry.registry.core.rows import load_row
from bucketry.schema import keys
from bucketry.schema.documents.reviews import Action
from bucketry.store.contract import Entry, Unconditional
from bucketry.tui.screens.reading import matches_words
from bucketry.tui.shell.view import View
from tui.desk import CHAT, HOSTILE, REVIEWER, RISK, TRAINER, Wire, check_snapshot, empty_registry, open_desk
from tui.estate import estate

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from textual.geometry import Size
    from textual.widget import Widget

    from bucketry.registry.core.session import Session
    from bucketry.store.contract import Store
    from tui.desk import Desk, Registry

SCREENS = {"review": "r", "deployments": "d", "health": "doctor", "audit": "audit"}
NARROW, WIDE, LEAST = (80, 24), (140, 40), (60, 15)
LATENCY_SECONDS = 0.023


@pytest.fixture(autouse=True)
def _plain_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("SSH_AUTH_SOCK", "TMUX", "DISPLAY", "WAYLAND_DISPLAY", "NO_COLOR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("BUCKETRY_CACHE", "/no/such/cache")


@pytest.fixture(scope="module")
def registry() -> Registry:
    return estate()


def session_of(registry: Registry, actor: str = "ops", *, read_only: bool = False) -> Session:
    """Return a session whose requests take as long each time."""
    session = registry.session(actor, read_only=read_only)
    ticks = itertools.count(0, LATENCY_SECONDS)
    return replace(session, clock=replace(session.clock, monotonic_seconds=lambda: float(next(ticks))))


async def go(desk: Desk, name: str) -> None:
    await desk.press_only("colon")
    await desk.type(name)
    await desk.press("enter")


def on(registry: Registry, screen: str, act: Callable[[Desk], Awaitable[None]], **how: Any) -> None:
    async def run() -> None:
        how.setdefault("session", session_of(registry))
        async with open_desk(registry, **how) as desk:
            await go(desk, screen)
            await act(desk)

    asyncio.run(run())


def check(name: str, desk: Desk) -> None:
    steady = re.sub(r"[0-9a-f]{8}-[0-9a-f-]{27}", "(the id of the registry)", desk.text)
    steady = re.sub(r"[0-9a-f]{64}", "x" * 64, steady)
    check_snapshot(name, re.sub(r"[0-9.]+ kB", "? kB", steady))


def photograph(registry: Registry, name: str, screen: str, **how: Any) -> None:
    async def act(desk: Desk) -> None:
        check(name, desk)

    on(registry, screen, act, **how)


def cut_off(registry: Registry) -> Wire:
    wire = Wire(registry.store)
    registry.store = cast("Store", wire)
    return wire


def written(registry: Registry) -> dict[str, bytes]:
    store = registry.store
    return {entry.key: store.get(entry.key).body for entry in store.list("") if isinstance(entry, Entry)}


def state(registry: Registry, version: int) -> str:
    session = registry.session()
    return load_row(session, load_existing_head(session, RISK), version).state.value


# What they look like


@pytest.mark.parametrize("size", [NARROW, WIDE, LEAST], ids=["narrow", "wide", "least"])
@pytest.mark.parametrize("name", SCREENS)
def test_a_screen_looks_as_it_did(registry: Registry, name: str, size: tuple[int, int]) -> None:
    photograph(registry, f"{name}-{size[0]}x{size[1]}", SCREENS[name], size=size)


@pytest.mark.parametrize(("name", "key"), [("review", "j"), ("audit", "j"), ("deployments", "G")])
def test_hostile_text_is_shown_and_not_obeyed(name: str, key: str) -> None:
    async def act(desk: Desk) -> None:
        await desk.press(key)
        check(f"{name}-hostile-80x24", desk)
        assert not set(HOSTILE) & set(desk.text) - set(map(chr, range(32, 127)))

    on(estate(text=HOSTILE), SCREENS[name], act)


@pytest.mark.parametrize("name", ["review", "deployments", "audit"])
def test_a_screen_with_nothing_to_show_says_why_and_what_to_do(name: str) -> None:
    photograph(empty_registry(), f"{name}-empty-80x24", SCREENS[name])


@pytest.mark.parametrize("name", ["review", "health"])
def test_a_screen_that_may_change_nothing_says_so(registry: Registry, name: str) -> None:
    photograph(registry, f"{name}-read-only-80x24", SCREENS[name], read_only=True)


@pytest.mark.parametrize("name", SCREENS)
def test_what_was_read_stays_when_the_bucket_does_not_answer(name: str) -> None:
    registry = estate()
    wire = cut_off(registry)

    async def act(desk: Desk) -> None:
        before = desk.lines[1:3]
        wire.fault = UnavailableError("the bucket does not answer", advice="check the network")
        await desk.press("r")
        assert "does not answer; check the network; this is from 2026-11-22 14:00Z, r tries again" in desk.notice
        assert "OFFLINE" in desk.top
        assert desk.lines[1:3] == before
        check(f"{name}-offline-80x24", desk)

    on(registry, SCREENS[name], act)


@pytest.mark.parametrize("name", SCREENS)
def test_what_could_never_be_read_says_why(name: str) -> None:
    registry = estate()
    wire = cut_off(registry)

    async def run() -> None:
        async with open_desk(registry) as desk:
            wire.fault = DeniedError("the bucket refuses these credentials", advice="renew them")
            await go(desk, SCREENS[name])
            check(f"{name}-denied-80x24", desk)

    asyncio.run(run())


@pytest.mark.parametrize("name", SCREENS)
def test_a_view_that_the_toolkit_does_not_tell_its_size_is_laid_out(
    registry: Registry, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    reflow = Compositor.reflow

    def tell_no_view(compositor: Compositor, parent: Widget, size: Size) -> ReflowResult:
        """As where the place of any widget was asked for before the view was laid out."""
        found = reflow(compositor, parent, size)
        return found._replace(shown={widget for widget in found.shown if not isinstance(widget, View)})

    monkeypatch.setattr(Compositor, "reflow", tell_no_view)
    photograph(registry, f"{name}-80x24", SCREENS[name])


@pytest.mark.parametrize("name", SCREENS)
def test_a_bucket_that_takes_its_time_blocks_no_key_and_is_said_to_be_read(name: str) -> None:
    registry = estate()
    wire = cut_off(registry)

    async def run() -> None:
        async with open_desk(registry) as desk:
            wire.open.clear()
            await desk.press_only("colon", *SCREENS[name], "enter")
            await desk.wait(0.8)
            check(f"{name}-loading-80x24", desk)
            await desk.press_only("h")
            await desk.wait(0.2)
            assert "models" in desk.top
            wire.open.set()

    asyncio.run(run())


# What they say and do


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=() if name == "review" else pytest.mark.deep) for name in SCREENS]
)
def test_lower_case_never_writes(name: str) -> None:
    registry = estate()
    before = written(registry)

    async def act(desk: Desk) -> None:
        for key in "abcdefgijklmnoprstuvwxyz":
            await desk.press_only(key)
            await desk.press("escape")
            if SCREENS[name] not in desk.app.view.crumbs and name not in desk.app.view.crumbs:
                await go(desk, SCREENS[name])

    on(registry, SCREENS[name], act)
    assert written(registry) == before


def test_what_waits_for_me_comes_first_and_what_does_not_says_so(registry: Registry) -> None:
    async def act(desk: Desk) -> None:
        assert [line[3:6] for line in desk.lines[2:4]] == ["you", "-  "]
        assert "2 versions wait, 1 for you." in desk.notice
        await desk.press("G")
        assert "You approved it; it waits for others." in desk.text

    on(registry, "r", act, session=session_of(registry, REVIEWER))


def test_authors_are_told_that_it_is_not_theirs_to_decide(registry: Registry) -> None:
    async def act(desk: Desk) -> None:
        await desk.press("G")
        assert "acme/chat:1" in desk.cursor_line
        assert "You made it; others decide about it." in desk.text

    on(registry, "r", act, session=session_of(registry, TRAINER))


def test_a_version_is_approved_where_it_waits_and_waits_no_more() -> None:
    registry = estate()

    async def act(desk: Desk) -> None:
        assert "credit-risk:12" in desk.cursor_line
        await desk.press("A")
        await desk.type("fine")
        await desk.press("enter")
        assert "credit-risk:12 is approved now" in desk.notice
        assert "credit-risk:12" not in desk.text.split("--")[0]
        assert "1/1" in desk.top

    on(registry, "r", act)
    assert state(registry, 12) == "approved"


def test_a_version_that_was_decided_meanwhile_is_not_decided_again() -> None:
    registry = estate()

    async def act(desk: Desk) -> None:
        registry.decide(12, Action.REJECT, comment="not on my watch")
        refresh_index(desk.app.source.index, registry.session(), details=False)
        await desk.press("A")
        await desk.type("fine")
        await desk.press("enter")
        assert "REFUSED: version 12 is rejected: a refusal stands for ever" in desk.notice

    on(registry, "r", act)
    assert state(registry, 12) == "rejected"


def test_a_model_that_cannot_be_read_is_named_and_hides_nothing_else() -> None:
    registry = estate()

    async def act(desk: Desk) -> None:
        registry.store.put(keys.head(CHAT), b"{}", Unconditional())
        await desk.press("r")
        assert "1/1" in desk.top
        assert "credit-risk:12" in desk.cursor_line
        assert "acme/chat" in desk.notice
        assert "1 version waits, 1 for you." in desk.notice

    on(registry, "r", act)


def test_the_version_that_waits_is_opened(registry: Registry) -> None:
    async def act(desk: Desk) -> None:
        await desk.press("G", "enter")
        assert "acme/chat > v1" in desk.top
        await desk.press("h")
        assert "acme/chat:1" in desk.cursor_line

    on(registry, "r", act)


def test_a_policy_that_wants_more_is_seen_at_the_next_look(registry: Registry) -> None:
    async def act(desk: Desk) -> None:
        await desk.press("slash")
        await desk.type("gates:fail !nobody")
        await desk.press("enter")
        assert "1/2" in desk.top
        assert "acme/chat:1" in desk.cursor_line

    on(registry, "r", act)


def test_drift_is_shown_alone_and_with_the_alias_that_it_drifts_from(registry: Registry) -> None:
    async def act(desk: Desk) -> None:
        await desk.press("z")
        shown = "\n".join(line for line in desk.lines[2:9] if not line.startswith("--"))
        assert "behind by 1, now v9" in shown
        assert "credit-risk@production" in shown
        assert "fraud-api-1" not in shown
        assert "staging  " not in shown
        await desk.press("z")
        assert "7/7" in desk.top

    on(registry, "d", act)


def test_who_has_not_reported_for_long_is_found_and_marked(registry: Registry) -> None:
    async def act(desk: Desk) -> None:
        await desk.press("G", "k", "k", "k")
        assert "2/7" in desk.top
        assert "9d STALE" in desk.text

    on(registry, "d stale", act)


@pytest.mark.parametrize(
    ("presses", "expected"),
    [((), "v9"), (("j", "j"), "v8"), (("j", "j", "j"), "v11")],
    ids=["an alias", "an instance that is behind", "an alias that nobody follows"],
)
def test_the_version_that_is_served_is_opened(registry: Registry, presses: tuple[str, ...], expected: str) -> None:
    async def act(desk: Desk) -> None:
        await desk.press(*presses, "enter")
        assert f"credit-risk > {expected} " in desk.top

    on(registry, "d", act)


@pytest.mark.parametrize("presses", [("G",), ("G", "k", "k")], ids=["damaged", "a group by number"])
def test_a_line_that_names_no_version_says_so(registry: Registry, presses: tuple[str, ...]) -> None:
    async def act(desk: Desk) -> None:
        await desk.press(*presses, "enter")
        assert "names no version" in desk.notice
        assert "deployments" in desk.top

    on(registry, "d", act)


def test_records_are_newest_first_and_found_by_who_did_what(registry: Registry) -> None:
    async def act(desk: Desk) -> None:
        times = [line[3:20] for line in desk.lines[2:12]]
        assert times == sorted(times, reverse=True)
        await desk.press("slash")
        await desk.type("by:ops action:promote")
        await desk.press("enter")
        assert "3/28" in desk.top
        assert "credit-risk@production -> v9" in desk.text
        await desk.press("enter")
        assert "credit-risk > v" in desk.top

    on(registry, "audit", act)


def test_internal_records_are_listed_when_they_are_asked_for_and_marked(registry: Registry) -> None:
    async def act(desk: Desk) -> None:
        assert "; . lists 4 internal" in desk.notice
        assert "(create-alias)" not in desk.text
        await desk.press("full_stop", "slash")
        await desk.type("action:create-alias")
        await desk.press("enter")
        assert "2/32" in desk.top
        assert "(create-alias)" in desk.cursor_line
        assert "Internal: an operation" in desk.text

    on(registry, "audit", act)


def test_the_records_of_one_model_are_shown_alone(registry: Registry) -> None:
    async def act(desk: Desk) -> None:
        assert "acme/chat > audit" in desk.top
        assert "credit-risk" not in desk.text
        assert "verified: 5 records in 1 chain, none broken" in desk.notice

    on(registry, f"audit {CHAT}", act)


def test_a_model_that_is_not_there_is_said(registry: Registry) -> None:
    async def act(desk: Desk) -> None:
        assert "there is no model acme/none" in desk.text
        await desk.press("colon")
        await desk.type("audit not/a/model/name")
        await desk.press("enter")
        assert "acme/none > audit" in desk.top

    on(registry, "audit acme/none", act)


def test_the_story_of_the_registry_itself_names_no_version(registry: Registry) -> None:
    async def act(desk: Desk) -> None:
        await desk.press("slash")
        await desk.type("of:registry")
        await desk.press("enter", "enter")
        assert "about the registry itself" in desk.notice

    on(registry, "audit", act)


def test_a_chain_that_was_changed_is_called_broken() -> None:
    registry = estate()
    key = keys.head(CHAT)
    body = registry.store.get(key).body
    assert body.count(b'"actor":"rev1@example.org"') == 1
    registry.store.put(key, body.replace(b"rev1@example.org", b"rev9@example.org"), Unconditional())

    async def act(desk: Desk) -> None:
        assert "BROKEN: heads/acme/chat.json: generation" in desk.notice
        assert "does not follow from generation" in desk.notice

    on(registry, "audit", act)


def test_the_probe_runs_only_after_the_word_for_it() -> None:
    registry = estate()
    before = written(registry)

    async def act(desk: Desk) -> None:
        await desk.press("P")
        assert "The probe writes below probe/ in memory:" in desk.text
        await desk.type("prob")
        await desk.press("enter")
        assert "not probe yet" in desk.notice
        assert written(registry) == before
        await desk.type("e")
        await desk.press("enter")
        assert re.search(r"all \d+ promises were kept", desk.notice)
        assert "PROBE, just now" in desk.text
        await desk.press("at", "enter")
        assert "copied" in desk.notice
        assert "bucketry doctor" in desk.text

    on(registry, "doctor", act)
    assert set(written(registry)) == set(before)
    assert written(registry)[keys.REGISTRY] != before[keys.REGISTRY]


def test_the_probe_is_not_offered_to_who_may_not_write(registry: Registry) -> None:
    async def act(desk: Desk) -> None:
        await desk.press("P")
        assert "not now, the configuration says read_only" in desk.notice
        assert "ops writes nothing from here" in desk.text

    on(registry, "doctor", act, session=session_of(registry, read_only=True))


def test_a_store_that_nobody_probed_is_called_so() -> None:
    registry = estate()
    body = registry.store.get(keys.REGISTRY).body
    registry.store.put(keys.REGISTRY, body.replace(b'"endpoint":"memory"', b'"endpoint":"elsewhere"'), Unconditional())

    async def act(desk: Desk) -> None:
        assert "FAIL  nobody has probed this endpoint" in desk.text
        assert "elsewhere: elsewhere kept its promises" in desk.text
        assert "ops writes nothing from here: nobody has probed" in desk.text

    on(registry, "doctor", act)


def test_a_clock_that_is_wrong_is_warned_of() -> None:
    registry = estate()

    async def act(desk: Desk) -> None:
        assert "WARN  the store's clock is 1d ahead of this machine's" in desk.text

    registry.clock.at = registry.clock.at.replace(day=registry.clock.at.day - 1)
    on(registry, "doctor", act)


def test_a_filter_finds_words_anywhere_and_in_one_text_alone() -> None:
    texts = {"by": "Ada", "of": "acme/chat:7"}
    assert matches_words("", texts)
    assert matches_words("ada CHAT", texts)
    assert matches_words("by:ada of:chat", texts)
    assert matches_words("acme/chat:7", texts)
    assert matches_words("!bob !by:chat", texts)
    assert matches_words("~acht ! ~ !~ !~ahct", texts)
    assert not matches_words("!~acht", texts)
    assert not matches_words("~hca", texts)
    assert not matches_words("ada bob", texts)
    assert not matches_words("by:chat", texts)
    assert not matches_words("!ada", texts)
    assert not matches_words("!of:chat", texts)

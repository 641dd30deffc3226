"""Do the tabs of a version show what the registry says, in each state and at both sizes?"""

from __future__ import annotations

import asyncio
from itertools import pairwise
from typing import TYPE_CHECKING, cast

import pytest

from bucketry.errors import UnavailableError
from bucketry.registry.review.policies import set_policy
from bucketry.registry.serving.aliases import promote
from bucketry.registry.versions.lineage import Edge, Graph, Node
from bucketry.schema.documents.manifest import Lineage, Training
from bucketry.schema.documents.policy import parse_policy_toml
from bucketry.schema.documents.reviews import Action
from bucketry.store.memory import MemoryStore
from tui.desk import HOSTILE, PRODUCTION, RISK, TRAINER, Wire, check_snapshot, filled_registry, open_desk
from tui.model_files import TENSORS, publish_files
from tui.storied import storied_registry

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from bucketry.store.contract import Store
    from tui.desk import Desk, Registry

SIZES = [(80, 24), (140, 40)]
NEWEST = ("G", "enter", "enter")
OLDEST = ("G", "enter", "G", "enter")
TABS = {"files": "3", "lineage": "4", "card": "5", "reviews": "6", "audit": "7"}
STRICT_POLICY = """
approvals_required = 2
separate_duties = true
reviewers = ["*@example.org"]
approval_expires_days = 30
"""


@pytest.fixture(scope="module")
def registry() -> Registry:
    return storied_registry()


def at_desk(
    registry: Registry,
    act: Callable[[Desk], Awaitable[None]],
    *keys: str,
    size: tuple[int, int] = (80, 24),
) -> None:
    async def run() -> None:
        async with open_desk(registry, size=size) as desk:
            await desk.press(*keys)
            await act(desk)

    asyncio.run(run())


def without_hints(desk: Desk) -> str:
    """Return what is shown but for the last line: which keys have a word there is another test's matter."""
    return "\n".join(desk.lines[:-1])


def looks_as_it_did(registry: Registry, name: str, *keys: str, size: tuple[int, int] = (80, 24)) -> None:
    async def look(desk: Desk) -> None:
        check_snapshot(f"{name}-{size[0]}x{size[1]}", without_hints(desk))

    at_desk(registry, look, *keys, size=size)


@pytest.mark.parametrize("size", SIZES, ids=["narrow", "wide"])
@pytest.mark.parametrize("tab", TABS)
def test_a_tab_looks_as_it_did(registry: Registry, tab: str, size: tuple[int, int]) -> None:
    looks_as_it_did(registry, f"tab-{tab}", *NEWEST, TABS[tab], size=size)


@pytest.mark.parametrize("tab", TABS)
def test_a_tab_with_little_to_say_tells_why_and_what_to_do(registry: Registry, tab: str) -> None:
    looks_as_it_did(registry, f"tab-{tab}-empty", *OLDEST, TABS[tab])


@pytest.mark.parametrize("size", SIZES, ids=["narrow", "wide"])
def test_enter_on_a_file_with_tensors_lists_them(registry: Registry, size: tuple[int, int]) -> None:
    looks_as_it_did(registry, "tensors", *NEWEST, "3", "j", "j", "enter", size=size)


def test_tensors_can_be_filtered_and_sorted_and_left_again(registry: Registry) -> None:
    async def act(desk: Desk) -> None:
        await desk.press("j", "j", "enter", "slash")
        await desk.type("f32")
        await desk.press("enter")
        assert "1/3" in desk.top
        assert "q_proj" in desk.text
        assert "embed_tokens" not in desk.text
        await desk.press("escape", "greater_than_sign", "s")
        names = [line.removeprefix(">").split()[0] for line in desk.lines[2:5]]
        assert names == ["step", "model.layers.0.self_attn.q_proj.weight", "model.embed_tokens.weight"]
        await desk.press("h")
        assert "[3 Files]" in desk.text
        assert desk.cursor_line.startswith(">model-00001.safetensors")

    at_desk(registry, act, *NEWEST, "3")


def test_tensors_that_cannot_be_read_say_why_and_r_tries_again() -> None:
    registry = storied_registry(cast("Store", Wire(MemoryStore())))
    wire = cast("Wire", registry.store)

    async def act(desk: Desk) -> None:
        wire.fault = UnavailableError("the bucket does not answer", advice="check the network")
        await desk.press("enter")
        assert "the bucket does not answer" in desk.lines[3]
        wire.fault = None
        await desk.press("r")
        assert "q_proj" in desk.text

    at_desk(registry, act, *NEWEST, "3", "j", "j")


def test_enter_on_any_other_file_says_its_whole_digest(registry: Registry) -> None:
    async def act(desk: Desk) -> None:
        await desk.press("j", "enter")
        assert "sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a" in desk.text
        assert "config.json  2 bytes" in desk.text

    at_desk(registry, act, *NEWEST, "3")


def test_a_line_that_opens_nothing_says_so(registry: Registry) -> None:
    async def act(desk: Desk) -> None:
        await desk.press("g", "enter")
        assert "this line opens nothing" in desk.notice

    at_desk(registry, act, *NEWEST, "4")


def test_the_lineage_opens_the_version_of_another_model_and_stays_in_its_tab(registry: Registry) -> None:
    async def act(desk: Desk) -> None:
        await desk.press("enter")
        assert "acme/base > v1" in desk.top
        assert "[4 Lineage]" in desk.text
        assert "`- finetune: credit-risk:13" in desk.text
        await desk.press("h")
        assert "credit-risk > v13" in desk.top
        assert "finetune: acme/base:1" in desk.cursor_line

    at_desk(registry, act, *NEWEST, "4")


def test_a_deep_lineage_is_cut_where_it_can_be_followed_and_says_what_is_missing(
    registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = ["credit-risk:13", *(f"acme/base:{number}" for number in range(20, 0, -1))]
    chain = Graph(names[0], cut=True)
    chain.nodes = {name: Node(name, "version", name, "missing" if name == names[2] else "approved") for name in names}
    chain.edges = {Edge(there, here, "finetune"): None for here, there in pairwise(names)}
    chain.edges[Edge(names[2], names[0], "merge")] = None
    monkeypatch.setattr("bucketry.tui.screens.version.lineage.load_lineage", lambda *_, **__: chain)

    async def act(desk: Desk) -> None:
        assert "20 versions; there are more" in desk.text
        assert "finetune: acme/base:19  not in this registry" in desk.text
        assert "finetune: acme/base:15  approved  enter goes on" in desk.text
        assert "merge: acme/base:19  not in this registry  see above" in desk.text
        assert "acme/base:14" not in desk.text

    at_desk(registry, act, *NEWEST, "4")


def test_a_version_of_the_lineage_that_the_index_does_not_have_is_said_to_be_missing(
    registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bucketry.tui.screens.version.lineage.find_version_line", lambda *_: None)

    async def act(desk: Desk) -> None:
        await desk.press("enter")
        assert "acme/base:1 is not in this registry" in desk.text
        assert "credit-risk > v13" in desk.top

    at_desk(registry, act, *NEWEST, "4")


def test_an_approval_that_does_not_count_says_why() -> None:
    registry = storied_registry()
    registry.decide(13, Action.APPROVE, by=TRAINER)
    set_policy(registry.session(), RISK, parse_policy_toml(STRICT_POLICY, what="p"))
    looks_as_it_did(registry, "tab-reviews-dropped", *NEWEST, "6")


def test_a_refusal_is_said_to_stand_whoever_approved() -> None:
    registry = storied_registry()
    registry.decide(13, Action.APPROVE, comment="once more")
    registry.decide(13, Action.REVOKE, comment="leaks the training data")
    looks_as_it_did(registry, "tab-reviews-revoked", *NEWEST, "6")


def test_the_audit_of_a_version_has_also_how_it_lost_its_alias() -> None:
    registry = storied_registry()
    promote(registry.session(), RISK, 9, PRODUCTION, reason="complaints")

    async def act(desk: Desk) -> None:
        assert "v13 -> v9\n     complaints" in desk.text
        assert "v9 -> v13 (this one)" in desk.text
        assert "8 -> v9" not in desk.text

    at_desk(registry, act, *NEWEST, "7")


def test_the_tab_that_cannot_be_read_says_so_and_the_others_stay() -> None:
    registry = storied_registry(cast("Store", Wire(MemoryStore())))
    wire = cast("Wire", registry.store)

    async def act(desk: Desk) -> None:
        await desk.press("6")
        wire.fault = UnavailableError("the bucket does not answer", advice="check the network")
        await desk.press("7")
        check_snapshot("tab-audit-offline-80x24", without_hints(desk))
        await desk.press("r", "6")
        assert "please look" in desk.text
        wire.fault = None
        await desk.press("7")
        assert "the canary was fine" in desk.text

    at_desk(registry, act, *NEWEST)


def test_a_tab_that_takes_its_time_says_what_is_read_and_keys_go_on_working() -> None:
    registry = storied_registry(cast("Store", Wire(MemoryStore())))
    wire = cast("Wire", registry.store)

    async def run() -> None:
        async with open_desk(registry) as desk:
            await desk.press(*NEWEST)
            wire.open.clear()
            desk.app.view.open_tab(6)  # type: ignore[attr-defined]
            await desk.wait(0.6)
            desk.app.update_frame()
            await desk.wait(0)
            check_snapshot("tab-audit-loading-80x24", without_hints(desk))
            desk.app.view.open_tab(0)  # type: ignore[attr-defined]
            await desk.wait(0.1)
            assert "published " in desk.text
            wire.open.set()
            await desk.settle()

    asyncio.run(run())


@pytest.mark.parametrize("tab", TABS)
def test_foreign_text_is_shown_and_never_acted_on(tab: str) -> None:
    registry = filled_registry(text=HOSTILE)
    card = f"# {HOSTILE}\n\n[{HOSTILE}](javascript:x)\n\n&#27;[2J &#x202e;\n\n| {HOSTILE} | b |\n|--|--|\n| a | b |\n"
    publish_files(
        registry,
        {"README.md": card.encode(), "a.safetensors": TENSORS},
        card="README.md",
        training=Training(datasets=({"name": HOSTILE},)),
        lineage=Lineage(HOSTILE, HOSTILE, {"repository": HOSTILE, "commit": "4be1"}),
    )
    for action in (Action.REQUEST, Action.COMMENT, Action.APPROVE):
        registry.decide(13, action, comment=f"{HOSTILE}\nsecond line")
    promote(registry.session(), RISK, 13, PRODUCTION, reason=HOSTILE)

    async def act(desk: Desk) -> None:
        for line in desk.lines:
            assert line.isascii()
            assert line.isprintable()
            assert len(line) <= 80
        assert tab == "files" or "\\x1b" in desk.text

    at_desk(registry, act, *NEWEST, TABS[tab])


def test_a_session_that_may_change_nothing_shows_the_tabs(registry: Registry) -> None:
    async def run() -> None:
        async with open_desk(registry, read_only=True) as desk:
            await desk.press(*NEWEST, "6", "A")
            assert "not now, these screens were opened with --read-only" in desk.text
            assert "please look" in desk.text

    asyncio.run(run())


def test_the_cursor_stays_where_it_was_when_the_window_changes(registry: Registry) -> None:
    async def act(desk: Desk) -> None:
        await desk.press("j", "j")
        await desk.resize(140, 40)
        assert desk.cursor_line.startswith(">model-00001.safetensors")
        assert "07c12c9a4545fd632c8c9bbdaf9abeb26322e815babf1e808bc6fb4d6cb7ee46" in desk.cursor_line

    at_desk(registry, act, *NEWEST, "3")


def test_a_version_of_many_files_is_scrolled_with_the_cursor() -> None:
    registry = filled_registry()
    publish_files(registry, {f"part-{number:03}.bin": b"%d" % number for number in range(300)})

    async def act(desk: Desk) -> None:
        assert "1/300" in desk.top
        await desk.press("G")
        assert desk.cursor_line.startswith(">part-299.bin")
        await desk.press("pageup")
        assert desk.cursor_line.startswith(">part-2")
        await desk.press("g")
        assert "300 files" in desk.lines[2]

    at_desk(registry, act, *NEWEST, "3")


def test_m_without_a_card_says_so_and_with_one_needs_a_terminal(registry: Registry) -> None:
    async def act(desk: Desk) -> None:
        await desk.press("m")
        assert "no pager can be shown on this display" in desk.text
        await desk.press("h", "G", "m")
        assert "credit-risk:1 has no card" in desk.text

    at_desk(registry, act, *NEWEST)


def test_each_tab_is_in_the_command_log_as_the_command_that_says_the_same(registry: Registry) -> None:
    async def act(desk: Desk) -> None:
        await desk.press("3", "4", "5", "6", "7", "at")
        for words in ("show credit-risk:13", "lineage credit-risk:13", "audit credit-risk"):
            assert f"bucketry {words}" in desk.text

    at_desk(registry, act, *NEWEST)

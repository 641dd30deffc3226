"""Do the lists say how versions stand, show the columns that were chosen, and find what a filter asks for?"""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import TYPE_CHECKING, Any, cast

import pytest

from bucketry.errors import UnavailableError, UsageError
from bucketry.index.refresh import refresh_index
from bucketry.index.standings import refresh_standings
from bucketry.index.store import Index
from bucketry.registry.review.policies import set_policy
from bucketry.schema.documents.policy import parse_policy_toml
from bucketry.schema.documents.reviews import Action
from bucketry.show.figures import column_number, metric_title
from bucketry.show.spans import TextPage, plain_text
from bucketry.show.tables import Column, choose_columns, fit_columns, row_line
from bucketry.tui.data.source import ListSelection
from bucketry.tui.drawing.column_choices import MOST_LISTS, chosen_columns, save_choice
from bucketry.tui.screens.versions import PANEL_PAUSE_SECONDS
from tui.desk import NOW, RISK, TRAINER, Registry, Wire, check_snapshot, empty_registry, filled_registry, open_desk
from tui.estate import estate

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from pathlib import Path

    from bucketry.registry.core.session import Session
    from bucketry.store.contract import Store
    from bucketry.tui.screens.listing import ListView
    from tui.desk import Desk

VERSIONS = ("G", "enter")
SIZES = [(80, 24), (140, 40)]
ENDING = "approvals_required = 1\napproval_expires_days = 5"
POLICY = """
approvals_required = 2
approval_expires_days = 5
protected_aliases = ["production"]
[[gate]]
evidence = "human"
at_least = 1
"""


@pytest.fixture(autouse=True)
def _own_state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BUCKETRY_STATE", str(tmp_path))
    for name in ("SSH_AUTH_SOCK", "TMUX", "DISPLAY", "WAYLAND_DISPLAY"):
        monkeypatch.delenv(name, raising=False)


def on(registry: Registry, act: Callable[[Desk], Awaitable[None]], **how: object) -> None:
    async def run() -> None:
        async with open_desk(registry, **how) as desk:  # type: ignore[arg-type]
            await act(desk)

    asyncio.run(run())


async def rest(desk: Desk) -> None:
    """Wait until the cursor has rested, and what is read then is there."""
    await desk.wait(0.3)
    await desk.settle()


def line_of(desk: Desk, version: int) -> str:
    return next(line for line in desk.lines if f" v{version} " in line)


def every_stage() -> Registry:
    registry = empty_registry()
    for version in range(1, 9):
        registry.publish(RISK, version)
    set_policy(
        registry.session(), RISK, parse_policy_toml("approvals_required = 1\napproval_expires_days = 5", what="p")
    )
    registry.decide(1, Action.APPROVE)
    registry.decide(2, Action.APPROVE)
    registry.decide(2, Action.REVOKE, comment="drifts")
    registry.decide(3, Action.REJECT, comment="no")
    registry.clock.at = NOW
    for version in (4, 5):
        registry.decide(version, Action.APPROVE)
    registry.decide(4, Action.APPROVE, by="rev2@example.org")
    registry.decide(6, Action.REQUEST, by=TRAINER)
    registry.clock.at += timedelta(days=4, hours=12)
    set_policy(registry.session(), RISK, parse_policy_toml(POLICY, what="p"))
    return registry


@pytest.mark.parametrize("size", SIZES)
def test_every_stage_of_a_review_has_its_words(size: tuple[int, int]) -> None:
    async def act(desk: Desk) -> None:
        await desk.press(*VERSIONS)
        await rest(desk)
        assert " expired " in line_of(desk, 1)
        assert "x revoked by rev1@" in line_of(desk, 2)
        assert "x rejected by rev1@" in line_of(desk, 3)
        assert " 2 of 2 " in line_of(desk, 4)
        assert " 1 of 2 " in line_of(desk, 5)
        assert " checks.. " in line_of(desk, 6)
        check_snapshot(f"lists-stages-{size[0]}x{size[1]}", desk.text)

    on(every_stage(), act, size=size)


def test_rows_are_there_before_their_reviews_are_read_and_stay_if_they_cannot_be() -> None:
    registry = every_stage()
    wire = registry.store = cast("Store", Wire(registry.store))

    async def act(desk: Desk) -> None:
        wire.fault = UnavailableError("the bucket does not answer")  # type: ignore[attr-defined]
        await desk.press(*VERSIONS)
        await rest(desk)
        assert " approved " in line_of(desk, 4)
        assert "x rejected " in line_of(desk, 3)
        assert "the bucket does not answer" in desk.notice

    on(registry, act)


def test_what_another_process_of_the_user_read_is_shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    registry = filled_registry()
    mine, other = Index(tmp_path / "index.sqlite"), Index(tmp_path / "index.sqlite")

    def after_the_other(_: Index, session: Session, *rest: Any) -> int:
        refresh_standings(other, session, *rest)
        return refresh_standings(mine, session, *rest)

    async def act(desk: Desk) -> None:
        monkeypatch.setattr("bucketry.index.standings.refresh_standings", after_the_other)
        await desk.press(*VERSIONS, "j", "k")
        await desk.wait(2 * PANEL_PAUSE_SECONDS)
        await desk.settle()
        assert "0 of 1" in desk.cursor_line

        registry.decide(12, Action.REJECT, comment="no")
        refresh_index(other, registry.session(), details=False)
        desk.app.refreshing.start()
        await desk.settle()
        assert "rejected" in desk.cursor_line

    with other:
        on(registry, act, index=mine)


@pytest.mark.parametrize("size", SIZES)
def test_columns_are_chosen_moved_kept_and_taken_back(size: tuple[int, int]) -> None:
    registry = filled_registry()

    async def act(desk: Desk) -> None:
        await desk.press(*VERSIONS, "o")
        await rest(desk)
        check_snapshot(f"lists-columns-{size[0]}x{size[1]}", desk.text)
        await desk.press("j", "space")  # no alias
        await desk.press(*"j" * 11)
        assert "> [ ] seed" in desk.text
        await desk.press("space", *["less_than_sign"] * 12)
        await desk.press("enter")
        await rest(desk)
        assert desk.lines[1].split()[:3] == ["seed", "VERS", "v"]
        assert "x rejected" in line_of(desk, 10)
        assert line_of(desk, 9).split()[0] == "9"
        check_snapshot(f"lists-chosen-{size[0]}x{size[1]}", desk.text)
        await desk.press("h", "enter")
        await rest(desk)
        assert desk.lines[1].split()[0] == "seed"
        await desk.press("o", "u")
        assert desk.lines[1].split()[:2] == ["VERS", "v"]

    on(registry, act, size=size)


def test_leaving_the_chooser_changes_nothing() -> None:
    async def act(desk: Desk) -> None:
        await desk.press(*VERSIONS)
        before = desk.lines[1]
        for key in ("escape", "q", "h", "o"):
            await desk.press("o", "space", key)
            assert (desk.lines[1], "COLUMNS" in desk.text) == (before, False), key
        assert chosen_columns("memory: versions credit-risk") == ()

    on(filled_registry(), act)


@pytest.mark.parametrize("damage", ["{", '{"format": 1, "lists": [["a", 1]]}'])
def test_a_damaged_choice_is_ignored_and_said_once(tmp_path: Path, damage: str) -> None:
    (tmp_path / "columns.json").write_text(damage)

    async def act(desk: Desk) -> None:
        assert "columns.json cannot be used" in desk.notice
        await desk.press(*VERSIONS)
        assert "VERS v ALIAS" in desk.lines[1]
        assert "cannot be used" not in desk.text

    on(filled_registry(), act)
    assert (tmp_path / "columns.damaged").read_text() == damage


def test_choices_of_many_lists_are_kept_apart_and_the_oldest_forgotten(tmp_path: Path) -> None:
    for number in range(MOST_LISTS // 100):
        save_choice(f"list {number}", ("a", f"b{number}"))
    save_choice("list 0", ())
    assert chosen_columns("list 0") == ()
    assert chosen_columns("list 1") == ("a", "b1")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["columns.json"]
    assert (tmp_path / "columns.json").stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("param.seed>9", "3/12"),
        ("notes:long", "1/12"),
        ("label:team", "1/12"),
        ("auc>0.915", "2/12"),
        ("!state:rejected", "11/12"),
        ("~rgstrd", "8/12"),
        ("!~rgstrd state:approved", "2/12"),
    ],
)
def test_a_filter_finds_what_only_manifests_say(query: str, found: str) -> None:
    async def act(desk: Desk) -> None:
        await desk.press(*VERSIONS, "slash")
        await desk.type(query)
        await desk.press("enter")
        assert f" {found} " in desk.top

    on(filled_registry(), act)


def test_a_version_that_is_published_meanwhile_is_found_by_a_filter_on_parameters() -> None:
    registry = filled_registry()

    async def act(desk: Desk) -> None:
        await desk.press(*VERSIONS, "slash")
        await desk.type("param.seed>9")
        await desk.press("enter")
        registry.publish(RISK, 13)
        await desk.press("r")
        assert " 4/13 " in desk.top

    on(registry, act)


def test_models_are_found_by_what_the_manifests_of_their_versions_say() -> None:
    async def act(desk: Desk) -> None:
        await desk.press("slash")
        await desk.type("param.seed>5")
        await desk.press("enter")
        assert " 1/2 " in desk.top
        assert "credit-risk" in desk.cursor_line

    on(filled_registry(), act)


def test_a_filter_says_that_it_reads_and_blocks_no_key() -> None:
    registry = filled_registry()
    wire = registry.store = cast("Store", Wire(registry.store))

    async def act(desk: Desk) -> None:
        await desk.press(*VERSIONS, "slash")
        await desk.type("notes:")
        wire.open.clear()  # type: ignore[attr-defined]
        await desk.press_only("l", "enter")
        await desk.wait(0.3)
        assert "reading manifests for this: 0 of 12" in desk.notice
        await desk.press_only("escape")
        await desk.wait(0.1)
        assert "12/12" in desk.top
        assert "reading" not in desk.notice
        wire.open.set()  # type: ignore[attr-defined]

    on(registry, act)


def test_a_metric_that_rows_show_needs_no_manifest() -> None:
    registry = filled_registry()

    async def act(desk: Desk) -> None:
        await desk.press(*VERSIONS, "slash")
        await desk.type("auc>0.91")
        await desk.press("enter", "at")
        assert "(manifests)" not in desk.text
        await desk.press("h", "slash")
        await desk.type(" param.lr<1")
        await desk.press("enter", "at")
        assert "(manifests)" in desk.text

    on(registry, act)


def test_the_index_sorts_by_every_column_that_offers_it() -> None:
    async def act(desk: Desk) -> None:
        for keys in ((), VERSIONS):
            await desk.press(*keys)
            view = cast("ListView[object]", desk.app.view)
            names = [column.name for column in (*view.columns(), *view.extra_columns()) if column.sortable]
            assert len(names) > 4
            for name in names:
                view.fetch(ListSelection(order=name))
            with pytest.raises(UsageError, match="not sorted by 'standing'"):
                view.fetch(ListSelection(order="standing"))

    on(filled_registry(), act)


def test_versions_are_sorted_by_a_parameter_that_is_read_for_it() -> None:
    save_choice("memory: versions credit-risk", ("version", "param:seed"))

    async def act(desk: Desk) -> None:
        await desk.press(*VERSIONS, "greater_than_sign", "greater_than_sign", "s", "s")
        assert "[seed ^]" in desk.text
        await desk.press("g")
        assert desk.cursor_line.split() == [">", "v1", "1"]

    on(filled_registry(), act)


@pytest.mark.parametrize(
    ("keys", "reference"),
    [
        (("G",), "credit-risk:9"),  # models: what serves production
        (("G", "enter", "j"), "credit-risk:11"),
        (("G", "enter", "enter"), "credit-risk:12"),
        (("G", "enter", "j", "equals_sign"), "credit-risk:11"),
        (("colon", "r", "enter"), "credit-risk:12"),
        (("colon", "d", "enter", "G", "k"), "credit-risk:10"),
    ],
)
def test_the_version_under_the_cursor_can_be_got_from_every_list(keys: tuple[str, ...], reference: str) -> None:
    async def act(desk: Desk) -> None:
        await desk.press(*keys, "d")
        assert f"get {reference} to:" in desk.notice
        await desk.press("escape")
        if "equals_sign" not in keys and keys != ("G",):  # there y copies the comparison, or the model's name
            await desk.press("y")
            assert f"copy of {reference}:  d digest  n name  u URI  c command" in desk.notice

    on(estate(), act)


def test_a_model_that_serves_nothing_has_nothing_to_get() -> None:
    async def act(desk: Desk) -> None:
        await desk.press("d")
        assert "not now, nothing of it serves production" in desk.notice

    on(filled_registry(), act)


def test_the_notice_says_what_the_marks_would_be_compared_with() -> None:
    async def act(desk: Desk) -> None:
        await desk.press(*VERSIONS, "space")
        assert "1 marked. = compares v12 with production." in desk.notice
        await desk.press("v", "j", "j", "j", "v")
        assert "marked. = compares" not in desk.notice  # five are too many
        await desk.press("escape", "g", "space", "j", "j", "space")
        assert "2 marked. = compares v12 with v9." in desk.notice  # which serves
        await desk.press("space")
        assert "3 marked. = compares v12, v8 with v9." in desk.notice

    on(filled_registry(), act)


def test_the_help_says_what_the_columns_mean() -> None:
    async def act(desk: Desk) -> None:
        await desk.press(*VERSIONS, "question_mark", "G")
        assert "COLUMNS" in desk.text
        assert "SIGNED         by the publisher, not verified here; -: not read yet" in desk.text

    on(filled_registry(), act, size=(140, 40))


def test_what_does_not_fit_goes_on_over_a_column_that_says_nothing() -> None:
    columns: list[Column[str]] = [
        Column("a", "A", str, 4, spills=True),
        Column("b", "B", lambda row: "" if len(row) > 4 else "b", 4),
        Column("c", "C", lambda _: "c", 1),
    ]
    shown = [
        plain_text(row_line(fit_columns(columns, 11), row, TextPage())) for row in ("four", "sixsix", "elevenchars")
    ]
    assert shown == ["four b    c", "sixsix    c", "elevench… c"]
    chosen = choose_columns(columns, ("c", "a", "gone"))
    assert [(column.name, column.rank) for column in chosen] == [("c", 0), ("a", 1)]
    assert choose_columns(columns, ("gone",)) == tuple(columns)


def test_the_points_of_numbers_are_below_each_other() -> None:
    assert [column_number(value, is_whole=False) for value in (0.916, 1.5, 46, 0.0, None)] == [
        ".9160",
        "1.500",
        "46.0",
        ".0000",
        "-",
    ]
    assert [column_number(value, is_whole=True) for value in (12, 45_112.0, 0)] == ["12", "45112", "0"]
    assert [metric_title(name) for name in ("auc", "p95_ms", "recall_at_1")] == ["AUC", "P95ms", "RECALL_AT_1"]

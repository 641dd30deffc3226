"""Is a user shown what a move of an alias changes before it is made, and what another did meanwhile?"""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING, cast

import click
import pytest

from bucketry.cli.program import CommandList
from bucketry.registry.core.registers import load_alias, load_existing_head
from bucketry.registry.core.rows import load_dossier, load_row
from bucketry.registry.review.policies import set_policy
from bucketry.registry.serving.aliases import promote
from bucketry.registry.versions.lifecycle import LabelEdit, edit_version
from bucketry.schema.documents.policy import parse_policy_toml
from bucketry.schema.documents.reviews import Action
from tui.desk import PRODUCTION, RISK, Registry, Wire, check_snapshot, filled_registry
from tui.estate import estate
from tui.evaluated import evaluated_registry, on

if TYPE_CHECKING:
    from bucketry.store.contract import Store
    from tui.desk import Desk

VERSIONS = ("G", "enter")
TO_V8 = (*VERSIONS, "j", "j", "j", "j", "P")
EVE = "eve@example.org"
SIZES = [(80, 24), (140, 40)]
pytestmark = pytest.mark.usefixtures("no_agent")


def target(registry: Registry) -> int | None:
    register = load_alias(registry.session(), RISK, PRODUCTION).state
    return register.target.version if register is not None and register.target is not None else None


def boxed(desk: Desk) -> str:
    """Return the panel and what stands below it, whatever list it covers."""
    first = next(place for place, line in enumerate(desk.lines) if line.startswith("+-"))
    return "\n".join(desk.lines[first:-1])


def held(registry: Registry) -> Wire:
    wire = Wire(registry.store)
    registry.store = cast("Store", wire)
    return wire


def test_an_alias_that_names_the_version_already_is_not_moved() -> None:
    registry = filled_registry()

    async def act(desk: Desk) -> None:
        await desk.press(*VERSIONS, "j", "j", "j", "P")
        await desk.type("production")
        await desk.press("enter")
        await desk.type("credit-risk")
        await desk.press("enter")
        assert "production names v9 already" in desk.text
        assert "nothing changes" in desk.text
        assert "nothing to do" in desk.text
        await desk.press("escape", "k", "k", "P")
        await desk.type("staging")
        await desk.press("enter")
        assert "staging names credit-risk:11 already" in desk.notice

    on(registry, act)
    assert target(registry) == 9


@pytest.mark.parametrize("size", SIZES)
def test_a_promotion_is_shown_with_whom_it_reaches_and_what_speaks_for_it(size: tuple[int, int]) -> None:
    async def act(desk: Desk) -> None:
        await desk.press(*TO_V8)
        await desk.type("production")
        await desk.press("enter")
        await desk.type("credit-ri")
        check_snapshot(f"promote-{size[0]}x{size[1]}", boxed(desk))

    on(estate(), act, size=size)


@pytest.mark.parametrize("size", SIZES)
def test_a_failing_gate_and_what_got_worse_stand_in_the_panel(size: tuple[int, int]) -> None:
    async def act(desk: Desk) -> None:
        await desk.press(*VERSIONS, "P")
        await desk.type("production")
        await desk.press("enter")
        assert "gate FAILED recall@1%fpr >= 0.63" in desk.text
        assert "worse: recall@1%fpr v" in desk.text
        assert "approved by: nobody (0 of 1, 1 MISSING)" in desk.text
        check_snapshot(f"promote-blocked-{size[0]}x{size[1]}", boxed(desk))
        assert "REFUSED: credit-risk@production is protected" in boxed(desk)
        await desk.type("credit-risk")
        await desk.press("enter")
        assert "REFUSED: esc closes" in desk.notice

    on(evaluated_registry(), act, size=size)


@pytest.mark.parametrize("size", SIZES)
def test_a_rollback_says_where_it_goes_and_in_what_state_that_is(size: tuple[int, int]) -> None:
    async def act(desk: Desk) -> None:
        await desk.press(*VERSIONS, "B", "enter")
        assert "alias production  v9  ->  v8" in desk.text
        assert "v8 is approved" in desk.text
        assert "rollback credit-risk production --to 8" in desk.text
        check_snapshot(f"rollback-{size[0]}x{size[1]}", boxed(desk))

    on(estate(), act, size=size)


def test_what_is_typed_while_the_bucket_hangs_stays_and_is_taken_when_the_panel_is_full() -> None:
    registry = filled_registry()
    wire = held(registry)

    async def act(desk: Desk) -> None:
        await desk.press(*TO_V8)
        await desk.type("production")
        wire.open.clear()
        await desk.press_only("enter", *"credit", "minus", *"risk", "enter")
        assert "type  credit-risk  to promote: credit-risk" in desk.text
        assert "still reading" in desk.text
        assert "serves: reading ..." in desk.text
        wire.open.set()
        await desk.settle()
        assert "approved by: rev1@example.org" in desk.text
        await desk.press("enter")
        assert "production: v9 -> v8" in desk.notice

    on(registry, act)


def test_a_panel_whose_version_was_refused_meanwhile_says_so_and_takes_no_answer() -> None:
    registry = filled_registry()

    async def act(desk: Desk) -> None:
        await desk.press(*TO_V8)
        await desk.type("production")
        registry.decide(8, Action.REVOKE, comment="leaks")
        await desk.press("enter")
        assert "is rejected now, not approved as shown: revoke by rev1@example.org" in desk.notice
        await desk.type("credit-risk")
        await desk.press("enter")
        assert "REFUSED: credit-risk:8 is rejected now, not approved as shown" in desk.text
        assert "REFUSED: esc closes" in desk.text

    on(registry, act)
    assert target(registry) == 9


def test_an_alias_that_another_moved_is_asked_about_anew_with_who_moved_it() -> None:
    registry = filled_registry()

    async def act(desk: Desk) -> None:
        await desk.press(*VERSIONS, "B", "enter")
        await desk.type("credit-risk")
        promote(registry.session(EVE), RISK, 8, PRODUCTION)
        await desk.press("enter")
        assert "CHANGED MEANWHILE: credit-risk@production names v8 now, not v9 as shown: promote by eve" in desk.notice
        assert "v8  ->  v9" in desk.text
        assert "type  credit-risk  to roll back: credit-risk" in desk.text
        await desk.press("enter")
        assert "production: v8 -> v9" in desk.notice

    on(registry, act)


def test_a_promotion_of_another_meanwhile_asks_anew_against_what_serves_now() -> None:
    registry = filled_registry()

    async def act(desk: Desk) -> None:
        await desk.press(*VERSIONS, "A", "enter", "P")
        await desk.type("production")
        await desk.press("enter")
        await desk.type("credit-risk")
        promote(registry.session(EVE), RISK, 8, PRODUCTION)
        await desk.press("enter")
        assert "CHANGED MEANWHILE: credit-risk@production names v8 now, not v9 as shown: promote by eve" in desk.notice
        assert "v12  ->  alias production   (now v8" in desk.text
        assert "type  credit-risk  to promote: credit-risk" in desk.text
        await desk.press("enter")
        assert "production: v8 -> v12" in desk.notice

    on(registry, act)


def test_a_version_that_another_rejected_meanwhile_is_not_gone_back_to() -> None:
    registry = filled_registry()

    async def act(desk: Desk) -> None:
        await desk.press(*VERSIONS, "B", "enter")
        await desk.type("credit-risk")
        registry.decide(8, Action.REVOKE, by=EVE, comment="leaks")
        await desk.press("enter")
        assert "credit-risk:8 is rejected now, not approved as shown: revoke by eve@example.org" in desk.notice

    on(registry, act)
    assert target(registry) == 9


def test_a_decision_of_another_meanwhile_is_told_first_and_what_is_approved_is_revoked() -> None:
    registry = filled_registry()

    async def act(desk: Desk) -> None:
        await desk.press(*VERSIONS, "X")
        await desk.type("drifts")
        registry.decide(12, Action.APPROVE, by=EVE, comment="fine")
        await desk.press("enter")
        assert "is approved now, not in review as shown: approve by eve@example.org" in desk.notice
        assert "revoke the approval of credit-risk:12 for ever, reason: drifts" in desk.text
        await desk.press("enter")
        assert "credit-risk:12 is rejected now" in desk.notice

    on(registry, act)


def test_a_reason_is_not_typed_twice_where_the_first_was_in_vain() -> None:
    registry = filled_registry()

    async def act(desk: Desk) -> None:
        await desk.press(*VERSIONS, "C")
        await desk.type("drifts")
        registry.decide(12, Action.APPROVE, by=EVE, comment="fine")
        await desk.press("enter")
        assert "is approved now, not in review as shown" in desk.notice
        assert "comment on credit-risk:12: drifts" in desk.text
        await desk.press("enter")
        assert "commented on credit-risk:12" in desk.notice
        await desk.press("C")
        assert "drifts" not in desk.text

    on(registry, act)


def test_an_approval_of_another_that_changes_no_state_is_told_too() -> None:
    registry = filled_registry()
    set_policy(registry.session(), RISK, parse_policy_toml("approvals_required = 2", what="p"))

    async def act(desk: Desk) -> None:
        await desk.press(*VERSIONS, "A")
        registry.decide(12, Action.COMMENT, by=EVE, comment="hm")
        registry.decide(12, Action.APPROVE, by=EVE, comment="fine")
        await desk.press("enter")
        assert "credit-risk:12 is not as it was shown any more: approve by eve@example.org just now" in desk.notice
        await desk.press("enter")
        assert "credit-risk:12 is approved now (2 of 2 approvals)" in desk.notice

    on(registry, act)


@pytest.mark.parametrize(("keys", "text"), [(("E", "l"), "tier=gold"), (("E", "n"), "mine"), (("D",), "credit-risk")])
def test_what_another_edited_meanwhile_is_not_overwritten(keys: tuple[str, ...], text: str) -> None:
    registry = filled_registry()

    async def act(desk: Desk) -> None:
        await desk.press(*VERSIONS, "G", *keys)
        edit_version(registry.session(EVE), RISK, 1, labels=LabelEdit({"tier": "base"}), notes="theirs")
        await desk.type(text)
        await desk.press("enter")
        assert "credit-risk:1 is not as it was shown any more: edit by eve@example.org just now" in desk.notice

    on(registry, act)
    session = registry.session()
    head = load_existing_head(session, RISK)
    row = load_row(session, head, 1)
    assert (dict(row.labels), load_dossier(session, head, row).notes) == ({"tier": "base"}, "theirs")


def test_notes_are_undone_to_what_they_were() -> None:
    registry = filled_registry(text="slow")

    async def act(desk: Desk) -> None:
        await desk.press(*VERSIONS, "E", "n")
        assert "notes of credit-risk:12: slow" in desk.text
        await desk.type("er")
        await desk.press("enter", "U")
        assert "changed the notes" in desk.notice

    on(registry, act)
    session = registry.session()
    head = load_existing_head(session, RISK)
    assert load_dossier(session, head, load_row(session, head, 12)).notes == "slow"


def test_retiring_is_undone_both_ways() -> None:
    async def act(desk: Desk) -> None:
        await desk.press(*VERSIONS, "G", "T", "enter", "U", "enter")
        assert "credit-risk:1 is registered again" in desk.notice
        await desk.press("T", "enter", "T", "enter", "U", "enter")
        assert "credit-risk:1 is retired again" in desk.notice

    on(filled_registry(), act)


def test_what_has_no_counterpart_is_not_undone_and_what_came_before_it_neither() -> None:
    registry = filled_registry()

    async def act(desk: Desk) -> None:
        await desk.press(*VERSIONS, "U")
        assert "there is nothing to undo: nothing was changed from here" in desk.notice
        await desk.press("j", "T", "enter", "k", "A", "enter", "U")
        assert '"bucketry review approve credit-risk:12" has no counterpart' in desk.notice

    on(registry, act)
    session = registry.session()
    assert load_row(session, load_existing_head(session, RISK), 11).state.value == "retired"


def test_each_line_of_the_command_log_is_a_command_line_with_its_count_of_requests() -> None:
    """Whatever the screens did can be pasted into a shell: the program's own parser takes every line."""
    lines: dict[str, int] = {}

    async def act(desk: Desk) -> None:
        await desk.press(*VERSIONS, "C")
        await desk.type("it's slow")
        await desk.press("enter", "A", "enter", "P")
        await desk.type("production")
        await desk.press("enter")
        await desk.type("credit-risk")
        await desk.press("enter", "B", "enter")
        await desk.type("credit-risk")
        await desk.press("enter", "U")
        await desk.type("credit-risk")
        await desk.press("enter", "E", "n", "enter", "E", "l")
        await desk.type("tier=gold, -team")
        await desk.press("enter", "j", "j", "T", "enter", "equals_sign", "h", "h", "h", "G", "enter")
        await desk.press("g", "j", "R", "enter", "G", "D")
        await desk.type("credit-risk")
        await desk.press("enter", "g", "X")
        await desk.type("credit-risk no")
        await desk.press("enter")
        noted = [entry for entry in desk.app.log_of_commands.newest_first() if not entry.line.startswith("(")]
        lines.update({entry.line: entry.requests for entry in noted})

    on(filled_registry(), act)
    words = {" ".join(line.split()[1:3]) for line in lines}
    assert {"review comment", "review approve", "review revoke", "gates credit-risk:12"} <= words
    assert {"rollback credit-risk", "deployments credit-risk", "aliases credit-risk", "delete credit-risk:1"} <= words
    assert {"promote credit-risk:12", "edit credit-risk:12", "retire credit-risk:10"} <= words
    for line, requests in lines.items():
        assert requests > 0, line
        program, *rest = shlex.split(line)
        assert program == "bucketry"
        group: click.Command | None = CommandList("bucketry")
        while isinstance(group, click.Group):  # a command of a command, at most
            name, *rest = rest
            context = click.Context(group)
            group = group.get_command(context, name)
        assert group is not None, line
        group.make_context(name, rest, parent=context)

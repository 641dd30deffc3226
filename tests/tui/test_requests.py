"""How many requests does a decision or a move make that is asked for on a screen? The log of commands says it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bucketry.registry.review.policies import set_policy
from bucketry.schema.documents.policy import parse_policy_toml
from tui.desk import POLICY, RISK, filled_registry
from tui.evaluated import on

if TYPE_CHECKING:
    from tui.desk import Desk

GATE = """
[[gate]]
metric = "auc"
no_worse_than = "production"
direction = "higher"
"""


def test_a_decision_and_a_move_read_each_thing_once() -> None:
    """The screens check what was shown on the very state on which the service decides, and read none by themselves."""
    registry = filled_registry()
    set_policy(registry.session(), RISK, parse_policy_toml(POLICY + GATE, what="p"))
    made: dict[str, int] = {}

    async def act(desk: Desk) -> None:
        await desk.press("G", "enter", "A")
        await desk.type("looks good")
        await desk.press("enter", "P")
        await desk.type("production")
        await desk.press("enter")
        await desk.type("credit-risk")
        await desk.press("enter", "B", "enter")
        await desk.type("credit-risk")
        await desk.press("enter")
        for entry in desk.app.log_of_commands.newest_first():
            if entry.writes:
                made[" ".join(entry.line.split()[1:3])] = entry.requests

    on(registry, act)
    # The head, the alias of the gate, three writes, and the two aliases that are told.
    assert made["review approve"] == 7
    # The alias, the head after it, and the write: all else is known from the decision.
    assert made["promote credit-risk:12"] == made["rollback credit-risk"] == 3

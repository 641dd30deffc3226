"""Can results on one data set be told apart in a comparison, at every width?"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from bucketry.registry.review.policies import set_policy
from bucketry.registry.versions.evaluate import evaluate
from bucketry.schema.documents.evidence import Evidence, Metric
from bucketry.schema.documents.policy import parse_policy_toml
from tui.desk import RISK
from tui.evaluated import NEWEST, SERVING, evaluated_registry, on

if TYPE_CHECKING:
    from tui.desk import Desk

pytestmark = pytest.mark.usefixtures("no_agent")


@pytest.mark.parametrize("size", [(80, 24), (140, 40)])
def test_two_results_on_one_data_set_are_told_apart_at_every_width(size: tuple[int, int]) -> None:
    registry = evaluated_registry()
    for version, values in ((SERVING, (25.5, 28.3)), (NEWEST, (5.0, 28.4))):
        found = [
            Evidence("automated", (Metric("bleu", value),), dataset={"name": "facebook/flores-200-devtest", **apart})
            for value, apart in zip(values, ({"args": "aaa bbb devtest"}, {"args": "bbb aaa devtest"}), strict=True)
        ]
        evaluate(registry.session(), RISK, version, found)

    async def act(desk: Desk) -> None:
        await desk.press("G", "enter", "equals_sign")
        rows = [line for line in desk.lines if "bleu" in line and ("aaa bbb" in line or "bbb aaa" in line)]
        assert len(rows) == 2
        assert ["5.0" in row or "28.4" in row for row in rows] == [True, True]

    on(registry, act, size=size)


def test_a_gate_on_one_data_set_is_said_of_that_line_alone() -> None:
    registry = evaluated_registry()
    found = [
        Evidence("automated", (Metric("bleu", value, direction="higher"),), dataset={"name": name})
        for name, value in (("flores", 5.0), ("opus", 28.4))
    ]
    for version in (SERVING, NEWEST):
        evaluate(registry.session(), RISK, version, found)
    gate = '[[gate]]\nmetric = "bleu"\nat_least = 20\ndataset = "{}"\n'
    sliced = '[[gate]]\nmetric = "bleu"\nat_least = 99\nslice = {age = "18"}\n'
    policy = gate.format("flores") + gate.format("opus") + sliced
    set_policy(registry.session(), RISK, parse_policy_toml(policy, what="p"))

    async def act(desk: Desk) -> None:
        await desk.press("G", "enter", "equals_sign", "z")
        ends = {
            name: line.split("|")[0].split()[-1]
            for line in desk.lines
            for name in ("flores", "opus")
            if line.lstrip(" >").startswith("bleu ") and name in line
        }
        assert ends == {"flores": "FAILED", "opus": "ok"}

    on(registry, act, size=(140, 60))

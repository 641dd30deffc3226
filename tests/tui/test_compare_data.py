"""Can results on one data set be told apart in a comparison, at every width?"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from bucketry.registry.evaluate import evaluate
from bucketry.schema.evidence import Evidence, Metric
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

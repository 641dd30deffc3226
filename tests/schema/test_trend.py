"""Does a trend know its order and its extremes?"""

from __future__ import annotations

from bucketry.schema.judging.trend import make_trend


def test_a_trend_is_in_the_order_of_versions_and_keeps_what_was_not_measured() -> None:
    trend = make_trend("auc", [(3, 0.9), (1, 0.8), (2, None)])
    assert [(point.version, point.value) for point in trend.points] == [(1, 0.8), (2, None), (3, 0.9)]
    assert trend.measured == ((1, 0.8), (3, 0.9))


def test_of_equal_extremes_the_newest_is_named() -> None:
    trend = make_trend("auc", [(1, 0.9), (2, 0.8), (3, 0.9), (4, 0.8)])
    assert (trend.lowest, trend.highest) == ((4, 0.8), (3, 0.9))


def test_a_trend_of_nothing_has_no_extremes() -> None:
    trend = make_trend("auc", [(1, None)])
    assert (trend.measured, trend.lowest, trend.highest) == ((), None, None)

"""Is what is assumed of well-known metrics what the docs say, and is an assumed interval the right one?"""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bucketry.schema.judging.known_metrics import (
    KNOWN_METRICS,
    KNOWN_METRICS_VERSION,
    assumed_direction,
    assumed_interval,
    find_known_metric,
    plain_name,
    wilson_interval,
)

PAGE = Path(__file__).parents[2] / "docs" / "metrics.md"


def test_the_docs_print_the_table() -> None:
    text = PAGE.read_text(encoding="utf-8")
    rows = [
        f"| {known.direction} | {'yes' if known.is_share else ''} | {', '.join(f'`{name}`' for name in known.names)} |"
        for known in KNOWN_METRICS
    ]
    missing = [row for row in rows if row.replace("|  |", "| |") not in text]
    assert not missing
    assert f"Table {KNOWN_METRICS_VERSION}" in text


def test_no_metric_stands_twice_and_each_is_found_by_its_own_name() -> None:
    names = [name for known in KNOWN_METRICS for name in known.names]
    assert len(names) == len(set(names))
    assert all(plain_name(name) == name for name in names)


@pytest.mark.parametrize(
    ("name", "direction"),
    [
        ("auc", "higher"),
        ("AUC", "higher"),
        ("ROC AUC", "higher"),
        ("acc,none", "higher"),
        ("eval_loss", "lower"),
        ("val/loss", "lower"),
        ("test_accuracy", "higher"),
        ("Top-5 accuracy", "higher"),
        ("acc@1", "higher"),
        ("recall@10", "higher"),
        ("ndcg_at_10", "higher"),
        ("pass@1", "higher"),
        ("p95_ms", "lower"),
        ("macro avg f1-score", "higher"),
        ("weighted avg precision", "higher"),
        ("eval_recall_macro", "higher"),
        ("macro_recall", "higher"),
        ("f1_samples", "higher"),
        ("train_loss", "lower"),
        ("training/loss", "lower"),
        ("train_runtime", None),
        ("macro", None),
        ("macro avg", None),
        ("samples", None),
        ("macro avg support", None),
        ("recall@1%fpr", None),
        ("test", None),
        ("eval_", None),
        ("rating", None),
        ("auc_of_something", None),
        ("", None),
    ],
)
def test_the_direction_of_a_well_known_metric(name: str, direction: str | None) -> None:
    assert assumed_direction(name) == direction


def test_wilsons_interval_is_the_published_one() -> None:
    # R. G. Newcombe, Statistics in Medicine 17 (1998) 857-872, table I, method 3.
    for hits, samples, low, high in (
        (81, 263, 0.2553, 0.3662),
        (15, 148, 0.0624, 0.1605),
        (0, 20, 0.0, 0.1611),
        (1, 29, 0.0061, 0.1718),
    ):
        assert list(wilson_interval(hits / samples, samples)) == pytest.approx([low, high], abs=5e-5)


def test_only_shares_of_known_samples_have_an_assumed_interval() -> None:
    found = assumed_interval("accuracy", 0.9, None, 100)
    percent = assumed_interval("accuracy", 90.0, "%", 100)
    assert found is not None
    assert percent is not None
    assert [percent.low, percent.high] == pytest.approx([100 * found.low, 100 * found.high])
    assert assumed_interval("auc", 0.9, None, 100) is None
    assert assumed_interval("f1", 0.9, None, 100) is None
    assert assumed_interval("rating", 0.9, None, 100) is None
    assert assumed_interval("accuracy", 0.9, None, None) is None
    assert assumed_interval("accuracy", 0.9, None, 0) is None
    assert assumed_interval("accuracy", 90.0, None, 100) is None
    assert assumed_interval("accuracy", -0.1, None, 100) is None
    assert assumed_interval("accuracy", 0.9, "points", 100) is None


@given(st.floats(0, 1), st.integers(1, 10**9))
def test_an_assumed_interval_holds_its_value_and_shrinks_with_the_samples(share: float, samples: int) -> None:
    one, more = (assumed_interval("accuracy", share, None, count) for count in (samples, samples * 4))
    assert one is not None
    assert more is not None
    assert 0 <= one.low <= share <= one.high <= 1
    assert more.high - more.low <= one.high - one.low + 1e-9


@given(st.text())
def test_any_name_is_looked_up(name: str) -> None:
    find_known_metric(name)
    assert plain_name(plain_name(name)) == plain_name(name) or plain_name(name) != name

"""Are sizes, times, numbers and counts read at a glance, and in one way on both faces?"""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from bucketry.show.figures import (
    age_text,
    clock_text,
    column_number,
    count_of,
    metric_title,
    number_text,
    precise_number,
    rate_text,
    short_digests,
    size_text,
    time_text,
)


@pytest.mark.parametrize(
    ("size_bytes", "text"),
    [
        *((0, "0 B"), (812, "812 B"), (999, "999 B"), (1000, "1.0 kB"), (91_600_000, "91.6 MB"), (999_960, "1.0 MB")),
        *((97_700_000_000, "97.7 GB"), (10**12, "1.0 TB")),
    ],
)
def test_sizes(size_bytes: int, text: str) -> None:
    assert size_text(size_bytes) == text


def test_rates_have_a_digit_after_the_point_while_there_is_room() -> None:
    assert [rate_text(rate) for rate in (812_000_000, 95_200_000, 3)] == ["812 MB/s", "95.2 MB/s", "3 B/s"]


def test_ages_are_in_their_largest_unit() -> None:
    now = datetime(2026, 3, 10, 12, 0, tzinfo=UTC)
    ages = {
        "2026-03-10T11:59:18Z": "42s",
        "2026-03-10T11:55:00Z": "5m",
        "2026-03-10T09:00:00Z": "3h",
        "2025-12-01T12:00:00Z": "99d",
        "2025-03-01T00:00:00.5Z": "1y",
        "2027-01-01T00:00:00Z": "now",
    }
    assert {at: age_text(at, now) for at in ages} == ages


def test_how_long_something_takes() -> None:
    spans = {0.44: "0.4 s", 2.44: "2.4 s", -1.0: "0.0 s", 47: "0:47", 754: "12:34", 12_000: "3:20:00"}
    assert {seconds: clock_text(seconds) for seconds in spans} == spans


def test_numbers_take_seven_columns_and_lose_no_whole_number_that_fits() -> None:
    numbers = {
        0.9152: ".9152",
        -0.5: "-.5000",
        41.94: "41.9",
        1.5: "1.500",
        3: "3",
        1_234_567: "1234567",
        1e9: "1.0e+09",
        1e-9: "1.0e-09",
    }
    assert {value: number_text(value) for value in numbers} == numbers
    assert max(len(number_text(value)) for value in (-999_999, 9_999_999, -0.123456, -99_999.9)) <= 8
    assert (number_text(None), number_text(float("nan"))) == ("-", "nan")
    assert [column_number(value, is_whole=False) for value in (0, 1, 0.5)] == [".0000", "1.000", ".5000"]


def test_where_there_is_room_numbers_have_six_digits() -> None:
    assert [precise_number(v) for v in (7, 0.1 + 0.2, 1e-9, 123456789.0)] == ["7", "0.3", "1e-09", "1.23457e+08"]


def test_counts_have_the_right_plural() -> None:
    said = [
        count_of(count, noun) for count, noun in ((1, "day"), (2, "day"), (2, "entry"), (3, "alias"), (1200, "file"))
    ]
    assert said == ["1 day", "2 days", "2 entries", "3 aliases", "1,200 files"]


def test_names_times_and_digests() -> None:
    assert [metric_title(name) for name in ("auc", "p95_ms", "top_k")] == ["AUC", "P95ms", "TOP_K"]
    assert time_text("2026-11-22T09:14:59.5+01:00", "utc") == "2026-11-22 08:14Z"
    assert short_digests(f"on {'a1' * 32} once") == "on a1a1a1a1 once"

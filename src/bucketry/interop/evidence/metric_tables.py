"""Reads tables of names and values, one in another, with standard errors and deviations among them.

`{"test": {"acc": 0.9, "acc_stderr": 0.01}}` is one metric, `test.acc`, that may be off by 0.01. Of several runs there
are means and deviations: `{"acc": {"mean": 0.9, "std": 0.02}}`, `{"acc_mean": 0.9, "acc_std": 0.02}`.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from bucketry.schema.documents.evidence import MOST_METRICS
from bucketry.schema.foreign_values import NoValueError, make_metric, read_value
from bucketry.schema.judging.known_metrics import NORMAL_DEVIATIONS, NORMAL_LEVEL

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping

    from bucketry.schema.documents.evidence import Metric
    from bucketry.schema.foreign_values import LeftOut

_STANDARD_ERROR = re.compile(r"(.+)_stderr(?:_[A-Za-z0-9]+)?")
_DEVIATION = re.compile(r"(?:std_(.+)|(.+)_std)")
_DEVIATIONS = ("std", "stdev", "stddev", "std_dev", "deviation")
_COUNTS = ("n", "count", "samples")
ABSENT = ("N/A", "", " ", None)
"""What harnesses write where they could not compute a standard error."""


def table_metrics(
    values: Mapping[str, object], left_out: LeftOut, place: str, *, ignored: Collection[str] = ()
) -> list[Metric]:
    """Return the metrics of a table and of those in it, whose names are joined with points."""
    return [metric for metric in _metrics(values, left_out, place, "", ignored) if metric is not None][
        : MOST_METRICS + 1
    ]


def error_parts(value: object, standard_error: float | None) -> dict[str, object]:
    """Return what follows for a value from its standard error: the 95 % interval of the normal approximation."""
    if standard_error is None:
        return {}
    try:
        number = read_value(value).number
    except NoValueError:
        return {}
    half = NORMAL_DEVIATIONS * standard_error
    return {"standard_error": standard_error, "low": number - half, "high": number + half, "level": NORMAL_LEVEL}


def base_of_error(name: str, names: Collection[str]) -> str | None:
    """Return the metric that something is the standard error of: of `acc_stderr_clt` that is `acc`.

    "" for the error of a metric that is not among `names`, None for what is no standard error.
    """
    found = _STANDARD_ERROR.fullmatch(name)
    if found is None:
        return None
    return found[1] if found[1] in names else ""


def base_of_deviation(name: str, names: Collection[str]) -> str:
    """Return the metric that something is the deviation of: of `x_std` or `std_x` that is `x_mean`, `mean_x` or `x`."""
    found = _DEVIATION.fullmatch(name)
    if found is None:
        return ""
    base = found[1] or found[2]
    return next((one for one in (f"mean_{base}", f"{base}_mean", base) if one in names), "")


def standard_errors(values: Mapping[str, object], left_out: LeftOut, place: str) -> dict[str, float]:
    """Return the standard error of each metric of a table that has one; the plainest name counts before others."""
    errors: dict[str, float] = {}
    for name in sorted((name for name in values if "_stderr" in name), key=len):
        base = base_of_error(name, values)
        if base is None or values[name] in ABSENT:
            continue
        if base == "":
            left_out.add(f"{place}{name}", "is the standard error of a metric that is not there")
            continue
        try:
            error = read_value(values[name]).number
        except NoValueError as fault:
            left_out.add(f"{place}{name}", str(fault))
            continue
        if error < 0:
            left_out.add(f"{place}{name}", "is negative")
        else:
            errors.setdefault(base, error)
    return errors


def _metrics(
    values: Mapping[str, object], left_out: LeftOut, place: str, prefix: str, ignored: Collection[str]
) -> Iterator[Metric | None]:
    errors = standard_errors(values, left_out, f"{place}{prefix}")
    numbers = [name for name, value in values.items() if _is_number(value)]
    deviations = {base: values[name] for name in numbers if (base := base_of_deviation(name, numbers))}
    for name, value in values.items():
        if name in ignored or base_of_error(name, values) is not None:
            continue
        if name in numbers and base_of_deviation(name, numbers):
            continue
        inner, said = value, {"deviation": deviations[name]} if name in deviations else {}
        if isinstance(value, dict):
            inner, said, rest = _mean(value)
            yield from _metrics(rest, left_out, place, f"{prefix}{name}.", ())
            if not said:
                continue
        parts = said | error_parts(inner, errors.get(name))
        yield make_metric(left_out, f"{place}{prefix}{name}", f"{prefix}{name}", inner, parts)


def _mean(table: dict[str, object]) -> tuple[object, dict[str, object], dict[str, object]]:
    """Return the mean in a table, what belongs to it, and the rest; a table without mean and deviation is all rest."""
    deviation = next((name for name in _DEVIATIONS if name in table), None)
    if deviation is None or not _is_number(table.get("mean")) or not _is_number(table[deviation]):
        return None, {}, table
    count = next((name for name in _COUNTS if _is_number(table.get(name))), None)
    said = {"deviation": table[deviation]} | ({"samples": table[count]} if count else {})
    return table["mean"], said, {name: one for name, one in table.items() if name not in {"mean", deviation, count}}


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)

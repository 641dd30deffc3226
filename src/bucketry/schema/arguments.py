"""Makes plain values of what a caller handed over, or raises a `UsageError` that names the argument and the limit.

A program may hand over anything: a number where a text belongs, a NumPy scalar, a text of a megabyte. What has one
obvious meaning is taken for it: a NumPy scalar (or a tensor without dimensions) is its number, a tuple a list, a path
its text, a `datetime` with a zone its moment, a `timedelta` its seconds. Everything else is refused: nothing is turned
into a text silently, so that what was written is what was said.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from enum import Enum
from functools import partial
from pathlib import PurePath
from typing import TYPE_CHECKING, Any, NoReturn, TypeGuard, TypeVar

from bucketry.errors import CorruptError, UsageError
from bucketry.schema.codec import DEEPEST_NESTING, LONGEST_TEXT, encode
from bucketry.schema.documents.evidence import Confidence, Evidence, Metric, check_claims, check_evidence
from bucketry.schema.documents.manifest import Lineage, Parent, Training
from bucketry.schema.names import LARGEST_INTEGER
from bucketry.schema.text import displayable, fault_in_line

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")

LONGEST_SHOWN = 60
MOST_DATASETS = 10_000
MOST_PATTERNS = 1_000
_LABEL = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._/-]{0,62}")


def plain_text(value: object, name: str, *, longest: int = LONGEST_TEXT, one_line: bool = False) -> str:
    """Return a text of at most `longest` characters that can be written; with `one_line`, it is a name."""
    if not isinstance(value, str):
        _wrong(value, name, "a text", advice=f'write it as a text, such as "{_shown(value)}"')
    if len(value) > longest:
        raise UsageError(f"{name} has {len(value):,} characters; the limit is {longest:,}", advice="shorten it")
    surrogate = next((c for c in value if "\ud800" <= c <= "\udfff"), None) if not value.isprintable() else None
    if surrogate is not None:
        raise UsageError(f"{name} is no Unicode text: it has a lone surrogate, {displayable(surrogate)}")
    fault = fault_in_line(value) if one_line else ""
    if fault:
        raise UsageError(f"{name} has {fault}", advice="leave it out: a name is one line of what can be seen")
    return str.__str__(value)


def plain_patterns(value: object, name: str) -> tuple[str, ...]:
    """Return patterns; one alone, which to Python is a sequence of letters, is a list of one."""
    if isinstance(value, str):
        value = (value,)
    if not _is_list(value) or len(value) > MOST_PATTERNS:
        _wrong(value, name, f"a list of at most {MOST_PATTERNS:,} patterns (texts)")
    return tuple(plain_text(one, f"{name}[{index}]", one_line=True) for index, one in enumerate(value))


def plain_number(value: object, name: str) -> float:
    """Return a finite number; an integer stays one."""
    number = scalar_of(value)
    if isinstance(number, bool) or not isinstance(number, int | float):
        _wrong(value, name, "a number", advice="write the number itself, such as 0.91")
    if isinstance(number, int):
        return _bounded(number, name)
    if not math.isfinite(number):
        raise UsageError(f"{name} is {number}, which cannot be compared", advice="leave the value out, or measure it")
    return float(number)


def plain_integer(value: object, name: str, *, least: int = -LARGEST_INTEGER) -> int:
    """Return a whole number within 2^53 and of at least `least`."""
    number = scalar_of(value)
    if isinstance(number, bool) or not isinstance(number, int):
        _wrong(value, name, "a whole number")
    if number < least:
        raise UsageError(f"{name} is {number}; the least is {least:,}")
    return _bounded(number, name)


def plain_value(  # noqa: PLR0911 - one for each kind of value
    value: object, name: str, *, levels_left: int = DEEPEST_NESTING
) -> object:
    """Return any value as JSON has it: null, true, a number, a text, a list or a table of these."""
    value = scalar_of(value)
    if isinstance(value, Enum):  # before texts: one may be both
        value = value.value
    if isinstance(value, Mapping | list | tuple):
        if not levels_left:
            raise UsageError(f"{name[:LONGEST_SHOWN]} is nested too deep", advice="flatten it")
        if isinstance(value, Mapping):
            return plain_table(value, name, levels_left=levels_left - 1)
        return [plain_value(one, f"{name}[{index}]", levels_left=levels_left - 1) for index, one in enumerate(value)]
    match value:
        case None | bool():
            return value
        case str():
            return plain_text(value, name)
        case int() | float():
            return plain_number(value, name)
        case PurePath():
            return plain_text(str(value), name)
        case date():  # which a datetime is too
            return value.isoformat()
        case _:
            return _wrong(value, name, "what can be recorded", advice="give text, numbers, true, null, lists, tables")


def plain_table(value: object, name: str, *, levels_left: int = DEEPEST_NESTING) -> dict[str, object]:
    """Return a table of plain values with texts as keys, such as hyperparameters."""
    if not isinstance(value, Mapping):
        _wrong(value, name, "a table (a dict)")
    return {
        plain_text(key, f"a key of {name}"): plain_value(inner, f"{name}: {_shown(key)}", levels_left=levels_left)
        for key, inner in value.items()
    }


def plain_tables(value: object, name: str) -> tuple[dict[str, object], ...]:
    """Return a list of tables, such as data sets."""
    if not _is_list(value) or len(value) > MOST_DATASETS:
        _wrong(value, name, f"a list of at most {MOST_DATASETS:,} tables (dicts)")
    return tuple(_plain_dataset(item, f"{name}[{index}]") for index, item in enumerate(value))


def scalar_of(value: object) -> object:
    """Return the Python number of a NumPy scalar, or of an array or tensor without dimensions; else the value."""
    if type(value).__module__ == "builtins" or getattr(value, "shape", None) != ():
        return value
    item = getattr(value, "item", None)
    found: Any = item() if callable(item) else value
    # NumPy's longdouble is its own item.
    return float(found) if getattr(getattr(found, "dtype", None), "kind", "") == "f" else found


def plain_labels(value: object, name: str = "labels") -> dict[str, str]:
    """Return labels: plain names, and texts. A number is refused: 3 and "3" are not the same label."""
    if not isinstance(value, Mapping):
        _wrong(value, name, "a table (a dict) of texts")
    for key in value:
        if not isinstance(key, str) or not _LABEL.fullmatch(key):
            raise UsageError(
                f"{displayable(repr(key)[:LONGEST_SHOWN])} is not a label's name",
                advice="use letters, digits, '.', '_', '-', '/', at most 63",
            )
    return {str(key): plain_text(text, f'{name}: "{key}"') for key, text in value.items()}


def check_labels_size(labels: Mapping[str, str], *, largest_bytes: int) -> None:
    """Raise `UsageError` for labels that have no room where they are kept."""
    size_bytes = len(encode(labels))
    if size_bytes > largest_bytes:
        raise UsageError(f"the labels take {size_bytes:,} bytes; the limit is {largest_bytes:,}", advice="shorten them")


def plain_values(value: object, name: str) -> dict[str, float]:
    """Return metrics as `{name: number}`."""
    if not isinstance(value, Mapping):
        _wrong(value, name, 'a table (a dict) of numbers, such as {"auc": 0.91}')
    return {
        plain_text(key, f"a name in {name}"): plain_number(x, f'{name}: "{_shown(key)}"') for key, x in value.items()
    }


def plain_evidence(value: object, name: str = "evidence") -> tuple[Evidence, ...]:
    """Return evaluations, each as any reader will read it; one alone is a list of one.

    This is where evidence becomes ours, whoever gives it: behind it, only the decoder asks again, of the bytes.
    """
    items = (value,) if isinstance(value, Evidence) else value
    if not _is_list(items):
        _wrong(value, name, "a list of Evidence")
    found = []
    for index, item in enumerate(items):
        place = f"{name}[{index}]"
        if not isinstance(item, Evidence):
            _wrong(item, place, "an Evidence", advice="a table of numbers is given as metrics=")
        if not _is_list(item.metrics):
            _wrong(item.metrics, f"{place}: metrics", "a list of Metric")
        found.append(
            Evidence(
                kind=plain_text(item.kind, f"{place}: kind"),
                metrics=tuple(_plain_metric(one, f"{place}: metrics[{at}]") for at, one in enumerate(item.metrics)),
                at=_optional(item.at, f"{place}: at", plain_moment),
                by=_optional(item.by, f"{place}: by", plain_text),
                harness=plain_table(item.harness, f"{place}: harness"),
                dataset=_plain_dataset(item.dataset, f"{place}: dataset"),
                notes=plain_text(item.notes, f"{place}: notes"),
                extra=plain_table(item.extra, f"{place}: extra"),
            )
        )
    for evidence in found:
        check_claims(evidence, what="the evidence")
        try:
            check_evidence(evidence, what="the evidence")
        except CorruptError as error:
            raise UsageError(error.message, advice=error.advice) from error
    return tuple(found)


def plain_training(value: object) -> Training:
    """Return how a version was made, in plain values."""
    if not isinstance(value, Training):
        _wrong(value, "training", "a Training")
    seconds = value.duration_seconds
    seconds = seconds.total_seconds() if isinstance(seconds, timedelta) else seconds
    duration = _optional(seconds, "training: duration_seconds", plain_number)
    if duration is not None and duration < 0:
        raise UsageError(f"training: duration_seconds is {duration}; the least is 0")
    return Training(
        hyperparameters=plain_table(value.hyperparameters, "hyperparameters"),
        datasets=plain_tables(value.datasets, "training: datasets"),
        started_at=_optional(value.started_at, "training: started_at", plain_moment),
        duration_seconds=duration,
        command=_optional(value.command, "training: command", plain_text),
        environment=plain_table(value.environment, "training: environment"),
        published_from=plain_table(value.published_from, "training: published_from"),
        framework=_optional(value.framework, "training: framework", plain_text),
        hardware=_optional(value.hardware, "training: hardware", plain_text),
        seed=_optional(value.seed, "training: seed", plain_integer),
        cost=_optional(value.cost, "training: cost", plain_text),
        extra=plain_table(value.extra, "training: extra"),
    )


def plain_lineage(value: object) -> Lineage:
    """Return where a version comes from, in plain values."""
    if not isinstance(value, Lineage):
        _wrong(value, "lineage", "a Lineage")
    if not _is_list(value.parents) or not all(isinstance(parent, Parent) for parent in value.parents):
        _wrong(value.parents, "lineage: parents", "a list of Parent")
    return Lineage(
        experiment=_optional(value.experiment, "lineage: experiment", plain_text),
        run=_optional(value.run, "lineage: run", plain_text),
        code=plain_table(value.code, "lineage: code"),
        pipeline=plain_table(value.pipeline, "lineage: pipeline"),
        parents=tuple(value.parents),
        extra=plain_table(value.extra, "lineage: extra"),
    )


def plain_moment(value: object, name: str) -> str:
    """Return a moment's text; a `datetime` is written in UTC."""
    if isinstance(value, datetime):
        if value.tzinfo is None:
            raise UsageError(f"{name} has no time zone", advice="give it one, such as datetime.now(UTC)")
        return value.astimezone(UTC).isoformat().replace("+00:00", "Z")
    return plain_text(value, name)


def _plain_metric(value: object, name: str) -> Metric:
    if not isinstance(value, Metric):
        _wrong(value, name, "a Metric")
    if not isinstance(value.slice, Mapping):
        _wrong(value.slice, f"{name}: slice", "a table (a dict) of texts")
    confidence = value.confidence
    if confidence is not None:
        if not isinstance(confidence, Confidence):
            _wrong(confidence, f"{name}: confidence", "a Confidence")
        bounds = [plain_number(bound, f"{name}: confidence") for bound in (confidence.low, confidence.high)]
        confidence = Confidence(bounds[0], bounds[1], plain_number(confidence.level, f"{name}: confidence: level"))
    return Metric(
        name=plain_text(value.name, f"{name}: name", one_line=True),
        value=plain_number(value.value, f"{name}: value"),
        unit=_optional(value.unit, f"{name}: unit", plain_text),
        direction=_optional(value.direction, f"{name}: direction", plain_text),
        slice={
            plain_text(key, f"{name}: slice", one_line=True): plain_text(text, f"{name}: slice")
            for key, text in value.slice.items()
        },
        confidence=confidence,
        samples=_optional(value.samples, f"{name}: samples", partial(plain_integer, least=0)),
        standard_error=_optional(value.standard_error, f"{name}: standard_error", plain_number),
        deviation=_optional(value.deviation, f"{name}: deviation", plain_number),
        extra=plain_table(value.extra, f"{name}: extra"),
    )


def _plain_dataset(value: object, name: str) -> dict[str, object]:
    table = plain_table(value, name)
    if isinstance(table.get("name"), str):
        plain_text(table["name"], f"{name}: name", one_line=True)
    return table


def _optional(value: object, name: str, plain: Callable[[object, str], T]) -> T | None:
    return None if value is None else plain(value, name)


def _is_list(value: object) -> TypeGuard[Sequence[object]]:
    return isinstance(value, Sequence) and not isinstance(value, str | bytes)


def _bounded(number: int, name: str) -> int:
    if abs(number) > LARGEST_INTEGER:
        raise UsageError(
            f"{name} is outside 2^53, the largest whole number that JSON keeps", advice="give it as a text"
        )
    return int(number)


def _shown(value: object) -> str:
    """Return a value in a message: short, and nothing that a terminal acts on."""
    return displayable(str(value)[:LONGEST_SHOWN])


def _wrong(value: object, name: str, expected: str, *, advice: str = "") -> NoReturn:
    raise UsageError(f"{name} is {displayable(repr(value)[:LONGEST_SHOWN])}, not {expected}", advice=advice)

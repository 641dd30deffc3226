"""Reads what a neighbour means by a value (0.91, "0.91", "7.1%", "275.34 +/- 14.56") and leaves out what is none.

A file of a hundred results has one that was not computed. That one is left out, by name and with the reason; the rest
is read.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from bucketry.errors import CorruptError
from bucketry.frozen import frozen
from bucketry.schema.documents.evidence import DIRECTIONS, Confidence, Metric, check_metric
from bucketry.schema.judging.known_metrics import PERCENT
from bucketry.schema.text import displayable, fault_in_line

if TYPE_CHECKING:
    from collections.abc import Mapping

MOST_LEFT_OUT = 1_000
"""So many are told one by one."""
LONGEST_SHOWN = 40

_NUMBER = r"[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]{1,4})?"
_SPREAD = rf"(?:\+/-|\+-|±|\\pm)\s*({_NUMBER})\s*(%?)"
_VALUE = re.compile(rf"({_NUMBER})\s*(%?)\s*(?:{_SPREAD}|\({_SPREAD}\))?\s*(%?)", re.ASCII)
_IN_BRACKETS = re.compile(r"\(([^()]*)\)\s*(%?)")
_LARGEST_EXACT = 2**53


@frozen
class Value:
    """A finite number, in which unit, and the standard deviation that stands beside it."""

    number: float
    unit: str | None = None
    deviation: float | None = None


class NoValueError(Exception):
    """What stands there is no number that can be compared. The message says what it is."""


@dataclass(slots=True)
class LeftOut:
    """What a file says and is not recorded, in words."""

    notes: list[str] = field(default_factory=list)

    def add(self, place: str, reason: str) -> None:
        """Remember something that was left out."""
        if len(self.notes) < MOST_LEFT_OUT:
            self.notes.append(f"{displayable(place)} {reason}")
        elif len(self.notes) == MOST_LEFT_OUT:
            self.notes.append("and more")


def read_value(found: object) -> Value:
    """Return what a neighbour's value means; raise `NoValueError`."""
    if isinstance(found, bool) or not isinstance(found, int | float | str):
        raise NoValueError(f"is {_named(found)}, not a number")
    if not isinstance(found, str):
        return Value(_finite(found, str(found)))
    text = found.strip()
    if not text:
        raise NoValueError("is empty")
    whole = _IN_BRACKETS.fullmatch(text)
    parts = _VALUE.fullmatch(f"{whole[1].strip()} {whole[2]}".strip() if whole else text)
    if not parts:
        raise NoValueError(f"is {_named(text)}, not a number")
    spread = parts[3] or parts[5]
    deviation = None if spread is None else abs(_finite(float(spread), text))
    unit = PERCENT if parts[2] or parts[4] or parts[6] or parts[7] else None
    return Value(_finite(float(parts[1]), text), unit, deviation)


def read_number(found: object) -> float:
    """Return a plain number; raise `NoValueError`."""
    value = read_value(found)
    if value.unit is not None or value.deviation is not None:
        raise NoValueError(f"is {_named(found)}, not a number")
    return value.number


def make_metric(
    left_out: LeftOut, place: str, name: str, found: object, parts: Mapping[str, object] | None = None
) -> Metric | None:
    """Return a metric, or None where its value or its slice is none; any other part that is none is left out alone.

    `parts` may have unit, direction, slice, low and high with level, standard_error, deviation and samples.
    """
    given = parts or {}
    fault = fault_in_line(name)
    if fault:
        left_out.add(place, f"has in its name {fault}")
        return None
    try:
        value = read_value(found)
        metric = Metric(name, value.number, value.unit, slice=_slice(given.get("slice")), deviation=value.deviation)
        check_metric(metric, what=place)
    except NoValueError as fault:
        left_out.add(place, str(fault))
        return None
    except CorruptError as error:
        left_out.add(place, f"is left out: {error.message.removeprefix(place).lstrip(': ')}")
        return None
    for part, change in _changes(given, left_out, place):
        try:
            metric = check_metric(replace(metric, **change), what=place)  # type: ignore[arg-type]
        except CorruptError as error:
            left_out.add(f"{place}: {part}", f"is left out: {error.message.removeprefix(place).lstrip(': ')}")
    return metric


def _changes(given: Mapping[str, object], left_out: LeftOut, place: str) -> list[tuple[str, dict[str, object]]]:
    changes: list[tuple[str, dict[str, object]]] = []
    for part in ("unit", "direction", "samples", "standard_error", "deviation"):
        found = given.get(part)
        if found is None:
            continue
        try:
            changes.append((part, {part: _part(part, found)}))
        except NoValueError as fault:
            left_out.add(f"{place}: {part}", str(fault))
    if given.get("low") is not None or given.get("high") is not None:
        try:
            low, high = read_number(given.get("low")), read_number(given.get("high"))
            level = given.get("level")
            interval = Confidence(low, high, 0.95 if level is None else read_number(level))
            changes.append(("the interval", {"confidence": interval}))
        except NoValueError as fault:
            left_out.add(f"{place}: the interval", f"{fault}: low and high go together")
    return changes


def _part(part: str, found: object) -> object:
    if part == "samples":
        number = read_number(found)
        if number != int(number) or not 0 <= number < _LARGEST_EXACT:
            raise NoValueError(f"is {_named(found)}, not a whole number")
        return int(number)
    if part in {"standard_error", "deviation"}:
        number = read_number(found)
        if number < 0:
            raise NoValueError("is negative")
        return number
    if part == "direction" and found not in DIRECTIONS:
        raise NoValueError(f"is {_named(found)}, neither 'higher' nor 'lower'")
    if part == "unit" and not isinstance(found, str):
        raise NoValueError(f"is {_named(found)}, not a text")
    return found


def _slice(found: object) -> dict[str, str]:
    if found is None:
        return {}
    if not isinstance(found, dict) or not all(isinstance(text, str) for text in found.values()):
        raise NoValueError("has a slice that is no table of texts")
    fault = next((fault for name in found if (fault := fault_in_line(name))), "")
    if fault:
        raise NoValueError(f"has in the name of a slice {fault}")
    return dict(found)


def _finite(number: float, shown: str) -> float:
    try:
        value = float(number)
    except OverflowError:
        value = math.inf
    if not math.isfinite(value):
        raise NoValueError(f"is {displayable(shown[:LONGEST_SHOWN])}, which cannot be compared")
    return number if isinstance(number, float) or abs(number) <= _LARGEST_EXACT else value


def _named(found: object) -> str:
    if found is None:
        return "empty"
    if isinstance(found, list | dict):
        return "a list" if isinstance(found, list) else "a table"
    if isinstance(found, bool):
        return "true" if found else "false"
    return displayable(repr(found)[:LONGEST_SHOWN])

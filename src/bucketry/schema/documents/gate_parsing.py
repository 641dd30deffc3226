"""Turns the words of a policy into values, and names the mistakes in them.

Everything here raises `UsageError` that says where the mistake is: a policy that was misread guards nothing.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NoReturn

from bucketry.errors import BucketryError, UsageError
from bucketry.frozen import frozen
from bucketry.schema.documents.datasets import IDENTITY, field_text
from bucketry.schema.documents.evidence import DIRECTIONS, KINDS, LONGEST_METRIC_NAME
from bucketry.schema.documents.gates import (
    CardSections,
    EvidenceCount,
    Formats,
    Gate,
    MetricSelection,
    MetricThreshold,
    NoWorse,
    PickleScan,
    UnknownGate,
)
from bucketry.schema.names import LARGEST_INTEGER, AliasName, parse_alias
from bucketry.schema.text import displayable, fault_in_line

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping

    Table = Mapping[str, object]

LONGEST_TEXT = 256
MOST_LISTED = 64
MOST_EVALUATIONS = 1_000
DATASET_KEYS = (*IDENTITY, "digest")


@frozen
class _GateKind:
    """What a gate may say beside `aliases`, and what reads it."""

    keys: tuple[str, ...]
    read: Callable[[Table, str, tuple[AliasName, ...]], Gate]


def parse_gate(value: object, what: str) -> Gate:
    """Return the gate in a table of a policy file."""
    table = read_table(value, what)
    known = dict.fromkeys(key for kind in _GATE_KINDS.values() for key in kind.keys)
    check_keys(table, (*known, "aliases"), what=what)
    deciding = next((key for key in _GATE_KINDS if key in table), None)
    if deciding is None:
        raise UsageError(f"{what} states no rule", advice=f"give it one of {', '.join(_GATE_KINDS)}")
    kind = _GATE_KINDS[deciding]
    strangers = [key for key in table if key not in (*kind.keys, "aliases")]
    if strangers:
        others = ", ".join(key for key in kind.keys if key != deciding)
        raise UsageError(
            f"{what} says both {deciding} and {strangers[0]}, which do not go together",
            advice=f"beside {deciding} it may say {others}" if others else "make two gates of it",
        )
    aliases = read_aliases(table["aliases"], f"{what}: aliases") if "aliases" in table else ()
    return kind.read(table, what, aliases)


def parse_stored_gate(value: object, what: str) -> Gate:
    """Return the gate in a policy document; what this program does not understand is kept, and fails."""
    table = read_table(value, what)
    try:
        return parse_gate(table, what)
    except UsageError as error:
        return UnknownGate(dict(table), error.message)


def check_keys(table: Table, known: Collection[str], *, what: str) -> None:
    """Raise `UsageError` for a key that means nothing here, with the nearest one that does."""
    for key in table:
        if key not in known:
            from difflib import get_close_matches  # noqa: PLC0415 - only mistakes need it

            near = get_close_matches(key, known, 1)
            raise UsageError(
                f'{what} has the unknown key "{displayable(key)}"',
                advice=f"write {near[0]}" if near else f"it may have {', '.join(known)}",
            )


def read_table(value: object, what: str) -> Table:
    """Return a table."""
    if not isinstance(value, dict) or not all(isinstance(key, str) for key in value):
        _wrong(what, "a table")
    return value


def read_text(value: object, what: str) -> str:
    """Return a short printable text that is not empty."""
    if not isinstance(value, str) or not value.strip() or len(value) > LONGEST_TEXT or fault_in_line(value):
        _wrong(what, f"a text of 1 to {LONGEST_TEXT} printable characters")
    return value


def read_whole(value: object, what: str, *, least: int, most: int) -> int:
    """Return a whole number within bounds."""
    if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= most:
        _wrong(what, f"a whole number from {least} to {most:,}")
    return value


def read_number(value: object, what: str) -> float:
    """Return a finite number; an integer stays one."""
    if not isinstance(value, int | float) or isinstance(value, bool):
        _wrong(what, "a number")
    if not math.isfinite(value) or (isinstance(value, int) and abs(value) > LARGEST_INTEGER):
        _wrong(what, "a finite number")
    return value


def read_flag(value: object, what: str) -> bool:
    """Return true or false."""
    if not isinstance(value, bool):
        _wrong(what, "true or false")
    return value


def read_choice(value: object, what: str, choices: Collection[str]) -> str:
    """Return one of a few words."""
    if not isinstance(value, str) or value not in choices:
        _wrong(what, " or ".join(f'"{choice}"' for choice in choices))
    return value


def read_texts(value: object, what: str, *, most: int = MOST_LISTED) -> tuple[str, ...]:
    """Return a list of texts without doubles."""
    if not isinstance(value, list) or len(value) > most:
        _wrong(what, f"a list of at most {most}")
    texts = tuple(read_text(item, what) for item in value)
    double = next((text for index, text in enumerate(texts) if text in texts[:index]), None)
    if double is not None:
        raise UsageError(f'{what} names "{displayable(double)}" twice', advice="name it once")
    return texts


def read_metric_name(value: object, what: str) -> str:
    """Return what a metric may be called."""
    name = read_text(value, what)
    if len(name) > LONGEST_METRIC_NAME:
        _wrong(what, f"a metric's name of at most {LONGEST_METRIC_NAME} characters")
    return name


def read_aliases(value: object, what: str) -> tuple[AliasName, ...]:
    """Return a list of aliases."""
    return tuple(read_alias(text, what) for text in read_texts(value, what))


def read_alias(value: object, what: str) -> AliasName:
    """Return an alias."""
    try:
        return parse_alias(read_text(value, what))
    except BucketryError as error:
        raise UsageError(f"{what}: {error.message}", advice=error.advice) from error


def _threshold(table: Table, what: str, aliases: tuple[AliasName, ...]) -> Gate:
    bounds = {key: read_number(table[key], f"{what}: {key}") for key in ("at_least", "at_most") if key in table}
    if not bounds:
        raise UsageError(f"{what} sets no limit for its metric", advice="add at_least, at_most or no_worse_than")
    lowest, highest = bounds.get("at_least"), bounds.get("at_most")
    if lowest is not None and highest is not None and lowest > highest:
        raise UsageError(f"{what}: at_least is above at_most, so nothing can pass", advice="exchange them")
    return MetricThreshold(_selection(table, what), lowest, highest, aliases)


def _no_worse(table: Table, what: str, aliases: tuple[AliasName, ...]) -> Gate:
    if "metric" not in table:
        raise UsageError(f"{what} says no_worse_than, and not which metric", advice="add metric")
    tolerance = read_number(table.get("tolerance", 0.0), f"{what}: tolerance")
    if tolerance < 0:
        raise UsageError(f"{what}: tolerance is below zero", advice="write how much worse the metric may be, or 0")
    direction = read_choice(table["direction"], f"{what}: direction", DIRECTIONS) if "direction" in table else None
    alias = read_alias(table["no_worse_than"], f"{what}: no_worse_than")
    return NoWorse(_selection(table, what), alias, tolerance, direction, aliases)


def _evidence(table: Table, what: str, aliases: tuple[AliasName, ...]) -> Gate:
    kind = read_choice(table["evidence"], f"{what}: evidence", KINDS)
    if "at_least" not in table:
        raise UsageError(f"{what} does not say how many evaluations it needs", advice="add at_least = 1, or a metric")
    count = read_whole(table["at_least"], f"{what}: at_least", least=1, most=MOST_EVALUATIONS)
    return EvidenceCount(kind, count, aliases)


def _formats(table: Table, what: str, aliases: tuple[AliasName, ...]) -> Gate:
    listed = _some(table["formats"], f"{what}: formats")
    suffixes = tuple(text.lower().removeprefix("*").removeprefix(".") for text in listed)
    for text, suffix in zip(listed, suffixes, strict=True):
        if not suffix or set(suffix) & set("*?/\\ "):
            raise UsageError(
                f'{what}: "{displayable(text)}" is not the suffix of a file', advice='write it as "safetensors"'
            )
    return Formats(tuple(dict.fromkeys(suffixes)), aliases)


def _pickle_scan(table: Table, what: str, aliases: tuple[AliasName, ...]) -> Gate:
    value = table["pickle_scan"]
    if value is not True and value != "strict":
        raise UsageError(
            f'{what}: pickle_scan is neither true nor "strict"', advice="leave the gate out where none is wanted"
        )
    return PickleScan(value == "strict", aliases)


def _selection(table: Table, what: str) -> MetricSelection:
    if "slice" in table and "slices" in table:
        raise UsageError(f"{what} says both slice and slices", advice="keep one of them")
    if "slices" in table:
        read_choice(table["slices"], f"{what}: slices", ("all",))
    kind = read_choice(table["evidence"], f"{what}: evidence", KINDS) if "evidence" in table else None
    metric = read_metric_name(table["metric"], f"{what}: metric")
    dataset = _dataset(table["dataset"], f"{what}: dataset") if "dataset" in table else {}
    values: dict[str, str] = {}
    if "slice" in table:
        attributes = read_table(table["slice"], f"{what}: slice")
        if not attributes or len(attributes) > MOST_LISTED:
            _wrong(f"{what}: slice", 'a table such as {age = "18-25"}')
        values = {
            read_text(key, f"{what}: slice"): read_text(text, f"{what}: slice: {displayable(key)}")
            for key, text in attributes.items()
        }
    return MetricSelection(
        metric=metric,
        dataset=dataset,
        slice=values,
        every_slice="slices" in table,
        evidence=kind,
    )


_OF_A_METRIC = ("metric", "dataset", "slice", "slices", "evidence")
_GATE_KINDS = {
    "no_worse_than": _GateKind((*_OF_A_METRIC, "no_worse_than", "tolerance", "direction"), _no_worse),
    "metric": _GateKind((*_OF_A_METRIC, "at_least", "at_most"), _threshold),
    "card_sections": _GateKind(
        ("card_sections",),
        lambda table, what, aliases: CardSections(_some(table["card_sections"], f"{what}: card_sections"), aliases),
    ),
    "formats": _GateKind(("formats",), _formats),
    "pickle_scan": _GateKind(("pickle_scan",), _pickle_scan),
    "evidence": _GateKind(("evidence", "at_least"), _evidence),
}
"""Each kind of gate by the key that makes it one; the first that is there decides."""


def _dataset(value: object, what: str) -> dict[str, str]:
    if isinstance(value, str):
        return {"name": read_text(value, what)}
    table = read_table(value, what)
    check_keys(table, DATASET_KEYS, what=what)
    if not table:
        _wrong(what, "a dataset's name, nor a table of some of " + ", ".join(DATASET_KEYS))
    selected = {}
    for key in DATASET_KEYS:
        if key in table:
            given = table[key]
            # A number or a table of arguments is compared as evidence writes it: `{shots = 5}` is shots=5.
            is_plain = isinstance(given, int | float | dict) and not isinstance(given, bool)
            selected[key] = read_text(field_text(given) if is_plain else given, f"{what}: {key}")
    return selected


def _some(value: object, what: str) -> tuple[str, ...]:
    texts = read_texts(value, what)
    if not texts:
        _wrong(what, "a list of at least one")
    return texts


def _wrong(what: str, expected: str) -> NoReturn:
    raise UsageError(f"{displayable(what)} is not {expected}")

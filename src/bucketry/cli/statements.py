"""What a publisher states about a version on the command line: parameters, data, pipeline, evidence."""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING

import click

from bucketry.cli.parameters import parse_fields, parse_pairs
from bucketry.errors import CorruptError, UsageError
from bucketry.schema.codec import decode_json
from bucketry.schema.documents.datasets import IDENTITY
from bucketry.schema.documents.evidence import DIRECTIONS, Metric
from bucketry.schema.judging.known_metrics import PERCENT
from bucketry.schema.text import displayable

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from bucketry.cli.call import Call
    from bucketry.schema.documents.evidence import Evidence

DATASET_FIELDS = ("name", "version", "digest", "uri", "rows")
PIPELINE_FIELDS = ("name", "run", "uri")
EVIDENCE_DATASET_FIELDS = (*IDENTITY, "digest")
HARNESS_FIELDS = ("name", "version", "uri")
MOST_TOLD = 10
"""So many things that were left out are told one by one."""
STRICT = click.option(
    "--strict",
    is_flag=True,
    show_default=False,
    help="Refuse a file in which anything cannot be compared, such as NaN, instead of leaving that out.",
)
_ROWS = re.compile(r"[0-9]{1,15}")


def parse_hyperparameters(texts: Sequence[str]) -> dict[str, object]:
    """Return the hyperparameters of `name=value`: a value is JSON where it is a JSON scalar, else text."""
    return {name: _scalar(value) for name, value in parse_pairs(texts, option="--param").items()}


def parse_dataset(text: str) -> dict[str, object]:
    """Return a dataset of `name=..,version=..,digest=..,uri=..,rows=..`; raise `UsageError`."""
    fields: dict[str, object] = dict(parse_fields(text, option="--dataset", allowed=DATASET_FIELDS))
    if "name" not in fields:
        raise UsageError("--dataset gives no name", advice="write --dataset name=...,version=...")
    rows = fields.get("rows")
    if rows is not None:
        if not _ROWS.fullmatch(str(rows)):
            raise UsageError("--dataset: rows is not a number", advice="write rows=120000")
        fields["rows"] = int(str(rows))
    return fields


def parse_named(text: str, *, option: str, allowed: Sequence[str]) -> dict[str, object]:
    """Return the fields of `name=..,version=..,...`, or the name where there is nothing else; raise `UsageError`."""
    if not text:
        return {}
    return {"name": text} if "=" not in text else dict(parse_fields(text, option=option, allowed=allowed))


def read_evidence_files(call: Call, paths: Sequence[Path], *, strict: bool) -> tuple[list[list[Evidence]], list[str]]:
    """Return the evidence in each file, and what was left out of them, which is told too; `strict` refuses that.

    A file may be in any format that is recognised by its content, or the folder of an MLflow run. Raises `UsageError`
    for anything else, `OSError` for a file that cannot be read.
    """
    from bucketry.interop.evidence.paths import read_evidence  # noqa: PLC0415 - a publish without any starts faster

    found: list[list[Evidence]] = []
    left_out: list[str] = []
    for path in paths:
        name = displayable(str(path))
        file = read_evidence(path)
        found.append(list(file.evidence))
        left_out += [f"{name}: {note}" for note in file.left_out]
    if strict and left_out:
        more = f" (and {len(left_out) - 1:,} more)" if len(left_out) > 1 else ""
        raise UsageError(f"{left_out[0]}{more}", advice="correct it, or do without --strict, which leaves it out")
    for note in left_out[:MOST_TOLD]:
        call.messages.note(f"left out: {note}")
    if len(left_out) > MOST_TOLD:
        call.messages.note(f"left out: {len(left_out) - MOST_TOLD:,} more, which --json lists")
    return found, left_out


def parse_metrics(texts: Sequence[str]) -> list[Metric]:
    """Return the metrics of `NAME=VALUE` or `NAME=VALUE:higher|lower`, a value also in percent; raise `UsageError`."""
    metrics = [_parse_metric(text) for text in texts]
    names = [metric.name for metric in metrics]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise UsageError(f'--metric gives "{displayable(twice)}" twice', advice="give each metric once")
    return metrics


def _parse_metric(text: str) -> Metric:
    name, equals, rest = text.rpartition("=")  # a metric's name may well hold an equals sign
    number, colon, direction = rest.partition(":")
    unit = PERCENT if number.endswith(PERCENT) else None
    try:
        value = float(number.removesuffix(PERCENT).strip())
    except ValueError:
        value = math.nan
    if not equals or not math.isfinite(value) or (colon and direction not in DIRECTIONS):
        raise UsageError(
            f'--metric: "{displayable(text)}" is not NAME=VALUE or NAME=VALUE:higher or :lower',
            advice="write --metric auc=0.91:higher",
        )
    return Metric(name, value, unit=unit, direction=direction or None)


def _scalar(text: str) -> object:
    try:
        value = decode_json(text.encode(errors="surrogateescape"), what="value")
    except CorruptError:
        return text
    return text if isinstance(value, dict | list) else value

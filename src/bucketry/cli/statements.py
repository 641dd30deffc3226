"""What does a publisher state about a version on the command line: parameters, data, pipeline, evidence?"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from bucketry.cli.files import read_input
from bucketry.cli.parameters import parse_fields, parse_pairs
from bucketry.errors import CorruptError, UsageError
from bucketry.schema.codec import decode_json, encode
from bucketry.schema.evidence import parse_evidence
from bucketry.schema.text import displayable

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from bucketry.schema.evidence import Evidence

DATASET_FIELDS = ("name", "version", "digest", "uri", "rows")
PIPELINE_FIELDS = ("name", "run", "uri")
MOST_EVIDENCES_IN_A_FILE = 1_000
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


def parse_pipeline(text: str) -> dict[str, object]:
    """Return a pipeline of `name=..,run=..,uri=..`, or of its name alone; raise `UsageError`."""
    if "=" not in text:
        return {"name": text}
    return dict(parse_fields(text, option="--pipeline", allowed=PIPELINE_FIELDS))


def read_evidence_file(path: Path) -> list[Evidence]:
    """Return the evidence in a file: one document, a list of documents, or plain `{name: value}`.

    Raises `UsageError` for anything else, `OSError` for a file that cannot be read.
    """
    what = displayable(str(path))
    body = read_input(path)
    if not body.lstrip().startswith(b"["):
        return [parse_evidence(body, what=what)]
    try:
        items = decode_json(body, what=what)
    except CorruptError as error:
        raise UsageError(error.message, advice="write a list of evidence documents") from error
    if not isinstance(items, list) or len(items) > MOST_EVIDENCES_IN_A_FILE:
        raise UsageError(f"{what} is not a list of at most {MOST_EVIDENCES_IN_A_FILE:,} evidence documents")
    return [_evidence_in_list(item, what=f"{what}: item {index}") for index, item in enumerate(items, start=1)]


def _evidence_in_list(item: object, *, what: str) -> Evidence:
    if not isinstance(item, dict):
        raise UsageError(f"{what} is not a JSON object", advice='write [{"metrics": [...]}, ...]')
    return parse_evidence(encode(item), what=what)


def _scalar(text: str) -> object:
    try:
        value = decode_json(text.encode(errors="surrogateescape"), what="value")
    except CorruptError:
        return text
    return text if isinstance(value, dict | list) else value

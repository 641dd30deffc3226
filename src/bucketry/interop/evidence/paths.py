"""Reads a file, or a folder of an MLflow run, as evidence."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from bucketry.errors import CorruptError, UsageError
from bucketry.interop.evidence.files import LARGEST_EVIDENCE_FILE_BYTES, EvidenceFile, gather, parse_evidence_file
from bucketry.interop.evidence.foreign_text import decode_text
from bucketry.interop.evidence.mlflow_metrics import is_metric_file, read_metric_files
from bucketry.schema.text import displayable

if TYPE_CHECKING:
    import os

MOST_FILES = 2_000


def read_evidence(path: str | os.PathLike[str], *, strict: bool = False) -> EvidenceFile:
    """Return the evaluations in a file, or in the folder of an MLflow run, and what of it cannot be compared.

    The format is recognised by the content. `strict` refuses what would be left out. Raises `UsageError` for anything
    that is no evidence, `OSError` for what cannot be read.
    """
    where = Path(path)
    name = displayable(str(where))
    if where.is_dir():
        found = _read_run(where, name)
    else:
        with where.open("rb") as file:
            body = file.read(LARGEST_EVIDENCE_FILE_BYTES + 1)
        found = parse_evidence_file(body, what=name, called=where.name)
    if strict and found.left_out:
        more = f" (and {len(found.left_out) - 1:,} more)" if len(found.left_out) > 1 else ""
        raise UsageError(f"{name}: {found.left_out[0]}{more}", advice="correct it, or leave it out by not being strict")
    return found


def _read_run(path: Path, name: str) -> EvidenceFile:
    """Return what lies in `metrics/` of a run: a file for each metric, in folders where its name has slashes."""
    root = path / "metrics" if (path / "metrics").is_dir() else path
    files: list[tuple[str, str]] = []
    left_bytes = LARGEST_EVIDENCE_FILE_BYTES
    for file in sorted(one for one in root.rglob("*") if one.is_file()):
        with file.open("rb") as opened:
            body = opened.read(left_bytes + 1)
        left_bytes -= len(body)
        if left_bytes < 0 or len(files) >= MOST_FILES:
            raise UsageError(
                f"{name} has more than {LARGEST_EVIDENCE_FILE_BYTES:,} bytes or {MOST_FILES:,} files of metrics",
                advice="give the files that matter",
            )
        metric = file.relative_to(root).as_posix()
        try:
            text = decode_text(body, what=metric)
        except CorruptError:
            text = ""
        if not is_metric_file(text):
            raise UsageError(
                f"{name} is a folder, but none of an MLflow run: {displayable(metric)} is no file of a metric",
                advice="give the file with the metrics, or the folder of a run, which has metrics/",
            )
        files.append((metric, text))
    if not files:
        raise UsageError(f"{name} is a folder without metrics", advice="give a file, or the folder of an MLflow run")
    return gather(lambda left_out: read_metric_files(files, left_out, what=name), what=name)

"""Makes of what a program gives to the Python client what a publish and an evaluation take.

What is of another kind is a `UsageError` that names it. Only of what was measured is something left out: a training job
that publishes at its end must not lose the version because one of its metrics is NaN. That one is told by name, in the
result and as a warning, as the command line does it with files. Whether the rest is evidence at all is not decided
here: `publish` and `evaluate` ask `plain_evidence`, whoever calls them.
"""

from __future__ import annotations

import math
import os
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from bucketry.errors import UsageError
from bucketry.registry.publishing.selection import FileSelection
from bucketry.schema.arguments import (
    plain_evidence,
    plain_lineage,
    plain_patterns,
    plain_table,
    plain_tables,
    plain_text,
    plain_training,
    plain_values,
    scalar_of,
)
from bucketry.schema.documents.evidence import Evidence, Metric
from bucketry.schema.documents.manifest import Lineage, Training
from bucketry.schema.documents.reviews import Review, encode_statement
from bucketry.schema.foreign_values import LeftOut, make_metric
from bucketry.schema.text import displayable

if TYPE_CHECKING:
    from bucketry.registry.review.signing import Sign
    from bucketry.schema.documents.reviews import Statement

LONGEST_SHOWN = 60
MOST_WARNED = 10
"""So many things that were left out are told one by one."""


def usable_evidence(
    metrics: Mapping[str, float] | None, evidence: Sequence[Evidence], *, strict: bool, callers: int = 3
) -> tuple[tuple[Evidence, ...], tuple[str, ...]]:
    """Return what a caller measured, and what was left out of it, which is warned of.

    The warning names the line `callers` frames up. `metrics` is plain automated evidence. `strict` refuses instead.
    Raises `UsageError`, also where nothing is left.
    """
    left_out = LeftOut()
    plain = [] if metrics is None else _plain_metrics(metrics, left_out)
    found = [Evidence("automated", tuple(plain))] if plain else []
    given = (evidence,) if isinstance(evidence, Evidence) else evidence
    if not isinstance(given, Sequence) or not all(isinstance(item, Evidence) for item in given):
        plain_evidence(given)  # which says what is expected
    found += [_usable(item, left_out, f"evidence[{at}]") for at, item in enumerate(given)]
    if left_out.notes and (strict or not any(item.metrics or item.notes for item in found)):
        raise UsageError("; ".join(left_out.notes[:MOST_WARNED]), advice="leave it out, or measure it")
    for note in left_out.notes[:MOST_WARNED]:
        warnings.warn(f"left out: {note}", stacklevel=callers)
    return tuple(found), tuple(left_out.notes)


def _plain_metrics(metrics: object, left_out: LeftOut) -> list[Metric]:
    if not isinstance(metrics, Mapping):
        plain_values(metrics, "metrics")  # which says what is expected
        return []
    found = []
    for key, value in metrics.items():
        name = plain_text(key, "a name in metrics", one_line=True)
        metric = make_metric(left_out, f"metric {name!a}", name, scalar_of(value))
        if metric is not None:
            found.append(metric)
    return found


def _usable(item: Evidence, left_out: LeftOut, place: str) -> Evidence:
    """Return an evaluation without values that are not finite. What is no number is refused, where all is checked."""
    if not isinstance(item.metrics, tuple | list):
        return item
    kept = []
    for metric in item.metrics:
        number = scalar_of(metric.value) if isinstance(metric, Metric) else None
        if isinstance(number, float) and not math.isfinite(number):
            left_out.add(f"{place}: metric {metric.name!a}", f"is {metric.value}, which cannot be compared")
        else:
            kept.append(metric)
    return item if len(kept) == len(item.metrics) else replace(item, metrics=tuple(kept))


def training_of(
    training: Training | None,
    parameters: Mapping[str, object] | None,
    datasets: Sequence[Mapping[str, object]],
    environment: object,
) -> Training:
    """Return a training with the parameters, data sets and environment (a table or a file) stated beside it."""
    made = plain_training(Training() if training is None else training)
    stated = {} if parameters is None else plain_table(parameters, "parameters")
    trained_in: Mapping[str, object] = made.environment
    if environment is not None:
        from bucketry.registry.publishing.environment_files import check_environment, load_environment  # noqa: PLC0415

        if isinstance(environment, Mapping):
            trained_in = check_environment(plain_table(environment, "environment"), what="environment")
        else:
            trained_in = load_environment(path_of(environment, "environment"))
    return replace(
        made,
        hyperparameters={**made.hyperparameters, **stated},
        datasets=(*made.datasets, *plain_tables(datasets, "datasets")),
        environment=trained_in,
    )


def lineage_of(lineage: Lineage | None) -> Lineage:
    """Return where a version comes from, as far as it is stated."""
    return plain_lineage(Lineage() if lineage is None else lineage)


def selection_of(include: Sequence[str], exclude: Sequence[str]) -> FileSelection:
    """Return the patterns that choose among the files of folders."""
    return FileSelection(plain_patterns(include, "include"), plain_patterns(exclude, "exclude"))


def paths_of(sources: Sequence[str | os.PathLike[str]] | str | os.PathLike[str]) -> list[Path]:
    """Return files and folders; one path alone, which to Python is a sequence of letters, is a list of one."""
    if isinstance(sources, str | os.PathLike):
        return [path_of(sources, "sources")]
    if not isinstance(sources, Sequence) or isinstance(sources, bytes):
        raise UsageError(f"sources is {_shown(sources)}, not a list of paths", advice='write sources=["out"]')
    return [path_of(source, f"sources[{index}]") for index, source in enumerate(sources)]


def path_of(path: object, name: str) -> Path:
    """Return a path that a file system can be asked about; raise `UsageError`."""
    if not isinstance(path, str | os.PathLike):
        raise UsageError(f"{name} is {_shown(path)}, not a path")
    text = os.fspath(path)
    if not isinstance(text, str) or not text or "\0" in text:
        raise UsageError(f"{name} is {_shown(text)}, which cannot be a path")
    try:
        Path(text).stat()
    except (FileNotFoundError, NotADirectoryError, PermissionError):
        pass  # whoever opens it says so better
    except UnicodeEncodeError as error:
        raise UsageError(f"{name} is {_shown(text)}, which cannot be a path: it is no Unicode text") from error
    except OSError as error:
        raise UsageError(f"{name} is {_shown(text)}, which cannot be a path: {error.strerror}") from error
    return Path(text)


def signed_by(sign: Sign, statement: Statement) -> Review:
    """Return what a caller's function made of a statement; raise `UsageError` where that is no review of it."""
    review = sign(statement)
    if not isinstance(review, Review) or review.payload != encode_statement(statement):
        raise UsageError(f"sign made {_shown(review)}, not a Review of the statement that it was given")
    return review


def _shown(value: object) -> str:
    return displayable(repr(value)[:LONGEST_SHOWN])
